//! T9: is the candidate's mean loss above stable's, by more than is tolerated?
//!
//! A bet. Each loss of the candidate is set against the mean of as many unused losses of stable as the shares give:
//! were the candidate no worse, the difference would be at most the tolerated one on average, and a player who stakes
//! a fixed part of his capital on "worse" would not gain. The capital, averaged over a few stakes, is the evidence.

use std::collections::VecDeque;

use crate::checkpoint::RuleCheckpoint;
use crate::logs::log_mean_exp;
use crate::observed::LossSample;
use crate::relative::SHARES_MAX;
use crate::restart::Restart;
use crate::rule::Rule;
use crate::trial::Arm;

/// The parts of the capital that are staked; those that a single loss could ruin are left out.
pub const LOSS_STAKES: [f64; 5] = [0.05, 0.1, 0.2, 0.4, 0.7];
/// Most losses of stable that one of the candidate is set against.
const BLOCK_MAX: usize = 128;
/// Most losses that wait for their counterpart, for each arm and share. The oldest goes first, whatever it is.
const WAITING_MAX: usize = 1024;

/// The stakes that can be played when so much extra loss is tolerated.
pub fn loss_stakes(tolerate_extra: f64) -> Vec<f64> {
    LOSS_STAKES.into_iter().filter(|stake| stake * (1.0 + tolerate_extra) < 1.0).collect()
}

/// `ln` of the mean capital after these differences, each in \[-1, 1\].
pub fn block_bet_log_e(differences: &[f64], stakes: &[f64], tolerate_extra: f64) -> f64 {
    let capital = |stake: &f64| differences.iter().map(|d| (stake * (d - tolerate_extra)).ln_1p()).sum::<f64>();
    log_mean_exp(stakes.iter().map(capital))
}

/// How many losses of stable one of the candidate is set against.
pub fn loss_block(share: f64) -> usize {
    // The cast saturates, and the bounds hold for shares near 0 and 1 too.
    (((1.0 - share) / share).round() as usize).clamp(1, BLOCK_MAX)
}

/// The bet with its restart term.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LossTest {
    tolerate_extra: f64,
    stakes: Vec<f64>,
    log_products: Vec<f64>,
    restart: Restart,
    n_blocks: u64,
    n_stable: u64,
    sum_difference: f64,
    waiting: Vec<Waiting>,
}

/// Losses under one share that have no counterpart yet. They are lost at a restart: that costs evidence, no more.
#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    share: f64,
    candidate: VecDeque<f64>,
    stable: VecDeque<f64>,
}

impl LossTest {
    /// Starts with nothing seen.
    pub(crate) fn new(tolerate_extra: f64) -> Self {
        let stakes = loss_stakes(tolerate_extra);
        let n = stakes.len();
        Self {
            tolerate_extra,
            log_products: vec![0.0; n],
            restart: Restart::new(n),
            stakes,
            n_blocks: 0,
            n_stable: 0,
            sum_difference: 0.0,
            waiting: Vec::new(),
        }
    }

    /// Takes one loss. What is no loss, or came under a share that compares nothing, is not taken.
    pub(crate) fn on_loss(&mut self, sample: &LossSample) -> bool {
        let LossSample { arm, share, loss } = *sample;
        if !(share > 0.0 && share < 1.0 && (0.0..=1.0).contains(&loss)) {
            return false;
        }
        let waiting = self.waiting_under(share);
        let queue = match arm {
            Arm::Candidate => &mut waiting.candidate,
            Arm::Stable => &mut waiting.stable,
        };
        if queue.len() == WAITING_MAX {
            queue.pop_front();
        }
        queue.push_back(loss);
        if let Some((difference, n_stable)) = waiting.next_block() {
            self.n_stable = self.n_stable.saturating_add(n_stable);
            self.bet(difference);
        }
        true
    }

    /// `ln E` of the plain test.
    pub(crate) fn log_e(&self) -> f64 {
        log_mean_exp(self.log_products.iter().copied())
    }

    /// The restart term.
    pub(crate) fn restart(&self) -> &Restart {
        &self.restart
    }

    /// Losses of the candidate that were set against stable's so far.
    pub(crate) fn n_blocks(&self) -> u64 {
        self.n_blocks
    }

    /// Losses of stable used for that.
    pub(crate) fn n_stable(&self) -> u64 {
        self.n_stable
    }

    /// The mean difference so far; `None` before the first.
    pub(crate) fn mean_difference(&self) -> Option<f64> {
        (self.n_blocks > 0).then(|| self.sum_difference / self.n_blocks as f64)
    }

    /// The extra mean loss that is tolerated.
    pub(crate) fn tolerate_extra(&self) -> f64 {
        self.tolerate_extra
    }

    /// The log capital of each stake.
    pub(crate) fn log_products(&self) -> &[f64] {
        &self.log_products
    }

    /// Its state, to be stored.
    pub(crate) fn checkpoint(&self) -> RuleCheckpoint {
        RuleCheckpoint {
            rule: Rule::Loss,
            bounds: vec![self.tolerate_extra],
            hits: self.n_blocks,
            others: self.n_stable,
            n_steps: self.n_blocks,
            sum: self.sum_difference,
            log_products: self.log_products.clone(),
            log1p_restart: self.restart.log1p().to_vec(),
            shares: Vec::new(),
        }
    }

    /// Continues from a checkpoint that was checked.
    pub(crate) fn resumed(mut self, from: &RuleCheckpoint) -> Self {
        self.log_products.clone_from(&from.log_products);
        self.restart = Restart::from_log1p(from.log1p_restart.clone());
        (self.n_blocks, self.n_stable, self.sum_difference) = (from.hits, from.others, from.sum);
        self
    }

    fn bet(&mut self, difference: f64) {
        let extra = difference - self.tolerate_extra;
        for (stake, log_product) in self.stakes.iter().zip(&mut self.log_products) {
            *log_product += (stake * extra).ln_1p();
        }
        self.restart.on_event(|k| (self.stakes[k] * extra).ln_1p());
        self.n_blocks = self.n_blocks.saturating_add(1);
        self.sum_difference += difference;
    }

    fn waiting_under(&mut self, share: f64) -> &mut Waiting {
        let at = self.waiting.iter().position(|w| w.share == share).unwrap_or_else(|| {
            if self.waiting.len() == SHARES_MAX {
                self.waiting.remove(0);
            }
            self.waiting.push(Waiting { share, candidate: VecDeque::new(), stable: VecDeque::new() });
            self.waiting.len() - 1
        });
        &mut self.waiting[at]
    }
}

impl Waiting {
    /// The difference of the next block, and how many losses of stable it took; at most one is ever complete.
    fn next_block(&mut self) -> Option<(f64, u64)> {
        let n = loss_block(self.share);
        if self.stable.len() < n {
            return None;
        }
        let candidate = self.candidate.pop_front()?;
        let mean = self.stable.drain(..n).sum::<f64>() / n as f64;
        Some((candidate - mean, n as u64))
    }
}

#[cfg(test)]
mod tests;
