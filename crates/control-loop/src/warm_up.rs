//! The first runs of a version, before it may be routed.
//!
//! They are made on a thread of their own that inherits the loader's low priority: on the worker pool they would take
//! the places of requests, and on the loader's thread a run that never ends would stop all later loads.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use base_serving::lane::{Job, JobError, Lane};
use base_serving::{ModelLimits, ServingVersion};
use base_types::{Clock, Data, DataType, FaultKind, Signature, Tensor, TensorSpec, VersionId};
use bytes::Bytes;
use tracing::warn;

use crate::sample::Sample;

/// Enough for the runtime to settle its memory plan, and for the lane to know how long a run takes.
pub(crate) const RUNS: usize = 8;
const INPUT_BYTES_MAX: usize = 64 << 20;
/// Beyond the run timeout, for a run that is stopped to come back.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Stable code and text of a refusal.
type Refused = (&'static str, String);

/// What is to be warmed up.
pub(crate) struct WarmUp {
    pub(crate) id: VersionId,
    pub(crate) signature: Signature,
    /// What config.pbtxt says is to be run; without it input is made up.
    pub(crate) samples: Vec<Sample>,
    pub(crate) lane: Arc<dyn Lane>,
    pub(crate) limits: Arc<ModelLimits>,
    pub(crate) clock: Arc<dyn Clock>,
    /// How often it runs made-up input.
    pub(crate) n_runs: usize,
}

/// What the warm-up's thread tells.
enum Progress {
    Ran,
    Over(Result<(), Refused>),
}

/// Runs the version on the input of config.pbtxt, or on made-up input, and waits for it, as long as its runs end at all.
pub(crate) fn warm_up(work: WarmUp) -> Result<(), Refused> {
    let patience = work.limits.run_timeout + STOP_GRACE;
    let (tell, progress) = sync_channel(1);
    let made = thread::Builder::new().name("warm-up".to_owned()).spawn(move || {
        let result = if work.samples.is_empty() { work.try_made_up_input(&tell) } else { work.try_samples(&tell) };
        // The loader may have given up.
        let _gone = tell.send(Progress::Over(result));
    });
    made.map_err(|error| ("warm_up_failed", format!("no thread for it: {error}")))?;
    loop {
        match progress.recv_timeout(patience) {
            Ok(Progress::Ran) => {}
            Ok(Progress::Over(result)) => return result,
            Err(_) => return Err(("warm_up_failed", "a run neither ended nor could be stopped".to_owned())),
        }
    }
}

/// Runs a version in memory so often again, on a thread of its own, and hands over how that ended.
pub(crate) fn again(
    version: &Arc<ServingVersion>,
    (limits, clock): (Arc<ModelLimits>, Arc<dyn Clock>),
    n_runs: u32,
    tell: impl FnOnce(Result<(), String>) + Send + 'static,
) {
    let work = WarmUp {
        id: version.id.clone(),
        signature: version.signature.clone(),
        samples: Vec::new(),
        lane: version.lane.clone(),
        limits,
        clock,
        n_runs: n_runs as usize,
    };
    let made = thread::Builder::new().name("warm-up".to_owned()).spawn(move || {
        tell(warm_up(work).map_err(|(_, text)| text));
    });
    if let Err(error) = made {
        // The step waits; the next restart or a person takes it on.
        warn!(%error, "no thread for a warm-up");
    }
}

impl WarmUp {
    /// Ones, because zeros make models that divide by a norm fail, then zeros, because a one may be no valid index.
    /// Where the signature leaves shapes open, failing on both proves nothing and is only told; where it does not, a
    /// version that can answer neither is refused.
    fn try_made_up_input(&self, tell: &SyncSender<Progress>) -> Result<(), Refused> {
        let Self { id, signature, .. } = self;
        let has_open_shapes = signature.inputs.iter().any(|s| s.dims.iter().skip(1).any(Option::is_none));
        let mut failure = None;
        for fill in [Fill::Ones, Fill::Zeros] {
            let inputs = signature.inputs.iter().map(|spec| made_up(spec, fill)).collect::<Option<Vec<Tensor>>>();
            let Some(inputs) = inputs else {
                warn!(version = %id, "inputs too large to warm up with");
                return Ok(());
            };
            match self.run(&inputs.into(), self.n_runs, tell) {
                Ok(()) => return Ok(()),
                Err(JobError::Fault(FaultKind::NonFinite, text)) => {
                    warn!(version = %id, text, "warm-up: if that is normal for this model, set allow_non_finite");
                    return Ok(());
                }
                Err(JobError::Fault(_, text)) => failure = Some(text),
                Err(other) => warn!(version = %id, ?other, "warm-up was cut short"),
            }
        }
        match failure {
            Some(text) if has_open_shapes => {
                warn!(version = %id, text, "warm-up: made-up input does not fit the model");
            }
            Some(text) => return Err(("warm_up_failed", text)),
            None => {}
        }
        Ok(())
    }

    /// A sample is the operator's word that the version can answer it: one that it cannot answer refuses the version.
    fn try_samples(&self, tell: &SyncSender<Progress>) -> Result<(), Refused> {
        for Sample { name, inputs, count } in &self.samples {
            match self.run(inputs, *count, tell) {
                Ok(()) => {}
                Err(JobError::Fault(FaultKind::NonFinite, text)) => {
                    warn!(version = %self.id, text, "warm-up: if that is normal for this model, set allow_non_finite");
                }
                Err(JobError::Fault(_, text)) => {
                    return Err(("warm_up_failed", format!("model_warmup {name:?}: {text}")));
                }
                Err(other) => warn!(version = %self.id, ?other, "warm-up was cut short"),
            }
        }
        Ok(())
    }

    fn run(&self, inputs: &Arc<[Tensor]>, n_runs: usize, tell: &SyncSender<Progress>) -> Result<(), JobError> {
        let outputs: Arc<[usize]> = (0..self.signature.outputs.len()).collect();
        for _ in 0..n_runs {
            let job = Job {
                inputs: inputs.clone(),
                outputs: outputs.clone(),
                deadline: self.clock.now() + self.limits.run_timeout + STOP_GRACE,
                limits: self.limits.clone(),
                control: Arc::default(),
            };
            self.lane.run_here(job).result?;
            // The loader may have given up.
            let _gone = tell.send(Progress::Ran);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Ones,
    Zeros,
}

/// A tensor of one value with every open dimension 1.
fn made_up(spec: &TensorSpec, fill: Fill) -> Option<Tensor> {
    let shape: Vec<usize> = spec.dims.iter().map(|d| d.unwrap_or(1)).collect();
    let n_elements = base_types::element_count(&shape)?;
    let one: &[u8] = match spec.datatype {
        DataType::Bool | DataType::Uint8 | DataType::Int8 => &[1],
        DataType::Uint16 | DataType::Int16 => &[1, 0],
        DataType::Fp16 => &[0x00, 0x3c],
        DataType::Bf16 => &[0x80, 0x3f],
        DataType::Uint32 | DataType::Int32 => &[1, 0, 0, 0],
        DataType::Fp32 => &[0, 0, 0x80, 0x3f],
        DataType::Uint64 | DataType::Int64 => &[1, 0, 0, 0, 0, 0, 0, 0],
        DataType::Fp64 => &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        DataType::Bytes => b"1",
    };
    let n_bytes = n_elements.checked_mul(one.len()).filter(|n| *n <= INPUT_BYTES_MAX)?;
    let data = match (spec.datatype, fill) {
        (DataType::Bytes, Fill::Ones) => Data::Strings(vec![Bytes::from_static(one); n_elements]),
        (DataType::Bytes, Fill::Zeros) => Data::Strings(vec![Bytes::new(); n_elements]),
        (_, Fill::Ones) => Data::Raw(one.repeat(n_elements).into()),
        (_, Fill::Zeros) => Data::Raw(vec![0; n_bytes].into()),
    };
    Tensor::new(spec.name.clone(), spec.datatype, shape, data).ok()
}
