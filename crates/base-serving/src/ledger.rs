//! Where every attempt and every request is recorded, once: metrics and the judge read the same value.
//!
//! Faults are rare and judged at once, on the thread that saw them; everything else is a few atomic
//! increments. When `attempt` returns, a rollback it caused is already published.

use std::sync::Arc;
use std::time::Instant;

use base_routing::Assignment;
use base_types::{FaultKind, Outcome, OutcomeClass, Reason};

use crate::{ServingModel, ServingVersion, Watch};

/// What became of the same input on stable after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rerun {
    /// Stable was not asked, or could not finish: no budget, no time, a pin.
    None,
    /// Stable answered: the fault is the version's alone.
    Answered,
    /// Stable failed too: the input is to blame.
    Failed,
}

/// An attempt as the ledger needs to know it.
pub struct Attempt<'a> {
    /// The model, as of the request's snapshot.
    pub model: &'a ServingModel,
    /// The version asked.
    pub version: &'a ServingVersion,
    /// Why it was asked.
    pub assignment: &'a Assignment,
    /// What stable made of the same input, if this attempt failed.
    pub rerun: Rerun,
}

/// A fault, as the judge needs to know it.
pub struct FaultReport<'a> {
    /// The attempt.
    pub attempt: &'a Attempt<'a>,
    /// What went wrong.
    pub kind: FaultKind,
}

/// Decides on a fault. Implemented by the control plane; called under no lock.
pub trait Judge: Send + Sync {
    /// Takes a fault into account and acts on it before returning.
    fn on_fault(&self, report: &FaultReport<'_>);
}

/// Writes outcomes down. Implemented by the control plane; called on the request path.
pub trait OutcomeSink: Send + Sync {
    /// Takes the end of an attempt or drops it and counts that; never waits, never touches the disk.
    fn ended(&self, attempt: &Attempt<'_>, outcome: &Outcome, unix_ms: u64);
}

/// Records outcomes.
pub struct OutcomeLedger {
    judge: Arc<dyn Judge>,
    started: Instant,
    written: Option<Written>,
}

/// Where outcomes are written down, and the wall clock's time when the monotonic one stood at `started`.
struct Written {
    sink: Arc<dyn OutcomeSink>,
    started_unix_ms: u64,
}

impl OutcomeLedger {
    /// `started` is the origin of the seconds that classic windows count in.
    pub fn new(judge: Arc<dyn Judge>, started: Instant) -> Self {
        Self { judge, started, written: None }
    }

    /// Has outcomes written down, too. `started_unix_ms` is the time of `started` in milliseconds since 1970.
    #[must_use]
    pub fn with_sink(self, sink: Arc<dyn OutcomeSink>, started_unix_ms: u64) -> Self {
        Self { written: Some(Written { sink, started_unix_ms }), ..self }
    }

    /// Records one attempt at a version. `now` is when it ended.
    pub fn attempt(&self, attempt: &Attempt<'_>, outcome: &Outcome, now: Instant) {
        let version = attempt.version;
        version.metrics.attempt(outcome);
        if attempt.assignment.split.is_some() && outcome.reason != Reason::Fallback {
            version.tally.count_drawn();
        }
        if let Some(watch) = &attempt.model.watch {
            count_watched(watch, attempt, outcome);
        }
        if let Some(Written { sink, started_unix_ms }) = &self.written {
            let since = now.saturating_duration_since(self.started).as_millis() as u64;
            sink.ended(attempt, outcome, started_unix_ms + since);
        }
        if !outcome.reason.is_evidence() {
            return;
        }
        match (outcome.class, outcome.fault) {
            (OutcomeClass::Ok, _) => {
                version.tally.count_success();
                self.count_in_window(attempt, outcome, now);
            }
            (OutcomeClass::VersionFault, Some(kind)) => {
                // Only what stable could answer, or was not to be asked, is surely the version's.
                if attempt.rerun == Rerun::Answered || !attempt.model.limits.has_fallback {
                    self.count_in_window(attempt, outcome, now);
                }
                if attempt.model.is_judged {
                    self.judge.on_fault(&FaultReport { attempt, kind });
                }
            }
            _ => {}
        }
    }

    fn count_in_window(&self, attempt: &Attempt<'_>, outcome: &Outcome, now: Instant) {
        if attempt.model.limits.is_windowed {
            let seconds = now.saturating_duration_since(self.started).as_secs();
            let took = outcome.queue + outcome.run;
            attempt.version.tally.count_in_window(seconds, took, outcome.class == OutcomeClass::VersionFault);
        }
    }
}

/// An answer that stands in for another version's is nobody's evidence.
fn count_watched(watch: &Watch, attempt: &Attempt<'_>, outcome: &Outcome) {
    let is_own = outcome.reason == attempt.assignment.reason;
    if let Some(arm) = watch.arm(attempt.assignment).filter(|_| is_own) {
        watch.attempted((arm, attempt.assignment.key), outcome, attempt.rerun);
    }
}
