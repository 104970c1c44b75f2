//! An example of a disagreement as JSON.

use base_serving::watch::{Example, ExampleTensor};
use serde_json::{Value, json};

/// An example for people.
pub(crate) fn of(example: &Example) -> Value {
    let tensors = |tensors: &[ExampleTensor]| tensors.iter().map(tensor).collect::<Vec<_>>();
    let outputs = example
        .outputs
        .iter()
        .map(|output| json!({ "output": output.output, "same": output.is_same, "largest_difference": output.largest }));
    json!({
        "unix_ms": example.unix_ms,
        "prediction_id": example.prediction.as_str(),
        "outputs": outputs.collect::<Vec<_>>(),
        "inputs": tensors(&example.inputs),
        "stable": tensors(&example.stable),
        "candidate": tensors(&example.candidate),
    })
}

fn tensor(tensor: &ExampleTensor) -> Value {
    json!({ "name": tensor.name, "datatype": tensor.datatype.as_str(), "shape": tensor.shape, "first": tensor.values })
}
