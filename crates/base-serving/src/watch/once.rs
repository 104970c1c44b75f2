//! Which sticky keys were counted for what.
//!
//! Requests of one key fall to one arm together, so they are one draw, however many they are. A comparison of two arms
//! takes each kind of event once from each key.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places for a key and an event. Two that meet in one count once, which hits all arms alike: what is missed depends on
/// the keys, not on what they were answered.
const PLACES: u64 = 1 << 20;
const WORD_BITS: u64 = u64::BITS as u64;

/// What was seen of keys, over all publications of one trial. Takes no memory before the first key.
#[derive(Default)]
pub(super) struct Once {
    words: OnceLock<Box<[AtomicU64]>>,
}

impl Once {
    /// Whether an event of a request is a draw of its own: that of a request without a key always is, that of a key once.
    pub(super) fn is_own(&self, key: Option<u64>, event: u64) -> bool {
        key.is_none_or(|key| self.is_first(key, event))
    }

    fn is_first(&self, key: u64, event: u64) -> bool {
        let words = self.words.get_or_init(|| (0..PLACES / WORD_BITS).map(|_| AtomicU64::new(0)).collect());
        let place = scatter(key ^ scatter(event)) % PLACES;
        let bit = 1 << (place % WORD_BITS);
        let word = &words[(place / WORD_BITS) as usize];
        // Most have been seen before, and reading leaves the line to all.
        word.load(Ordering::Relaxed) & bit == 0 && word.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}

/// Spreads numbers so that those of one arm lie no closer to each other than others.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_once_for_each_event_and_no_key_counts_always() {
        let once = Once::default();
        assert!((0..3).all(|event| once.is_own(None, event) && once.is_own(None, event)));
        assert!(once.words.get().is_none());
        assert!((0..3).all(|event| once.is_own(Some(7), event)));
        assert!((0..3).all(|event| !once.is_own(Some(7), event)));
        assert!(once.is_own(Some(8), 0));
    }

    #[test]
    fn few_of_many_keys_meet() {
        let once = Once::default();
        let n_first = (0..50_000).filter(|key| once.is_own(Some(*key), 0)).count();
        assert!(n_first > 48_000, "{n_first}");
    }
}
