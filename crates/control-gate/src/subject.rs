//! What is asked at the gates: something that answers requests, under the names that callers know.

use std::time::Duration;

use base_serving::engine::{RunControl, RunError, Runner};
use base_types::{Clock, Signature, Tensor, TensorSpec, without_ones};
use thiserror::Error;

/// A version that can be asked.
pub trait Subject {
    /// Inputs and outputs as callers know them, in the order of the graph.
    fn contract(&self) -> &Signature;

    /// The same as the graph has them.
    fn graph(&self) -> &Signature;

    /// Computes all outputs of the graph. `inputs` have the names, shapes and order of the graph. Blocks, and comes back
    /// within the bounds that hold for runs.
    fn run(&self, inputs: Vec<Tensor>) -> Result<Ran, Fault>;

    /// What it holds in memory, in bytes.
    fn memory_bytes(&self) -> u64;
}

/// Answered outputs and how long the run took.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// In the order of the graph.
    pub outputs: Vec<Tensor>,
    /// The run alone.
    pub took: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The request does not fit the version: a mistake of whoever wrote it.
    #[error("{0}")]
    Misfit(String),
    /// The version failed.
    #[error("the run failed: {0}")]
    Failed(String),
}

/// Has a subject answer a request under the callers' names, or the graph's. Outputs have the callers' names and shapes.
pub fn answer(subject: &dyn Subject, inputs: &[Tensor]) -> Result<Ran, Fault> {
    let inputs = to_graph(subject, inputs).map_err(Fault::Misfit)?;
    let Ran { outputs, took } = subject.run(inputs)?;
    Ok(Ran { outputs: to_callers(subject, outputs), took })
}

/// Gives inputs the names, shapes and order of a subject's graph.
pub fn to_graph(subject: &dyn Subject, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let (ours, theirs) = (&subject.contract().inputs, &subject.graph().inputs);
    if let Some(strange) = inputs.iter().find(|tensor| find_spec(ours, theirs, tensor.name()).is_none()) {
        return Err(format!("there is no input {:?}; it has {}", strange.name(), subject.contract()));
    }
    let one = |(ours, theirs): (&TensorSpec, &TensorSpec)| {
        let given = inputs.iter().find(|tensor| tensor.name() == ours.name);
        let given = given.or_else(|| inputs.iter().find(|tensor| tensor.name() == theirs.name));
        let tensor = given.ok_or_else(|| format!("the input {ours} is not given"))?;
        let (datatype, shape) = (tensor.datatype(), tensor.shape());
        let moved = match ours.accepts(datatype, shape) {
            true => without_ones(shape, &ours.dims, &theirs.dims),
            false => theirs.accepts(datatype, shape).then(|| shape.to_vec()),
        };
        let moved = moved.ok_or_else(|| format!("the input {ours} is given as {datatype} {shape:?}"))?;
        let moved = tensor.clone().reshaped(moved).map_err(|error| error.to_string())?;
        Ok(moved.named(theirs.name.clone()))
    };
    ours.iter().zip(theirs).map(one).collect()
}

/// Gives outputs of a subject's graph the names and shapes that callers know.
pub fn to_callers(subject: &dyn Subject, outputs: Vec<Tensor>) -> Vec<Tensor> {
    let (ours, theirs) = (&subject.contract().outputs, &subject.graph().outputs);
    let one = |tensor: Tensor| match find_spec(ours, theirs, tensor.name()) {
        None => tensor,
        Some((ours, theirs)) => {
            let moved = without_ones(tensor.shape(), &theirs.dims, &ours.dims);
            let moved = moved.and_then(|shape| tensor.clone().reshaped(shape).ok()).unwrap_or(tensor);
            moved.named(ours.name.clone())
        }
    };
    outputs.into_iter().map(one).collect()
}

/// The pair of specs that goes by a name: callers' names first.
pub(crate) fn find_spec<'a>(
    ours: &'a [TensorSpec],
    theirs: &'a [TensorSpec],
    name: &str,
) -> Option<(&'a TensorSpec, &'a TensorSpec)> {
    let mut pairs = ours.iter().zip(theirs);
    pairs.clone().find(|(ours, _)| ours.name == name).or_else(|| pairs.find(|(_, theirs)| theirs.name == name))
}

/// A runner asked directly, where there is no gateway.
pub struct RunnerSubject<'a> {
    runner: &'a dyn Runner,
    clock: &'a dyn Clock,
    outputs: Vec<usize>,
}

impl<'a> RunnerSubject<'a> {
    /// Asks this runner, by this clock.
    pub fn new(runner: &'a dyn Runner, clock: &'a dyn Clock) -> Self {
        Self { runner, clock, outputs: (0..runner.signature().outputs.len()).collect() }
    }
}

impl Subject for RunnerSubject<'_> {
    fn contract(&self) -> &Signature {
        self.runner.signature()
    }

    fn graph(&self) -> &Signature {
        self.runner.signature()
    }

    fn run(&self, inputs: Vec<Tensor>) -> Result<Ran, Fault> {
        let began = self.clock.now();
        let outputs = self.runner.run(&inputs, &self.outputs, &RunControl::default());
        let took = self.clock.now().saturating_duration_since(began);
        match outputs {
            Ok(outputs) => Ok(Ran { outputs, took }),
            Err(RunError::Failed(text)) => Err(Fault::Failed(text)),
            Err(RunError::Terminated) => Err(Fault::Failed("it was terminated".to_owned())),
        }
    }

    fn memory_bytes(&self) -> u64 {
        let memory = self.runner.memory();
        memory.arena_bytes + memory.mapped_bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_types::{Data, DataType};

    use super::*;

    /// Its graph calls them `image` and `logits`, with a dimension of 1 that callers do not know.
    struct Renamed(Signature, Signature);

    impl Subject for Renamed {
        fn contract(&self) -> &Signature {
            &self.0
        }

        fn graph(&self) -> &Signature {
            &self.1
        }

        fn run(&self, inputs: Vec<Tensor>) -> Result<Ran, Fault> {
            let outputs = inputs.into_iter().map(|tensor| tensor.named("logits")).collect();
            Ok(Ran { outputs, took: Duration::ZERO })
        }

        fn memory_bytes(&self) -> u64 {
            0
        }
    }

    fn spec(name: &str, dims: &[Option<usize>]) -> TensorSpec {
        TensorSpec { name: name.to_owned(), datatype: DataType::Fp32, dims: dims.to_vec() }
    }

    fn tensor(name: &str, shape: &[usize]) -> Tensor {
        let n_elements: usize = shape.iter().product();
        Tensor::new(name, DataType::Fp32, shape.to_vec(), Data::Raw(vec![0; 4 * n_elements].into())).unwrap()
    }

    #[test]
    fn a_request_may_use_the_callers_names_or_the_graphs_and_is_answered_in_the_callers() {
        let side = |name: &str, dims: &[Option<usize>]| vec![spec(name, dims)];
        let (ours, theirs) = ([None, Some(4)], [None, Some(1), Some(4)]);
        let contract = Signature { inputs: side("x", &ours), outputs: side("y", &ours) };
        let graph = Signature { inputs: side("image", &theirs), outputs: side("logits", &theirs) };
        let subject = Renamed(contract, graph);
        for (name, shape) in [("x", &[2, 4][..]), ("image", &[2, 1, 4]), ("x", &[2, 1, 4]), ("image", &[2, 4])] {
            let ran = answer(&subject, &[tensor(name, shape)]).unwrap();
            assert_eq!((ran.outputs[0].name(), ran.outputs[0].shape()), ("y", &[2, 4][..]), "{name} {shape:?}");
        }
        let misfit = |inputs: &[Tensor]| answer(&subject, inputs).unwrap_err().to_string();
        assert!(misfit(&[tensor("z", &[2, 4])]).contains("there is no input \"z\""));
        assert!(misfit(&[]).contains("the input x FP32[-1,4] is not given"));
        assert!(misfit(&[tensor("x", &[2, 5])]).contains("is given as FP32 [2, 5]"));
    }
}
