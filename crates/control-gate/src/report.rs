//! What a gate found.

use std::fmt;
use std::time::Duration;

use base_types::Gate;
use serde::{Deserialize, Serialize};

/// Longest sentence of a report.
const TEXT_CHARS_MAX: usize = 2_000;

/// One gate of one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// Its name.
    pub gate: String,
    /// How it ended.
    pub verdict: Verdict,
    /// Whether a failure keeps the version out, unless gates are not enforced.
    pub is_required: bool,
    /// What was measured and what was wanted, in a sentence.
    pub text: String,
    /// What was measured, where that is a number.
    pub measured: Option<f64>,
    /// What it was compared with.
    pub threshold: Option<f64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How a gate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not hold, or could not be asked to the end.
    Failed,
    /// There was nothing to compare with.
    Skipped,
}

impl Verdict {
    /// The word used in reports, journal, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl GateReport {
    /// The gate, if this release knows it.
    pub fn gate(&self) -> Option<Gate> {
        Gate::parse(&self.gate)
    }

    /// Whether it failed.
    pub fn is_failed(&self) -> bool {
        self.verdict == Verdict::Failed
    }
}

/// What a gate says before it is known whether it is required and how long it took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) text: String,
    pub(crate) measured: Option<f64>,
    pub(crate) threshold: Option<f64>,
}

impl Finding {
    fn new(verdict: Verdict, text: impl Into<String>) -> Self {
        Self { verdict, text: text.into(), measured: None, threshold: None }
    }

    pub(crate) fn passed(text: impl Into<String>) -> Self {
        Self::new(Verdict::Passed, text)
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::new(Verdict::Failed, text)
    }

    pub(crate) fn skipped(text: impl Into<String>) -> Self {
        Self::new(Verdict::Skipped, text)
    }

    /// Passed where something holds.
    pub(crate) fn of(holds: bool, text: impl Into<String>) -> Self {
        Self::new(if holds { Verdict::Passed } else { Verdict::Failed }, text)
    }

    /// The number it found, and the one it was compared with.
    pub(crate) fn measured(self, measured: f64, threshold: Option<f64>) -> Self {
        Self { measured: Some(measured), threshold, ..self }
    }

    pub(crate) fn report(self, gate: Gate, is_required: bool, took: Duration) -> GateReport {
        let Self { verdict, text, measured, threshold } = self;
        // Names and values out of files stand in it.
        let text = match text.char_indices().nth(TEXT_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        };
        // JSON has no form for what is no finite number.
        let finite = |number: Option<f64>| number.filter(|n| n.is_finite());
        GateReport {
            gate: gate.as_str().to_owned(),
            verdict,
            is_required,
            text,
            measured: finite(measured),
            threshold: finite(threshold),
            took_ms: took.as_millis() as u64,
        }
    }
}
