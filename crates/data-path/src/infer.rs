//! The steps of a request.

use std::sync::Arc;
use std::time::Duration;

use base_metrics::Metrics;
use base_routing::Facts;
use base_serving::{Declaration, OutcomeLedger, ServingVersion, Snapshot, SnapshotCell};
use base_types::{Clock, DataType, Generation, OutcomeClass, Protocol, Reason, Selector, Tensor, TensorSpec};

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
}

impl Uncarried {
    pub(crate) fn contains(&self, spec: &TensorSpec) -> bool {
        self.types.contains(&spec.datatype) && !self.spared.contains(&spec.name)
    }
}

impl From<&'static [DataType]> for Uncarried {
    fn from(types: &'static [DataType]) -> Self {
        Self { types, spared: Vec::new() }
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
}

/// The request path, shared by all edges.
pub struct Gateway {
    cell: Arc<SnapshotCell>,
    ledger: Arc<OutcomeLedger>,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    tracer: Tracer,
}

impl Gateway {
    /// Connects the path to what the control plane publishes and to where outcomes go.
    pub fn new(cell: Arc<SnapshotCell>, ledger: Arc<OutcomeLedger>, metrics: Metrics, clock: Arc<dyn Clock>) -> Self {
        Self { cell, ledger, metrics, clock, tracer: Tracer::default() }
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
        let received = self.clock.now();
        let snapshot = self.cell.load();
        let Some(model) = snapshot.models.get(request.model.as_str()) else {
            self.metrics.refused(request.protocol, None, OutcomeClass::Client);
            return Err(locate::no_such_model(&request.model));
        };
        let chosen = locate::choose(model, request.pin.as_ref(), facts).inspect_err(|failure| {
            self.metrics.refused(request.protocol, Some(&model.name), failure.class);
        })?;
        let asked = Asked { protocol: request.protocol, received, timeout: request.timeout };
        let course = Course::new(self, (model, snapshot.generation), chosen.assignment, asked);
        course.run(chosen.version, request).await
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(crate) fn ledger(&self) -> &OutcomeLedger {
        &self.ledger
    }
}
