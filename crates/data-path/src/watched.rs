//! What a request does for the watch of its model: it counts in its arm, may be copied for a candidate, and its answer's
//! id says how it was drawn.

use std::sync::Arc;

use base_routing::{Assignment, SplitId};
use base_serving::{Exposure, Prediction, PredictionId, ServingModel, ServingVersion, Watch};
use base_types::{Reason, Tensor};

use crate::shadow::{Answered, Draft};
use crate::{Gateway, drift};

/// A request that fell to an arm that is watched.
pub(crate) struct Watching<'a> {
    watch: &'a Arc<Watch>,
    arm: usize,
    key: Option<u64>,
    draft: Option<Draft<'a>>,
}

impl<'a> Watching<'a> {
    /// A request is about to be tried. `None` where nobody watches its arm.
    pub(crate) fn begin(
        gateway: &'a Gateway,
        model: &'a Arc<ServingModel>,
        assignment: &Assignment,
        inputs: &Arc<[Tensor]>,
    ) -> Option<Box<Self>> {
        let watch = model.watch.as_ref()?;
        let arm = watch.arm(assignment)?;
        watch.assigned(arm, assignment.key);
        if matches!(assignment.split, Some(SplitId::Experiment(_))) {
            expose(gateway, (model, watch), arm, assignment);
        }
        let sink = gateway.shadow_sink().filter(|_| assignment.version == watch.plan().stable);
        let draft = sink.and_then(|sink| Draft::new(sink, (model, watch), inputs, fastrand::f64()));
        Some(Box::new(Self { watch, arm, key: assignment.key, draft }))
    }

    /// The request has an answer of its own version. Gives the copy that is to be handed over once it is written.
    pub(crate) fn answered(
        self,
        outputs: &[Tensor],
        (prediction, unix_ms): (PredictionId, u64),
    ) -> Option<(Draft<'a>, Answered)> {
        drift::count(self.watch, (self.arm, self.key), outputs);
        self.draft.map(|draft| (draft, Answered { outputs: outputs.to_vec(), prediction, unix_ms }))
    }
}

fn expose(gateway: &Gateway, (model, watch): (&ServingModel, &Watch), arm: usize, assignment: &Assignment) {
    let within = watch.plan().arms.get(arm).and_then(|arm| arm.experiment.as_ref());
    if let (Some(sink), Some(within), Some(key)) = (gateway.exposure_sink(), within, assignment.key) {
        sink.exposed(Exposure {
            experiment: within.experiment.clone(),
            arm: within.arm.clone(),
            key,
            unix_ms: gateway.clock().unix_ms(),
            model: model.name.clone(),
            version: assignment.version,
        });
    }
}

/// Makes the id of an answer, and says when that was.
pub(crate) fn predict(
    gateway: &Gateway,
    model: &ServingModel,
    (version, reason): (&ServingVersion, Reason),
    assignment: &Assignment,
) -> (PredictionId, u64) {
    // An answer that stands in for another version's is nobody's draw.
    let is_own = reason == assignment.reason;
    let arm = model.watch.as_ref().filter(|_| is_own).and_then(|watch| Some((watch, watch.arm(assignment)?)));
    let (share, experiment) = arm.map(|(watch, arm)| watch.mark(arm)).unwrap_or_default();
    let unix_ms = gateway.clock().unix_ms();
    let prediction = Prediction {
        version: version.id.version,
        is_random: is_own && reason.is_random(),
        experiment,
        share,
        unix_ms,
        sequence: gateway.next_sequence(),
    };
    (gateway.prediction_key().sign(&model.name, &prediction), unix_ms)
}

#[cfg(test)]
mod tests;
