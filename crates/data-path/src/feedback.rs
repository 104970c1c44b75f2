//! Feedback that comes back for answers: each piece is for an answer of this model, or it is counted as unknown.

use std::collections::BTreeMap;

use base_serving::{FEEDBACK_MAX, Feedback, FeedbackResult, FeedbackTally, FeedbackValue, ServingModel};
use base_types::Version;

use crate::{Code, Failure, Gateway, no_such_model};

/// What a caller tells about one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackItem {
    /// The id that the answer came with; not yet known to be one of ours.
    pub prediction_id: String,
    /// What is told.
    pub value: FeedbackValue,
}

impl Gateway {
    /// Takes feedback on answers of a model, and says how many pieces counted.
    ///
    /// # Errors
    /// There is no such model, nobody takes feedback here, or there are too many pieces.
    pub fn feedback(&self, model: &str, items: &[FeedbackItem]) -> Result<FeedbackTally, Failure> {
        let Some(sink) = self.feedback_sink() else {
            return Err(Failure::new(Code::NotImplemented, "feedback is not taken here"));
        };
        if items.len() > FEEDBACK_MAX {
            let text = format!("{} pieces of feedback, at most {FEEDBACK_MAX} at once", items.len());
            return Err(Failure::new(Code::BodyTooLarge, text));
        }
        let snapshot = self.snapshot();
        let model = snapshot.models.get(model).ok_or_else(|| no_such_model(model))?;
        let known = items.iter().filter_map(|item| {
            let known = self.prediction_key().read(&model.name, &item.prediction_id)?;
            Some(Feedback { prediction: known.prediction, mark: known.mark, value: item.value })
        });
        let known: Vec<Feedback> = known.collect();
        let results = sink.take(&model.name, &known);
        let mut tally = FeedbackTally { unknown: (items.len() - known.len()) as u64, ..FeedbackTally::default() };
        self.metrics().feedback(&model.name, FeedbackResult::Unknown, tally.unknown);
        results.iter().for_each(|result| tally.add(*result));
        self.count(model, known.iter().zip(results));
        Ok(tally)
    }

    /// Counts by version. What is about a version that is gone has none, so that series do not come back.
    fn count<'a>(&self, model: &ServingModel, ends: impl Iterator<Item = (&'a Feedback, FeedbackResult)>) {
        let mut counts: BTreeMap<(Version, FeedbackResult), u64> = BTreeMap::new();
        for (feedback, result) in ends {
            *counts.entry((feedback.prediction.version, result)).or_default() += 1;
            let version = model.versions.get(&feedback.prediction.version);
            if let Some(version) = version.filter(|_| result == FeedbackResult::Accepted) {
                version.metrics.score(1.0 - feedback.value.loss());
            }
        }
        for ((version, result), n_more) in counts {
            match model.versions.get(&version) {
                Some(version) => version.metrics.feedback(result, n_more),
                None => self.metrics().feedback(&model.name, result, n_more),
            }
        }
    }
}
