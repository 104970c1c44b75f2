//! The promise of the rules judged from totals, measured: equal versions raise no alarm more often than they may,
//! and worse ones are found about as soon as the reference simulation says. Seeded; the generator is the test's own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use control_rollout::{
    Arm, ArmTotals, Bins, Drift, Guardrail, LatencyComparison, LatencyLimit, LossComparison, LossSample,
    MistakeComparison, Observed, OnFailure, Rule, SampleRatio, ShareTotals, SteadyGuard, SteadyState, Trial, Verdict,
};

/// SplitMix64: small, seeded, and good enough.
struct Draw(u64);

impl Draw {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn is(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Standard normal, by the polar form.
    fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.unit(), self.unit());
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }
}

/// One world: how requests of each arm end.
#[derive(Clone, Copy)]
struct World {
    /// Factor on the candidate's latency.
    latency: f64,
    /// Wrong answers of candidate and stable.
    wrong: (f64, f64),
    /// Part of the candidate's outputs that goes to the last bin besides.
    drift: f64,
    /// The candidate's real share where a tenth is meant.
    misrouted: f64,
}

const HEALTHY: World = World { latency: 1.0, wrong: (0.1, 0.1), drift: 0.0, misrouted: 0.0 };

/// `ln` of stable's latency is normal with this deviation; the bounds are its median, p90 and p99.
const SIGMA: f64 = 0.5;
const BOUNDS: [f64; 3] = [0.0, 1.281_551_565_5, 2.326_347_874];

/// Traffic whose share moves from step to step.
struct Traffic {
    trial: Trial,
    draw: Draw,
    shares: Vec<ShareTotals>,
}

impl Traffic {
    fn new(guardrail: &Guardrail, seed: u64) -> Self {
        Self { trial: Trial::new(guardrail.clone()).unwrap(), draw: Draw(seed), shares: Vec::new() }
    }

    /// `n` requests under a share, then a look.
    fn look(&mut self, world: World, share: f64, n: u64) -> Vec<Verdict> {
        if self.shares.last().is_none_or(|s| s.share != share) {
            self.shares.push(ShareTotals { share, ..ShareTotals::default() });
        }
        for _ in 0..n {
            self.request(world, share);
        }
        self.trial.observe(&Observed { shares: self.shares.clone(), ..Observed::default() })
    }

    fn request(&mut self, world: World, share: f64) {
        let draw = &mut self.draw;
        let is_candidate = draw.is(share + world.misrouted);
        let log_seconds = SIGMA * draw.normal() + if is_candidate { world.latency.ln() } else { 0.0 };
        let is_wrong = draw.is(if is_candidate { world.wrong.0 } else { world.wrong.1 });
        let bin = if is_candidate && draw.is(world.drift) { 9 } else { (draw.unit() * 10.0) as usize };
        let at = self.shares.len() - 1;
        let totals = &mut self.shares[at];
        let arm: &mut ArmTotals = if is_candidate { &mut totals.candidate } else { &mut totals.stable };
        arm.assigned += 1;
        arm.timed += 1;
        arm.slow += u64::from(log_seconds > SIGMA * BOUNDS[2]);
        for (slow, bound) in arm.slow_at.iter_mut().zip(BOUNDS) {
            *slow += u64::from(log_seconds > SIGMA * bound);
        }
        arm.bins[bin] += 1;
        arm.labels += 1;
        arm.mistakes += u64::from(is_wrong);
        let arm = if is_candidate { Arm::Candidate } else { Arm::Stable };
        self.trial.on_loss(&LossSample { arm, share, loss: f64::from(u8::from(is_wrong)) });
    }
}

/// Only one rule, at that alpha; its verdict is a pause, so that each is judged by itself.
fn only(rule: Rule, alpha: f64) -> Guardrail {
    let on_failure = OnFailure::Pause;
    // The rules on errors are there but get no events; what they weigh is a trifle.
    let weight = 1e3;
    let mut guardrail = Guardrail { alpha, sample_ratio: None, ..Guardrail::default() };
    (guardrail.weights.limit, guardrail.weights.relative) = (1e-3, 1e-3);
    match rule {
        Rule::Latency => {
            guardrail.latency = Some(LatencyLimit { slower_than_seconds: 1.0, limit: 0.01, weight, on_failure });
        }
        Rule::LatencyVsStable => {
            let (quantiles, freeze_after) = (vec![0.5, 0.9, 0.99], 1000);
            guardrail.latency_vs_stable =
                Some(LatencyComparison { quantiles, freeze_after, tolerate_ratio: 1.0, weight, on_failure });
        }
        Rule::Drift => guardrail.drift = Some(Drift { output: None, bins: Bins::Deciles, alpha, on_failure }),
        Rule::SampleRatio => guardrail.sample_ratio = Some(SampleRatio { alpha, on_failure }),
        Rule::Mistakes => guardrail.mistakes = Some(MistakeComparison { tolerate_ratio: 1.0, weight, on_failure }),
        _ => guardrail.loss = Some(LossComparison { tolerate_extra: 0.0, weight, on_failure }),
    }
    guardrail
}

const RULES: [Rule; 6] =
    [Rule::Latency, Rule::LatencyVsStable, Rule::Drift, Rule::SampleRatio, Rule::Mistakes, Rule::Loss];

#[test]
fn equal_versions_raise_no_more_alarms_than_alpha_while_shares_move() {
    const N_RUNS: u32 = 800;
    let alpha = 0.05;
    let allowed = alpha + 3.0 * (alpha * (1.0 - alpha) / f64::from(N_RUNS)).sqrt();
    for rule in RULES {
        let guardrail = only(rule, alpha);
        let is_alarm = |seed: u32| {
            let mut traffic = Traffic::new(&guardrail, u64::from(seed) * 7 + 1);
            let shares = [0.05, 0.05, 0.2, 0.2, 0.5, 0.5, 0.2, 0.1];
            shares.into_iter().any(|share| !traffic.look(HEALTHY, share, 120).is_empty())
        };
        let rate = f64::from((0..N_RUNS).filter(|seed| is_alarm(*seed)).count() as u32) / f64::from(N_RUNS);
        assert!(rate <= allowed, "{rule:?}: {rate} > {allowed}");
    }
}

#[test]
fn rules_that_share_alpha_keep_it_together() {
    const N_RUNS: u32 = 500;
    let alpha = 0.05;
    let allowed = alpha + 3.0 * (alpha * (1.0 - alpha) / f64::from(N_RUNS)).sqrt();
    let mut guardrail = only(Rule::Latency, alpha);
    guardrail.latency_vs_stable = only(Rule::LatencyVsStable, alpha).latency_vs_stable;
    guardrail.mistakes = only(Rule::Mistakes, alpha).mistakes;
    guardrail.loss = only(Rule::Loss, alpha).loss;
    // All in one sum; mistakes and losses are the same events, seen twice.
    guardrail.latency.iter_mut().for_each(|rule| rule.on_failure = OnFailure::RollBack);
    guardrail.latency_vs_stable.iter_mut().for_each(|rule| rule.on_failure = OnFailure::RollBack);
    guardrail.mistakes.iter_mut().for_each(|rule| rule.on_failure = OnFailure::RollBack);
    guardrail.loss.iter_mut().for_each(|rule| rule.on_failure = OnFailure::RollBack);
    let is_alarm = |seed: u32| {
        let mut traffic = Traffic::new(&guardrail, u64::from(seed) * 11 + 5);
        let shares = [0.1, 0.1, 0.5, 0.5, 0.5];
        shares.into_iter().any(|share| {
            let verdicts = traffic.look(HEALTHY, share, 120);
            verdicts.iter().any(|v| matches!(v, Verdict::RollBack(_) | Verdict::SharedIncident(_)))
        })
    };
    let rate = f64::from((0..N_RUNS).filter(|seed| is_alarm(*seed)).count() as u32) / f64::from(N_RUNS);
    assert!(rate <= allowed, "{rate} > {allowed}");
}

#[test]
fn the_steady_watch_keeps_its_mean_time_between_false_alarms() {
    let limit = 0.05;
    let rule = SteadyState { mean_requests_between_false_alarms: 1000.0, on_failure: OnFailure::Alert };
    let guardrail = Guardrail { limit, steady_state: Some(rule), ..Guardrail::default() };
    let n_runs = 200;
    let of_run = |seed: u64| {
        let (mut guard, mut draw) = (SteadyGuard::new(&guardrail).unwrap().unwrap(), Draw(seed + 3));
        let (mut successes, mut faults) = (0, 0);
        loop {
            // The worst that is still healthy: exactly at the limit.
            if draw.is(limit) {
                faults += 1;
                if guard.on_fault(successes, None).is_some() {
                    return (successes + faults) as f64;
                }
            } else {
                successes += 1;
            }
        }
    };
    let mean = (0..n_runs).map(of_run).sum::<f64>() / n_runs as f64;
    // Three standard errors of a mean of about exponential times.
    assert!(mean > 1000.0 * (1.0 - 3.0 / (n_runs as f64).sqrt()), "{mean}");
    assert!(mean < 20_000.0, "a watch that never alarms watches nothing: {mean}");
}

/// Requests of the candidate until the rule speaks, on average over some runs; looked at every 50 requests.
fn delay(rule: Rule, world: World, n_runs: u64) -> f64 {
    let mut guardrail = only(rule, 0.001);
    if let Some(rule) = &mut guardrail.latency_vs_stable {
        rule.tolerate_ratio = 1.1;
    }
    let of_run = |seed: u64| {
        let mut traffic = Traffic::new(&guardrail, seed + 99);
        (0..2000).find(|_| !traffic.look(world, 0.1, 50).is_empty()).unwrap();
        traffic.shares[0].candidate.assigned as f64
    };
    (0..n_runs).map(of_run).sum::<f64>() / n_runs as f64
}

#[test]
fn worse_versions_are_found_about_as_soon_as_the_reference_says() {
    // (rule, world, candidate requests of the reference); half as much again for what the restart term, the looks
    // and so few runs cost.
    let cases = [
        (Rule::LatencyVsStable, World { latency: 2.0, ..HEALTHY }, 26.0),
        (Rule::LatencyVsStable, World { latency: 1.5, ..HEALTHY }, 89.0),
        (Rule::Mistakes, World { wrong: (0.4, 0.1), ..HEALTHY }, 70.0),
        (Rule::Loss, World { wrong: (0.2, 0.1), ..HEALTHY }, 230.0),
        (Rule::SampleRatio, World { misrouted: -0.05, ..HEALTHY }, 0.05 * 611.0),
        (Rule::Drift, World { drift: 0.3, ..HEALTHY }, 100.0),
    ];
    for (rule, world, reference) in cases {
        let mean = delay(rule, world, 30);
        assert!(mean < 1.5 * reference + 10.0, "{rule:?}: {mean} against {reference}");
        assert!(mean > 0.4 * reference, "{rule:?}: {mean} against {reference}");
    }
}
