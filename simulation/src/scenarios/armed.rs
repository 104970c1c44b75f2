//! Every rule at once, all with their part of one budget.

use base_types::Comparison;
use control_rollout::{
    Arm, Bins, DisagreementLimit, Drift, Guardrail, LatencyComparison, LatencyLimit, LossComparison, LossSample,
    MistakeComparison, OnFailure, RolloutError, RuleWeights,
};

use super::{HEALTHY, Part, SHARE, as_percent};
use crate::chance::Chance;
use crate::peers::LIMIT;
use crate::report::{Cell, Claim, Table};
use crate::runs::{Mean, Plan, Rate};
use crate::traffic::{Faults, Traffic, is_alarm};
use crate::watch::{Watch, spread};

/// The candidate's requests between looks, and in a run.
const STEP: f64 = 25.0;
const REQUESTS: f64 = 2_000.0;

/// Answers slower than each of stable's quantiles, between them, and over the bound.
const SLOW: [f64; 5] = [0.5, 0.4, 0.09, 0.0, 0.01];

/// Answers that labels show to be wrong, and the part of answers that get one.
const WRONG: f64 = 0.1;
const LABELLED: f64 = 0.2;

/// False rollbacks of a candidate at the border of every rule; and what the errors' rules lose by sharing.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let mut claims = Vec::new();
    for alpha in [0.05, 0.001] {
        let guardrail = Guardrail { alpha, limit: LIMIT, ..all_rules(1.0) };
        let alarms = plan.runs(&format!("armed {alpha}"), 20_000, |chance| is_out(chance, &guardrail));
        let rate = Rate::of(alarms.into_iter().collect::<Result<Vec<_>, RolloutError>>()?.into_iter());
        let what = format!("false rollbacks, ten rules, all of them at their border, alpha {}", as_percent(alpha));
        claims.push(Claim::of_rate(what, rate, alpha));
    }
    let mut table = Table::new("armed", &["candidate's errors", "errors alone judged", "ten rules"]);
    for candidate in [0.02, 0.05, 0.5, 1.0] {
        let mut cells = Vec::new();
        for guardrail in [Guardrail::default(), all_rules(2.0)] {
            let faults = Faults { candidate, stable: HEALTHY };
            let run = |chance: &mut Chance| {
                let ending = Traffic::new(&guardrail, SHARE)?.run(chance, faults, 1e6);
                Ok(ending.is_out.then_some(ending.faults as f64))
            };
            let failed = plan.runs(&format!("armed detection {candidate}"), 4_000, run);
            let failed = failed.into_iter().collect::<Result<Vec<_>, RolloutError>>()?;
            cells.push(Cell::maybe(Mean::of(failed.into_iter().flatten()), Cell::Spread));
        }
        table.row(as_percent(candidate), cells);
    }
    Ok(Part { tables: vec![table], claims, ..Part::default() })
}

/// Every rule there is, all of which roll back.
fn all_rules(tolerate_ratio: f64) -> Guardrail {
    let on_failure = OnFailure::RollBack;
    Guardrail {
        tolerate_ratio,
        weights: RuleWeights { limit: 0.35, relative: 0.35 },
        latency: Some(LatencyLimit { slower_than_seconds: 0.08, limit: LIMIT, weight: 0.1, on_failure }),
        latency_vs_stable: Some(LatencyComparison {
            quantiles: vec![0.5, 0.9, 0.99],
            freeze_after: 1000,
            tolerate_ratio: 1.0,
            weight: 0.1,
            on_failure,
        }),
        disagreement: Some(DisagreementLimit {
            limit: LIMIT,
            compare: Comparison::default(),
            is_redacted: true,
            weight: 0.04,
            on_failure,
        }),
        mistakes: Some(MistakeComparison { tolerate_ratio: 1.0, weight: 0.03, on_failure }),
        loss: Some(LossComparison { tolerate_extra: 0.0, weight: 0.03, on_failure }),
        // Drift and the sample ratio have an alpha of their own, and only pause.
        drift: Some(Drift { output: None, bins: Bins::Deciles, alpha: 0.001, on_failure: OnFailure::Pause }),
        ..Guardrail::default()
    }
}

fn is_out(chance: &mut Chance, guardrail: &Guardrail) -> Result<bool, RolloutError> {
    let faults = Faults { candidate: LIMIT, stable: LIMIT };
    let mut traffic = Traffic::new(guardrail, SHARE)?;
    let mut watch = Watch::new(guardrail, SHARE)?;
    for look in 1..=(REQUESTS / STEP) as u32 {
        let until = f64::from(look) * STEP / SHARE;
        if traffic.run(chance, faults, until).is_out {
            return Ok(true);
        }
        for (arm, n) in watch.arms().into_iter().zip([STEP, STEP * (1.0 - SHARE) / SHARE]) {
            let [quick, middle, slow, slower, slowest] = spread(chance, n, &SLOW);
            let counted = [middle + slow + slower + slowest, slow + slower + slowest, slower + slowest];
            arm.slow_at = std::array::from_fn(|i| arm.slow_at[i] + counted[i]);
            arm.slow += slowest;
            arm.timed += quick + counted[0];
            arm.assigned += quick + counted[0];
            arm.bins.iter_mut().take(10).for_each(|bin| *bin += chance.poisson(n / 10.0));
        }
        let [alike, other] = spread(chance, STEP, &[1.0 - LIMIT, LIMIT]);
        watch.observed.shadow.compared += alike + other;
        watch.observed.shadow.disagreed += other;
        watch.observed.successes = traffic.successes;
        label(chance, &mut watch, &mut traffic);
        if traffic.trial.observe(&watch.observed).iter().any(is_alarm) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Labels of one step, in the order in which they come.
fn label(chance: &mut Chance, watch: &mut Watch, traffic: &mut Traffic) {
    for _ in 0..chance.poisson(LABELLED * STEP / SHARE) {
        let is_candidate = chance.is(SHARE);
        let is_wrong = chance.is(WRONG);
        let [candidate, stable] = watch.arms();
        let (arm, totals) = if is_candidate { (Arm::Candidate, candidate) } else { (Arm::Stable, stable) };
        totals.labels += 1;
        totals.mistakes += u64::from(is_wrong);
        traffic.trial.on_loss(&LossSample { arm, share: SHARE, loss: f64::from(u8::from(is_wrong)) });
    }
}
