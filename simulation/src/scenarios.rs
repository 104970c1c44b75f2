//! What is simulated: one module for each question.

mod armed;
mod detection;
mod feedback;
mod healthy;
mod incident;
mod late;
mod latency;
mod outputs;
mod poisoned;
mod proof;
mod ramp;
mod steady;
mod weights;

use control_rollout::{Guardrail, RolloutError};

use crate::chance::Chance;
use crate::report::{Claim, Plot, Table};
use crate::runs::Plan;

/// The candidate's share wherever it stands still.
pub const SHARE: f64 = 0.1;

/// What a healthy version's fault probability is taken to be.
pub const HEALTHY: f64 = 0.001;

/// How long peers look at a candidate, in seconds: a bake of half an hour.
pub const BAKE_SECONDS: f64 = 1800.0;

/// What one question came to.
#[derive(Debug, Default)]
pub struct Part {
    /// Tables.
    pub tables: Vec<Table>,
    /// Promises.
    pub claims: Vec<Claim>,
    /// Plots.
    pub plots: Vec<Plot>,
}

/// A question.
type Scenario = fn(&Plan) -> Result<Part, RolloutError>;

/// The questions, by the names `--only` knows.
const ALL: [(&str, Scenario); 13] = [
    ("healthy", healthy::simulate),
    ("detection", detection::simulate),
    ("ramp", ramp::simulate),
    ("late", late::simulate),
    ("poisoned", poisoned::simulate),
    ("incident", incident::simulate),
    ("weights", weights::simulate),
    ("proof", proof::simulate),
    ("latency", latency::simulate),
    ("outputs", outputs::simulate),
    ("feedback", feedback::simulate),
    ("steady", steady::simulate),
    ("armed", armed::simulate),
];

/// Asks all questions, or only those named; a name that is none asks nothing.
pub fn ask(plan: &Plan, only: &[String]) -> Result<Part, RolloutError> {
    let is_asked = |name: &str| only.is_empty() || only.iter().any(|asked| asked == name);
    let mut sum = Part::default();
    for (name, scenario) in ALL.into_iter().filter(|(name, _)| is_asked(name)) {
        let began = std::time::Instant::now();
        let part = scenario(plan)?;
        eprintln!("{name}: {:.1} s", began.elapsed().as_secs_f64());
        sum.tables.extend(part.tables);
        sum.claims.extend(part.claims);
        sum.plots.extend(part.plots);
    }
    Ok(sum)
}

/// The hardest healthy candidate: exactly at the limit, exactly as bad as stable, and no ratio tolerated.
pub fn at_the_border(limit: f64, alpha: f64) -> Guardrail {
    Guardrail { limit, alpha, tolerate_ratio: 1.0, ..Guardrail::default() }
}

/// Whether a run raises an alarm at each budget, largest budget first. What does not alarm at one budget does not at a
/// smaller one, so that most runs are made once; the others begin again with the same chance.
pub fn alarms<const N: usize>(
    chance: &Chance,
    alphas: [f64; N],
    run: impl Fn(&mut Chance, f64) -> Result<bool, RolloutError>,
) -> Result<[bool; N], RolloutError> {
    let mut has_alarmed = [false; N];
    for (alpha, has_alarmed) in alphas.into_iter().zip(&mut has_alarmed) {
        *has_alarmed = run(&mut chance.clone(), alpha)?;
        if !*has_alarmed {
            break;
        }
    }
    Ok(has_alarmed)
}

/// A probability as people write it.
pub fn as_percent(probability: f64) -> String {
    // Rounded, because ten times 0.1 is not quite 1 to a machine.
    format!("{} %", (probability * 1e7).round() / 1e5)
}
