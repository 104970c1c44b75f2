//! The caller's tensors against the signature of the version chosen. What passes here and still fails in the
//! runtime is the version's fault.

use std::sync::Arc;

use base_serving::{ServingModel, ServingVersion};
use base_types::{Tensor, TensorSpec, without_ones};

use crate::{Code, Failure, Uncarried};

/// Puts the inputs into the signature's order, or says what is wrong with them.
pub(crate) fn inputs(
    model: &ServingModel,
    version: &ServingVersion,
    inputs: Vec<Tensor>,
) -> Result<Arc<[Tensor]>, Failure> {
    let specs = &model.signature(version).inputs;
    if let Some(unknown) = inputs.iter().find(|t| specs.iter().all(|s| s.name != t.name())) {
        let names: Vec<&str> = specs.iter().map(|s| s.name.as_str()).collect();
        let text = format!("{} has no input {:?}; its inputs are {names:?}", version.id, unknown.name());
        return Err(Failure::new(Code::InputUnknown, text));
    }
    if inputs.len() > specs.len() {
        return Err(Failure::new(Code::InputMismatch, "an input is given twice"));
    }
    let mut inputs = inputs;
    for (index, spec) in specs.iter().enumerate() {
        let Some(found) = inputs.iter().skip(index).position(|t| t.name() == spec.name) else {
            return Err(Failure::new(Code::InputMissing, format!("input {spec} of {} is missing", version.id)));
        };
        inputs.swap(index, index + found);
        check_one(model, version, &inputs[index], spec)?;
    }
    Ok(inputs.into())
}

fn check_one(model: &ServingModel, version: &ServingVersion, input: &Tensor, spec: &TensorSpec) -> Result<(), Failure> {
    if !spec.accepts(input.datatype(), input.shape()) {
        let given = format!("{} {:?}", input.datatype(), input.shape());
        let text = format!("input {:?} of {} is {spec}, {given} given", spec.name, version.id);
        return Err(Failure::new(Code::InputMismatch, text));
    }
    let rows_max = match model.declared.max_batch_size {
        0 => model.limits.batch_rows,
        rows => rows as usize,
    };
    let is_batched = spec.dims.first() == Some(&None);
    match input.shape().first() {
        Some(rows) if is_batched && *rows > rows_max => {
            let text = format!("input {:?} has {rows} rows, at most {rows_max} are allowed", spec.name);
            Err(Failure::new(Code::BatchTooLarge, text))
        }
        _ => Ok(()),
    }
}

/// The rows of a request: the first dimension where it is open, else one.
pub(crate) fn rows(model: &ServingModel, version: &ServingVersion, inputs: &[Tensor]) -> usize {
    let is_batched = model.signature(version).inputs.first().is_some_and(|spec| spec.dims.first() == Some(&None));
    inputs.first().filter(|_| is_batched).and_then(|input| input.shape().first()).copied().unwrap_or(1)
}

/// The inputs in the shapes of the version's graph, where its contract has dimensions of 1 that the graph has not, or
/// the other way round.
pub(crate) fn shaped(model: &ServingModel, version: &ServingVersion, inputs: Arc<[Tensor]>) -> Arc<[Tensor]> {
    let Some(contract) = model.contracts.get(&version.id.version) else { return inputs };
    let pairs = || contract.inputs.iter().zip(&version.signature.inputs);
    if pairs().all(|(ours, theirs)| ours.dims == theirs.dims) {
        return inputs;
    }
    inputs.iter().zip(pairs()).map(|(input, (ours, theirs))| moved(input.clone(), ours, theirs)).collect()
}

/// The outputs under the names and in the shapes of the model's contract.
pub(crate) fn renamed(model: &ServingModel, version: &ServingVersion, outputs: Vec<Tensor>) -> Vec<Tensor> {
    let Some(contract) = model.contracts.get(&version.id.version) else { return outputs };
    let rename = |output: Tensor| {
        let position = version.signature.outputs.iter().position(|spec| spec.name == output.name());
        let pair = position.and_then(|at| contract.outputs.get(at).zip(version.signature.outputs.get(at)));
        match pair {
            Some((ours, theirs)) if ours.name != theirs.name => moved(output, theirs, ours).named(ours.name.as_str()),
            Some((ours, theirs)) => moved(output, theirs, ours),
            None => output,
        }
    };
    outputs.into_iter().map(rename).collect()
}

/// A tensor that fits one description in the shape of the other. One that cannot be moved stays as it is.
fn moved(tensor: Tensor, from: &TensorSpec, to: &TensorSpec) -> Tensor {
    if from.dims == to.dims {
        return tensor;
    }
    match without_ones(tensor.shape(), &from.dims, &to.dims) {
        Some(shape) if base_types::element_count(&shape) == Some(tensor.element_count()) => {
            tensor.clone().reshaped(shape).unwrap_or(tensor)
        }
        _ => tensor,
    }
}

/// What the caller wants to have back.
pub(crate) struct Wanted {
    /// Names of outputs; empty means all.
    pub(crate) names: Vec<String>,
    /// Those the caller's wire cannot carry.
    pub(crate) uncarried: Uncarried,
}

/// The positions of the wanted outputs; all of them when none is named.
pub(crate) fn outputs(
    model: &ServingModel,
    version: &ServingVersion,
    Wanted { names, uncarried }: &Wanted,
) -> Result<Arc<[usize]>, Failure> {
    let specs = &model.signature(version).outputs;
    let positions = positions(version, specs, names)?;
    let mut wanted = positions.iter().map(|index| &specs[*index]);
    match wanted.find_map(|spec| uncarried.refusal(spec).map(|why| (spec, why))) {
        Some((spec, why)) => Err(Failure::new(Code::Unsupported, format!("output {spec} of {} {why}", version.id))),
        None => Ok(positions),
    }
}

fn positions(version: &ServingVersion, specs: &[TensorSpec], names: &[String]) -> Result<Arc<[usize]>, Failure> {
    if names.is_empty() {
        return Ok((0..specs.len()).collect());
    }
    let position = |(index, name): (usize, &String)| {
        if names[..index].contains(name) {
            return Err(Failure::new(Code::OutputUnknown, format!("output {name:?} is asked for twice")));
        }
        specs.iter().position(|s| s.name == *name).ok_or_else(|| {
            let known: Vec<&str> = specs.iter().map(|s| s.name.as_str()).collect();
            let text = format!("{} has no output {name:?}; its outputs are {known:?}", version.id);
            Failure::new(Code::OutputUnknown, text)
        })
    };
    names.iter().enumerate().map(position).collect()
}

#[cfg(test)]
mod tests;
