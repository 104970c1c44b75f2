//! A weighted split of traffic between versions.
//!
//! Weighted rendezvous hashing: each arm draws an exponential variate from the key and its own name, scaled by
//! its weight, and the smallest wins. Raising one arm's weight relative to the others can only pull keys toward
//! that arm, for any number of arms; the same key always draws the same; the salt is made of names, so models
//! and arms are independent and replicas agree without talking.

use std::sync::Arc;

use base_types::{ModelName, Version};
use thiserror::Error;
use twox_hash::XxHash3_64;

/// One arm of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// The arm's name; part of the salt, so renaming an arm moves its keys.
    pub name: Arc<str>,
    /// The version behind it.
    pub version: Version,
    /// Any non-negative number; the share is the weight divided by the sum.
    pub weight: f64,
    /// The arm keeps its keys, but stable answers them: rolled back, or not ready.
    pub is_redirected: bool,
    salt: u64,
}

/// Says why weights make no split.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SplitError {
    /// No arm has a weight above zero.
    #[error("at least one weight must be above zero")]
    NoWeight,
    /// A weight is negative, infinite or not a number.
    #[error("a weight is a finite number of at least zero, {arm:?} has {weight}")]
    Weight {
        /// The arm.
        arm: String,
        /// Its weight.
        weight: f64,
    },
    /// Two arms of the same name.
    #[error("arm {0:?} stands twice")]
    Duplicate(String),
}

/// Arms with weights, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    arms: Vec<Arm>,
    total: f64,
}

/// Hashes a routing key. Depends on the model's name, so that the same key falls independently in two models.
pub fn key_hash(model: &ModelName, key: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(model.as_str().as_bytes()), key)
}

/// Spreads the bits of a sum of two hashes (the finalizer of SplitMix64).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Split {
    /// Checks names and weights. Arms of weight zero are kept: they show in the table and take nothing.
    pub fn new(arms: impl IntoIterator<Item = (Arc<str>, Version, f64)>) -> Result<Self, SplitError> {
        let mut checked: Vec<Arm> = Vec::new();
        for (name, version, weight) in arms {
            if !weight.is_finite() || weight < 0.0 {
                return Err(SplitError::Weight { arm: name.to_string(), weight });
            }
            if checked.iter().any(|a| a.name == name) {
                return Err(SplitError::Duplicate(name.to_string()));
            }
            let salt = XxHash3_64::oneshot(name.as_bytes());
            checked.push(Arm { name, version, weight, is_redirected: false, salt });
        }
        let total = checked.iter().map(|a| a.weight).sum();
        if !f64::is_finite(total) || total <= 0.0 {
            return Err(SplitError::NoWeight);
        }
        Ok(Self { arms: checked, total })
    }

    /// Everything to one version.
    pub fn to_one(version: Version) -> Self {
        let name: Arc<str> = version.to_string().into();
        let salt = XxHash3_64::oneshot(name.as_bytes());
        Self { arms: vec![Arm { name, version, weight: 1.0, is_redirected: false, salt }], total: 1.0 }
    }

    /// The arms in the order given.
    pub fn arms(&self) -> &[Arm] {
        &self.arms
    }

    /// Marks arms whose version may not answer now.
    pub fn redirect(&mut self, is_redirected: impl Fn(Version) -> bool) {
        for arm in &mut self.arms {
            arm.is_redirected = is_redirected(arm.version);
        }
    }

    /// The arm that a key hash, or a random draw, falls to.
    pub fn pick(&self, draw: u64) -> &Arm {
        &self.arms[self.pick_index(draw)]
    }

    /// The position of the arm that a key hash, or a random draw, falls to.
    pub fn pick_index(&self, draw: u64) -> usize {
        if self.arms.len() == 1 {
            return 0;
        }
        let cost = |arm: &Arm| {
            // 53 bits in (0, 1]: the logarithm is finite and never positive.
            let unit = ((mix(draw ^ arm.salt) >> 11) + 1) as f64 / (1u64 << 53) as f64;
            -unit.ln() / arm.weight
        };
        let mut best = (0, f64::INFINITY);
        for (index, arm) in self.arms.iter().enumerate().filter(|(_, arm)| arm.weight > 0.0) {
            let cost = cost(arm);
            if cost < best.1 {
                best = (index, cost);
            }
        }
        if best.1.is_finite() { best.0 } else { self.heaviest() }
    }

    fn heaviest(&self) -> usize {
        let heavier = |best: usize, (index, arm): (usize, &Arm)| {
            if arm.weight > self.arms[best].weight { index } else { best }
        };
        self.arms.iter().enumerate().fold(0, heavier)
    }

    /// Gives the arms other weights, by position: what an allocation that learns asks for. Names and versions stay, and
    /// with them the salts.
    pub fn reweigh(&mut self, weights: &[f64]) -> Result<(), SplitError> {
        let arms = self.arms.iter().zip(weights).map(|(arm, weight)| (arm.name.clone(), arm.version, *weight));
        let mut other = Self::new(arms)?;
        if other.arms.len() != self.arms.len() {
            return Err(SplitError::NoWeight);
        }
        for (new, old) in other.arms.iter_mut().zip(&self.arms) {
            new.is_redirected = old.is_redirected;
        }
        *self = other;
        Ok(())
    }

    /// The share of the traffic that reaches a version, redirected arms counted as `stable`.
    pub fn share(&self, version: Version, stable: Version) -> f64 {
        let answers = |a: &&Arm| if a.is_redirected { stable == version } else { a.version == version };
        // An empty sum of floats is -0, which would show.
        self.arms.iter().filter(answers).fold(0.0, |sum, a| sum + a.weight) / self.total
    }

    /// The version that takes traffic beside `stable`, where it is one alone.
    pub fn only_candidate(&self, stable: Version) -> Option<Version> {
        let is_other = |arm: &&Arm| arm.version != stable && arm.weight > 0.0 && !arm.is_redirected;
        let mut others = self.arms.iter().filter(is_other).map(|arm| arm.version);
        let first = others.next()?;
        others.all(|other| other == first).then_some(first)
    }

    /// The share of `candidate` among the traffic of `candidate` and `stable` alone: what a comparison of the
    /// two needs. 1 when stable takes nothing, 0 when the candidate takes nothing.
    pub fn pair_share(&self, candidate: Version, stable: Version) -> f64 {
        let (c, s) = (self.share(candidate, stable), self.share(stable, stable));
        if c + s > 0.0 { c / (c + s) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests;
