//! What a version has to pass before it may take traffic.
//!
//! [`run`] asks every gate in order and gives a [`GateReport`] for each: what was measured, what was wanted, and in a
//! sentence why it passed, failed or was skipped. Which gates there are is said by the [`Manifest`] that lies beside the
//! model and by the model's [`GateRules`](control_config::GateRules); what is measured is a [`Subject`], which the
//! gateway and the command line each have their own of. Nothing here reads a file, a clock or a runtime by itself:
//! files come through a closure, time through a [`Clock`](base_types::Clock), answers through the subject.
//!
//! Reading order: `manifest` and `beside` (what is asked for), `tensors` (requests as JSON), `subject` (what is asked),
//! `run` (who is asked in which order), then one module for each gate; `verdict` (what follows), `sign`.

mod beside;
mod budget;
mod contract;
mod difference;
mod golden;
mod identity;
mod manifest;
mod quality;
mod replay;
mod report;
mod run;
pub mod sign;
mod subject;
mod tensors;
mod verdict;

pub use beside::{Beside, FILE_BYTES_MAX, FILES_BYTES_MAX, ReadFile};
pub use difference::{Difference, compare};
pub use manifest::{GoldenCase, MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest, ManifestError, QualityMetric};
pub use replay::Recorded;
pub use report::{GateReport, Verdict};
pub use run::{Asked, run};
pub use subject::{Fault, Ran, RunnerSubject, Subject, answer, to_callers, to_graph};
pub use tensors::{TensorsError, read_tensors};
pub use verdict::{failing, fingerprint, refusal};
