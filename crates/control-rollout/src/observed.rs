//! What the data plane counted, as plain totals: the material of every rule but those on errors.
//!
//! Totals only grow while a trial is open, and start at zero with it and after a restart. A request is counted under
//! the share of the snapshot that routed it. Only requests drawn at random are counted: no pinned ones, no fallback
//! attempts. Requests of one sticky key are not independent of each other; where a few keys make most of the traffic,
//! the two-sided rules (drift, sample ratio) see that as a difference between the arms.

use crate::policy::LATENCY_QUANTILES_MAX;
use crate::trial::{Arm, Successes};

/// Most bins of an output.
pub const BINS_MAX: usize = 32;

/// Everything counted so far. Changes nothing by itself: hand it to `Trial::observe`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// Successes of both arms, counted as for a fault.
    pub successes: Successes,
    /// The requests of both arms by the candidate's share, each share once, at most `SHARES_MAX` of them. A share
    /// that is left out is over; should it come again, its totals start at zero.
    pub shares: Vec<ShareTotals>,
    /// What copies of stable's requests showed.
    pub shadow: ShadowTotals,
}

/// The requests routed under one share.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ShareTotals {
    /// The candidate's share of (candidate + stable), from 0 to 1.
    pub share: f64,
    /// The candidate's.
    pub candidate: ArmTotals,
    /// Stable's.
    pub stable: ArmTotals,
}

/// One arm's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArmTotals {
    /// Requests assigned to the arm.
    pub assigned: u64,
    /// Answered well.
    pub ok: u64,
    /// Version faults.
    pub faults: u64,
    /// Requests whose time counts: those answered, and those whose caller left after the bound of the latency limit.
    pub timed: u64,
    /// Of those, slower than the bound of the latency limit.
    pub slow: u64,
    /// Answers slower than each frozen quantile of stable, in the order of the guardrail; zero until they are frozen.
    pub slow_at: [u64; LATENCY_QUANTILES_MAX],
    /// Good answers by the bin of the judged output; zero until the edges of deciles are frozen.
    pub bins: [u64; BINS_MAX],
    /// Answers that a label came back for.
    pub labels: u64,
    /// Of those, wrong.
    pub mistakes: u64,
}

/// Copies of stable's requests that the candidate answered for nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShadowTotals {
    /// Answers compared with stable's.
    pub compared: u64,
    /// Of those, other than stable's.
    pub disagreed: u64,
    /// Copies the candidate could not answer although stable could. Timeouts are left out: copies run last.
    pub faults: u64,
    /// Copies whose time counts.
    pub timed: u64,
    /// Of those, slower than the bound of the latency limit.
    pub slow: u64,
}

/// One loss that feedback reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossSample {
    /// Whose answer it was.
    pub arm: Arm,
    /// The candidate's share when the request was routed.
    pub share: f64,
    /// From 0, a perfect answer, to 1.
    pub loss: f64,
}

impl ArmTotals {
    /// What was added since `before`, which must not be ahead: what is, counts as nothing.
    pub(crate) fn since(&self, before: &Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    /// The sum of both.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// The larger of each: totals read by two threads may arrive in the wrong order.
    pub(crate) fn max(&self, other: &Self) -> Self {
        self.with(other, u64::max)
    }

    fn with(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            assigned: f(self.assigned, other.assigned),
            ok: f(self.ok, other.ok),
            faults: f(self.faults, other.faults),
            timed: f(self.timed, other.timed),
            slow: f(self.slow, other.slow),
            slow_at: std::array::from_fn(|i| f(self.slow_at[i], other.slow_at[i])),
            bins: std::array::from_fn(|i| f(self.bins[i], other.bins[i])),
            labels: f(self.labels, other.labels),
            mistakes: f(self.mistakes, other.mistakes),
        }
    }
}

impl ShareTotals {
    /// Nothing under this share.
    pub(crate) fn empty(share: f64) -> Self {
        Self { share, ..Self::default() }
    }

    /// Combines both arms with those of another total; the share stays.
    pub(crate) fn combined(&self, other: &Self, f: impl Fn(&ArmTotals, &ArmTotals) -> ArmTotals) -> Self {
        Self {
            share: self.share,
            candidate: f(&self.candidate, &other.candidate),
            stable: f(&self.stable, &other.stable),
        }
    }
}

impl ShadowTotals {
    /// What was added since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    /// The sum of both.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// The larger of each.
    pub(crate) fn max(&self, other: &Self) -> Self {
        self.with(other, u64::max)
    }

    /// Copies that showed the candidate to answer otherwise: a fault is no answer like stable's either.
    pub fn unlike(&self) -> u64 {
        self.disagreed.saturating_add(self.faults)
    }

    /// Copies answered like stable.
    pub fn alike(&self) -> u64 {
        self.compared.saturating_sub(self.disagreed)
    }

    fn with(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            compared: f(self.compared, other.compared),
            disagreed: f(self.disagreed, other.disagreed),
            faults: f(self.faults, other.faults),
            timed: f(self.timed, other.timed),
            slow: f(self.slow, other.slow),
        }
    }
}
