//! Feedback on answers: whose answer it was says the id itself, and so it counts for the trial and the experiment the
//! answer was part of, and for the version's record.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use base_serving::{Feedback, FeedbackResult, FeedbackSink, FeedbackValue, Prediction};
use base_types::{ModelName, Version};
use control_rollout::{Arm, LossSample, SHARES_MAX};

use crate::state::{Labels, Model, OpenTrial};
use crate::turn::Core;

/// Feedback comes within this long of the answer, or not at all.
const AGE_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Clocks of machines that share the key may differ by this much.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// Answers of one model whose feedback is remembered, to find out what comes twice.
const MARKS_MAX: usize = 200_000;
/// Pieces taken under the lock at once: whoever else waits for it, a judge among them, waits no longer than for these.
const AT_ONCE: usize = 256;

/// What came back about the answers of one model.
#[derive(Default)]
pub(crate) struct Returned {
    marks: HashSet<u64>,
    /// The same in the order they came.
    order: VecDeque<u64>,
    /// What feedback says of each version, since the process began.
    pub(crate) quality: BTreeMap<Version, Quality>,
}

/// What feedback says of one version.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quality {
    /// Pieces of feedback.
    pub(crate) n: u64,
    /// Sum of `1 - loss`.
    pub(crate) score_sum: f64,
    /// Labels among them, and those that say that the answer was wrong.
    pub(crate) labels: (u64, u64),
}

impl FeedbackSink for Core {
    fn take(&self, model: &ModelName, feedback: &[Feedback]) -> Vec<FeedbackResult> {
        let now = self.clock.unix_ms();
        let mut results = Vec::with_capacity(feedback.len());
        for part in feedback.chunks(AT_ONCE) {
            let mut state = self.lock();
            let Some(model) = state.models.get_mut(model) else {
                results.extend(part.iter().map(|_| FeedbackResult::Late));
                continue;
            };
            results.extend(part.iter().map(|feedback| take(model, feedback, now)));
        }
        results
    }
}

fn take(model: &mut Model, feedback: &Feedback, now_unix_ms: u64) -> FeedbackResult {
    let Prediction { unix_ms, version, .. } = feedback.prediction;
    let is_old = now_unix_ms.saturating_sub(unix_ms) > AGE_MAX.as_millis() as u64;
    let is_ahead = unix_ms.saturating_sub(now_unix_ms) > AHEAD_MAX.as_millis() as u64;
    if is_old || is_ahead {
        return FeedbackResult::Late;
    }
    if !model.returned.is_first(feedback.mark) {
        return FeedbackResult::Duplicate;
    }
    model.returned.quality.entry(version).or_default().add(feedback.value);
    for open in model.trials.values_mut() {
        open.take_feedback(feedback);
    }
    crate::experiment::feedback(model, feedback);
    FeedbackResult::Accepted
}

impl Returned {
    /// Whether there was no feedback on this answer before, as far as is remembered.
    fn is_first(&mut self, mark: u64) -> bool {
        if !self.marks.insert(mark) {
            return false;
        }
        self.order.push_back(mark);
        if self.order.len() > MARKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.marks.remove(&oldest);
        }
        true
    }
}

impl Quality {
    fn add(&mut self, value: FeedbackValue) {
        self.n += 1;
        self.score_sum += 1.0 - value.loss();
        if let FeedbackValue::Correct(is_correct) = value {
            self.labels.0 += 1;
            self.labels.1 += u64::from(!is_correct);
        }
    }
}

impl OpenTrial {
    /// Takes feedback in that is about an answer of either arm, drawn at random since the trial opened.
    fn take_feedback(&mut self, feedback: &Feedback) {
        let Prediction { version, is_random, share, unix_ms, experiment, .. } = feedback.prediction;
        let arm = match version {
            version if version == self.candidate.id.version => Arm::Candidate,
            version if version == self.stable.id.version => Arm::Stable,
            _ => return,
        };
        let is_held_out = experiment.is_some_and(|experiment| experiment.arm.is_none());
        if !is_random || is_held_out || unix_ms < self.since_unix_ms {
            return;
        }
        self.n_feedback += u64::from(arm == Arm::Candidate);
        let share = f64::from(share);
        if let FeedbackValue::Correct(is_correct) = feedback.value {
            let labels = labels_of(&mut self.labels, share);
            let (n_labels, n_mistakes) = if arm == Arm::Candidate { &mut labels.candidate } else { &mut labels.stable };
            *n_labels += 1;
            *n_mistakes += u64::from(!is_correct);
        }
        self.trial.on_loss(&LossSample { arm, share, loss: feedback.value.loss() });
    }
}

/// The labels under a share, to add to.
fn labels_of(labels: &mut Vec<(f64, Labels)>, share: f64) -> &mut Labels {
    let is_it = |(known, _): &(f64, Labels)| (known - share).abs() < 1e-6;
    let at = labels.iter().position(is_it).unwrap_or_else(|| {
        labels.push((share, Labels::default()));
        // An allocation that moves all the time makes many; those of the longest past go first.
        if labels.len() > SHARES_MAX {
            labels.remove(0);
        }
        labels.len() - 1
    });
    &mut labels[at].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_answer_counts_once_and_memory_is_bounded() {
        let mut returned = Returned::default();
        assert!(returned.is_first(1));
        assert!(!returned.is_first(1));
        (2..MARKS_MAX as u64 + 10).for_each(|mark| assert!(returned.is_first(mark)));
        assert_eq!((returned.marks.len(), returned.order.len()), (MARKS_MAX, MARKS_MAX));
        assert!(returned.is_first(1), "what is long past is forgotten");
    }

    #[test]
    fn scores_and_labels_add_up() {
        let mut quality = Quality::default();
        [FeedbackValue::Correct(true), FeedbackValue::Correct(false), FeedbackValue::Loss(0.25)]
            .into_iter()
            .for_each(|value| quality.add(value));
        assert_eq!((quality.n, quality.labels), (3, (2, 1)));
        assert!((quality.score_sum - 1.75).abs() < 1e-12);
    }
}
