//! What a rollout waits for: asked by the machine to see whether a step is over, and by people to see why it is not.

use std::fmt;
use std::time::Duration;

use base_types::{Rollout, RolloutStatus, Standstill};

use crate::plan::{Policy, ProofOf, Step, StepKind};
use crate::rollout::Facts;
use crate::rollout::facts::Check;
use crate::rollout::shift::step_at;
use crate::rollout::words::span;

/// One thing a step still asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// A person: it stands still.
    Person(Standstill),
    /// The end of a shared incident.
    SharedIncident,
    /// The candidate is not in memory.
    Ready,
    /// The gate's answer.
    Gate,
    /// The end of the warm-up.
    WarmUp,
    /// The approval of whom the policy names.
    Approval(Box<str>),
    /// The arms do not get the shares they should.
    SampleRatio,
    /// Time.
    Time {
        /// How much, in milliseconds.
        left_ms: u64,
    },
    /// Requests that the candidate has answered in this step.
    Requests {
        /// How many there are.
        n_requests: u64,
        /// How many there have to be.
        needed: u64,
    },
    /// Copies of requests that the candidate has answered in this step.
    Shadowed {
        /// How many there are.
        n_shadowed: u64,
        /// How many there have to be.
        needed: u64,
    },
    /// A proof.
    Proof {
        /// Of what.
        of: ProofOf,
        /// How many requests without a fault would complete it; `None` when nothing is known about it.
        clean_requests_needed: Option<u64>,
    },
    /// Feedback on the candidate since the rollout began.
    Feedback {
        /// How much there is.
        n_feedback: u64,
        /// How much there has to be.
        needed: u64,
    },
}

/// What a rollout waits for, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// In one line.
    pub text: String,
    /// One by one; empty when it is over.
    pub missing: Vec<Missing>,
    /// How long the step is likely to last from now, in milliseconds, if all goes well at today's traffic; `None`
    /// where that depends on a person or on what cannot be foreseen.
    pub step_left_ms: Option<u64>,
    /// The same for the whole rollout until the promotion is confirmed. Proofs of later steps are not in it.
    pub whole_left_ms: Option<u64>,
}

/// Says what a rollout waits for, and for how long.
pub fn describe(policy: &Policy, rollout: &Rollout, facts: &Facts, now_unix_ms: u64) -> Waiting {
    if rollout.status.is_over() {
        let text = rollout.note.to_string();
        return Waiting { text, missing: Vec::new(), step_left_ms: None, whole_left_ms: None };
    }
    let mut missing = missing(policy, rollout, facts, now_unix_ms);
    if let Some(standstill) = rollout.standstill {
        missing.insert(0, Missing::Person(standstill));
    }
    let step = step_at(policy, rollout.step);
    let pace = Pace::of(&step, rollout, facts);
    let step_left_ms = missing.iter().map(|missing| pace.time_for(missing)).try_fold(0, longer);
    let later = policy.steps.iter().skip(rollout.step.saturating_add(1));
    let later_ms = later.map(|step| Pace::of(step, rollout, facts).whole_of(step)).try_fold(0, one_more);
    let whole_left_ms = step_left_ms.zip(later_ms).map(|(now, later)| now.saturating_add(later));
    let about = step_left_ms.filter(|ms| *ms > 0).map(|ms| format!("; about {}", span(ms)));
    let text = format!("waits for {}{}", missing_text(&missing), about.unwrap_or_default());
    Waiting { text, missing, step_left_ms, whole_left_ms }
}

/// What the step still asks for. A rollout leaves its step when this is empty, and never otherwise but by order or
/// because the policy says what follows without proof.
pub(super) fn missing(policy: &Policy, rollout: &Rollout, facts: &Facts, now_unix_ms: u64) -> Vec<Missing> {
    let step = step_at(policy, rollout.step);
    let is_baking = rollout.share >= 1.0;
    let mut missing = Vec::new();
    let mut ask = |is_missing: bool, what: Missing| {
        if is_missing {
            missing.push(what);
        }
    };
    ask(facts.is_shared_incident, Missing::SharedIncident);
    ask(!facts.is_candidate_ready, Missing::Ready);
    match &step.kind {
        StepKind::Gate => ask(facts.gate != Some(Check::Passed), Missing::Gate),
        StepKind::WarmUp { .. } => ask(facts.warm_up != Some(Check::Passed), Missing::WarmUp),
        StepKind::Pause { approval } => {
            // Whoever approved has set it running.
            ask(rollout.status != RolloutStatus::Running, Missing::Approval(approval.clone()));
        }
        StepKind::Shadow { .. } | StepKind::Weight { .. } | StepKind::Promote { .. } => {}
    }
    // A promotion is judged by what happens after it; before it, the routing must be beyond doubt.
    ask(facts.is_sample_ratio_broken && !is_baking, Missing::SampleRatio);
    let passed_ms = now_unix_ms.saturating_sub(rollout.step_since_unix_ms);
    let left_ms = millis(lasts_at_least(&step)).saturating_sub(passed_ms);
    ask(left_ms > 0, Missing::Time { left_ms });
    let needed = requests_needed(&step);
    if matches!(step.kind, StepKind::Shadow { .. }) {
        ask(facts.n_shadowed < needed, Missing::Shadowed { n_shadowed: facts.n_shadowed, needed });
    } else {
        ask(facts.n_requests < needed, Missing::Requests { n_requests: facts.n_requests, needed });
    }
    for of in &step.proofs {
        let proof = facts.proofs.get(of);
        let clean_requests_needed = proof.map(|proof| proof.clean_requests_needed);
        ask(!proof.is_some_and(|proof| proof.is_proven), Missing::Proof { of: *of, clean_requests_needed });
    }
    let Step { min_feedback: needed, .. } = step;
    ask(facts.n_feedback < needed, Missing::Feedback { n_feedback: facts.n_feedback, needed });
    missing
}

/// All of it in one line.
pub(super) fn missing_text(missing: &[Missing]) -> String {
    if missing.is_empty() {
        return "nothing more".to_owned();
    }
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Silence is no evidence: a step that is there to watch requests asks for one at least.
fn requests_needed(step: &Step) -> u64 {
    match step.kind {
        StepKind::Shadow { .. } | StepKind::Weight { .. } => step.min_requests.max(1),
        StepKind::Promote { bake } if !bake.is_zero() => step.min_requests.max(1),
        StepKind::Promote { .. } | StepKind::Gate | StepKind::WarmUp { .. } | StepKind::Pause { .. } => {
            step.min_requests
        }
    }
}

fn lasts_at_least(step: &Step) -> Duration {
    match step.kind {
        StepKind::Promote { bake } => step.min.max(bake),
        StepKind::Gate
        | StepKind::WarmUp { .. }
        | StepKind::Shadow { .. }
        | StepKind::Weight { .. }
        | StepKind::Pause { .. } => step.min,
    }
}

/// How quickly requests come to the candidate.
struct Pace {
    /// Requests in a second; `None` when unknown.
    answered: Option<f64>,
    /// Copies in a second.
    copied: Option<f64>,
}

impl Pace {
    /// The pace in a step, by the shares it gives.
    fn of(step: &Step, rollout: &Rollout, facts: &Facts) -> Self {
        let (share, shadow_share) = match step.kind {
            StepKind::Weight { share } => (share, 0.0),
            StepKind::Shadow { share } => (rollout.share, share),
            StepKind::Promote { .. } => (1.0, 0.0),
            StepKind::Gate | StepKind::WarmUp { .. } | StepKind::Pause { .. } => (rollout.share, rollout.shadow_share),
        };
        let at = |share: f64| facts.requests_per_second.map(|rate| rate * share).filter(|pace| *pace > 0.0);
        // Copies are made of what stable answers.
        Self { answered: at(share), copied: at(shadow_share * (1.0 - share)) }
    }

    fn time_for(&self, missing: &Missing) -> Option<u64> {
        match missing {
            Missing::Time { left_ms } => Some(*left_ms),
            Missing::Requests { n_requests, needed } => time(needed.saturating_sub(*n_requests), self.answered),
            Missing::Shadowed { n_shadowed, needed } => time(needed.saturating_sub(*n_shadowed), self.copied),
            Missing::Proof { of: ProofOf::Disagreement, clean_requests_needed } => {
                time((*clean_requests_needed)?, self.copied)
            }
            Missing::Proof { of: ProofOf::Errors | ProofOf::Latency, clean_requests_needed } => {
                time((*clean_requests_needed)?, self.answered)
            }
            Missing::Person(_)
            | Missing::SharedIncident
            | Missing::Ready
            | Missing::Gate
            | Missing::WarmUp
            | Missing::Approval(_)
            | Missing::SampleRatio
            | Missing::Feedback { .. } => None,
        }
    }

    /// How long a step lasts that has not begun: by its least time and its least requests.
    fn whole_of(&self, step: &Step) -> Option<u64> {
        let pace = match step.kind {
            // Neither waits for traffic, and both take moments.
            StepKind::Gate | StepKind::WarmUp { .. } => return Some(millis(step.min)),
            StepKind::Pause { .. } => return None,
            StepKind::Shadow { .. } => self.copied,
            StepKind::Weight { .. } | StepKind::Promote { .. } => self.answered,
        };
        longer(millis(lasts_at_least(step)), time(requests_needed(step), pace))
    }
}

fn time(n_requests: u64, per_second: Option<f64>) -> Option<u64> {
    if n_requests == 0 {
        return Some(0);
    }
    // More than fits is for ever, which a cast makes the largest number.
    per_second.map(|pace| (n_requests as f64 / pace * 1000.0).ceil() as u64)
}

fn longer(sofar_ms: u64, next_ms: Option<u64>) -> Option<u64> {
    next_ms.map(|ms| ms.max(sofar_ms))
}

fn one_more(sofar_ms: u64, next_ms: Option<u64>) -> Option<u64> {
    next_ms.map(|ms| ms.saturating_add(sofar_ms))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(Standstill::SharedIncident) => f.write_str("both versions to be well again"),
            Self::Person(Standstill::NoStepsLeft) => f.write_str("a person to promote it or abort"),
            Self::Person(Standstill::Interrupted) => f.write_str("a person to promote it again or abort"),
            Self::Person(Standstill::Order | Standstill::Rule | Standstill::Inconclusive) => {
                f.write_str("a person to resume it")
            }
            Self::SharedIncident => f.write_str("the end of the shared incident"),
            Self::Ready => f.write_str("the candidate to be in memory"),
            Self::Gate => f.write_str("the gate"),
            Self::WarmUp => f.write_str("the warm-up"),
            Self::Approval(by) => write!(f, "the approval of {by}"),
            Self::SampleRatio => f.write_str("each version to get its share"),
            Self::Time { left_ms } => write!(f, "{} to pass", span(*left_ms)),
            Self::Requests { n_requests, needed } => write!(f, "requests ({n_requests} of {needed})"),
            Self::Shadowed { n_shadowed, needed } => write!(f, "shadowed requests ({n_shadowed} of {needed})"),
            Self::Proof { of, clean_requests_needed: Some(n) } => {
                write!(f, "proof of {} ({n} clean requests more)", of.as_str())
            }
            Self::Proof { of, clean_requests_needed: None } => write!(f, "proof of {}", of.as_str()),
            Self::Feedback { n_feedback, needed } => write!(f, "feedback ({n_feedback} of {needed})"),
        }
    }
}

#[cfg(test)]
mod tests;
