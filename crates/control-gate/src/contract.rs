//! Whether inputs and outputs are as the manifest says, and whether the callers of stable are served by them.

use base_types::{Signature, TensorSpec};

use crate::report::Finding;
use crate::run::Asking;

pub(crate) fn ask(asking: &Asking<'_>) -> Option<Finding> {
    let candidate = asking.asked.candidate;
    let expected = asking.manifest.signature.as_ref();
    if let Some(text) = expected.and_then(|expected| misfit(expected, candidate.graph())) {
        return Some(Finding::failed(text));
    }
    let Some((version, stable)) = asking.asked.stable else {
        return expected.map(|_| Finding::passed("inputs and outputs are as the manifest says"));
    };
    let (before, after) = (stable.contract(), candidate.contract());
    Some(match before.succeeded_by(after) {
        Ok(()) => Finding::passed(format!("callers of version {version} are served by it")),
        Err(error) => Finding::failed(format!(
            "it cannot succeed version {version}: {error}; {version} is {before}, it is {after}; where only names differ, \
             map them in [models.{}.versions] of routing.toml",
            asking.asked.model
        )),
    })
}

/// The first difference between a signature as it is expected and as it is, whatever the order.
fn misfit(expected: &Signature, found: &Signature) -> Option<String> {
    let side = |word: &str, expected: &[TensorSpec], found: &[TensorSpec]| {
        let other = expected
            .iter()
            .find(|spec| !found.contains(spec))
            .or_else(|| found.iter().find(|spec| !expected.contains(spec)));
        other.map(|spec| format!("the {word} {spec} is not on both sides"))
    };
    let text =
        side("input", &expected.inputs, &found.inputs).or_else(|| side("output", &expected.outputs, &found.outputs))?;
    Some(format!("{text}: the manifest says {expected}, the model is {found}"))
}
