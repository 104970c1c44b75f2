//! Captures: answered requests kept with their inputs and outputs, so that one can be run again and compared.
//!
//! [`CaptureLog`] writes them, on a thread of its own that nobody waits for, to `captures/captures.jsonl` in the state
//! directory; [`Captures`] reads them, beside a running gateway or without one. A line is complete or it is passed
//! over, so a process that was killed while writing leaves nothing that misleads.
//!
//! Reading order: `line` (one capture as text), `log` (writing), `reader` (finding).

use std::path::{Path, PathBuf};

use base_serving::CapturedTensor;
use base_types::{DataType, Digest, ModelName, Tensor, Version};
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod line;
mod log;
mod reader;

pub use log::{CaptureEnd, CaptureLimits, CaptureLog};
pub use reader::{Captures, Held, RECENT_BYTES_MAX, RECENT_MAX};

/// The folder below the state directory.
const FOLDER: &str = "captures";
/// The files in it: `captures.jsonl`, and `captures.1.jsonl` and so on set aside.
const NAME: &str = "captures";
/// In the folder: what the gateway that was started last computes with.
const RUNTIME_FILE: &str = "runtime.json";

/// Where captures lie below a state directory.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join(FOLDER)
}

/// What an answer was computed with, besides the version. Where two are the same, the same version gives the same bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Fingerprint {
    /// Switchrail's version.
    pub switchrail: String,
    /// The runtime's version.
    pub runtime: String,
    /// Operating system and processor family, such as `linux x86_64`.
    pub machine: String,
    /// What the processor can do as far as kernels are chosen by it, sorted.
    pub cpu_features: String,
    /// The execution provider, in the word of routing.toml; empty where that is not known, because it is a model's and
    /// not the process's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// Options of the session: threads, optimisation.
    pub session: String,
    /// Threads that run models. Each run has one of them, so this alone changes no bit.
    pub run_threads: usize,
}

/// One answered request.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// The answer's id.
    pub prediction_id: String,
    /// When it was answered, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The model.
    pub model: ModelName,
    /// The version that answered.
    pub version: Version,
    /// What that version was.
    pub digest: Digest,
    /// The generation of the snapshot that routed it.
    pub generation: u64,
    /// Why that version, in the words of the header `switchrail-reason`; `fallback` where it stood in for another one.
    pub reason: String,
    /// What it was computed with.
    pub fingerprint: Fingerprint,
    /// The outputs asked for, in order; empty for all.
    pub asked: Vec<String>,
    /// Positions of the outputs in the version's signature, in the order of `outputs`.
    pub positions: Vec<usize>,
    /// The inputs in the order of the version's signature, under the names callers use.
    pub inputs: Vec<CapturedTensor>,
    /// The outputs as they were answered.
    pub outputs: Vec<CapturedTensor>,
    /// Rows of the whole run, where it was shared with other requests: kernels may add up in another order then, and the
    /// last bits differ from those of a run alone.
    pub batch_rows: Option<usize>,
    /// Whether the elements of any input or output were left out.
    pub was_redacted: bool,
    /// The trace of the caller's request, where he said so.
    pub trace_id: Option<String>,
}

/// Captures cannot be read.
#[derive(Debug, Error)]
pub enum CapturesError {
    /// There are none.
    #[error(
        "nothing was captured in {}: set share in [models.NAME.capture] of routing.toml, and captures = true in [record] of gateway.toml", .0.display()
    )]
    None(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Capture {
    /// The inputs, in the order of the signature; `None` where one of them was redacted, or has elements that do not fit
    /// it.
    pub fn inputs(&self) -> Option<Vec<Tensor>> {
        whole(&self.inputs)
    }

    /// The outputs; `None` as for the inputs.
    pub fn outputs(&self) -> Option<Vec<Tensor>> {
        whole(&self.outputs)
    }

    /// Names of inputs and outputs that were redacted.
    pub fn redacted(&self) -> Vec<&str> {
        let all = self.inputs.iter().chain(&self.outputs);
        all.filter(|tensor| tensor.data.is_none()).map(|tensor| tensor.name.as_str()).collect()
    }

    /// Whether stable stood in for the version that was asked first.
    pub fn is_fallback(&self) -> bool {
        self.reason == base_types::Reason::Fallback.as_str()
    }

    /// The inputs as the body of a request of the Open Inference Protocol; `None` where one was redacted.
    pub fn request(&self) -> Option<serde_json::Value> {
        let inputs: Option<Vec<_>> = self.inputs()?.iter().map(line::as_request_input).collect();
        let outputs: Vec<_> = self.asked.iter().map(|name| serde_json::json!({ "name": name })).collect();
        let mut body = serde_json::json!({ "inputs": inputs? });
        if !outputs.is_empty() {
            body["outputs"] = outputs.into();
        }
        Some(body)
    }
}

fn whole(tensors: &[CapturedTensor]) -> Option<Vec<Tensor>> {
    tensors.iter().map(|tensor| tensor.tensor()?.ok()).collect()
}

impl Fingerprint {
    /// What differs from another one, a sentence each, in the order of how much it matters. Empty where the same version
    /// must give the same bits.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let rows = [
            ("ONNX Runtime", &self.runtime, &now.runtime),
            ("the machine", &self.machine, &now.machine),
            ("the provider", &self.provider, if now.provider.is_empty() { &self.provider } else { &now.provider }),
            ("the processor's features", &self.cpu_features, &now.cpu_features),
            ("the session's options", &self.session, &now.session),
        ];
        let differing = rows.iter().filter(|(_, then, now)| then != now);
        differing.map(|(what, then, now)| difference(what, then, now)).collect()
    }

    /// What the gateway that was started last on this state directory computes with; `None` where none has been, or it
    /// captured nothing.
    pub fn of_last_start(state_dir: &Path) -> Option<Self> {
        let text = std::fs::read(folder(state_dir).join(RUNTIME_FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Long lists are told by what came and went.
fn difference(what: &str, then: &str, now: &str) -> String {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let (before, after) = (words(then), words(now));
    if before.len() + after.len() <= 12 {
        return format!("{what} was {then:?}, is {now:?}");
    }
    let list = |words: Vec<&String>| words.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let gone = list(before.difference(&after).collect());
    let new = list(after.difference(&before).collect());
    format!("{what} differ: gone [{gone}], new [{new}]")
}

/// The protocol's name of a type is what a line holds.
fn datatype(text: &str) -> Option<DataType> {
    DataType::parse(text)
}

#[cfg(test)]
mod tests;
