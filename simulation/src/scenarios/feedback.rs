//! Labels that come back: wrong answers against stable's, and the bet on losses.

use control_rollout::{Arm, Guardrail, LossComparison, LossSample, MistakeComparison, OnFailure, RolloutError, Rule};

use super::{Part, as_percent};
use crate::chance::Chance;
use crate::report::{Cell, Claim, Table};
use crate::runs::{Mean, Plan, Rate};
use crate::watch::{Watch, alone};

/// Of each rule.
const ALPHA: f64 = 0.001;

/// How many of stable's answers are wrong.
const STABLE_WRONG: f64 = 0.1;

/// Labels between looks.
const STEP: u64 = 20;

/// Both rules at two shares. The loss of a wrong answer is 1, that of a right one 0.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let head = [
        "candidate wrong",
        "share",
        "mistakes: found",
        "candidate's labels (p95)",
        "losses: found",
        "candidate's labels (p95)",
    ];
    let mut table = Table::new("feedback", &head);
    let mut claims = Vec::new();
    for share in [0.1, 0.5] {
        for wrong in [0.1, 0.12, 0.15, 0.2, 0.4] {
            let mut cells = vec![Cell::text_of(as_percent(share))];
            for rule in [Rule::Mistakes, Rule::Loss] {
                let (rate, labels) = found(plan, rule, (share, wrong))?;
                let is_healthy = wrong <= STABLE_WRONG;
                if is_healthy {
                    let what = format!("false alarms, {}, share {}", rule.as_str(), as_percent(share));
                    claims.push(Claim::of_rate(what, rate, ALPHA));
                }
                cells.push(Cell::Rate(rate));
                cells.push(Cell::maybe(labels.filter(|_| !is_healthy), Cell::Spread));
            }
            table.row(as_percent(wrong), cells);
        }
    }
    Ok(Part { tables: vec![table], claims, ..Part::default() })
}

fn found(plan: &Plan, rule: Rule, (share, wrong): (f64, f64)) -> Result<(Rate, Option<Mean>), RolloutError> {
    let is_healthy = wrong <= STABLE_WRONG;
    let (n_runs, most) = if is_healthy { (10_000, 10_000) } else { (400, 60_000) };
    let run = |chance: &mut Chance| run(chance, rule, (share, wrong, most));
    let found = plan.runs(&format!("feedback {rule:?} {share} {wrong}"), n_runs, run);
    let found = found.into_iter().collect::<Result<Vec<_>, RolloutError>>()?;
    let labels = Mean::of(found.iter().flatten().map(|n| *n as f64));
    Ok((Rate::of(found.iter().map(Option::is_some)), labels))
}

/// The candidate's labels until the rule convicts, within so many labels of both arms.
fn run(chance: &mut Chance, rule: Rule, setting: (f64, f64, u64)) -> Result<Option<u64>, RolloutError> {
    let (share, wrong, most) = setting;
    let mut watch = Watch::new(&guardrail(rule), share)?;
    for n in 1..=most {
        let is_candidate = chance.is(share);
        let is_wrong = chance.is(if is_candidate { wrong } else { STABLE_WRONG });
        let [candidate, stable] = watch.arms();
        let (arm, totals) = if is_candidate { (Arm::Candidate, candidate) } else { (Arm::Stable, stable) };
        totals.labels += 1;
        totals.mistakes += u64::from(is_wrong);
        if rule == Rule::Loss {
            watch.trial.on_loss(&LossSample { arm, share, loss: f64::from(u8::from(is_wrong)) });
        }
        if n % STEP == 0 && watch.look(rule) {
            return Ok(Some(watch.arms()[0].labels));
        }
    }
    Ok(None)
}

fn guardrail(rule: Rule) -> Guardrail {
    let on_failure = OnFailure::Pause;
    let mistakes = MistakeComparison { tolerate_ratio: 1.0, weight: 1.0, on_failure };
    let loss = LossComparison { tolerate_extra: 0.0, weight: 1.0, on_failure };
    match rule {
        Rule::Mistakes => Guardrail { mistakes: Some(mistakes), ..alone(ALPHA) },
        _ => Guardrail { loss: Some(loss), ..alone(ALPHA) },
    }
}
