//! What callers tell later about an answer: whether it was right, or how bad it was.

pub use base_metrics::FeedbackResult;
use base_types::ModelName;

use crate::prediction::Prediction;

/// Most pieces of feedback in one request.
pub const FEEDBACK_MAX: usize = 10_000;

/// Feedback on one answer whose id is genuine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feedback {
    /// The answer.
    pub prediction: Prediction,
    /// The same for every copy of the id, different for others: what to look for duplicates by.
    pub mark: u64,
    /// What is told.
    pub value: FeedbackValue,
}

/// What is told about an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FeedbackValue {
    /// Whether it was right.
    Correct(bool),
    /// How bad it was, in [0, 1]: 0 is as good as can be. A score or reward is 1 less that.
    Loss(f64),
}

impl FeedbackValue {
    /// How bad it was, in [0, 1].
    pub fn loss(self) -> f64 {
        match self {
            Self::Correct(is_correct) => f64::from(u8::from(!is_correct)),
            Self::Loss(loss) => loss,
        }
    }
}

/// How many pieces of feedback ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedbackTally {
    /// They count.
    pub accepted: u64,
    /// No answer of this model had that id: nothing is guessed about them.
    pub unknown: u64,
    /// See [`FeedbackResult::Late`].
    pub late: u64,
    /// See [`FeedbackResult::Duplicate`].
    pub duplicate: u64,
}

impl FeedbackTally {
    /// Counts one more.
    pub fn add(&mut self, result: FeedbackResult) {
        *match result {
            FeedbackResult::Accepted => &mut self.accepted,
            FeedbackResult::Unknown => &mut self.unknown,
            FeedbackResult::Late => &mut self.late,
            FeedbackResult::Duplicate => &mut self.duplicate,
        } += 1;
    }
}

/// Takes feedback. Implemented by the control plane; called on a thread that answers requests, so it must be quick and
/// must not wait.
pub trait FeedbackSink: Send + Sync {
    /// Takes what is told about answers of a model, at most [`FEEDBACK_MAX`] at a time, and says what became of each, in
    /// the same order: accepted, late or duplicate, for the ids are genuine.
    fn take(&self, model: &ModelName, feedback: &[Feedback]) -> Vec<FeedbackResult>;
}
