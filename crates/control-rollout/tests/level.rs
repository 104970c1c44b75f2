//! The promise of the guardrail, measured: healthy candidates are rolled back no more often than `alpha`, and faulty
//! ones are found about as soon as the reference simulation says. Seeded; the generator is the test's own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use control_rollout::{Arm, Count, FaultEvent, Guardrail, Successes, Trial, Verdict};

/// SplitMix64: small, seeded, and good enough to draw gaps between faults.
struct Draw(u64);

impl Draw {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Successes before the next fault of probability `p`.
    fn gap(&mut self, p: f64) -> u64 {
        ((1.0 - self.unit()).ln() / (-p).ln_1p()) as u64
    }

    /// How many of `n` requests went to the candidate.
    fn share_of(&mut self, n: u64, share: f64) -> u64 {
        (0..n).filter(|_| self.unit() < share).count() as u64
    }
}

/// Random traffic on both arms, one fault at a time.
struct Traffic {
    trial: Trial,
    totals: Successes,
    candidate_faults: u64,
    share: f64,
}

impl Traffic {
    fn new(guardrail: Guardrail, share: f64) -> Self {
        let (totals, candidate_faults) = (Successes::default(), 0);
        Self { trial: Trial::new(guardrail).unwrap(), totals, candidate_faults, share }
    }

    fn candidate_requests(&self) -> u64 {
        self.totals.candidate + self.candidate_faults
    }

    /// Runs to the next fault and judges it.
    fn next(&mut self, draw: &mut Draw, candidate_rate: f64, stable_rate: f64) -> Verdict {
        let (share, stable_share) = (self.share, 1.0 - self.share);
        let fault_rate = share * candidate_rate + stable_share * stable_rate;
        let n_successes = draw.gap(fault_rate);
        let success_share = share * (1.0 - candidate_rate) / (1.0 - fault_rate);
        let of_candidate = draw.share_of(n_successes, success_share);
        self.totals.candidate += of_candidate;
        self.totals.stable += n_successes - of_candidate;
        let is_candidate = draw.unit() < share * candidate_rate / fault_rate;
        self.candidate_faults += u64::from(is_candidate);
        let arm = if is_candidate { Arm::Candidate } else { Arm::Stable };
        let event = FaultEvent { arm, share, successes: self.totals, count: Count::All, key: None };
        self.trial.on_fault(event)
    }

    /// The first verdict against the candidate, or against both, within that many requests of the candidate.
    fn first_alarm(&mut self, draw: &mut Draw, requests: u64, rates: (f64, f64)) -> Option<Verdict> {
        while self.candidate_requests() < requests {
            let verdict = self.next(draw, rates.0, rates.1);
            if matches!(verdict, Verdict::RollBack(_) | Verdict::SharedIncident(_)) {
                return Some(verdict);
            }
        }
        None
    }
}

/// Part of the runs in which the candidate's rules trip, and the most that `alpha` allows with three standard errors.
/// A shared incident counts too: that the table softens it must not be what keeps the level.
fn null_runs(guardrail: &Guardrail, n_runs: u32, requests: u64, rates: (f64, f64)) -> (f64, f64) {
    let mut draw = Draw(20_260_101);
    let mut is_alarm = || Traffic::new(guardrail.clone(), 0.5).first_alarm(&mut draw, requests, rates).is_some();
    let n_alarms = (0..n_runs).filter(|_| is_alarm()).count();
    let allowed = guardrail.alpha + 3.0 * (guardrail.alpha * (1.0 - guardrail.alpha) / f64::from(n_runs)).sqrt();
    (n_alarms as f64 / f64::from(n_runs), allowed)
}

/// The hardest healthy candidate: exactly at the limit, exactly as bad as stable, no ratio tolerated.
fn at_the_border(limit: f64, alpha: f64) -> Guardrail {
    Guardrail { limit, alpha, tolerate_ratio: 1.0, ..Guardrail::default() }
}

#[test]
fn twenty_thousand_healthy_runs_keep_the_level() {
    let (rate, allowed) = null_runs(&at_the_border(0.05, 0.01), 20_000, 300, (0.05, 0.05));
    assert!(rate <= allowed, "{rate} > {allowed}");
    assert!(rate > 0.0, "a test that never alarms at its border tests nothing");
}

#[test]
fn the_level_holds_past_the_planned_horizon() {
    let planned = Guardrail { planned_requests: 100, planned_events: 10, ..at_the_border(0.05, 0.05) };
    let (rate, allowed) = null_runs(&planned, 3000, 1600, (0.05, 0.05));
    assert!(rate <= allowed, "{rate} > {allowed}");
}

#[test]
fn a_candidate_as_bad_as_an_ill_stable_is_not_blamed() {
    let guardrail = Guardrail::default();
    let mut draw = Draw(7);
    let mut first = || Traffic::new(guardrail.clone(), 0.1).first_alarm(&mut draw, 400, (0.2, 0.2));
    let alarms: Vec<_> = (0..300).filter_map(|_| first()).collect();
    assert!(alarms.len() > 290, "a fifth of the answers are faults: {}", alarms.len());
    // At a share of a tenth stable's own guard trips first but for a few runs.
    let n_blamed = alarms.iter().filter(|v| matches!(v, Verdict::RollBack(_))).count();
    assert!(n_blamed < 10, "{n_blamed} of 300");
}

#[test]
fn faulty_candidates_are_found_as_soon_as_the_reference_says() {
    // Candidate requests to the rollback: mean of the reference simulation, which spends alpha undivided, and what
    // half of it may cost besides.
    for (rate, reference) in [(0.05, 142.0), (0.5, 6.4), (0.999_999, 3.0)] {
        let mut draw = Draw(11);
        let n_runs = 200;
        let mut n_requests = 0;
        for _ in 0..n_runs {
            let mut traffic = Traffic::new(Guardrail::default(), 0.1);
            let alarm = traffic.first_alarm(&mut draw, 10_000, (rate, 0.001));
            assert!(matches!(alarm, Some(Verdict::RollBack(_))), "rate {rate}: {alarm:?}");
            n_requests += traffic.candidate_requests();
        }
        let mean = n_requests as f64 / f64::from(n_runs);
        assert!(mean > 0.8 * reference && mean < 1.35 * reference, "rate {rate}: {mean} against {reference}");
    }
}
