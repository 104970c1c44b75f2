//! What the data plane would have counted while the record was made.

use base_types::OutcomeClass;

use crate::frozen::{Frozen, sample_quantiles};
use crate::observed::{ArmTotals, Observed, ShareTotals};
use crate::policy::Guardrail;
use crate::relative::SHARES_MAX;
use crate::replay::{Judged, Recorded};
use crate::trial::{Arm, Successes, Trial};

/// Most of stable's latencies that quantiles are frozen from.
const SAMPLE_MAX: usize = 100_000;

/// The counts so far.
pub(super) struct Counts {
    observed: Observed,
    candidate: Judged,
    stable: Judged,
    /// The bound of the latency limit.
    slower_than_seconds: Option<f64>,
    freezing: Option<Freezing>,
    /// Stable's quantiles, once frozen.
    frozen_seconds: Vec<f64>,
}

/// Stable's first latencies, kept until the quantiles are taken from them.
struct Freezing {
    quantiles: Vec<f64>,
    n_wanted: usize,
    sample: Vec<f64>,
}

impl Counts {
    pub(super) fn new(guardrail: &Guardrail) -> Self {
        let freezing = guardrail.latency_vs_stable.as_ref().map(|rule| Freezing {
            quantiles: rule.quantiles.clone(),
            n_wanted: usize::try_from(rule.freeze_after).map_or(SAMPLE_MAX, |n| n.min(SAMPLE_MAX)),
            sample: Vec::new(),
        });
        Self {
            observed: Observed::default(),
            candidate: Judged::default(),
            stable: Judged::default(),
            slower_than_seconds: guardrail.latency.map(|rule| rule.slower_than_seconds),
            freezing,
            frozen_seconds: Vec::new(),
        }
    }

    pub(super) fn observed(&self) -> &Observed {
        &self.observed
    }

    pub(super) fn successes(&self) -> Successes {
        self.observed.successes
    }

    pub(super) fn judged(&self, arm: Arm) -> Judged {
        match arm {
            Arm::Candidate => self.candidate,
            Arm::Stable => self.stable,
        }
    }

    /// Whether the record is an answer or a fault, and not a caller who left.
    pub(super) fn is_outcome(&self, record: &Recorded) -> bool {
        matches!(record.class, OutcomeClass::Ok | OutcomeClass::VersionFault)
    }

    /// Counts one record of an arm.
    pub(super) fn take(&mut self, arm: Arm, record: &Recorded) {
        let is_ok = record.class == OutcomeClass::Ok;
        if self.is_outcome(record) {
            let judged = match arm {
                Arm::Candidate => &mut self.candidate,
                Arm::Stable => &mut self.stable,
            };
            judged.requests += 1;
            judged.faults += u64::from(!is_ok);
        }
        let successes = &mut self.observed.successes;
        match arm {
            Arm::Candidate => successes.candidate += u64::from(is_ok),
            Arm::Stable => successes.stable += u64::from(is_ok),
        }
        if record.reason.is_random() {
            self.take_random(arm, record);
        }
    }

    fn take_random(&mut self, arm: Arm, record: &Recorded) {
        let is_ok = record.class == OutcomeClass::Ok;
        let is_frozen = !self.frozen_seconds.is_empty();
        if let Some(freezing) = self.freezing.as_mut().filter(|_| is_ok && !is_frozen && arm == Arm::Stable) {
            freezing.sample.push(record.latency_seconds);
        }
        let is_slow = self.slower_than_seconds.is_some_and(|bound| record.latency_seconds > bound);
        // A caller who left after the bound was kept waiting too long; one who left before says nothing.
        let is_timed = is_ok || (record.class == OutcomeClass::Cancelled && is_slow);
        let frozen_seconds = std::mem::take(&mut self.frozen_seconds);
        if let Some(totals) = self.arm_totals(arm, record.share) {
            // As live: requests of one sticky key are not independent of each other.
            totals.assigned += u64::from(record.key.is_none());
            totals.ok += u64::from(is_ok);
            totals.faults += u64::from(record.class == OutcomeClass::VersionFault);
            totals.timed += u64::from(is_timed);
            totals.slow += u64::from(is_timed && is_slow);
            for (n, bound) in totals.slow_at.iter_mut().zip(&frozen_seconds) {
                *n += u64::from(is_ok && record.latency_seconds > *bound);
            }
        }
        self.frozen_seconds = frozen_seconds;
    }

    /// The totals of one arm under one share; `None` when there are too many shares.
    fn arm_totals(&mut self, arm: Arm, share: f64) -> Option<&mut ArmTotals> {
        if !(0.0..=1.0).contains(&share) {
            return None;
        }
        let shares = &mut self.observed.shares;
        let known = shares.iter().position(|totals| totals.share == share);
        if known.is_none() && shares.len() == SHARES_MAX {
            return None;
        }
        let at = known.unwrap_or_else(|| {
            shares.push(ShareTotals { share, ..ShareTotals::default() });
            shares.len() - 1
        });
        Some(match arm {
            Arm::Candidate => &mut shares[at].candidate,
            Arm::Stable => &mut shares[at].stable,
        })
    }

    /// Freezes stable's quantiles once enough of its answers have been seen.
    pub(super) fn freeze_into(&mut self, trial: &mut Trial) {
        let Some(freezing) = self.freezing.take_if(|freezing| freezing.sample.len() >= freezing.n_wanted) else {
            return;
        };
        if let Some(latency_seconds) = sample_quantiles(&freezing.sample, &freezing.quantiles) {
            self.frozen_seconds.clone_from(&latency_seconds);
            let latency_quantiles = freezing.quantiles;
            trial.freeze(Frozen { latency_quantiles, latency_seconds, ..Frozen::default() });
        }
    }
}
