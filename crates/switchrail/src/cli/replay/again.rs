//! Runs a captured request once more: through a gateway, at the path of the version; or here, with the runtime, on the
//! version of a model repository or a store.

use std::path::Path;

use base_serving::Provider;
use base_serving::engine::{Artifact, ArtifactFile, Engine, RunControl};
use base_types::{Clock, Digest, ModelName, Signature, SystemClock, Tensor, TensorSpec, Version, without_ones};
use control_registry::Limits;
use control_registry::captures::{Capture, Fingerprint};
use control_registry::repository::{ScanOptions, VersionEntry, read_version, scan};
use control_store::Store;
use engine_onnx::{OnnxEngine, Options};

use super::cannot::Cannot;
use super::wire;
use crate::capture;
use crate::cli::with_causes;

/// What came of it.
pub(super) struct Again {
    /// The version that was run.
    pub(super) version: Version,
    /// What it is: its digest, or the beginning of it.
    pub(super) digest: String,
    /// The outputs that were captured, under the names they had then.
    pub(super) outputs: Vec<Tensor>,
    /// What it was computed with, where that is known.
    pub(super) fingerprint: Option<Fingerprint>,
    /// Where it was run, for people.
    pub(super) place: String,
}

/// Which request, on which version.
type What<'a> = (&'a Capture, Version);

/// Asks a gateway.
pub(super) fn by_gateway(
    address: Option<&str>,
    what: What<'_>,
    (inputs, fingerprint): (&[Tensor], Option<Fingerprint>),
) -> Result<Again, Cannot> {
    let address = address.unwrap_or(wire::HTTP_DEFAULT);
    let (digest, outputs) = wire::ask(address, what, inputs)?;
    let place = format!("by the gateway at {address}");
    Ok(Again { version: what.1, digest, outputs, fingerprint, place })
}

/// Runs the version of a model repository.
pub(super) fn in_repository(folder: &Path, what: What<'_>, inputs: Vec<Tensor>) -> Result<Again, Cannot> {
    let (capture, version) = what;
    let gone = |reason: String| gone(&capture.model, version, folder, reason);
    let options = ScanOptions { settle_ms: 0, limits: Limits::default() };
    let mut found = scan(folder, &options, SystemClock.unix_ms()).map_err(|error| gone(with_causes(&error)))?;
    let model = found.models.get_mut(&capture.model).ok_or_else(|| gone("there is no such model".to_owned()))?;
    let stamp = match model.versions.remove(&version) {
        Some(VersionEntry::Settled(stamp)) => stamp,
        Some(VersionEntry::Refused(refusal)) => return Err(gone(refusal.to_string())),
        Some(VersionEntry::Settling) => return Err(gone("it is being written".to_owned())),
        None => return Err(gone(listed(model.versions.keys()))),
    };
    let files = read_version(folder, &capture.model, version, &stamp, &options.limits);
    let files = files.map_err(|refusal| gone(refusal.to_string()))?;
    here(what, (&files.artifact, files.digest), inputs, folder)
}

/// Runs the version of a store.
pub(super) fn in_store(folder: &Path, what: What<'_>, inputs: Vec<Tensor>) -> Result<Again, Cannot> {
    let (capture, version) = what;
    let gone = |reason: String| gone(&capture.model, version, folder, reason);
    let broken = |error: control_store::StoreError| gone(with_causes(&error));
    let store = Store::open_existing(folder).map_err(broken)?;
    let Some(record) = store.record(&capture.model, version).map_err(broken)? else {
        return Err(gone(listed(store.versions(&capture.model).map_err(broken)?.iter())));
    };
    let mut files = store.read(&record).map_err(broken)?.into_iter();
    let file = |(path, content): (String, Vec<u8>)| ArtifactFile { path, content: content.into() };
    let model = files.next().map(file).ok_or_else(|| gone("its record names no file".to_owned()))?;
    let artifact = Artifact { model, external: files.map(file).collect() };
    here(what, (&artifact, record.digest), inputs, folder)
}

fn gone(model: &ModelName, version: Version, folder: &Path, reason: String) -> Cannot {
    Cannot::VersionGone { model: model.clone(), version, place: format!("in {}", folder.display()), reason }
}

fn listed<'a>(versions: impl Iterator<Item = &'a Version>) -> String {
    let versions: Vec<String> = versions.map(ToString::to_string).collect();
    if versions.is_empty() {
        "there is no version of it".to_owned()
    } else {
        format!("there is {}", versions.join(", "))
    }
}

/// Loads the version and runs it, as a gateway would.
fn here(
    (capture, version): What<'_>,
    (artifact, digest): (&Artifact, Digest),
    inputs: Vec<Tensor>,
    folder: &Path,
) -> Result<Again, Cannot> {
    let failed = |reason: String| Cannot::Failed { version, reason };
    let engine = OnnxEngine::start(&Options { library: Some(engine_onnx::locate(None)?), ..Options::default() })?;
    let fingerprint = Fingerprint { provider: Provider::Cpu.to_string(), ..capture::fingerprint(&engine, 1) };
    let runner = engine.load(artifact).map_err(|error| failed(error.to_string()))?;
    let misfit = |reason: String| Cannot::Misfit { version, reason };
    let inputs = fitted(runner.signature(), inputs).map_err(misfit)?;
    let positions = positions(runner.signature(), capture).map_err(misfit)?;
    let outputs = runner.run(&inputs, &positions, &RunControl::default()).map_err(|error| failed(error.to_string()))?;
    let outputs = outputs.into_iter().zip(&capture.outputs).map(|(now, then)| as_then(now, &then.name, &then.shape));
    let place = format!("here, from {}", folder.display());
    let digest = digest.to_string();
    Ok(Again { version, digest, outputs: outputs.collect(), fingerprint: Some(fingerprint), place })
}

/// The inputs as the graph has them. Callers may know them by other names, and in shapes with or without dimensions of
/// 1: then the order tells which is which.
fn fitted(signature: &Signature, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, String> {
    let specs = &signature.inputs;
    if specs.len() != inputs.len() {
        return Err(format!("it takes {} inputs, the request has {}", specs.len(), inputs.len()));
    }
    let is_by_name = specs.iter().all(|spec| inputs.iter().any(|input| input.name() == spec.name));
    let fit = |(at, spec): (usize, &TensorSpec)| {
        let named = inputs.iter().find(|input| is_by_name && input.name() == spec.name);
        let input = named.unwrap_or(&inputs[at]).clone().named(&spec.name);
        if spec.accepts(input.datatype(), input.shape()) {
            return Ok(input);
        }
        let refused = format!("it takes {spec}, the request has {} {:?}", input.datatype(), input.shape());
        let dims: Vec<Option<usize>> = input.shape().iter().map(|dim| Some(*dim)).collect();
        let shape = without_ones(input.shape(), &dims, &spec.dims).ok_or_else(|| refused.clone())?;
        let input = input.reshaped(shape).map_err(|_| refused.clone())?;
        if spec.accepts(input.datatype(), input.shape()) { Ok(input) } else { Err(refused) }
    };
    specs.iter().enumerate().map(fit).collect()
}

/// Positions of the captured outputs in the graph: by name; where callers know them by others, by position.
fn positions(signature: &Signature, capture: &Capture) -> Result<Vec<usize>, String> {
    let find = |name: &str| signature.outputs.iter().position(|spec| spec.name == name);
    let by_name: Option<Vec<usize>> = capture.outputs.iter().map(|output| find(&output.name)).collect();
    let by_position = || {
        let is_complete = capture.positions.len() == capture.outputs.len();
        let is_there = capture.positions.iter().all(|position| *position < signature.outputs.len());
        (is_complete && is_there).then(|| capture.positions.clone())
    };
    by_name.or_else(by_position).ok_or_else(|| {
        let wanted: Vec<&str> = capture.outputs.iter().map(|output| output.name.as_str()).collect();
        format!("the request asks for {}, it gives {signature}", wanted.join(", "))
    })
}

/// An output under the name and, where nothing but dimensions of 1 differ, in the shape it had then.
fn as_then(now: Tensor, name: &str, shape: &[usize]) -> Tensor {
    let without = |shape: &[usize]| shape.iter().copied().filter(|dim| *dim != 1).collect::<Vec<_>>();
    let now = now.named(name);
    if without(now.shape()) != without(shape) {
        return now;
    }
    let kept = now.clone();
    now.reshaped(shape.to_vec()).unwrap_or(kept)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_types::{Data, DataType};

    use super::*;

    fn spec(name: &str, dims: &[Option<usize>]) -> TensorSpec {
        TensorSpec { name: name.to_owned(), datatype: DataType::Uint8, dims: dims.to_vec() }
    }

    fn tensor(name: &str, shape: &[usize]) -> Tensor {
        let n_elements = shape.iter().product();
        Tensor::new(name, DataType::Uint8, shape.to_vec(), Data::Raw(vec![7; n_elements].into())).unwrap()
    }

    #[test]
    fn inputs_are_found_by_name_and_otherwise_by_order() {
        let signature =
            Signature { inputs: vec![spec("a", &[Some(2)]), spec("b", &[None, Some(3)])], outputs: Vec::new() };
        let check = |inputs: [Tensor; 2], expected: Result<[&[usize]; 2], &str>| {
            let found = fitted(&signature, inputs.into());
            match expected {
                Ok(shapes) => {
                    let found = found.unwrap();
                    assert_eq!([found[0].name(), found[1].name()], ["a", "b"]);
                    assert_eq!([found[0].shape(), found[1].shape()], shapes);
                }
                Err(part) => assert!(found.unwrap_err().contains(part)),
            }
        };
        check([tensor("b", &[1, 3]), tensor("a", &[2])], Ok([&[2], &[1, 3]]));
        check([tensor("x", &[2]), tensor("y", &[4, 3])], Ok([&[2], &[4, 3]]));
        check([tensor("x", &[1, 2]), tensor("y", &[4, 3])], Ok([&[2], &[4, 3]]));
        check([tensor("x", &[3]), tensor("y", &[4, 3])], Err("a UINT8[2]"));
        assert!(fitted(&signature, vec![tensor("a", &[2])]).unwrap_err().contains("2 inputs"));
    }

    #[test]
    fn an_output_takes_the_shape_it_had_where_only_ones_differ() {
        let check = |now: &[usize], then: &[usize], expected: &[usize]| {
            let tensor = as_then(tensor("graph", now), "callers", then);
            assert_eq!((tensor.name(), tensor.shape()), ("callers", expected));
        };
        check(&[1, 3], &[3], &[3]);
        check(&[3], &[3, 1], &[3, 1]);
        check(&[4], &[3], &[4]);
    }
}
