//! A candidate that was healthy for long and then breaks.

use control_rollout::{Guardrail, RolloutError, limit_log_e};

use super::{HEALTHY, Part, SHARE, as_percent};
use crate::chance::Chance;
use crate::report::{Cell, Table};
use crate::runs::{Mean, Plan};
use crate::traffic::{Faults, Traffic};

/// Healthy requests of the candidate before it breaks.
const HEALTHY_REQUESTS: f64 = 20_000.0;

/// The most requests of both arms that a run goes on for after the break.
const AFTER_MAX: f64 = 500_000.0;

/// With the restart term, as it is, and what a test that only adds up would need.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let head = ["errors after the break", "requests to the rollback (p95)", "a limit test without restart"];
    let mut table = Table::new("late", &head);
    for candidate in [0.05, 0.5, 1.0] {
        let cell = format!("late {candidate}");
        let faults = Faults { candidate, stable: HEALTHY };
        let ours = plan.runs(&cell, 2_000, |chance| restarted(chance, faults));
        let ours = ours.into_iter().collect::<Result<Vec<_>, _>>()?;
        let plain = plan.runs(&cell, 1_000, |chance| plain(chance, candidate));
        let plain = Mean::of(plain.into_iter().flatten().map(|n| n as f64));
        let ours = Mean::of(ours.into_iter().flatten().map(|n| n as f64));
        table.row(as_percent(candidate), vec![Cell::maybe(ours, Cell::Spread), Cell::maybe(plain, Cell::Mean)]);
    }
    Ok(Part { tables: vec![table], ..Part::default() })
}

/// The candidate's requests from the break to the rollback; nothing for the rare run that ended before.
fn restarted(chance: &mut Chance, faults: Faults) -> Result<Option<u64>, RolloutError> {
    let mut traffic = Traffic::new(&Guardrail::default(), SHARE)?;
    let healthy = Faults { candidate: HEALTHY, stable: HEALTHY };
    let breaks_at = HEALTHY_REQUESTS / SHARE;
    if traffic.run(chance, healthy, breaks_at).is_out {
        return Ok(None);
    }
    let before = traffic.candidate_requests();
    let ending = traffic.run(chance, faults, breaks_at + AFTER_MAX);
    Ok(ending.is_out.then_some(ending.requests - before))
}

fn plain(chance: &mut Chance, fault_rate: f64) -> Option<u64> {
    let guardrail = Guardrail::default();
    let threshold = -guardrail.alpha.ln();
    let (mut faults, mut successes) = (chance.poisson(HEALTHY_REQUESTS * HEALTHY), HEALTHY_REQUESTS as u64);
    let mut after = 0;
    while (after as f64) < AFTER_MAX * SHARE {
        let misses = chance.misses(fault_rate);
        successes += misses;
        faults += 1;
        after += misses + 1;
        if limit_log_e(faults, successes, guardrail.limit) >= threshold {
            return Some(after);
        }
    }
    None
}
