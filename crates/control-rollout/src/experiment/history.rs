//! Which shares were in force when: late feedback belongs to the shares under which its request was routed.

use std::collections::VecDeque;

/// Most changes of shares that are remembered; of more the oldest are forgotten.
pub const SHARE_CHANGES_MAX: usize = 4096;

/// The shares of an experiment's arms over time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareHistory {
    changes: VecDeque<(u64, Vec<f64>)>,
}

impl ShareHistory {
    /// Notes the shares in force from this time on, in milliseconds since 1970. A time before the last one noted counts
    /// as that.
    pub fn note(&mut self, from_unix_ms: u64, shares: Vec<f64>) {
        let from_unix_ms = self.changes.back().map_or(from_unix_ms, |(last, _)| from_unix_ms.max(*last));
        if self.changes.back().is_some_and(|(_, last)| *last == shares) {
            return;
        }
        if self.changes.len() == SHARE_CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back((from_unix_ms, shares));
    }

    /// The shares in force at a time; `None` for one before the oldest that is remembered: such feedback must be left
    /// out, for the wrong shares would bend the comparison.
    pub fn at(&self, unix_ms: u64) -> Option<&[f64]> {
        let n_before = self.changes.partition_point(|(from, _)| *from <= unix_ms);
        let (_, shares) = self.changes.get(n_before.checked_sub(1)?)?;
        Some(shares)
    }

    /// The changes remembered, the oldest first, for those who store them.
    pub fn changes(&self) -> impl Iterator<Item = (u64, &[f64])> {
        self.changes.iter().map(|(from, shares)| (*from, shares.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_finds_the_shares_of_its_time() {
        let mut history = ShareHistory::default();
        assert_eq!(history.at(5), None);
        history.note(10, vec![0.5, 0.5]);
        history.note(20, vec![0.5, 0.5]);
        history.note(30, vec![0.9, 0.1]);
        assert_eq!(history.at(9), None);
        assert_eq!(history.at(10), Some(&[0.5, 0.5][..]));
        assert_eq!(history.at(29), Some(&[0.5, 0.5][..]));
        assert_eq!(history.at(30), Some(&[0.9, 0.1][..]));
        assert_eq!(history.changes().count(), 2);
    }

    #[test]
    fn what_is_too_long_ago_is_forgotten_and_told() {
        let mut history = ShareHistory::default();
        for i in 0..=SHARE_CHANGES_MAX as u64 {
            history.note(i, vec![i as f64]);
        }
        assert_eq!(history.changes().count(), SHARE_CHANGES_MAX);
        assert_eq!(history.at(0), None);
        assert_eq!(history.at(1), Some(&[1.0][..]));
    }

    #[test]
    fn a_clock_that_jumps_back_disorders_nothing() {
        let mut history = ShareHistory::default();
        history.note(100, vec![0.1]);
        history.note(50, vec![0.2]);
        assert_eq!(history.at(99), None);
        assert_eq!(history.at(100), Some(&[0.2][..]));
    }
}
