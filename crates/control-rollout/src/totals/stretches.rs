//! Totals by share: what is new since the last look, and the two-sided evidence of each share.

use crate::drift::{DRIFT_KAPPA, SAMPLE_RATIO_KAPPA, bins_log_e};
use crate::evidence::Over;
use crate::observed::{ArmTotals, ShareTotals};
use crate::relative::SHARES_MAX;

/// The shares under way, and what those that are over have left.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Stretches {
    open: Vec<Stretch>,
    over: Over,
}

/// The requests under one share.
#[derive(Debug, Clone, PartialEq)]
struct Stretch {
    /// What was taken since the trial began.
    taken: ShareTotals,
    /// The totals when they were last looked at, since the process began.
    seen: ShareTotals,
    drift_log_e: f64,
    sample_ratio_log_e: f64,
}

impl Stretches {
    /// Goes on after a restart.
    pub(crate) fn resumed(shares: &[ShareTotals], over: Over) -> Self {
        let mut open: Vec<_> =
            shares.iter().map(|taken| Stretch { taken: *taken, ..Stretch::new(taken.share) }).collect();
        open.iter_mut().for_each(Stretch::weigh);
        Self { open, over }
    }

    /// Takes totals: closes the shares that are not among them, and gives what is new under each of the others.
    /// Shares beyond the bound are not taken.
    pub(crate) fn take(&mut self, shares: &[ShareTotals], mut on_news: impl FnMut(&ShareTotals)) {
        self.close_all_but(shares);
        for totals in shares {
            let Some(stretch) = self.at(totals.share) else { continue };
            let news = totals.combined(&stretch.seen, ArmTotals::since);
            stretch.seen = totals.combined(&stretch.seen, ArmTotals::max);
            if news != ShareTotals::empty(totals.share) {
                stretch.taken = stretch.taken.combined(&news, ArmTotals::plus);
                stretch.weigh();
                on_news(&news);
            }
        }
    }

    /// Holds totals for taken without taking them.
    pub(crate) fn skip(&mut self, shares: &[ShareTotals]) {
        for totals in shares {
            if let Some(stretch) = self.at(totals.share) {
                stretch.seen = *totals;
            }
        }
    }

    /// `ln E` on drift over all shares.
    pub(crate) fn drift_log_e(&self) -> f64 {
        self.open.iter().fold(self.over.drift_log_e, |sum, s| sum + s.drift_log_e)
    }

    /// `ln E` on the sample ratio over all shares.
    pub(crate) fn sample_ratio_log_e(&self) -> f64 {
        self.open.iter().fold(self.over.sample_ratio_log_e, |sum, s| sum + s.sample_ratio_log_e)
    }

    /// What was taken under each share that is not over.
    pub(crate) fn shares(&self) -> impl Iterator<Item = &ShareTotals> {
        self.open.iter().map(|s| &s.taken)
    }

    /// What the shares that are over have left.
    pub(crate) fn over(&self) -> Over {
        self.over
    }

    /// Everything taken where both arms got requests: what the two-sided rules judge.
    pub(crate) fn compared(&self) -> ShareTotals {
        let compared = self.shares().filter(|taken| taken.share > 0.0 && taken.share < 1.0);
        compared.fold(self.over.totals, |sum, taken| sum.combined(taken, ArmTotals::plus))
    }

    fn close_all_but(&mut self, listed: &[ShareTotals]) {
        let over = &mut self.over;
        self.open.retain(|stretch| {
            let is_listed = listed.iter().any(|totals| totals.share == stretch.taken.share);
            if !is_listed && stretch.taken.share > 0.0 && stretch.taken.share < 1.0 {
                over.totals = over.totals.combined(&stretch.taken, ArmTotals::plus);
                over.drift_log_e += stretch.drift_log_e;
                over.sample_ratio_log_e += stretch.sample_ratio_log_e;
            }
            is_listed
        });
    }

    fn at(&mut self, share: f64) -> Option<&mut Stretch> {
        let known = self.open.iter().position(|s| s.taken.share == share);
        let is_share = (0.0..=1.0).contains(&share);
        if known.is_none() && is_share && self.open.len() < SHARES_MAX {
            self.open.push(Stretch::new(share));
            return self.open.last_mut();
        }
        self.open.get_mut(known?)
    }
}

impl Stretch {
    fn new(share: f64) -> Self {
        let empty = ShareTotals::empty(share);
        Self { taken: empty, seen: empty, drift_log_e: 0.0, sample_ratio_log_e: 0.0 }
    }

    fn weigh(&mut self) {
        let ShareTotals { share, candidate, stable } = &self.taken;
        self.drift_log_e = bins_log_e(&candidate.bins, &stable.bins, *share, DRIFT_KAPPA);
        let (candidate, stable) = ([candidate.assigned], [stable.assigned]);
        self.sample_ratio_log_e = bins_log_e(&candidate, &stable, *share, SAMPLE_RATIO_KAPPA);
    }
}
