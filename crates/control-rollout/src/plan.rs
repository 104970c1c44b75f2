//! A rollout policy: the life of a version from loaded to confirmed, as steps.

mod problems;
mod words;

use std::time::Duration;

pub use problems::{POLICY_TIME_MAX, PolicyProblem, WARM_UP_RUNS_MAX};

use crate::policy::Guardrail;

/// Most steps of one policy.
pub const STEPS_MAX: usize = 32;

/// How a candidate is brought into traffic. Part of the configuration; a rollout keeps the policy it began with.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// One after the other. The last one is a promotion, unless the rollout is to end as a canary a person decides on.
    pub steps: Vec<Step>,
    /// How candidates are judged; `None`: as the model's own guardrail says.
    pub guardrail: Option<Guardrail>,
    /// A rollout that has not ended by then is inconclusive.
    pub max_duration: Duration,
    /// What follows then.
    pub on_inconclusive: OnInconclusive,
    /// No request of the candidate for so long, while it should get some: a person is told. Never a verdict.
    pub progress_deadline: Duration,
    /// How many of the versions last confirmed may be gone back to without being judged again.
    pub rollback_window: u32,
    /// After a rollback no rollout of the model begins for so long, unless a person insists.
    pub cooldown: Duration,
    /// How often a version that was rolled back may be tried again by `retry`; its quarantine ends with the retry.
    pub retries: u32,
    /// Automatic rollbacks after which all rollouts of the model are frozen until a person resumes.
    pub freeze_after: FreezeAfter,
    /// What becomes of a candidate that comes while a rollout is under way.
    pub on_new_candidate: OnNewCandidate,
}

/// So many automatic rollbacks within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreezeAfter {
    /// How many, at least 1.
    pub rollbacks: u32,
    /// Within how long.
    pub within: Duration,
}

/// What follows when a rollout, or a step with a `max`, ends without proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnInconclusive {
    /// It stands still and a person is told.
    Hold,
    /// The candidate goes out of traffic, without quarantine: nothing was shown against it.
    RollBack,
    /// It is promoted all the same.
    Promote,
}

/// What becomes of a candidate that comes while a rollout is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnNewCandidate {
    /// It is refused.
    Refuse,
    /// It waits; the last one that came is next.
    Queue,
    /// It takes the place of the one under way, which is aborted.
    Replace,
}

/// One step. It is over when everything it asks for holds; rules stay armed all the while.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What is done.
    pub kind: StepKind,
    /// It lasts at least so long.
    pub min: Duration,
    /// It is inconclusive after so long.
    pub max: Option<Duration>,
    /// Rules whose proof (T10) must be there.
    pub proofs: Vec<ProofOf>,
    /// The candidate has answered, or been shadowed by, at least so many requests in this step.
    pub min_requests: u64,
    /// So much feedback on the candidate has come since the rollout began.
    pub min_feedback: u64,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// Checks that the candidate may serve at all: in memory, its contract fits stable's, not quarantined, other content,
    /// and no gate failed that nobody overrode.
    Gate,
    /// Runs it on made-up inputs before it sees traffic.
    WarmUp {
        /// How often.
        runs: u32,
    },
    /// Gives it copies of requests that stable answers.
    Shadow {
        /// Of which share, in (0, 1].
        share: f64,
    },
    /// Gives it a share of the traffic.
    Weight {
        /// In (0, 1).
        share: f64,
    },
    /// Waits for a person; the shares of the step before stay.
    Pause {
        /// Who is to approve, as text for people.
        approval: Box<str>,
    },
    /// Gives it all traffic; stable stays ready, and the promotion is confirmed when the bake is over.
    Promote {
        /// How long it is watched before it is confirmed.
        bake: Duration,
    },
}

/// What can be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProofOf {
    /// The fault probability is below the limit.
    Errors,
    /// The share of slow answers is below its limit.
    Latency,
    /// The share of disagreements is below its limit.
    Disagreement,
}

impl Default for Policy {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let step = |kind: StepKind, min: Duration, proofs: &[ProofOf]| Step {
            kind,
            min,
            max: None,
            proofs: proofs.to_vec(),
            min_requests: 0,
            min_feedback: 0,
        };
        let weight = |share: f64, min: Duration| step(StepKind::Weight { share }, min, &[ProofOf::Errors]);
        let at_once = Duration::ZERO;
        Self {
            steps: vec![
                step(StepKind::Gate, at_once, &[]),
                step(StepKind::WarmUp { runs: 20 }, at_once, &[]),
                weight(0.01, minutes(1)),
                weight(0.05, minutes(2)),
                weight(0.25, minutes(5)),
                weight(0.5, minutes(10)),
                step(StepKind::Promote { bake: minutes(60) }, at_once, &[]),
            ],
            guardrail: None,
            max_duration: minutes(24 * 60),
            on_inconclusive: OnInconclusive::Hold,
            progress_deadline: minutes(10),
            rollback_window: 3,
            cooldown: Duration::ZERO,
            retries: 1,
            freeze_after: FreezeAfter { rollbacks: 3, within: minutes(24 * 60) },
            on_new_candidate: OnNewCandidate::Refuse,
        }
    }
}
