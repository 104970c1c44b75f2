//! A/B tests: some units of the traffic, each in the same arm for as long as the experiment runs.

use std::sync::Arc;

use twox_hash::XxHash3_64;

use crate::Split;

/// Most experiments of one model.
pub const EXPERIMENTS_MAX: usize = 16;

/// An experiment on one model. A unit is what has one sticky key; requests without a key are in no experiment.
///
/// Experiments of one layer never share a unit, whatever models they are on: each takes a range of its own of the
/// layer's units. Layers are independent of each other, and of how an experiment's arms are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Its name, unique in the file.
    pub name: Arc<str>,
    /// The layer it is in.
    pub layer: Arc<str>,
    /// First unit of the layer that it takes, in [0, 1).
    pub from: f64,
    /// End of the range, in (0, 1].
    pub to: f64,
    /// Share of its units that are held out, in [0, 1): stable answers them, and they are counted apart.
    pub holdout: f64,
    /// The arms.
    pub split: Split,
}

/// Where a unit stands in an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Not in it.
    Outside,
    /// Held out: stable answers.
    HeldOut,
    /// In it.
    Inside,
}

/// Seeds that keep the three draws of an experiment independent of each other, of those of other experiments, and of
/// the split of the model.
const LAYER_SEED: u64 = 0x6c61_7965_7200_0001;
const HOLDOUT_SEED: u64 = 0x686f_6c64_0000_0002;
const ARMS_SEED: u64 = 0x6172_6d73_0000_0003;

impl Experiment {
    /// Where the unit with this sticky key stands.
    pub fn membership(&self, key: &[u8]) -> Membership {
        if !(self.from..self.to).contains(&place(hash(LAYER_SEED, &self.layer, key))) {
            return Membership::Outside;
        }
        // Salted by the experiment, so that who is held out in one is not held out in all.
        let is_held_out = self.holdout > 0.0 && place(hash(HOLDOUT_SEED, &self.name, key)) < self.holdout;
        if is_held_out { Membership::HeldOut } else { Membership::Inside }
    }

    /// What the unit with this sticky key draws among the arms.
    pub fn draw(&self, key: &[u8]) -> u64 {
        hash(ARMS_SEED, &self.name, key)
    }

    /// The share of all units that reaches the arms: neither outside nor held out.
    pub fn share(&self) -> f64 {
        (self.to - self.from) * (1.0 - self.holdout)
    }
}

fn hash(seed: u64, salt: &str, key: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot_with_seed(seed, salt.as_bytes()), key)
}

/// The place of a hash in [0, 1).
fn place(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
