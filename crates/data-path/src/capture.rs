//! A request that is to be kept with its answer: drawn before it is tried, handed over after its caller has an answer.

use std::sync::Arc;

use base_routing::{Facts, Source};
use base_serving::batching::Batched;
use base_serving::{Capture, CapturePlan, CaptureSink, PredictionId, ServingModel, ServingVersion};
use base_types::{Generation, Reason, Tensor};

use crate::Gateway;
use crate::attempt::Work;

/// With `off` in it a caller has his request left out: a replay does, which would fill the files with copies.
const HEADER: &str = "switchrail-capture";

/// A request that was drawn.
pub(crate) struct Drawn<'a> {
    sink: &'a dyn CaptureSink,
    plan: &'a CapturePlan,
    model: &'a ServingModel,
    generation: Generation,
    asked: Vec<String>,
    trace_id: Option<String>,
    /// Inputs, and positions of the outputs, of the attempt under way.
    attempt: Option<Attempt>,
}

type Attempt = (Arc<[Tensor]>, Arc<[usize]>);

/// How it was answered.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) version: &'a ServingVersion,
    pub(crate) reason: Reason,
    pub(crate) batch: Option<Batched>,
    pub(crate) prediction: PredictionId,
    pub(crate) unix_ms: u64,
}

/// A drawn request with its answer; nothing is copied yet.
pub(crate) struct Answered<'a> {
    drawn: Box<Drawn<'a>>,
    by: By<'a>,
    outputs: Vec<Tensor>,
}

impl<'a> Drawn<'a> {
    /// Draws whether a request is kept. Where nothing is, this is one look at an option.
    pub(crate) fn draw(
        gateway: &'a Gateway,
        (model, generation): (&'a ServingModel, Generation),
        asked: &[String],
        facts: &(dyn Facts + Sync),
    ) -> Option<Box<Self>> {
        let plan = model.limits.capture.as_deref()?;
        let sink = gateway.capture_sink().filter(|_| fastrand::f64() < plan.share)?;
        let is_declined = facts.value(&Source::Header(HEADER.into())).is_some_and(|value| value == "off");
        if is_declined {
            return None;
        }
        Some(Box::new(Self {
            sink,
            plan,
            model,
            generation,
            asked: asked.to_vec(),
            trace_id: trace_id(facts),
            attempt: None,
        }))
    }

    /// An attempt begins; a second one replaces the first.
    pub(crate) fn tried(&mut self, work: &Work) {
        self.attempt = Some((work.inputs.clone(), work.outputs.clone()));
    }

    /// There is an answer. `None` where there is no room to keep it.
    pub(crate) fn answered(self: Box<Self>, outputs: &[Tensor], by: By<'a>) -> Option<Answered<'a>> {
        let (inputs, _) = self.attempt.as_ref()?;
        let n_bytes = self.plan.n_bytes(inputs.iter().chain(outputs));
        let has_room = self.sink.has_room(n_bytes);
        has_room.then(|| Answered { drawn: self, by, outputs: outputs.to_vec() })
    }
}

impl Answered<'_> {
    /// Hands it over. The tensors may be part of a whole body, which must not be kept for them, so they are copied here.
    pub(crate) fn keep(self) {
        let Self { drawn, by, outputs } = self;
        let Drawn { sink, plan, model, generation, asked, trace_id, attempt } = *drawn;
        let Some((inputs, positions)) = attempt else { return };
        sink.captured(Capture {
            prediction: by.prediction,
            unix_ms: by.unix_ms,
            model: model.name.clone(),
            version: by.version.id.version,
            digest: by.version.digest,
            generation,
            reason: by.reason,
            asked,
            positions: positions.to_vec(),
            inputs: inputs.iter().map(|tensor| plan.keep(tensor)).collect(),
            outputs: outputs.iter().map(|tensor| plan.keep(tensor)).collect(),
            provider: model.limits.provider,
            batch_rows: by.batch.map(|batch| batch.n_rows),
            trace_id,
        });
    }
}

/// The trace that the request is part of, as W3C Trace Context writes it in `traceparent`:
/// `<version>-<trace>-<parent>-<flags>`, in lower-case hexadecimal digits.
fn trace_id(facts: &(dyn Facts + Sync)) -> Option<String> {
    let header = facts.value(&Source::Header("traceparent".into()))?;
    let mut parts = header.split('-');
    let (version, trace_id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, n_chars: usize| {
        text.len() == n_chars && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_well_formed = is_hex(version, 2) && is_hex(trace_id, 32) && is_hex(parent, 16) && is_hex(flags, 2);
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    // Later versions may add parts. What is not valid here gets a trace of its own in the access log, too.
    let is_known = version != "ff" && (version != "00" || parts.next().is_none());
    (is_well_formed && is_known && !is_zero(trace_id) && !is_zero(parent)).then(|| trace_id.to_owned())
}

#[cfg(test)]
mod tests;
