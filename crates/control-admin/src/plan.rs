//! Before an experiment: how many outcomes and how long it needs. The same for the API and for the command line.

use control_rollout::Draws;
use control_rollout::experiment::{ArmPlan, Effect, Measure, PlanRequest, Primary, Reach, plan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

/// Runs of the simulation.
const ROUNDS: u32 = 300;
/// The same question gets the same answer.
const SEED: u64 = 0x706c_616e;

/// An experiment as it is planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanQuestion {
    /// Outcomes a second, over all arms: requests, or feedback where that decides.
    pub outcomes_per_second: f64,
    /// Shares of the arms, stable's first; the rest to 1 is held out.
    #[serde(default = "halves")]
    pub shares: Vec<f64>,
    /// What decides: errors, latency, mistakes (how often something happens) or loss (a mean of scores in [0, 1]).
    #[serde(default = "errors")]
    pub measure: String,
    /// What the measure is for stable, in (0, 1).
    pub baseline: f64,
    /// Standard deviation of a loss; `None`: the largest there can be.
    pub deviation: Option<f64>,
    /// The change to be seen, in the measure's own units.
    pub effect: Option<f64>,
    /// Or as a part of the baseline.
    pub relative_effect: Option<f64>,
    /// Probability with which equal arms may be told apart.
    #[serde(default = "alpha")]
    pub alpha: f64,
    /// Probability with which the change is to be seen by the planned end.
    #[serde(default = "power")]
    pub power: f64,
    /// The experiment must not last longer, in days.
    #[serde(default = "days_max")]
    pub days_max: f64,
}

/// A question that cannot be answered, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PlanError(String);

fn halves() -> Vec<f64> {
    vec![0.5, 0.5]
}

fn errors() -> String {
    Primary::Errors.as_str().to_owned()
}

fn alpha() -> f64 {
    0.05
}

fn power() -> f64 {
    0.8
}

fn days_max() -> f64 {
    60.0
}

/// The plan as JSON; `text` has it for people. Computes for a second or so.
pub fn answer(question: &PlanQuestion) -> Result<Value, PlanError> {
    let request = request(question)?;
    let mut draws = Draws::seeded(SEED);
    let found = plan(&request, &mut || draws.unit()).map_err(|problem| PlanError(problem.to_string()))?;
    let (is_in_time, reachable) = match found.reach {
        Reach::InTime => (true, None),
        Reach::TooLong { reachable } => (false, reachable),
    };
    let arm = |arm: &ArmPlan| json!({ "share": arm.share, "expected": arm.expected, "with_power": arm.with_power });
    Ok(json!({
        "expected": found.expected,
        "with_power": found.with_power,
        "estimate": found.estimate,
        "expected_seconds": found.expected_seconds,
        "with_power_seconds": found.with_power_seconds,
        "in_time": is_in_time,
        "reachable_effect": reachable,
        "arms": found.arms.iter().map(arm).collect::<Vec<_>>(),
        "assumptions": found.assumptions,
        "text": found.to_string(),
    }))
}

fn request(question: &PlanQuestion) -> Result<PlanRequest, PlanError> {
    let PlanQuestion { baseline, deviation, .. } = *question;
    let refuse = |text: &str| Err(PlanError(text.to_owned()));
    let measure = match (Primary::parse(&question.measure), deviation) {
        (Some(Primary::Loss), deviation) => {
            let deviation = deviation.unwrap_or_else(|| (baseline * (1.0 - baseline)).max(0.0).sqrt());
            Measure::Score { baseline, deviation }
        }
        (Some(_), None) => Measure::Rate { baseline },
        (Some(_), Some(_)) => return refuse("a deviation belongs to the measure loss only"),
        (None, _) => return refuse("the measure is one of errors, latency, mistakes and loss"),
    };
    let effect = match (question.effect, question.relative_effect) {
        (Some(change), None) => Effect::Absolute(change),
        (None, Some(part)) => Effect::Relative(part),
        _ => {
            return refuse(
                "give either effect, in the measure's own units, or relative_effect, a part of the baseline",
            );
        }
    };
    Ok(PlanRequest {
        outcomes_per_second: question.outcomes_per_second,
        shares: question.shares.clone(),
        measure,
        effect,
        alpha: question.alpha,
        power: question.power,
        days_max: question.days_max,
        rounds: ROUNDS,
    })
}
