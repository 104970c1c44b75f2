//! What a rollout is made of beside what the journal keeps: its policy as values, answers of its checks, and where the
//! counts stood when its step began. Lost in a restart, and found again or begun anew.

use std::sync::{Arc, Mutex};

use base_types::Rollout;
use control_config::parse_policy;
use control_rollout::Policy;
use control_rollout::rollout::{Check, Trip};

/// Verdicts waiting for the control thread; the rules are fewer.
const TRIPS_MAX: usize = 64;

/// A rollout under way.
pub(crate) struct Live {
    pub(crate) policy: Arc<Policy>,
    /// What the gate said since the step began.
    pub(crate) gate: Option<Check>,
    /// Where the warm-up's thread leaves its result, once there is one; another place for each warm-up, so that an older
    /// one is void.
    pub(crate) warm_up: Option<Arc<Mutex<Option<Check>>>>,
    /// Verdicts that move no traffic at once.
    pub(crate) trips: Vec<Trip>,
    /// Where the counts stood when the step began.
    pub(crate) at_step: AtStep,
    /// Counts when they last grew, and when that was.
    last_count: u64,
    pub(crate) last_request_unix_ms: Option<u64>,
}

/// Counts at the beginning of a step.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AtStep {
    /// Which one: its position and shares, and how often the rollout was tried again. Its time is not part of it, for
    /// that moves on with every pause.
    step: Option<(usize, f64, f64, u32)>,
    pub(crate) n_requests: u64,
    pub(crate) n_shadowed: u64,
}

/// Counts of the candidate since its trial opened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) n_requests: u64,
    pub(crate) n_shadowed: u64,
}

impl Live {
    /// Of a rollout as the journal has it. `None` where its policy cannot be read any more, which an older release may
    /// have written.
    pub(crate) fn of(rollout: &Rollout) -> Option<Self> {
        let policy = parse_policy(&rollout.policy_text).ok()?;
        Some(Self::new(Arc::new(policy)))
    }

    pub(crate) fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            gate: None,
            warm_up: None,
            trips: Vec::new(),
            at_step: AtStep::default(),
            last_count: 0,
            last_request_unix_ms: None,
        }
    }

    /// Keeps a verdict for the next tick; one of each rule.
    pub(crate) fn trip(&mut self, trip: Trip) {
        let is_known = self.trips.iter().any(|known| known.rule == trip.rule && known.on_failure == trip.on_failure);
        if !is_known && self.trips.len() < TRIPS_MAX {
            self.trips.push(trip);
        }
    }

    /// Takes the counts of now into account: where they stood at the beginning of the step, and when they last grew.
    pub(crate) fn see(&mut self, rollout: &Rollout, counts: Counts, now_unix_ms: u64) {
        let step = Some((rollout.step, rollout.share, rollout.shadow_share, rollout.retries));
        if self.at_step.step != step {
            self.at_step = AtStep { step, n_requests: counts.n_requests, n_shadowed: counts.n_shadowed };
        }
        let count = counts.n_requests + counts.n_shadowed;
        if count > self.last_count {
            self.last_request_unix_ms = Some(now_unix_ms);
        }
        self.last_count = count;
    }

    /// What the warm-up said.
    pub(crate) fn warmed_up(&self) -> Option<Check> {
        self.warm_up.as_ref()?.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// What was checked before counts no more: it is checked again.
    pub(crate) fn forget_checks(&mut self) {
        (self.gate, self.warm_up) = (None, None);
    }
}
