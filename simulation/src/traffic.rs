//! Random traffic on two arms, judged by the product's own trial.
//!
//! Requests arrive as a Poisson process, so faults and successes of either arm are four independent streams: a run
//! jumps from fault to fault and draws how many successes lay between. Time is counted in expected requests of both
//! arms together, which makes one run good for every rate of traffic.

use control_rollout::{Arm, Count, FaultEvent, Guardrail, RolloutError, Successes, Trial, Verdict};

use crate::chance::Chance;

/// Fault probabilities of the arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// Of the candidate.
    pub candidate: f64,
    /// Of the stable version.
    pub stable: f64,
}

/// One run: a trial and what flowed through it.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// The judge.
    pub trial: Trial,
    /// The candidate's share.
    pub share: f64,
    /// Successes so far.
    pub successes: Successes,
    /// The candidate's faults so far, counted by the judge or not.
    pub candidate_faults: u64,
    /// Stable's faults so far.
    pub stable_faults: u64,
    /// Expected requests so far.
    pub now: f64,
}

/// Where a run ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ending {
    /// Whether the candidate's rules tripped.
    pub is_out: bool,
    /// The candidate's requests until then.
    pub requests: u64,
    /// Its failed requests until then.
    pub faults: u64,
    /// Expected requests of both arms until then.
    pub at: f64,
}

impl Traffic {
    /// Begins without evidence.
    pub fn new(guardrail: &Guardrail, share: f64) -> Result<Self, RolloutError> {
        Ok(Self {
            trial: Trial::new(guardrail.clone())?,
            share,
            successes: Successes::default(),
            candidate_faults: 0,
            stable_faults: 0,
            now: 0.0,
        })
    }

    /// The candidate's requests so far.
    pub fn candidate_requests(&self) -> u64 {
        self.successes.candidate + self.candidate_faults
    }

    /// How long until the next fault of either arm.
    pub fn wait(&self, chance: &mut Chance, faults: Faults) -> f64 {
        chance.wait(self.share * faults.candidate + (1.0 - self.share) * faults.stable)
    }

    /// Lets that much time pass without a fault.
    pub fn pass(&mut self, chance: &mut Chance, time: f64, faults: Faults) {
        self.now += time;
        self.successes.candidate += chance.poisson(time * self.share * (1.0 - faults.candidate));
        self.successes.stable += chance.poisson(time * (1.0 - self.share) * (1.0 - faults.stable));
    }

    /// One fault now, of either arm.
    pub fn fault(&mut self, chance: &mut Chance, faults: Faults) -> Verdict {
        let of_candidate = self.share * faults.candidate;
        let is_candidate = chance.is(of_candidate / (of_candidate + (1.0 - self.share) * faults.stable));
        self.fault_of(if is_candidate { Arm::Candidate } else { Arm::Stable }, Count::All, None)
    }

    /// One fault now of this arm.
    pub fn fault_of(&mut self, arm: Arm, count: Count, key: Option<u64>) -> Verdict {
        match arm {
            Arm::Candidate => self.candidate_faults += 1,
            Arm::Stable => self.stable_faults += 1,
        }
        self.trial.on_fault(FaultEvent { arm, share: self.share, successes: self.successes, count, key })
    }

    /// Runs until the candidate's rules trip, or so many requests of both arms are expected to have come.
    pub fn run(&mut self, chance: &mut Chance, faults: Faults, until: f64) -> Ending {
        loop {
            let wait = self.wait(chance, faults);
            if self.now + wait > until {
                self.pass(chance, until - self.now, faults);
                return self.ending(false);
            }
            self.pass(chance, wait, faults);
            if is_alarm(&self.fault(chance, faults)) {
                return self.ending(true);
            }
        }
    }

    /// Where the run is.
    pub fn ending(&self, is_out: bool) -> Ending {
        Ending { is_out, requests: self.candidate_requests(), faults: self.candidate_faults, at: self.now }
    }
}

/// Whether the verdict takes the candidate out of traffic.
pub fn is_rollback(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::RollBack(_))
}

/// Whether the candidate's rules tripped. A shared incident counts: that the table of verdicts softens it must not be
/// what keeps the level.
pub fn is_alarm(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::RollBack(_) | Verdict::SharedIncident(_))
}
