//! Whether the inputs and outputs of a `config.pbtxt` are those of the model, and what callers may send.

use base_types::{Signature, TensorSpec};

use super::{ConfiguredTensor, ModelConfig};

impl ModelConfig {
    /// Checks the file against the model; every disagreement is one line.
    ///
    /// With `max_batch_size` the file leaves out the batch axis, which the model must have as a dynamic first
    /// dimension. A dimension of the file may fix one the model leaves open, not the other way round. If the file
    /// names inputs it names all of them; of the outputs it may name some.
    pub fn check_signature(&self, signature: &Signature) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        if self.max_batch_size.is_some() {
            for (side, spec) in sides(signature) {
                if spec.dims.first().is_none_or(Option::is_some) {
                    problems.push(format!(
                        "max_batch_size is set, but the first dimension of {side} {spec} is not dynamic: set max_batch_size to 0"
                    ));
                }
            }
        }
        for (side, configured, specs) in
            [("input", &self.inputs, &signature.inputs), ("output", &self.outputs, &signature.outputs)]
        {
            for tensor in configured {
                self.check_tensor(side, tensor, specs, &mut problems);
            }
        }
        if !self.inputs.is_empty() {
            let is_missing = |spec: &&TensorSpec| self.inputs.iter().all(|tensor| tensor.name != spec.name);
            for spec in signature.inputs.iter().filter(is_missing) {
                problems.push(format!("config.pbtxt leaves out the input {spec}"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The signature of the graph with the dimensions the file fixes. Call it once `check_signature` agreed.
    pub fn narrow(&self, signature: &Signature) -> Signature {
        let narrow = |specs: &[TensorSpec], configured: &[ConfiguredTensor]| {
            specs.iter().map(|spec| self.narrow_spec(spec, configured)).collect()
        };
        Signature {
            inputs: narrow(&signature.inputs, &self.inputs),
            outputs: narrow(&signature.outputs, &self.outputs),
        }
    }

    /// The signature that callers are held to: that of [`ModelConfig::narrow`] with the shapes of the file, where a
    /// `reshape` makes them differ. `None` where it does not.
    pub fn shown(&self, narrowed: &Signature) -> Option<Signature> {
        let has_reshape = |tensors: &[ConfiguredTensor]| tensors.iter().any(|tensor| tensor.reshape.is_some());
        if !has_reshape(&self.inputs) && !has_reshape(&self.outputs) {
            return None;
        }
        let show = |specs: &[TensorSpec], configured: &[ConfiguredTensor]| {
            let one = |spec: &TensorSpec| {
                let found = configured.iter().find(|tensor| tensor.name == spec.name);
                match found.filter(|tensor| tensor.reshape.is_some()) {
                    Some(tensor) => TensorSpec { dims: self.with_batch(&tensor.dims), ..spec.clone() },
                    None => spec.clone(),
                }
            };
            specs.iter().map(one).collect()
        };
        Some(Signature {
            inputs: show(&narrowed.inputs, &self.inputs),
            outputs: show(&narrowed.outputs, &self.outputs),
        })
    }

    fn check_tensor(&self, side: &str, tensor: &ConfiguredTensor, specs: &[TensorSpec], problems: &mut Vec<String>) {
        let (name, line) = (&tensor.name, tensor.line);
        let Some(spec) = specs.iter().find(|spec| spec.name == *name) else {
            let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
            problems.push(format!(
                "config.pbtxt line {line}: the model has no {side} {name:?}, it has {}",
                known.join(", ")
            ));
            return;
        };
        if spec.datatype != tensor.datatype {
            let (here, there) = (tensor.datatype, spec.datatype);
            problems.push(format!("config.pbtxt line {line}: {side} {name:?} is {here} here and {there} in the model"));
        }
        // A file may leave the dimensions to the model.
        if tensor.dims.is_empty() && tensor.reshape.is_none() {
            return;
        }
        let dims = self.full_dims(tensor);
        let fits = |(here, there): (&Option<usize>, &Option<usize>)| there.is_none() || here == there;
        if dims.len() != spec.dims.len() || !dims.iter().zip(&spec.dims).all(fits) {
            let here = TensorSpec { name: name.clone(), datatype: tensor.datatype, dims };
            problems.push(format!("config.pbtxt line {line}: {side} {here} does not fit the model's {spec}"));
        }
    }

    fn narrow_spec(&self, spec: &TensorSpec, configured: &[ConfiguredTensor]) -> TensorSpec {
        let mut spec = spec.clone();
        if let Some(tensor) = configured.iter().find(|tensor| tensor.name == spec.name) {
            for (dim, fixed) in spec.dims.iter_mut().zip(self.full_dims(tensor)) {
                *dim = dim.or(fixed);
            }
        }
        spec
    }

    /// The dimensions of the graph by the file, with the batch axis it leaves out.
    fn full_dims(&self, tensor: &ConfiguredTensor) -> Vec<Option<usize>> {
        self.with_batch(tensor.reshape.as_ref().unwrap_or(&tensor.dims))
    }

    fn with_batch(&self, dims: &[Option<usize>]) -> Vec<Option<usize>> {
        let batch = self.max_batch_size.map(|_| None);
        batch.into_iter().chain(dims.iter().copied()).collect()
    }
}

fn sides(signature: &Signature) -> impl Iterator<Item = (&'static str, &TensorSpec)> {
    let inputs = signature.inputs.iter().map(|spec| ("input", spec));
    inputs.chain(signature.outputs.iter().map(|spec| ("output", spec)))
}
