//! Lines of the log that callers could have written as often as they like, held down to one a second for each version.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use base_types::VersionId;
use tokio::time::Instant;

/// The time between two lines about a version.
const INTERVAL: Duration = Duration::from_secs(1);
/// Versions remembered at once.
const VERSIONS_MAX: usize = 1024;

/// When each version had its last line.
#[derive(Default)]
pub(crate) struct Seldom {
    versions: Mutex<HashMap<VersionId, Last>>,
}

struct Last {
    at: Instant,
    n_left_out: u64,
}

impl Seldom {
    /// Whether there is a line now: the number of those left out since the last one.
    pub(crate) fn line(&self, version: &VersionId, now: Instant) -> Option<u64> {
        let mut versions = self.versions.lock().unwrap_or_else(|e| e.into_inner());
        let is_due = |last: &Last| now.saturating_duration_since(last.at) >= INTERVAL;
        match versions.get_mut(version) {
            Some(last) if !is_due(last) => {
                last.n_left_out += 1;
                None
            }
            Some(last) => {
                let before = std::mem::replace(last, Last { at: now, n_left_out: 0 });
                Some(before.n_left_out)
            }
            None => {
                if versions.len() >= VERSIONS_MAX {
                    versions.retain(|_, last| !is_due(last));
                }
                // More versions at fault within a second than that are no caller's doing.
                if versions.len() < VERSIONS_MAX {
                    versions.insert(version.clone(), Last { at: now, n_left_out: 0 });
                }
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_types::{ModelName, Version};

    use super::*;

    fn id(model: &str, version: u64) -> VersionId {
        VersionId { model: ModelName::new(model).unwrap(), version: Version::new(version).unwrap() }
    }

    #[test]
    fn a_version_has_a_line_a_second_that_counts_the_others() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        let line = |version: u64, ms: u64| seldom.line(&id("m", version), start + Duration::from_millis(ms));
        assert_eq!(line(1, 0), Some(0));
        assert_eq!([line(1, 1), line(1, 500), line(1, 999)], [None; 3]);
        assert_eq!(line(2, 999), Some(0), "another version has its own");
        assert_eq!(line(1, 1000), Some(3));
        assert_eq!(line(1, 1001), None);
        assert_eq!(line(1, 5000), Some(1));
    }

    #[test]
    fn versions_remembered_are_bounded() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        (1..=3000).for_each(|version| assert_eq!(seldom.line(&id("m", version), start), Some(0)));
        assert_eq!(seldom.versions.lock().unwrap().len(), VERSIONS_MAX);
        assert_eq!(seldom.line(&id("late", 1), start + INTERVAL), Some(0));
        assert_eq!(seldom.versions.lock().unwrap().len(), 1);
    }
}
