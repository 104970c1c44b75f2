//! A trial: the state of judging one candidate version against the stable one.
//!
//! Evidence adds up from the first request and never expires, so that two requests a minute and two thousand a
//! second are judged by the same rule. Faults come one by one; successes come as totals with the next fault, since
//! in between nothing can trip. Everything else than errors comes as totals, from time to time.

mod judge;

use crate::checkpoint::{ArmCheckpoint, Checkpoint};
use crate::error::RolloutError;
use crate::evidence::{Evidence, RuleEvidence};
use crate::frozen::Frozen;
use crate::interval::anytime_interval;
use crate::keys::ErringKeys;
use crate::limit::LimitTest;
use crate::observed::{LossSample, Observed};
use crate::plan::ProofOf;
use crate::policy::{Guardrail, Mode};
use crate::promotion::Proof;
use crate::relative::{FAULT_ALTERNATIVES, RelativeTest};
use crate::restart::Restart;
use crate::totals::Totals;
use crate::verdict::{Cause, CrashCounts, Verdict};
use crate::window::WindowTotals;

/// Unclean exits with the candidate's requests in flight that make a crash loop.
pub const CRASH_LOOP_EXITS: u64 = 2;

/// The two sides of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arm {
    /// The version under trial.
    Candidate,
    /// The version it is compared with.
    Stable,
}

/// Which rules a fault enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Count {
    /// None: the stable version failed on the same input too, or the version was pinned.
    Nothing,
    /// The limit rule of its arm, not the comparison: the version was not drawn at random.
    LimitOnly,
    /// All.
    All,
}

/// Successes since the trial began or was restored, as totals that only grow. Count what would have entered the
/// rules as a fault: no pinned requests, no fallback attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Successes {
    /// Of the candidate.
    pub candidate: u64,
    /// Of the stable version.
    pub stable: u64,
}

/// One version fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultEvent {
    /// Whose.
    pub arm: Arm,
    /// The candidate's share of (candidate + stable) in force when the request was routed. 1 or more when the stable
    /// version gets no random traffic: the relative rule then does not move.
    pub share: f64,
    /// The successes of both arms so far.
    pub successes: Successes,
    /// Which rules it enters.
    pub count: Count,
    /// The routing key, for a fault whose input was not tried on the other version: such faults count once per key
    /// and arm. `None` counts it always. For the stable version the key holds back the limit rule only: comparing
    /// all of its faults with some of the candidate's can only favour the candidate.
    pub key: Option<u64>,
}

/// The state of judging one candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    guardrail: Guardrail,
    candidate: LimitTest,
    stable: LimitTest,
    relative: RelativeTest,
    candidate_keys: ErringKeys,
    stable_keys: ErringKeys,
    /// Totals up to which successes were taken.
    seen: Successes,
    /// Successes from before a restart that no fault has followed yet.
    pending: Successes,
    crashes: CrashCounts,
    /// A shared incident lasts for as long as the candidate's limit rule stays tripped: should the stable version
    /// recover on paper a moment earlier, the old faults must not turn against the candidate.
    is_shared_incident: bool,
    /// The same for latency.
    is_latency_incident: bool,
    /// The rules judged from totals.
    totals: Totals,
    /// What they said when they were last looked at.
    further: Vec<RuleEvidence>,
}

impl Trial {
    /// Starts without evidence; an error names the first value of the guardrail that is not allowed.
    pub fn new(guardrail: Guardrail) -> Result<Self, RolloutError> {
        if let Some(problem) = guardrail.problems().into_iter().next() {
            return Err(RolloutError::Guardrail(problem));
        }
        let totals = Totals::new(&guardrail);
        Ok(Self {
            further: totals.weigh(&guardrail),
            totals,
            candidate: LimitTest::new(guardrail.limit),
            stable: LimitTest::new(guardrail.limit),
            relative: RelativeTest::new(guardrail.tolerate_ratio, &FAULT_ALTERNATIVES),
            guardrail,
            candidate_keys: ErringKeys::new(&[]),
            stable_keys: ErringKeys::new(&[]),
            seen: Successes::default(),
            pending: Successes::default(),
            crashes: CrashCounts::default(),
            is_shared_incident: false,
            is_latency_incident: false,
        })
    }

    /// The guardrail in force.
    pub fn guardrail(&self) -> &Guardrail {
        &self.guardrail
    }

    /// Whether the rollout is to stand still because stable is over a limit, alone or together with the candidate: as
    /// long as [`Decision::Hold`](crate::Decision::Hold) would be said, as of the last fault or look.
    pub fn is_incident(&self) -> bool {
        self.guardrail.mode == Mode::Enforce && self.is_held()
    }

    /// Takes one fault and judges. Costs a few microseconds, and memory does not grow.
    pub fn on_fault(&mut self, event: FaultEvent) -> Verdict {
        if event.count == Count::Nothing {
            return Verdict::None;
        }
        let keys = match event.arm {
            Arm::Candidate => &mut self.candidate_keys,
            Arm::Stable => &mut self.stable_keys,
        };
        let is_news = event.key.is_none_or(|key| keys.insert(key));
        if event.arm == Arm::Candidate && !is_news {
            return Verdict::None;
        }
        self.take_successes(event.successes);
        match event.arm {
            Arm::Candidate => self.candidate.on_fault(),
            Arm::Stable if is_news => self.stable.on_fault(),
            Arm::Stable => {}
        }
        if event.count == Count::All {
            self.relative.on_fault(event.arm, event.share);
        }
        let judged = self.judge();
        self.verdict_on_errors(&judged, Some(event.share))
    }

    /// Takes what the data plane counted and judges everything: the verdicts that hold now, none when there are none.
    /// To be called at times that do not depend on how requests ended. Costs a few microseconds for each rule.
    pub fn observe(&mut self, observed: &Observed) -> Vec<Verdict> {
        self.take_successes(observed.successes);
        self.totals.take(observed);
        self.further = self.totals.weigh(&self.guardrail);
        let judged = self.judge();
        let mut verdicts = self.verdicts_on_totals(&judged);
        match self.verdict_on_errors(&judged, None) {
            Verdict::None => {}
            verdict => verdicts.insert(0, verdict),
        }
        verdicts
    }

    /// Takes one loss that feedback reported; it is judged with the next look. False for what is no loss, or when
    /// the guardrail has no such rule.
    pub fn on_loss(&mut self, sample: &LossSample) -> bool {
        self.totals.on_loss(sample)
    }

    /// Holds totals for taken without taking them: for counts from before the trial, or before it was restored.
    pub fn skip(&mut self, observed: &Observed) {
        self.totals.skip(observed);
        self.seen = observed.successes;
    }

    /// Keeps bounds taken from stable, which the data plane is to count by from now on. Bounds kept before stay.
    pub fn freeze(&mut self, bounds: Frozen) {
        self.totals.freeze(bounds);
    }

    /// The bounds kept so far, to count by after a restart too.
    pub fn frozen(&self) -> &Frozen {
        self.totals.frozen()
    }

    /// Takes an unclean exit of the process that lost requests of the candidate; to be called once after `restore`,
    /// and the result checkpointed before traffic flows. However many were lost, they have one cause and may be
    /// nobody's fault, so they move the limit rule by one fault: a healthy candidate survives being killed once.
    /// The second such exit is a crash loop.
    pub fn on_crash(&mut self, n_requests: u64) -> Verdict {
        if n_requests == 0 {
            return Verdict::None;
        }
        self.crashes.exits += 1;
        self.crashes.requests = self.crashes.requests.saturating_add(n_requests);
        self.take_successes(self.seen);
        self.candidate.on_fault();
        if self.crashes.exits >= CRASH_LOOP_EXITS {
            return Verdict::RollBack(Cause::CrashLoop(self.crashes));
        }
        let judged = self.judge();
        self.verdict_on_errors(&judged, None)
    }

    /// Judges what the candidate's window holds by the classic rules, where the guardrail has them.
    pub fn window_verdict(&self, totals: &WindowTotals) -> Verdict {
        let breach = self.guardrail.window.and_then(|window| window.breach(totals));
        breach.map_or(Verdict::None, |breach| Verdict::RollBack(Cause::Window(breach)))
    }

    /// What there is to show, with the successes so far. Changes nothing and judges nothing.
    pub fn evidence(&self, successes: Successes) -> Evidence {
        let mut now = self.clone();
        now.take_successes(successes);
        let guardrail = &now.guardrail;
        let interval = |arm: &LimitTest| anytime_interval(arm.n_faults(), arm.n_successes(), guardrail.promote_alpha);
        let (candidate_interval, stable_interval) = (interval(&now.candidate), interval(&now.stable));
        let mut findings = now.findings();
        findings.limit.interval = Some(candidate_interval);
        findings.stable_limit.interval = Some(stable_interval);
        now.totals.add_intervals(guardrail, &mut findings.further);
        let proof = now.proof_on_errors();
        Evidence {
            findings,
            shares: now.relative.shares().to_vec(),
            basis: now.totals.basis(),
            proof,
            proofs: now.proofs(proof),
            candidate_interval,
            stable_interval,
            drift: now.totals.drift(guardrail),
            crashes: now.crashes,
        }
    }

    /// The state to store, with the successes so far.
    pub fn checkpoint(&self, successes: Successes) -> Checkpoint {
        let arm = |test: &LimitTest, keys: &ErringKeys| ArmCheckpoint {
            faults: test.n_faults(),
            successes: test.n_successes(),
            log1p_restart: test.restart().log1p().to_vec(),
            erring_keys: keys.as_slice().to_vec(),
        };
        let mut checkpoint = Checkpoint {
            limit: self.guardrail.limit,
            tolerate_ratio: self.guardrail.tolerate_ratio,
            candidate: arm(&self.candidate, &self.candidate_keys),
            stable: arm(&self.stable, &self.stable_keys),
            relative: self.relative.checkpoint(),
            pending: self.untaken(successes),
            crashes: self.crashes,
            is_shared_incident: self.is_shared_incident,
            is_latency_incident: self.is_latency_incident,
            ..Checkpoint::default()
        };
        self.totals.store(&self.guardrail, &mut checkpoint);
        checkpoint
    }

    /// Goes on from a checkpoint; all totals start again at zero. The guardrail may have changed in all but `limit` and
    /// `tolerate_ratio`: of the other rules, those whose bounds have changed start without evidence.
    pub fn restore(guardrail: Guardrail, checkpoint: &Checkpoint) -> Result<Self, RolloutError> {
        let mut trial = Self::new(guardrail.clone())?;
        checkpoint.check(&guardrail)?;
        let arm = |arm: &ArmCheckpoint| {
            let restart = Restart::from_log1p(arm.log1p_restart.clone());
            LimitTest::resumed(guardrail.limit, arm.faults, arm.successes, restart)
        };
        trial.candidate = arm(&checkpoint.candidate);
        trial.stable = arm(&checkpoint.stable);
        trial.relative = trial.relative.resumed(&checkpoint.relative);
        trial.candidate_keys = ErringKeys::new(&checkpoint.candidate.erring_keys);
        trial.stable_keys = ErringKeys::new(&checkpoint.stable.erring_keys);
        trial.pending = checkpoint.pending;
        trial.crashes = checkpoint.crashes;
        trial.is_shared_incident = checkpoint.is_shared_incident;
        trial.is_latency_incident = checkpoint.is_latency_incident;
        trial.totals = Totals::resume(&guardrail, checkpoint)?;
        trial.further = trial.totals.weigh(&guardrail);
        Ok(trial)
    }

    fn proof_on_errors(&self) -> Proof {
        let Guardrail { limit, promote_alpha, .. } = self.guardrail;
        let shadow = self.totals.shadow();
        // A copy that the candidate could not answer has hurt nobody, but neither does it prove anything good.
        let faults = self.candidate.n_faults().saturating_add(shadow.faults);
        let successes = self.candidate.n_successes().saturating_add(shadow.compared);
        Proof::read(faults, successes, limit, promote_alpha)
    }

    fn proofs(&self, on_errors: Proof) -> Vec<(ProofOf, Proof)> {
        let Guardrail { latency, disagreement, promote_alpha, .. } = &self.guardrail;
        let shadow = self.totals.shadow();
        let mut proofs = vec![(ProofOf::Errors, on_errors)];
        if let (Some(rule), Some((slow, others))) = (latency, self.totals.slow()) {
            // Copies run after everything else, so they take longer, if anything, than answers would.
            let in_time = shadow.timed.saturating_sub(shadow.slow);
            let (slow, others) = (slow.saturating_add(shadow.slow), others.saturating_add(in_time));
            proofs.push((ProofOf::Latency, Proof::read(slow, others, rule.limit, *promote_alpha)));
        }
        if let (Some(rule), Some((unlike, alike))) = (disagreement, self.totals.unlike()) {
            proofs.push((ProofOf::Disagreement, Proof::read(unlike, alike, rule.limit, *promote_alpha)));
        }
        proofs
    }

    fn take_successes(&mut self, totals: Successes) {
        let untaken = self.untaken(totals);
        self.candidate.on_successes(untaken.candidate);
        self.stable.on_successes(untaken.stable);
        self.pending = Successes::default();
        // Totals read by two threads may arrive in the wrong order; what was taken stays taken.
        self.seen.candidate = self.seen.candidate.max(totals.candidate);
        self.seen.stable = self.seen.stable.max(totals.stable);
    }

    fn untaken(&self, totals: Successes) -> Successes {
        let untaken = |pending: u64, total: u64, seen: u64| pending.saturating_add(total.saturating_sub(seen));
        Successes {
            candidate: untaken(self.pending.candidate, totals.candidate, self.seen.candidate),
            stable: untaken(self.pending.stable, totals.stable, self.seen.stable),
        }
    }
}

#[cfg(test)]
mod tests;
