//! Asks the gates in order. One that fails does not keep the others from being asked: whoever mends a version wants to
//! know everything at once.

use std::time::{Duration, Instant};

use base_types::{Clock, Comparison, Digest, Gate, ModelName, Tensor, Version};
use control_config::GateRules;

use crate::beside::Beside;
use crate::manifest::Manifest;
use crate::replay::Recorded;
use crate::report::{Finding, GateReport};
use crate::subject::{Fault, Ran, Subject, answer};
use crate::{budget, contract, golden, identity, quality, replay};

/// A version at the gates, and everything it is asked by.
pub struct Asked<'a> {
    /// Under this model.
    pub model: &'a ModelName,
    /// Its content.
    pub digest: Digest,
    /// The content that is expected, by the record of whoever pushed it.
    pub expected: Option<Digest>,
    /// What lies beside it.
    pub beside: &'a Beside,
    /// What the operator asks.
    pub rules: &'a GateRules,
    /// When two answers of this model are the same.
    pub comparison: &'a Comparison,
    /// What the scan of its file found out, in a sentence.
    pub preflight: &'a str,
    /// The version itself.
    pub candidate: &'a dyn Subject,
    /// The version it would replace; `None` where there is none.
    pub stable: Option<(Version, &'a dyn Subject)>,
    /// Recorded requests, the newest first.
    pub recorded: &'a [Recorded],
    /// The time.
    pub clock: &'a dyn Clock,
}

/// Why a gate could not be asked to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    OutOfTime,
    Fault(Fault),
}

/// The gates of one version while they are asked.
pub(crate) struct Asking<'a> {
    pub(crate) asked: &'a Asked<'a>,
    pub(crate) manifest: &'a Manifest,
    end: Instant,
}

impl Asking<'_> {
    /// Has a subject answer, unless the time is up.
    pub(crate) fn answer(&self, subject: &dyn Subject, inputs: &[Tensor]) -> Result<Ran, Halt> {
        if self.asked.clock.now() >= self.end {
            return Err(Halt::OutOfTime);
        }
        answer(subject, inputs).map_err(Halt::Fault)
    }

    /// A halt in a sentence.
    pub(crate) fn told(&self, halt: &Halt) -> String {
        match halt {
            Halt::Fault(fault) => fault.to_string(),
            Halt::OutOfTime => format!(
                "the gates have {} ms together, and they are over; ask less, or raise time_ms in [models.{}.gates]",
                self.asked.rules.time.as_millis(),
                self.asked.model
            ),
        }
    }
}

/// Asks every gate that is asked for, in order.
pub fn run(asked: &Asked<'_>) -> Vec<GateReport> {
    let began = asked.clock.now();
    let manifest = match &asked.beside.manifest {
        Ok(manifest) => manifest,
        Err(text) => return vec![Finding::failed(text.clone()).report(Gate::Manifest, true, Duration::ZERO)],
    };
    let asking = Asking { asked, manifest, end: began + asked.rules.time };
    let mut reports = Vec::new();
    for gate in Gate::ALL {
        let began = asked.clock.now();
        let is_named = asked.rules.required.as_ref().is_some_and(|required| required.contains(gate));
        let found = ask(&asking, *gate);
        let finding = match found {
            Some(finding) => finding,
            None if is_named => Finding::failed(missing(*gate, asked.model)),
            None => continue,
        };
        let is_required = is_required(*gate, &asking, is_named);
        let took = asked.clock.now().saturating_duration_since(began);
        reports.push(finding.report(*gate, is_required, took));
    }
    reports
}

/// Asks one gate; `None` where nobody says what it should hold.
fn ask(asking: &Asking<'_>, gate: Gate) -> Option<Finding> {
    match gate {
        Gate::Manifest => {
            asking.asked.beside.has_manifest.then(|| Finding::passed("it is read, with the files it names"))
        }
        Gate::Digest => identity::digest(asking),
        Gate::Signed => identity::signed(asking),
        Gate::Preflight => Some(Finding::passed(asking.asked.preflight)),
        Gate::Contract => contract::ask(asking),
        Gate::Golden => golden::ask(asking),
        Gate::Quality => quality::ask(asking),
        Gate::Latency => budget::latency(asking),
        Gate::Memory => budget::memory(asking),
        Gate::Replay => replay::ask(asking),
    }
}

/// Whether a failure keeps the version out.
fn is_required(gate: Gate, asking: &Asking<'_>, is_named: bool) -> bool {
    let (rules, manifest) = (asking.asked.rules, asking.manifest);
    match gate {
        // Whoever sets keys means it, and other content than was announced is never meant.
        Gate::Manifest | Gate::Digest | Gate::Preflight => true,
        Gate::Signed if !rules.keys.is_empty() => true,
        _ if rules.required.is_some() => is_named,
        Gate::Signed => false,
        Gate::Contract => manifest.signature.is_some(),
        Gate::Golden | Gate::Quality | Gate::Latency | Gate::Memory | Gate::Replay => true,
    }
}

fn missing(gate: Gate, model: &ModelName) -> String {
    let hint = match gate {
        Gate::Manifest => "put a manifest.toml beside the model",
        Gate::Digest => "say digest in manifest.toml",
        Gate::Signed => "set keys, and sign the version with `switchrail sign`",
        Gate::Golden => "give [[golden]] cases in manifest.toml",
        Gate::Quality => "give a [quality] set in manifest.toml",
        Gate::Latency => "give latency_p95_ms in [budgets] of manifest.toml",
        Gate::Memory => "give memory_mib in [budgets] of manifest.toml",
        Gate::Replay => "set replay there",
        Gate::Preflight | Gate::Contract => "say what it should hold",
    };
    format!("[models.{model}.gates] of routing.toml requires it, and nothing says what it should hold: {hint}")
}
