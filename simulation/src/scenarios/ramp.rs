//! A whole rollout by the policy that is in force without one: shares that grow on time and on proof.

use control_rollout::{Guardrail, Policy, RolloutError, StepKind, clean_requests_needed, promotion_log_e};

use super::{HEALTHY, Part, as_percent};
use crate::chance::Chance;
use crate::report::{Cell, Claim, Table};
use crate::runs::{Mean, Plan, Rate};
use crate::traffic::{Ending, Faults, Traffic, is_rollback};

/// Nothing flows before the first step.
const SHARE_BEFORE: f64 = 0.0;

/// Seconds between looks at the proof, and the least number of looks in the time that the shortest proof takes.
const LOOK_SECONDS: f64 = 1.0;
const LOOKS_PER_PROOF: f64 = 20.0;

/// How a rollout ended.
#[derive(Debug, Clone, Copy)]
struct Rollout {
    ending: Ending,
    /// All steps before the promotion were passed.
    is_promoted: bool,
}

/// One step as the simulation needs it.
struct Stage {
    share: f64,
    min_seconds: f64,
    needs_proof: bool,
}

/// Good and bad candidates at three rates of traffic.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let head = ["candidate's errors", "traffic", "rolled back", "reached 100 %", "after", "failed requests (p95)"];
    let mut table = Table::new("ramp", &head);
    let mut claims = Vec::new();
    for candidate in [0.0, 0.001, 0.005, 0.02, 0.05, 0.5, 1.0] {
        for per_second in [1.0, 10.0, 100.0] {
            let cell = format!("ramp {candidate} {per_second}");
            let runs = plan.runs(&cell, 2_000, |chance| roll_out(chance, candidate, per_second));
            let runs = runs.into_iter().collect::<Result<Vec<_>, RolloutError>>()?;
            let out = Rate::of(runs.iter().map(|r| r.ending.is_out));
            let promoted = Rate::of(runs.iter().map(|r| r.is_promoted));
            if candidate <= HEALTHY {
                let what =
                    format!("false rollbacks in whole rollouts, truly {}, {per_second} rps", as_percent(candidate));
                claims.push(Claim::of_rate(what, out, Guardrail::default().alpha));
            }
            // What most of them do is what the time is of.
            let is_typical = |r: &&Rollout| if promoted.value() > 0.5 { r.is_promoted } else { r.ending.is_out };
            let after = Mean::of(runs.iter().filter(is_typical).map(|r| r.ending.at / per_second));
            let faults = Mean::of(runs.iter().map(|r| r.ending.faults as f64));
            let cells = vec![
                Cell::text_of(format!("{per_second} rps")),
                Cell::Rate(out),
                Cell::Rate(promoted),
                Cell::maybe(after, Cell::Seconds),
                Cell::maybe(faults, Cell::Spread),
            ];
            table.row(as_percent(candidate), cells);
        }
    }
    Ok(Part { tables: vec![table], claims, ..Part::default() })
}

fn roll_out(chance: &mut Chance, candidate: f64, per_second: f64) -> Result<Rollout, RolloutError> {
    let policy = Policy::default();
    let deadline = policy.max_duration.as_secs_f64() * per_second;
    let faults = Faults { candidate, stable: HEALTHY };
    let mut traffic = Traffic::new(&Guardrail::default(), SHARE_BEFORE)?;
    for stage in stages(&policy) {
        traffic.share = stage.share;
        let may_end_at = traffic.now + stage.min_seconds * per_second;
        loop {
            let waits_for_proof = stage.needs_proof && !is_proven(&traffic);
            if !waits_for_proof && traffic.now >= may_end_at {
                break;
            }
            if traffic.now >= deadline {
                return Ok(Rollout { ending: traffic.ending(false), is_promoted: false });
            }
            let look = if waits_for_proof { look(&traffic, per_second) } else { may_end_at - traffic.now };
            let wait = traffic.wait(chance, faults);
            traffic.pass(chance, look.min(wait), faults);
            if wait <= look && is_rollback(&traffic.fault(chance, faults)) {
                return Ok(Rollout { ending: traffic.ending(true), is_promoted: false });
            }
        }
    }
    Ok(Rollout { ending: traffic.ending(false), is_promoted: true })
}

fn stages(policy: &Policy) -> impl Iterator<Item = Stage> {
    policy.steps.iter().filter_map(|step| match step.kind {
        StepKind::Weight { share } => {
            Some(Stage { share, min_seconds: step.min.as_secs_f64(), needs_proof: !step.proofs.is_empty() })
        }
        _ => None,
    })
}

fn is_proven(traffic: &Traffic) -> bool {
    let Guardrail { limit, promote_alpha, .. } = *traffic.trial.guardrail();
    promotion_log_e(traffic.candidate_faults, traffic.successes.candidate, limit) >= -promote_alpha.ln()
}

/// Expected requests of both arms until the proof is looked at again.
fn look(traffic: &Traffic, per_second: f64) -> f64 {
    let Guardrail { limit, promote_alpha, .. } = *traffic.trial.guardrail();
    let shortest_proof = clean_requests_needed(limit, promote_alpha) as f64 / traffic.share;
    (LOOK_SECONDS * per_second).max(shortest_proof / LOOKS_PER_PROOF)
}
