//! The copy of a request that stable answered well, for a candidate whose answer nobody waits for: made after the caller
//! has an answer, run by whoever runs copies, compared and counted here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base_metrics::ShadowResult;
use base_serving::engine::RunControl;
use base_serving::lane::{Job, JobError, Report};
use base_serving::watch::{EXAMPLE_VALUES_MAX, Example, ExampleTensor, ShadowPlan};
use base_serving::{PredictionId, ServingModel, ServingVersion, ShadowEnd, ShadowSink, ShadowTask, Watch};
use base_types::{FaultKind, Tensor};

use crate::Uncarried;
use crate::check::{self, Wanted};
use crate::compare::{Agreement, compare};
use crate::numbers::numbers;

/// What a copy takes besides its elements, at most.
const OVERHEAD_BYTES: usize = 4096;
/// What each text takes besides its bytes.
const TEXT_OVERHEAD_BYTES: usize = 64;

/// A request that a candidate is to get a copy of if stable answers it well.
pub(crate) struct Draft<'a> {
    sink: &'a dyn ShadowSink,
    model: &'a Arc<ServingModel>,
    watch: &'a Arc<Watch>,
    candidate: &'a Arc<ServingVersion>,
    inputs: Arc<[Tensor]>,
}

/// What stable answered.
pub(crate) struct Answered {
    pub(crate) outputs: Vec<Tensor>,
    pub(crate) prediction: PredictionId,
    pub(crate) unix_ms: u64,
}

impl<'a> Draft<'a> {
    /// Draws whether a request to stable is copied. `draw` is uniform in [0, 1).
    pub(crate) fn new(
        sink: &'a dyn ShadowSink,
        (model, watch): (&'a Arc<ServingModel>, &'a Arc<Watch>),
        inputs: &Arc<[Tensor]>,
        draw: f64,
    ) -> Option<Self> {
        let plan = watch.plan().shadow.as_ref().filter(|plan| draw < plan.share)?;
        let candidate = model.versions.get(&plan.candidate)?;
        Some(Self { sink, model, watch, candidate, inputs: inputs.clone() })
    }

    /// Hands the copy over, now that the request is answered. Never waits: without room there is no copy.
    pub(crate) fn offer(self, Answered { outputs, prediction, unix_ms }: Answered) {
        let n_bytes = OVERHEAD_BYTES + self.inputs.iter().chain(&outputs).map(n_bytes).sum::<usize>();
        if !self.sink.has_room(n_bytes) {
            return count(self.watch, self.candidate, ShadowResult::Shed, None);
        }
        // The inputs may be part of a whole body, which must not be kept for them.
        let inputs = self.inputs.iter().map(Tensor::detached).collect();
        let (model, watch, candidate) = (self.model.clone(), self.watch.clone(), self.candidate.clone());
        self.sink.offer(Box::new(Copy { model, watch, candidate, inputs, outputs, prediction, unix_ms, n_bytes }));
    }
}

fn n_bytes(tensor: &Tensor) -> usize {
    let texts = if tensor.datatype().element_bytes().is_none() { tensor.element_count() } else { 0 };
    tensor.data_bytes() + texts * TEXT_OVERHEAD_BYTES
}

fn count(watch: &Watch, candidate: &ServingVersion, result: ShadowResult, took: Option<Duration>) {
    watch.shadowed(result, took);
    candidate.metrics.shadow(result);
}

/// The copy. Inputs and outputs are as callers know them.
struct Copy {
    model: Arc<ServingModel>,
    watch: Arc<Watch>,
    candidate: Arc<ServingVersion>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    prediction: PredictionId,
    unix_ms: u64,
    n_bytes: usize,
}

impl ShadowTask for Copy {
    fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    fn begin(&mut self, now: Instant) -> Option<(Arc<ServingVersion>, Job)> {
        let names = self.outputs.iter().map(|output| output.name().to_owned()).collect();
        let wanted = Wanted { names, uncarried: Uncarried::default() };
        let inputs = check::inputs(&self.model, &self.candidate, self.inputs.clone());
        let outputs = check::outputs(&self.model, &self.candidate, &wanted);
        let (Ok(inputs), Ok(outputs)) = (inputs, outputs) else {
            // What callers send and get is stable's contract: a candidate that differs could not take over.
            count(&self.watch, &self.candidate, ShadowResult::Fault, None);
            return None;
        };
        let limits = self.model.limits.clone();
        let job = Job {
            inputs: check::shaped(&self.model, &self.candidate, inputs),
            outputs,
            // The run timeout is the only bound: nobody waits.
            deadline: now + limits.run_timeout * 2,
            limits,
            control: Arc::new(RunControl::default()),
        };
        Some((self.candidate.clone(), job))
    }

    fn end(self: Box<Self>, end: ShadowEnd) {
        let (result, took) = match end {
            ShadowEnd::Ran(Report { result: Ok(outputs), run, .. }) => (self.judge(outputs), Some(run)),
            ShadowEnd::Ran(Report { result: Err(JobError::Fault(FaultKind::Timeout, _)), .. }) => {
                (ShadowResult::Timeout, None)
            }
            ShadowEnd::Ran(Report { result: Err(JobError::Fault(kind, detail)), .. }) => {
                tracing::debug!(version = %self.candidate.id, kind = kind.as_str(), detail, "fault in a shadow");
                (ShadowResult::Fault, None)
            }
            // The candidate is going, or there was no room.
            ShadowEnd::Ran(_) | ShadowEnd::Shed => (ShadowResult::Shed, None),
        };
        count(&self.watch, &self.candidate, result, took);
    }
}

impl Copy {
    /// Compares the candidate's answer with stable's.
    fn judge(&self, outputs: Vec<Tensor>) -> ShadowResult {
        let Some(plan) = &self.watch.plan().shadow else { return ShadowResult::Shed };
        let outputs = check::renamed(&self.model, &self.candidate, outputs);
        let agreement = compare(&plan.comparison, &self.outputs, &outputs);
        if agreement.is_same() {
            return ShadowResult::Agreed;
        }
        self.watch.keep_example(self.example(plan, agreement, &outputs));
        ShadowResult::Disagreed
    }

    fn example(&self, plan: &ShadowPlan, agreement: Agreement, outputs: &[Tensor]) -> Example {
        let show = |tensors: &[Tensor]| tensors.iter().map(|tensor| shown(tensor, plan.is_redacted)).collect();
        let hide = |mut difference: base_serving::watch::OutputDifference| {
            difference.largest = difference.largest.filter(|_| !plan.is_redacted);
            difference
        };
        Example {
            unix_ms: self.unix_ms,
            prediction: self.prediction,
            outputs: agreement.outputs.into_iter().map(hide).collect(),
            inputs: show(&self.inputs),
            stable: show(&self.outputs),
            candidate: show(outputs),
        }
    }
}

fn shown(tensor: &Tensor, is_redacted: bool) -> ExampleTensor {
    let values = numbers(tensor).filter(|_| !is_redacted);
    ExampleTensor {
        name: tensor.name().to_owned(),
        datatype: tensor.datatype(),
        shape: tensor.shape().to_vec(),
        values: values.map(|values| values.take(EXAMPLE_VALUES_MAX).collect()).unwrap_or_default(),
    }
}
