//! How each version did, carried over into the journal's file about once in a minute, when a version goes out of memory
//! and at the end: so that it is known after the version is gone. What a killed process had counted since is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base_metrics::{Figures, HistogramFigures};
use base_serving::ServingVersion;
use base_types::VersionId;
use control_registry::journal::{FeedbackSums, Performance, PerformanceKey, Spread};

use crate::feedback::Quality;
use crate::recorder::Job;
use crate::state::{State, is_due};
use crate::turn::Core;

/// How often what was counted is carried over.
const EVERY: Duration = Duration::from_secs(60);

/// What has been carried over, so that nothing is counted twice.
#[derive(Default)]
pub(crate) struct Noted {
    at: Option<Instant>,
    seen: BTreeMap<VersionId, Seen>,
}

/// Totals of one version as of the last look. Series outlive a version's place in memory, so these do, too.
#[derive(Default)]
struct Seen {
    by_class: BTreeMap<String, u64>,
    latency: Spread,
    run: Spread,
    feedback: FeedbackSums,
}

/// One version as it is looked at.
struct Look {
    serving: Arc<ServingVersion>,
    /// Whether a share of the unpinned traffic is its.
    is_routed: bool,
    quality: Quality,
}

impl Core {
    /// Carries over what was counted, if it is time. Once a second.
    pub(crate) fn note_performance_when_due(&self) {
        let now = self.clock.now();
        let mut noted = self.noted.lock().unwrap_or_else(|e| e.into_inner());
        let since = *noted.at.get_or_insert(now);
        drop(noted);
        if is_due(since, now, EVERY) {
            self.note_performance(&[]);
        }
    }

    /// Carries over what was counted until now, of versions that are leaving as well. Never call under the lock.
    pub(crate) fn note_performance(&self, leaving: &[Arc<ServingVersion>]) {
        let looks = looks(&self.lock(), leaving);
        let (now, unix_ms) = (self.clock.now(), self.clock.unix_ms());
        let mut noted = self.noted.lock().unwrap_or_else(|e| e.into_inner());
        let elapsed = noted.at.replace(now).map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let mut more = Vec::new();
        for Look { serving, is_routed, quality } in &looks {
            let seen = noted.seen.entry(serving.id.clone()).or_default();
            let mut part = seen.take(&serving.metrics.figures(), quality);
            part.traffic_ms = if *is_routed { elapsed.as_millis() as u64 } else { 0 };
            if part == Performance::default() {
                continue;
            }
            part.first_served_unix_ms = (part.requests > 0).then_some(unix_ms);
            part.last_served_unix_ms = Some(serving.stats.read().last_unix_ms).filter(|ms| *ms > 0);
            part.updated_unix_ms = unix_ms;
            let VersionId { model, version } = serving.id.clone();
            more.push((PerformanceKey { model, version, digest: serving.digest }, part));
        }
        drop(noted);
        self.recorder.later(Job::Performance { more, alive_unix_ms: unix_ms });
    }

    /// Forgets the totals of a version whose series end.
    pub(crate) fn forget_performance(&self, id: &VersionId) {
        self.noted.lock().unwrap_or_else(|e| e.into_inner()).seen.remove(id);
    }
}

/// Every version in memory.
fn looks(state: &State, leaving: &[Arc<ServingVersion>]) -> Vec<Look> {
    let entries = state.models.values().flat_map(|model| model.versions.values());
    let in_memory = entries.filter_map(|entry| entry.serving.as_ref());
    let mut told = BTreeSet::new();
    let mut looks = Vec::new();
    for serving in in_memory.chain(&state.draining).chain(leaving) {
        let id = &serving.id;
        // Loaded anew while an earlier load drains: both count in the same series.
        if !told.insert(id.clone()) {
            continue;
        }
        let model = state.models.get(&id.model);
        let route = model.and_then(|model| model.route.as_ref());
        let is_routed = route.is_some_and(|route| route.split.share(id.version, route.stable) > 0.0);
        let quality = model.and_then(|model| model.returned.quality.get(&id.version)).copied().unwrap_or_default();
        looks.push(Look { serving: serving.clone(), is_routed, quality });
    }
    looks
}

impl Seen {
    /// What came since the last look. Totals never go down: a series that is not shown yet stands for its last value.
    fn take(&mut self, now: &Figures, quality: &Quality) -> Performance {
        let mut by_class = BTreeMap::new();
        for (class, n) in &now.attempts {
            let seen = self.by_class.entry(class.as_str().to_owned()).or_default();
            let more = n.saturating_sub(*seen);
            *seen = (*seen).max(*n);
            if more > 0 {
                by_class.insert(class.as_str().to_owned(), more);
            }
        }
        let (latency, run) = (spread(&now.request_seconds), spread(&now.run_seconds));
        let sums = FeedbackSums {
            n: quality.n,
            score_sum: quality.score_sum,
            labels: quality.labels.0,
            mistakes: quality.labels.1,
        };
        let before = std::mem::replace(&mut self.feedback, sums);
        let feedback = FeedbackSums {
            n: sums.n.saturating_sub(before.n),
            score_sum: sums.score_sum - before.score_sum,
            labels: sums.labels.saturating_sub(before.labels),
            mistakes: sums.mistakes.saturating_sub(before.mistakes),
        };
        Performance {
            requests: by_class.values().sum(),
            by_class,
            latency: since(&mut self.latency, latency),
            run: since(&mut self.run, run),
            feedback,
            ..Performance::default()
        }
    }
}

/// What came since `before`, which is as now afterwards; nothing at all where nothing came.
fn since(before: &mut Spread, now: Spread) -> Spread {
    let more = now.since(before);
    *before = now;
    if more.n == 0 { Spread::default() } else { more }
}

fn spread(figures: &HistogramFigures) -> Spread {
    Spread { bounds: figures.bounds.clone(), counts: figures.counts.clone(), n: figures.n, sum: figures.sum }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::time::Duration;

    use base_metrics::Metrics;
    use base_types::{ModelName, Outcome, OutcomeClass, Protocol, Reason, Version};

    use super::*;

    #[test]
    fn nothing_is_counted_twice_also_not_after_a_version_was_loaded_again() {
        let metrics = Metrics::new("0", "0").unwrap();
        let load = || metrics.version(&ModelName::new("m").unwrap(), Version::new(1).unwrap());
        let (mut seen, mut sums) = (Seen::default(), Performance::default());
        let none = Quality::default();
        for n_requests in [3, 0, 5] {
            // The series go on where the last load left them.
            let version = load();
            sums.add(&seen.take(&version.figures(), &none));
            for _ in 0..n_requests {
                let (class, reason, total) = (OutcomeClass::Ok, Reason::Stable, Duration::from_millis(2));
                version.attempt(&Outcome { class, fault: None, reason, queue: total, run: total, total });
                version.request(Protocol::ALL[0], class, reason, total);
                sums.add(&seen.take(&version.figures(), &none));
            }
        }
        assert_eq!((sums.requests, sums.latency.n), (8, 8));
        assert_eq!(seen.take(&load().figures(), &none), Performance::default());
    }
}
