//! A shared incident: both versions fail at once, because of what both depend on.

use control_rollout::{Arm, Guardrail, RolloutError, Verdict, limit_log_e};

use super::{HEALTHY, Part, SHARE, as_percent};
use crate::chance::Chance;
use crate::report::{Cell, Claim, Table};
use crate::runs::{Plan, Rate};
use crate::traffic::{Faults, Traffic};

/// Requests of both arms before the incident, and during it.
const LENGTH: f64 = 2_000.0;

/// What a run saw.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    is_blamed: bool,
    is_shared: bool,
    is_stable_ill: bool,
    /// A limit on the candidate alone would have rolled it back.
    is_limit_over: bool,
}

/// What the table of verdicts makes of it, and what an absolute limit alone would.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let head =
        ["both fail", "candidate blamed", "shared incident told", "stable told ill first", "a limit alone blames"];
    let mut table = Table::new("incident", &head);
    let mut claims = Vec::new();
    for rate in [0.05, 0.2, 0.5] {
        let seen = plan.runs(&format!("incident {rate}"), 5_000, |chance| run(chance, rate));
        let seen = seen.into_iter().collect::<Result<Vec<_>, RolloutError>>()?;
        let count = |of: fn(&Seen) -> bool| Rate::of(seen.iter().map(of));
        let rates =
            [count(|s| s.is_blamed), count(|s| s.is_shared), count(|s| s.is_stable_ill), count(|s| s.is_limit_over)];
        // No budget covers an incident that breaks the limit on both arms; this is what the table is for.
        claims.push(Claim::of_rate(format!("candidate blamed when both fail {}", as_percent(rate)), rates[0], 0.02));
        table.row(as_percent(rate), rates.map(Cell::Rate).to_vec());
    }
    Ok(Part { tables: vec![table], claims, ..Part::default() })
}

fn run(chance: &mut Chance, rate: f64) -> Result<Seen, RolloutError> {
    let guardrail = Guardrail::default();
    let mut traffic = Traffic::new(&guardrail, SHARE)?;
    let mut seen = Seen::default();
    let healthy = Faults { candidate: HEALTHY, stable: HEALTHY };
    let ill = Faults { candidate: rate, stable: rate };
    for (faults, until) in [(healthy, LENGTH), (ill, 2.0 * LENGTH), (healthy, 3.0 * LENGTH)] {
        loop {
            let wait = traffic.wait(chance, faults);
            if traffic.now + wait > until {
                traffic.pass(chance, until - traffic.now, faults);
                break;
            }
            traffic.pass(chance, wait, faults);
            let before = traffic.candidate_faults;
            let verdict = traffic.fault(chance, faults);
            let arm = if traffic.candidate_faults > before { Arm::Candidate } else { Arm::Stable };
            note(&mut seen, &traffic, (arm, &verdict));
            if seen.is_blamed {
                return Ok(seen);
            }
        }
    }
    Ok(seen)
}

fn note(seen: &mut Seen, traffic: &Traffic, (arm, verdict): (Arm, &Verdict)) {
    let guardrail = traffic.trial.guardrail();
    if arm == Arm::Candidate {
        let log_e = limit_log_e(traffic.candidate_faults, traffic.successes.candidate, guardrail.limit);
        seen.is_limit_over |= log_e >= -guardrail.alpha.ln();
    }
    match verdict {
        Verdict::RollBack(_) => seen.is_blamed = true,
        Verdict::SharedIncident(_) => seen.is_shared = true,
        Verdict::StableIll(_) => seen.is_stable_ill = true,
        _ => {}
    }
}
