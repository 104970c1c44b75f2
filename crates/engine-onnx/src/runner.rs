//! One loaded version: from tensors of the gateway to a run and back.

use std::sync::Arc;

use base_serving::engine::{RunControl, RunError, Runner, Terminate};
use base_types::{Data, DataType, MemoryUse, Signature, Tensor};
use bytes::Bytes;

use crate::contract;
use crate::raw::{Message, Names, RunOptions, Session, Value};

/// A session and what is needed to run it, prepared once.
pub(crate) struct OnnxRunner {
    session: Session,
    signature: Signature,
    input_names: Names,
    output_names: Names,
}

impl OnnxRunner {
    pub(crate) fn new(session: Session) -> Result<Self, Message> {
        let signature = contract::signature(&session)?;
        let input_names = Names::new(signature.inputs.iter().map(|spec| spec.name.as_str()))?;
        let output_names = Names::new(signature.outputs.iter().map(|spec| spec.name.as_str()))?;
        Ok(Self { session, signature, input_names, output_names })
    }

    fn compute(&self, inputs: &[Tensor], outputs: &[usize], options: &RunOptions) -> Result<Vec<Tensor>, Message> {
        let selection = self.output_names.select(outputs).ok_or("there is no such output")?;
        let values: Result<Vec<Value<'_>>, Message> = inputs.iter().map(|tensor| self.value(tensor)).collect();
        let results = self.session.run(options, (&self.input_names, &values?), &selection)?;
        let answer = |(position, value): (&usize, Option<Value<'_>>)| {
            let name = &self.signature.outputs[*position].name;
            let value = value.ok_or_else(|| format!("the model left out its output {name:?}"))?;
            tensor(name, &value).map_err(|what| format!("output {name:?}: {what}"))
        };
        outputs.iter().zip(results).map(answer).collect()
    }

    /// A tensor as the runtime takes it: over the same bytes where they will do as they are.
    fn value<'a>(&self, tensor: &'a Tensor) -> Result<Value<'a>, Message> {
        let shape: Vec<i64> = tensor.shape().iter().map(|dim| *dim as i64).collect();
        let (datatype, raw) = match tensor.data() {
            Data::Strings(strings) => return Value::strings(strings, &shape),
            Data::Raw(raw) => (tensor.datatype(), raw),
        };
        let element = contract::element(datatype);
        // C++ knows no booleans but 0 and 1.
        if datatype == DataType::Bool && raw.iter().any(|byte| *byte > 1) {
            let valid: Vec<u8> = raw.iter().map(|byte| u8::from(*byte != 0)).collect();
            return Value::copy(&valid, &shape, element);
        }
        // Bytes off the network start anywhere.
        if !raw.as_ptr().addr().is_multiple_of(datatype.element_bytes().unwrap_or(1)) {
            return Value::copy(raw, &shape, element);
        }
        self.session.input(raw, &shape, element)
    }
}

impl Runner for OnnxRunner {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, inputs: &[Tensor], outputs: &[usize], control: &RunControl) -> Result<Vec<Tensor>, RunError> {
        let options = Arc::new(RunOptions::new().map_err(RunError::Failed)?);
        if !control.begin(Arc::clone(&options) as Arc<dyn Terminate>) {
            return Err(RunError::Terminated);
        }
        let result = self.compute(inputs, outputs, &options);
        control.end();
        // The runtime has no code of its own for a terminated run, and one may end well before it notices: our flag
        // decides, so that whoever asked for the end gets that answer.
        if control.is_terminated() {
            return Err(RunError::Terminated);
        }
        result.map_err(RunError::Failed)
    }

    /// The arena holds weights and the buffers of runs; weights that several versions have in common are mapped.
    fn memory(&self) -> MemoryUse {
        let stats = self.session.arena_stats().unwrap_or_else(|message| {
            tracing::warn!(message, "the runtime gave no memory statistics");
            Default::default()
        });
        MemoryUse {
            arena_bytes: stats.in_use_bytes,
            arena_peak_bytes: stats.peak_bytes,
            mapped_bytes: self.session.shared_bytes(),
        }
    }
}

/// Copies an output out of the runtime's memory.
fn tensor(name: &str, value: &Value<'_>) -> Result<Tensor, Message> {
    let (element, dims) = value.type_and_shape()?;
    let datatype = contract::datatype(element)?;
    let shape: Result<Vec<usize>, _> = dims.iter().map(|dim| usize::try_from(*dim)).collect();
    let shape = shape.map_err(|_| format!("it has the shape {dims:?}"))?;
    let data = match datatype {
        DataType::Bytes => Data::Strings(value.string_elements(shape.iter().product())?),
        _ => Data::Raw(Bytes::copy_from_slice(value.bytes()?)),
    };
    Tensor::new(name, datatype, shape, data).map_err(|e| e.to_string())
}
