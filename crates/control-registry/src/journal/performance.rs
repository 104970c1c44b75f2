//! How each version did, for as long as the journal is kept: counts, not decisions, so they stand beside the chain.

use std::collections::BTreeMap;

use base_types::{Digest, ModelName, Version};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::history::History;
use super::schema::Texts;
use super::{Journal, JournalError};

/// Whose performance it is. Content is part of it: a number that is bound anew begins anew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PerformanceKey {
    /// The model.
    pub model: ModelName,
    /// The version.
    pub version: Version,
    /// Its content.
    pub digest: Digest,
}

/// What a version did; sums over all its lives in memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Performance {
    /// Requests given to it, those included that another version answered after it had failed.
    pub requests: u64,
    /// The same by class of how its attempt ended.
    pub by_class: BTreeMap<String, u64>,
    /// Seconds from decoded to answered, of the requests that ended at it.
    pub latency: Spread,
    /// Seconds in the runtime.
    pub run: Spread,
    /// What came back about its answers.
    pub feedback: FeedbackSums,
    /// How long a share of the unpinned traffic was its, in milliseconds; as of the looks, about one in a minute.
    pub traffic_ms: u64,
    /// When its first request was seen, in milliseconds since 1970; late by at most the time between two looks.
    pub first_served_unix_ms: Option<u64>,
    /// When it answered last, in milliseconds since 1970.
    pub last_served_unix_ms: Option<u64>,
    /// When this was written, in milliseconds since 1970.
    pub updated_unix_ms: u64,
}

/// Sums of feedback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedbackSums {
    /// Pieces of feedback.
    pub n: u64,
    /// Sum of scores: 1 is as good as can be, 0 as bad.
    pub score_sum: f64,
    /// Labels among them.
    pub labels: u64,
    /// Labels that say that the answer was wrong.
    pub mistakes: u64,
}

/// A histogram.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spread {
    /// Upper bounds of the buckets in seconds; what is above the last is in `n` alone.
    pub bounds: Vec<f64>,
    /// How many are in each bucket alone.
    pub counts: Vec<u64>,
    /// How many in all.
    pub n: u64,
    /// Their sum in seconds.
    pub sum: f64,
}

impl Spread {
    /// Adds another one. One with other buckets, of another release, takes the place of what was there: quantiles of a
    /// mixture would be wrong.
    pub fn add(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        if self.bounds != other.bounds {
            *self = other.clone();
            return;
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, more)| *sum += more);
        self.n += other.n;
        self.sum += other.sum;
    }

    /// What came since an earlier look at the same histogram.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        if self.bounds != before.bounds {
            return self.clone();
        }
        let counts = self.counts.iter().zip(&before.counts).map(|(now, then)| now.saturating_sub(*then));
        Self {
            bounds: self.bounds.clone(),
            counts: counts.collect(),
            n: self.n.saturating_sub(before.n),
            sum: (self.sum - before.sum).max(0.0),
        }
    }

    /// The value below which a share `q` lies, in seconds, as if values were even within a bucket; `None` without values.
    /// Above the last bound it is the last bound.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = q * self.n as f64;
        let (mut below, mut lower) = (0.0, 0.0);
        if self.n == 0 {
            return None;
        }
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            let count = *count as f64;
            if below + count >= rank && count > 0.0 {
                return Some(lower + (bound - lower) * ((rank - below) / count).clamp(0.0, 1.0));
            }
            below += count;
            lower = *bound;
        }
        self.bounds.last().copied()
    }
}

impl Performance {
    /// Adds what came since.
    pub fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        for (class, n) in &more.by_class {
            *self.by_class.entry(class.clone()).or_default() += n;
        }
        self.latency.add(&more.latency);
        self.run.add(&more.run);
        self.feedback.n += more.feedback.n;
        self.feedback.score_sum += more.feedback.score_sum;
        self.feedback.labels += more.feedback.labels;
        self.feedback.mistakes += more.feedback.mistakes;
        self.traffic_ms += more.traffic_ms;
        self.first_served_unix_ms = self.first_served_unix_ms.or(more.first_served_unix_ms);
        self.last_served_unix_ms = self.last_served_unix_ms.max(more.last_served_unix_ms);
        self.updated_unix_ms = self.updated_unix_ms.max(more.updated_unix_ms);
    }

    /// Faults of the version among the requests that say something about it; `None` without any.
    pub fn error_rate(&self) -> Option<f64> {
        let n = |class: &str| self.by_class.get(class).copied().unwrap_or_default();
        let (good, bad) = (n("ok"), n("version_fault"));
        (good + bad > 0).then(|| bad as f64 / (good + bad) as f64)
    }
}

impl Journal {
    /// Adds to what is kept of versions, all in one transaction. Survives kill -9; a power cut may bring back the state
    /// before.
    pub fn add_performance(&mut self, more: &[(PerformanceKey, Performance)]) -> Result<(), JournalError> {
        if more.is_empty() {
            return Ok(());
        }
        self.commit_lazily(|transaction| {
            for (key, more) in more {
                let key = text(key);
                let kept = Texts::Performance.one(transaction, &key)?;
                // Damaged sums begin anew, as damaged evidence does.
                let mut sums: Performance = kept.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
                sums.add(more);
                let json = serde_json::to_string(&sums);
                let json = json.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                Texts::Performance.set(transaction, &key, &json)?;
            }
            Ok(())
        })
    }
}

impl History {
    /// What is kept of the versions of a model, or of one; in order of their numbers.
    pub fn performance(
        &self,
        model: &ModelName,
        version: Option<Version>,
    ) -> Result<Vec<(PerformanceKey, Performance)>, JournalError> {
        read(&self.connection, model, version)
    }
}

fn read(
    connection: &Connection,
    model: &ModelName,
    version: Option<Version>,
) -> Result<Vec<(PerformanceKey, Performance)>, JournalError> {
    // `0` is what comes after `/`: neither is part of a name.
    let (first, last) = match version {
        Some(version) => (format!("{model}/{version}/"), format!("{model}/{version}0")),
        None => (format!("{model}/"), format!("{model}0")),
    };
    let texts = Texts::Performance.between(connection, &first, &last)?;
    let mut found: Vec<_> =
        texts.into_iter().filter_map(|(key, json)| Some((parse(&key)?, serde_json::from_str(&json?).ok()?))).collect();
    found.sort_by(|(a, _), (b, _): &(PerformanceKey, Performance)| a.cmp(b));
    Ok(found)
}

fn text(key: &PerformanceKey) -> String {
    format!("{}/{}/{}", key.model, key.version, key.digest)
}

fn parse(text: &str) -> Option<PerformanceKey> {
    let mut parts = text.split('/');
    let key = PerformanceKey {
        model: ModelName::new(parts.next()?).ok()?,
        version: Version::new(parts.next()?.parse().ok()?)?,
        digest: parts.next()?.parse().ok()?,
    };
    Some(key)
}

#[cfg(test)]
mod tests;
