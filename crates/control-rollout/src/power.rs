//! Before a rollout: how soon each size of harm would be found at today's traffic, how long the proofs and the whole
//! rollout take if all goes well, and how likely a false alarm is.
//!
//! Each delay is estimated by the formula of its test, and then taken from runs of the test itself on made-up
//! traffic. For errors that is the trial as it judges live. The work is bounded by `rounds`.

mod detect;
mod text;
mod timing;

use crate::chance::{Uniform, quantile};
use crate::plan::{Policy, ProofOf, StepKind};
use crate::policy::{Guardrail, OutOfRange};
use crate::rule::Rule;

/// Most rounds of a simulation.
pub const POWER_ROUNDS_MAX: u32 = 1000;

/// Error rates that are looked for.
const ERROR_RATES: [f64; 5] = [1.0, 0.5, 0.05, 0.02, 0.01];
/// Factors on the latency that are looked for.
const LATENCY_FACTORS: [f64; 4] = [2.0, 1.5, 1.25, 1.1];
/// Shares of answers other than stable's that are looked for.
const DISAGREEMENT_RATES: [f64; 4] = [0.9, 0.2, 0.05, 0.02];

/// What a rollout would meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerRequest<'a> {
    /// The policy it would follow.
    pub policy: &'a Policy,
    /// The guardrail it would be judged by: the policy's own, or the model's.
    pub guardrail: &'a Guardrail,
    /// The model's requests a second, over all versions; above 0.
    pub requests_per_second: f64,
    /// How often stable faults, in [0, 0.5).
    pub stable_error_rate: f64,
    /// Stable's latency; `None` leaves the harms on latency out.
    pub latency: Option<LatencyShape>,
    /// Runs for each number, from 1 to [`POWER_ROUNDS_MAX`].
    pub rounds: u32,
}

/// A latency, taken to be lognormal between two of its quantiles, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyShape {
    /// The median, above 0.
    pub p50: f64,
    /// All but one hundredth are below it; above the median.
    pub p99: f64,
}

/// What a rollout can be expected to find, and how long it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Power {
    /// The model's requests a second that were assumed.
    pub requests_per_second: f64,
    /// Probability of a false alarm over all rules that share it.
    pub alpha: f64,
    /// How they share it; the parts sum to 1.
    pub parts: Vec<(Rule, f64)>,
    /// Rules with a probability of their own.
    pub apart: Vec<(Rule, f64)>,
    /// Probability that a candidate above a limit counts as proven.
    pub promote_alpha: f64,
    /// The steps that give the candidate traffic or copies.
    pub steps: Vec<StepPower>,
    /// How long the whole takes, if all goes well and nobody is waited for, in seconds; `None` when a proof is out of
    /// reach.
    pub total_seconds: Option<f64>,
    /// What that leaves out, in words.
    pub not_counted: Vec<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepPower {
    /// Position in the policy.
    pub index: usize,
    /// Share of the traffic, or of stable's requests that are copied.
    pub share: f64,
    /// Whether it is copies.
    pub is_shadow: bool,
    /// What would be found, and when, if it began here.
    pub harms: Vec<HarmPower>,
    /// What the step asks to be proven.
    pub proofs: Vec<ProofPower>,
    /// How long it takes if all goes well, with what earlier steps have proven; `None`: a proof is out of reach.
    pub seconds: Option<f64>,
}

/// Something that may be wrong with a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Harm {
    /// It faults so often.
    Errors(f64),
    /// Its answers take so many times as long.
    Latency(f64),
    /// It answers otherwise than stable so often.
    Disagreement(f64),
}

/// How soon a harm is found. Requests are the candidate's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HarmPower {
    /// The harm.
    pub harm: Harm,
    /// Requests until it is found, by formula.
    pub estimate: f64,
    /// Mean over the runs that found it; `None` when none did.
    pub mean: Option<f64>,
    /// 95 of 100 runs that found it had done so by then.
    pub p95: Option<f64>,
    /// The part of the runs that found it within the bound of the simulation.
    pub found: f64,
    /// `mean` at this step's traffic, in seconds.
    pub seconds: Option<f64>,
}

/// What a proof takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProofPower {
    /// The proof.
    pub of: ProofOf,
    /// Requests that complete it if each is good.
    pub clean_requests: u64,
    /// Requests that complete it if the candidate is as stable is today; `None` when stable itself would fail it.
    pub expected_requests: Option<u64>,
    /// `expected_requests` at this step's traffic, in seconds.
    pub seconds: Option<f64>,
}

/// What a rollout can be expected to find; `draw` gives numbers in [0, 1). An error names the first value of the
/// guardrail or the request that is not allowed.
pub fn power(request: &PowerRequest<'_>, draw: &mut Uniform<'_>) -> Result<Power, OutOfRange> {
    request.check()?;
    let guardrail = request.guardrail;
    let course = timing::course(request);
    let steps = course.steps.iter().map(|timed| StepPower {
        index: timed.index,
        share: timed.share,
        is_shadow: timed.is_shadow,
        harms: harms(request, timed, draw),
        proofs: timed.proofs.clone(),
        seconds: timed.seconds,
    });
    Ok(Power {
        requests_per_second: request.requests_per_second,
        alpha: guardrail.alpha,
        parts: guardrail.parts(),
        apart: apart(guardrail),
        promote_alpha: guardrail.promote_alpha,
        steps: steps.collect(),
        total_seconds: course.total_seconds,
        not_counted: course.not_counted,
    })
}

fn apart(guardrail: &Guardrail) -> Vec<(Rule, f64)> {
    let drift = guardrail.drift.is_some().then_some(Rule::Drift);
    let ratio = guardrail.sample_ratio.is_some().then_some(Rule::SampleRatio);
    drift.into_iter().chain(ratio).map(|rule| (rule, guardrail.alpha_of(rule))).collect()
}

fn harms(request: &PowerRequest<'_>, step: &timing::Timed, draw: &mut Uniform<'_>) -> Vec<HarmPower> {
    let guardrail = request.guardrail;
    let mut asked: Vec<Harm> = Vec::new();
    if step.is_shadow {
        let rates = DISAGREEMENT_RATES.into_iter().filter(|_| guardrail.disagreement.is_some());
        asked.extend(rates.map(Harm::Disagreement));
    } else {
        asked.extend(ERROR_RATES.map(Harm::Errors));
        let is_judged = guardrail.latency.is_some() || guardrail.latency_vs_stable.is_some();
        let factors = LATENCY_FACTORS.into_iter().filter(|_| is_judged && request.latency.is_some());
        asked.extend(factors.map(Harm::Latency));
    }
    let per_second = request.requests_per_second * step.share;
    asked.into_iter().map(|harm| found(request, step.share, harm, draw).at(per_second)).collect()
}

/// Runs the tests against one harm.
fn found(request: &PowerRequest<'_>, share: f64, harm: Harm, draw: &mut Uniform<'_>) -> HarmPower {
    let scene = detect::Scene::new(request, share, harm);
    let mut delays: Vec<f64> = (0..request.rounds).filter_map(|_| scene.delay(draw)).collect();
    delays.sort_by(f64::total_cmp);
    let mean = (!delays.is_empty()).then(|| delays.iter().sum::<f64>() / delays.len() as f64);
    HarmPower {
        harm,
        estimate: scene.estimate(),
        mean,
        p95: quantile(&delays, 0.95),
        found: delays.len() as f64 / f64::from(request.rounds),
        seconds: None,
    }
}

impl HarmPower {
    fn at(self, per_second: f64) -> Self {
        Self { seconds: self.mean.map(|requests| requests / per_second), ..self }
    }
}

impl PowerRequest<'_> {
    fn check(&self) -> Result<(), OutOfRange> {
        if let Some(problem) = self.guardrail.problems().into_iter().next() {
            return Err(problem);
        }
        let check = |field, value: f64, is_allowed: bool, allowed| {
            if is_allowed { Ok(()) } else { Err(OutOfRange { field, value, allowed }) }
        };
        let (traffic, rate) = (self.requests_per_second, self.stable_error_rate);
        check("requests_per_second", traffic, traffic > 0.0 && traffic < 1e9, "above 0")?;
        check("stable_error_rate", rate, (0.0..0.5).contains(&rate), "at least 0, below 0.5")?;
        let rounds = f64::from(self.rounds);
        check("rounds", rounds, (1..=POWER_ROUNDS_MAX).contains(&self.rounds), "from 1 to 1000")?;
        if let Some(LatencyShape { p50, p99 }) = self.latency {
            check("latency.p50", p50, p50 > 0.0 && p50.is_finite(), "above 0")?;
            check("latency.p99", p99, p99 > p50 && p99.is_finite(), "above the median")?;
        }
        Ok(())
    }
}

impl LatencyShape {
    /// Standard deviation of the logarithm.
    fn sigma(&self) -> f64 {
        const P99: f64 = 2.326_347_874;
        (self.p99 / self.p50).ln() / P99
    }

    /// The part of the answers that take longer than a bound, when all take `factor` times as long.
    pub(crate) fn slower_than(&self, bound_seconds: f64, factor: f64) -> f64 {
        crate::chance::normal_above((bound_seconds / (self.p50 * factor)).ln() / self.sigma())
    }

    /// The time that all but the part `above` of the answers keep.
    fn bound_above(&self, above: f64) -> f64 {
        self.p50 * (crate::chance::normal_quantile_above(above) * self.sigma()).exp()
    }
}

/// The share under which a step's requests come; `None` for one that gives the candidate none.
fn share_of(kind: &StepKind) -> Option<(f64, bool)> {
    match kind {
        StepKind::Shadow { share } => Some((*share, true)),
        StepKind::Weight { share } => Some((*share, false)),
        StepKind::Promote { .. } => Some((1.0, false)),
        StepKind::Gate | StepKind::WarmUp { .. } | StepKind::Pause { .. } => None,
    }
}

#[cfg(test)]
mod tests;
