//! An engine without a runtime: what loads, what it answers, how long it takes and how it fails is scripted.

mod serving;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base_serving::engine::{Artifact, Engine, LoadError, RunControl, RunError, Runner, Terminate};
use base_types::{Data, DataType, MemoryUse, Signature, Tensor, TensorSpec};
use bytes::Bytes;

pub use serving::{FakeLane, NoJudge, report, serving_model, serving_version};

/// Decides what an artifact becomes.
type LoadScript = Box<dyn Fn(&Artifact) -> Result<FakeRunner, LoadError> + Send + Sync>;

/// Decides what a run answers: all outputs of the signature, in its order.
type RunScript = Box<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>, RunError> + Send + Sync>;

/// An engine whose loads follow a script.
pub struct FakeEngine {
    script: LoadScript,
    n_loads: AtomicUsize,
}

impl FakeEngine {
    /// Loads whatever the script makes of an artifact.
    pub fn new(script: impl Fn(&Artifact) -> Result<FakeRunner, LoadError> + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), n_loads: AtomicUsize::new(0) }
    }

    /// How many loads were asked for.
    pub fn n_loads(&self) -> usize {
        self.n_loads.load(Ordering::Acquire)
    }
}

impl Engine for FakeEngine {
    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Runner>, LoadError> {
        self.n_loads.fetch_add(1, Ordering::AcqRel);
        (self.script)(artifact).map(|runner| Arc::new(runner) as Arc<dyn Runner>)
    }
}

/// A runner whose answers follow a script.
pub struct FakeRunner {
    signature: Signature,
    script: RunScript,
    delay: Duration,
    memory: MemoryUse,
    n_runs: Arc<AtomicUsize>,
}

impl FakeRunner {
    /// Answers what the script answers.
    pub fn new(
        signature: Signature,
        script: impl Fn(&[Tensor]) -> Result<Vec<Tensor>, RunError> + Send + Sync + 'static,
    ) -> Self {
        let (delay, memory) = (Duration::ZERO, MemoryUse::default());
        Self { signature, script: Box::new(script), delay, memory, n_runs: Arc::default() }
    }

    /// `x` FP32 `[batch,4]` to `y` FP32 `[batch,4]`: `y = x * scale + bias`.
    pub fn affine4(scale: f32, bias: f32) -> Self {
        Self::new(affine4_signature(), move |inputs| {
            let answers: Vec<f32> = floats(&inputs[0]).iter().map(|x| x * scale + bias).collect();
            Ok(vec![fp32("y", inputs[0].shape(), &answers)?])
        })
    }

    /// The contract of [`FakeRunner::affine4`]; every run fails.
    pub fn failing(message: &str) -> Self {
        let message = message.to_owned();
        Self::new(affine4_signature(), move |_| Err(RunError::Failed(message.clone())))
    }

    /// The contract of [`FakeRunner::affine4`]; every answer is NaN.
    pub fn nan() -> Self {
        Self::affine4(f32::NAN, 0.0)
    }

    /// Takes this long for each run; terminating a run ends the wait.
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Reports this memory.
    pub fn with_memory(self, memory: MemoryUse) -> Self {
        Self { memory, ..self }
    }

    /// Counts the runs begun, also after the runner was handed over.
    pub fn counter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.n_runs)
    }
}

impl Runner for FakeRunner {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, inputs: &[Tensor], outputs: &[usize], control: &RunControl) -> Result<Vec<Tensor>, RunError> {
        let alarm = Arc::new(Alarm::default());
        if !control.begin(Arc::clone(&alarm) as Arc<dyn Terminate>) {
            return Err(RunError::Terminated);
        }
        self.n_runs.fetch_add(1, Ordering::AcqRel);
        alarm.wait(self.delay);
        control.end();
        if control.is_terminated() {
            return Err(RunError::Terminated);
        }
        let all = (self.script)(inputs)?;
        let pick =
            |index: &usize| all.get(*index).cloned().ok_or_else(|| RunError::Failed(format!("no output {index}")));
        outputs.iter().map(pick).collect()
    }

    fn memory(&self) -> MemoryUse {
        self.memory
    }
}

/// The contract of the affine models, real and fake.
pub fn affine4_signature() -> Signature {
    let spec = |name: &str| TensorSpec { name: name.to_owned(), datatype: DataType::Fp32, dims: vec![None, Some(4)] };
    Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] }
}

/// An FP32 tensor.
pub fn fp32(name: &str, shape: &[usize], values: &[f32]) -> Result<Tensor, RunError> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let tensor = Tensor::new(name, DataType::Fp32, shape.to_vec(), Data::Raw(Bytes::from(bytes)));
    tensor.map_err(|e| RunError::Failed(e.to_string()))
}

/// The values of an FP32 tensor; none of any other.
pub fn floats(tensor: &Tensor) -> Vec<f32> {
    match tensor.data() {
        Data::Raw(raw) if tensor.datatype() == DataType::Fp32 => {
            raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
        _ => Vec::new(),
    }
}

/// A wait that can be cut short.
#[derive(Default)]
struct Alarm {
    is_rung: Mutex<bool>,
    rung: Condvar,
}

impl Alarm {
    fn wait(&self, delay: Duration) {
        let deadline = Instant::now() + delay;
        let mut is_rung = self.lock();
        while !*is_rung {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            is_rung = self.rung.wait_timeout(is_rung, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_rung.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Terminate for Alarm {
    fn terminate(&self) {
        *self.lock() = true;
        self.rung.notify_all();
    }
}

#[cfg(test)]
mod tests;
