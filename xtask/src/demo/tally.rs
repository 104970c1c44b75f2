//! What the callers saw: every request once, counted from the answers' own headers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Answers remembered one by one; later ones are only counted.
const ANSWERS_MAX: usize = 400_000;

/// Failures remembered in words.
const FAILURES_MAX: usize = 8;

/// The same version must say the same about the same file, up to what batching may change in the last digits.
const TOLERANCE: f32 = 1e-4;

/// How far back rates and latencies look.
const RECENT: Duration = Duration::from_secs(2);

/// The reason header of a request that stable answered after a candidate's fault.
const FALLBACK: &str = "fallback";

/// One good answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// `switchrail-version`.
    pub version: u64,
    /// `switchrail-generation`.
    pub generation: u64,
    /// `switchrail-reason`.
    pub reason: String,
    /// The model's output.
    pub scores: Box<[f32]>,
}

/// When a request was sent and answered.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// When it was sent.
    pub sent: Instant,
    /// The same in milliseconds since 1970, to be compared with the journal.
    pub sent_unix_ms: u64,
    /// When its answer was complete.
    pub done: Instant,
}

/// What is remembered of an answer.
#[derive(Debug, Clone, Copy)]
struct Answer {
    timing: Timing,
    version: u64,
    generation: u64,
    is_fallback: bool,
}

/// A moment in the traffic, to count from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark(usize);

/// The traffic since a mark, for the screen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recent {
    /// Answers by version since the mark.
    pub per_version: BTreeMap<u64, u64>,
    /// Answers of stable to requests that a candidate had failed, since the mark.
    pub n_fallbacks: u64,
    /// Answers per second, lately.
    pub rate: f64,
    /// Median latency, lately.
    pub p50_ms: f64,
    /// The 99th percentile of the latency, lately.
    pub p99_ms: f64,
}

/// How a faulty version was taken out of the traffic, as the callers saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// Requests that had reached the version, from the first fault to the swap.
    pub n_requests: u64,
    /// How many of them had to be answered by stable.
    pub n_faults: u64,
    /// From sending the first request that met the fault to the swap, by the journal's clock.
    pub took_ms: u64,
    /// Requests that reached the version by a snapshot published later: there must be none.
    pub n_late: u64,
}

/// All traffic so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests sent and finished, in whichever way.
    pub n_requests: u64,
    /// Requests that got no good answer.
    pub n_failed: u64,
    /// The first failures in words.
    pub failures: Vec<String>,
    /// Good answers by version.
    pub per_version: BTreeMap<u64, u64>,
    /// Good answers by reason.
    pub per_reason: BTreeMap<String, u64>,
    /// Answers that say something else about a file than an earlier answer of the same version.
    pub n_misattributed: u64,
    answers: Vec<Answer>,
    known: HashMap<(usize, u64), Box<[f32]>>,
}

impl Tally {
    /// Counts a good answer about a file.
    pub fn answered(&mut self, sample_index: usize, timing: Timing, reply: Reply) {
        self.n_requests += 1;
        *self.per_version.entry(reply.version).or_default() += 1;
        if self.answers.len() < ANSWERS_MAX {
            let is_fallback = reply.reason == FALLBACK;
            let Reply { version, generation, .. } = reply;
            self.answers.push(Answer { timing, version, generation, is_fallback });
        }
        *self.per_reason.entry(reply.reason).or_default() += 1;
        let known = self.known.entry((sample_index, reply.version)).or_insert_with(|| reply.scores.clone());
        if !known.iter().zip(&reply.scores).all(|(a, b)| (a - b).abs() <= TOLERANCE) {
            self.n_misattributed += 1;
        }
    }

    /// Counts a request without a good answer.
    pub fn failed(&mut self, why: String) {
        self.n_requests += 1;
        self.n_failed += 1;
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(why);
        }
    }

    /// Now.
    pub fn mark(&self) -> Mark {
        Mark(self.answers.len())
    }

    /// The traffic since a mark.
    pub fn since(&self, mark: Mark, now: Instant) -> Recent {
        let mut recent = Recent::default();
        for answer in self.after(mark) {
            *recent.per_version.entry(answer.version).or_default() += 1;
            recent.n_fallbacks += u64::from(answer.is_fallback);
        }
        let lately = self.answers.iter().rev().take_while(|a| now.saturating_duration_since(a.timing.done) < RECENT);
        let mut latencies: Vec<f64> =
            lately.map(|a| a.timing.done.duration_since(a.timing.sent).as_secs_f64() * 1e3).collect();
        latencies.sort_by(f64::total_cmp);
        let quantile = |q: f64| latencies.get((latencies.len() as f64 * q) as usize).copied().unwrap_or_default();
        let first = self.answers.first().map_or(now, |a| a.timing.sent);
        let span = RECENT.min(now.saturating_duration_since(first)).as_secs_f64();
        recent.rate = if span > 0.0 { latencies.len() as f64 / span } else { 0.0 };
        (recent.p50_ms, recent.p99_ms) = (quantile(0.5), quantile(0.99));
        recent
    }

    /// How a version was caught since a mark; `swapped` is the generation that took it out, decided at
    /// `decided_unix_ms`. `None` when no caller met a fault.
    pub fn caught(&self, mark: Mark, version: u64, swapped: u64, decided_unix_ms: u64) -> Option<Caught> {
        let first = self.after(mark).iter().filter(|a| a.is_fallback).map(|a| a.timing).min_by_key(|t| t.sent)?;
        let reached = self.after(mark).iter().filter(|a| a.version == version || a.is_fallback);
        let (before, late): (Vec<&Answer>, Vec<&Answer>) = reached.partition(|a| a.generation < swapped);
        let between = before.iter().filter(|a| a.timing.sent >= first.sent);
        Some(Caught {
            n_requests: between.clone().count() as u64,
            n_faults: between.filter(|a| a.is_fallback).count() as u64,
            took_ms: decided_unix_ms.saturating_sub(first.sent_unix_ms),
            n_late: late.len() as u64,
        })
    }

    /// The versions that answered requests routed by this generation or a later one.
    pub fn versions_since(&self, generation: u64) -> BTreeSet<u64> {
        self.answers.iter().filter(|a| a.generation >= generation).map(|a| a.version).collect()
    }

    fn after(&self, mark: Mark) -> &[Answer] {
        self.answers.get(mark.0..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
