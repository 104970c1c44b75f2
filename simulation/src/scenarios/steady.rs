//! The watch over a version after its promotion.

use control_rollout::{Guardrail, OnFailure, RolloutError, SteadyGuard, SteadyState};

use super::{HEALTHY, Part, as_percent};
use crate::chance::Chance;
use crate::report::{Cell, Claim, Table};
use crate::runs::{Mean, Plan};

/// Healthy faults before the version breaks.
const FAULTS_BEFORE: u32 = 20;

/// The promise that is short enough to be seen broken, in requests.
const SHORT_PROMISE: f64 = 20_000.0;

/// Requests from the break to the alarm, and requests to a false alarm of a version at its limit.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let promises = [1e6, 1e8, 1e10];
    let head = ["errors after the break", "10⁶ promised", "10⁸ (the usual)", "10¹⁰"];
    let mut table = Table::new("steady", &head);
    for rate in [0.02, 0.05, 0.2, 0.5, 1.0] {
        let mut cells = Vec::new();
        for promise in promises {
            let cell = format!("steady {rate} {promise}");
            let found = plan.runs(&cell, 2_000, |chance| after_break(chance, promise, rate));
            let found = found.into_iter().collect::<Result<Vec<_>, RolloutError>>()?;
            cells.push(Cell::maybe(Mean::of(found.into_iter().flatten().map(|n| n as f64)), Cell::Mean));
        }
        table.row(as_percent(rate), cells);
    }
    let limit = Guardrail::default().limit;
    let alarms = plan.runs("steady at the limit", 2_000, |chance| after(chance, (SHORT_PROMISE, limit), 0));
    let alarms = alarms.into_iter().collect::<Result<Vec<_>, RolloutError>>()?;
    let between = Mean::of(alarms.into_iter().flatten().map(|n| n as f64));
    let mut claims = Vec::new();
    if let Some(between) = between {
        // As what it must not exceed: how much more often false alarms come than promised.
        let (value, error) = (SHORT_PROMISE / between.mean, SHORT_PROMISE * between.error / between.mean.powi(2));
        let what = format!("false alarms per {SHORT_PROMISE} requests promised free of them, version at its limit");
        claims.push(Claim { what, value, error, allowed: 1.0 + 3.0 * error });
    }
    Ok(Part { tables: vec![table], claims, ..Part::default() })
}

fn after_break(chance: &mut Chance, promise: f64, rate: f64) -> Result<Option<u64>, RolloutError> {
    after(chance, (promise, rate), FAULTS_BEFORE)
}

/// Requests to the alarm once the healthy past is over; nothing for the rare run that alarmed before.
fn after(chance: &mut Chance, (promise, rate): (f64, f64), healthy_faults: u32) -> Result<Option<u64>, RolloutError> {
    let rule = SteadyState { mean_requests_between_false_alarms: promise, on_failure: OnFailure::RollBack };
    let guardrail = Guardrail { steady_state: Some(rule), ..Guardrail::default() };
    let Some(mut guard) = SteadyGuard::new(&guardrail)? else { return Ok(None) };
    let mut successes = 0;
    for _ in 0..healthy_faults {
        successes += chance.misses(HEALTHY);
        if guard.on_fault(successes, None).is_some() {
            return Ok(None);
        }
    }
    if healthy_faults > 0 {
        successes += chance.misses(HEALTHY);
    }
    let before = successes;
    for faults in 1.. {
        successes += chance.misses(rate);
        if guard.on_fault(successes, None).is_some() {
            return Ok(Some(successes - before + faults));
        }
    }
    Ok(None)
}
