//! The steps of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base_metrics::Metrics;
use base_routing::Facts;
use base_serving::{
    CaptureSink, Declaration, ExposureSink, FeedbackSink, OnDemand, OutcomeLedger, PredictionId, PredictionKey,
    ServingVersion, ShadowSink, Snapshot, SnapshotCell,
};
use base_types::{Clock, DataType, Generation, OutcomeClass, Protocol, Reason, Selector, Tensor, TensorSpec};

use crate::capture::Drawn;
use crate::course::{Asked, Course};
use crate::{Failure, Tracer, locate};

/// A decoded request.
#[derive(Debug, Clone)]
pub struct InferRequest {
    /// What it came in by.
    pub protocol: Protocol,
    /// The model asked for; not yet known to exist.
    pub model: String,
    /// The version or label the caller named.
    pub pin: Option<Selector>,
    /// The inputs, in any order.
    pub inputs: Vec<Tensor>,
    /// Names of the wanted outputs, in the wanted order; empty means all.
    pub outputs: Vec<String>,
    /// Outputs that the caller's wire cannot carry: refused before the model runs.
    pub uncarried: Uncarried,
    /// The caller's own deadline, counted from now.
    pub timeout: Option<Duration>,
}

/// Which outputs the caller's wire cannot carry. By default it carries everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uncarried {
    /// Types it has no form for,
    pub types: &'static [DataType],
    /// but for outputs of these names, which the caller wants in another form.
    pub spared: Vec<String>,
    /// Outputs that the caller wants as classes: of these it has none where values have no order of size.
    pub classified: Vec<String>,
}

impl Uncarried {
    /// Whether it has no form for an output, and what the caller can do about that.
    pub(crate) fn refusal(&self, spec: &TensorSpec) -> Option<&'static str> {
        if self.types.contains(&spec.datatype) && !self.spared.contains(&spec.name) {
            return Some("cannot be carried here: leave it out with `outputs`");
        }
        let is_unordered = matches!(spec.datatype, DataType::Bool | DataType::Bytes);
        let is_refused = is_unordered && self.classified.contains(&spec.name);
        is_refused.then_some("cannot be classified: ask for the output itself")
    }
}

impl From<&'static [DataType]> for Uncarried {
    fn from(types: &'static [DataType]) -> Self {
        Self { types, ..Self::default() }
    }
}

/// Who computed an answer.
#[derive(Clone)]
pub struct Served {
    /// The version.
    pub version: Arc<ServingVersion>,
    /// The generation of the snapshot that routed the request.
    pub generation: Generation,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Served({}, generation {})", self.version.id, self.generation)
    }
}

impl PartialEq for Served {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.version, &other.version) && self.generation == other.generation
    }
}

/// A good answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who computed it.
    pub served: Served,
    /// Why that version.
    pub reason: Reason,
    /// The outputs, in the order asked for.
    pub outputs: Vec<Tensor>,
    /// What the model declares, as of the snapshot that routed the request.
    pub declared: Arc<Declaration>,
    /// What feedback on this answer comes back by.
    pub prediction: PredictionId,
}

/// The request path, shared by all edges.
pub struct Gateway {
    cell: Arc<SnapshotCell>,
    ledger: Arc<OutcomeLedger>,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    tracer: Tracer,
    prediction_key: PredictionKey,
    /// Tells answers of the same millisecond apart. Not from 0, so that those of two lives of a process differ, too.
    n_predictions: AtomicU32,
    shadow: Option<Arc<dyn ShadowSink>>,
    feedback: Option<Arc<dyn FeedbackSink>>,
    exposures: Option<Arc<dyn ExposureSink>>,
    captures: Option<Arc<dyn CaptureSink>>,
    /// Where versions are loaded on demand.
    pub(crate) on_demand: Option<Arc<dyn OnDemand>>,
}

impl Gateway {
    /// Connects the path to what the control plane publishes and to where outcomes go.
    pub fn new(cell: Arc<SnapshotCell>, ledger: Arc<OutcomeLedger>, metrics: Metrics, clock: Arc<dyn Clock>) -> Self {
        let (shadow, feedback, exposures, captures, on_demand) = Default::default();
        let (tracer, prediction_key, n_predictions) =
            (Tracer::default(), PredictionKey::random(), fastrand::u32(..).into());
        Self {
            cell,
            ledger,
            metrics,
            clock,
            tracer,
            prediction_key,
            n_predictions,
            shadow,
            feedback,
            exposures,
            captures,
            on_demand,
        }
    }

    /// Makes the ids of answers with a key that outlives the process. Without this no id does.
    #[must_use]
    pub fn with_prediction_key(self, prediction_key: PredictionKey) -> Self {
        Self { prediction_key, ..self }
    }

    /// Gives candidates copies of requests, where a watch says so.
    #[must_use]
    pub fn with_shadow(self, sink: Arc<dyn ShadowSink>) -> Self {
        Self { shadow: Some(sink), ..self }
    }

    /// Takes feedback. Without this there is none.
    #[must_use]
    pub fn with_feedback(self, sink: Arc<dyn FeedbackSink>) -> Self {
        Self { feedback: Some(sink), ..self }
    }

    /// Tells who was shown what in experiments.
    #[must_use]
    pub fn with_exposures(self, sink: Arc<dyn ExposureSink>) -> Self {
        Self { exposures: Some(sink), ..self }
    }

    /// Has versions that are not in memory loaded when they are asked for.
    #[must_use]
    pub fn with_on_demand(self, on_demand: Arc<dyn OnDemand>) -> Self {
        Self { on_demand: Some(on_demand), ..self }
    }

    /// Keeps requests with their answers, where a model's bounds say so.
    #[must_use]
    pub fn with_captures(self, sink: Arc<dyn CaptureSink>) -> Self {
        Self { captures: Some(sink), ..self }
    }

    /// The snapshot in force, for metadata and readiness.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.cell.load()
    }

    /// The metrics, for what an edge counts itself.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Which requests leave their times in the log.
    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Answers one request. Dropping the future takes the work out of the queue or stops it at the next node.
    pub async fn infer(&self, request: InferRequest, facts: &(dyn Facts + Sync)) -> Result<Answer, Failure> {
        self.infer_as(request, facts, Ok).await
    }

    /// The same, for callers that may not be able to have the answer in the form they asked for: `write` gives it that
    /// form, and a request that fails there is counted as what it was. The attempt was good all the same.
    pub async fn infer_as<T>(
        &self,
        request: InferRequest,
        facts: &(dyn Facts + Sync),
        write: impl FnOnce(Answer) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let received = self.clock.now();
        let mut snapshot = self.cell.load();
        if self.on_demand.is_some() {
            snapshot = Box::pin(self.awaited(snapshot, &request, received)).await?;
        }
        let Some(model) = snapshot.models.get(request.model.as_str()) else {
            self.metrics.refused(request.protocol, None, OutcomeClass::Client);
            return Err(locate::no_such_model(&request.model));
        };
        let chosen = locate::choose(model, request.pin.as_ref(), facts).inspect_err(|failure| {
            self.metrics.refused(request.protocol, Some(&model.name), failure.class);
        })?;
        let asked = Asked { protocol: request.protocol, received, timeout: request.timeout };
        let mut course = Course::new(self, (model, snapshot.generation), chosen.assignment, asked);
        course.drawn = Drawn::draw(self, (model, snapshot.generation), &request.outputs, facts);
        course.run(chosen.version, request, write).await
    }

    pub(crate) fn prediction_key(&self) -> &PredictionKey {
        &self.prediction_key
    }

    pub(crate) fn next_sequence(&self) -> u32 {
        self.n_predictions.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn shadow_sink(&self) -> Option<&dyn ShadowSink> {
        self.shadow.as_deref()
    }

    pub(crate) fn feedback_sink(&self) -> Option<&dyn FeedbackSink> {
        self.feedback.as_deref()
    }

    pub(crate) fn exposure_sink(&self) -> Option<&dyn ExposureSink> {
        self.exposures.as_deref()
    }

    pub(crate) fn capture_sink(&self) -> Option<&dyn CaptureSink> {
        self.captures.as_deref()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(crate) fn ledger(&self) -> &OutcomeLedger {
        &self.ledger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_refused_where_values_have_no_order_of_size() {
        let uncarried = Uncarried { classified: vec!["y".to_owned()], ..Uncarried::default() };
        let refusal =
            |name: &str, datatype| uncarried.refusal(&TensorSpec { name: name.to_owned(), datatype, dims: Vec::new() });
        for datatype in [DataType::Bool, DataType::Bytes] {
            assert!(refusal("y", datatype).is_some_and(|why| why.contains("classified")), "{datatype}");
            assert_eq!(refusal("z", datatype), None, "it is wanted as it is");
        }
        assert_eq!((refusal("y", DataType::Fp16), refusal("y", DataType::Int64)), (None, None));
    }
}
