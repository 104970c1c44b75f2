//! Open loop: requests are due at fixed times, whether or not earlier ones were answered, and latency counts from the
//! time a request was due. A server that stalls is charged for every request due meanwhile, which a closed loop would
//! not even have sent (coordinated omission).
//!
//! One thread does it all, because the generator and the server share the machine's cores: it sends what is due,
//! sleeps until something is due or has come, and takes the time of an answer before it looks into it. A slow answer
//! holds up only its own connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::BenchError;
use crate::error::io_at;
use crate::stats::quantile;
use crate::traffic::{Origin, Traffic};

mod generator;

use generator::Generator;

/// Requests that may be under way at once; more wait for a connection, and their latency shows it.
pub const N_CONNECTIONS: usize = 64;
/// How many failures are kept word by word.
const FAILURES_MAX: usize = 20;

/// One answered request. Times are nanoseconds since the generator's start.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The request's number.
    pub id: u32,
    /// When it was due.
    pub due_ns: u64,
    /// When it was sent.
    pub sent_ns: u64,
    /// When its answer was read.
    pub answered_ns: u64,
    /// Where the answer came from.
    pub origin: Origin,
}

impl Sample {
    /// From due to answered.
    pub fn latency_ns(&self) -> u64 {
        self.answered_ns.saturating_sub(self.due_ns)
    }
}

/// Everything that was asked and answered.
#[derive(Debug, Default)]
pub struct Record {
    /// The good answers, in the order in which they were due.
    pub samples: Vec<Sample>,
    /// Requests without an answer, or with a wrong one.
    pub n_failed: u64,
    /// The first of these, in words.
    pub failures: Vec<String>,
}

impl Record {
    /// The samples that were due in a window.
    pub fn due_in(&self, window: &Window) -> &[Sample] {
        let at = |ns: u64| self.samples.partition_point(|sample| sample.due_ns < ns);
        &self.samples[at(window.from_ns)..at(window.to_ns)]
    }

    /// A failed or wrong answer is an error.
    pub fn check(&self) -> Result<(), BenchError> {
        if self.n_failed == 0 {
            return Ok(());
        }
        let n_all = self.n_failed + self.samples.len() as u64;
        let text = self.failures.join("\n  ");
        Err(BenchError::Incorrect(format!(
            "{} of {n_all} requests failed or were misattributed:\n  {text}",
            self.n_failed
        )))
    }

    fn fail(&mut self, failure: String) {
        self.n_failed += 1;
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(failure);
        }
    }
}

/// A span of time since the generator's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first instant.
    pub from_ns: u64,
    /// The first instant after it.
    pub to_ns: u64,
}

impl Window {
    /// Its length.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.to_ns.saturating_sub(self.from_ns))
    }
}

/// The latency quantiles of some samples, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// How many samples.
    pub n: usize,
    /// The median.
    pub p50: u64,
    /// 99 % are no slower.
    pub p99: u64,
    /// 99.9 % are no slower.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
}

impl Latency {
    /// From latencies in any order.
    pub fn of(latencies_ns: impl IntoIterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = latencies_ns.into_iter().collect();
        sorted.sort_unstable();
        let at = |q| quantile(&sorted, q);
        Self { n: sorted.len(), p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

/// What the generator's thread shares with who started it.
struct Shared {
    began: Instant,
    /// Requests due from then on are not sent; those due before are, however late it is.
    end_ns: AtomicU64,
    last_version: AtomicU64,
}

impl Shared {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A running open loop.
pub struct OpenLoop {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Record>>,
}

impl OpenLoop {
    /// Starts to ask `rate` times a second.
    pub fn start(address: &str, rate: f64, traffic: Arc<dyn Traffic>) -> Result<Self, BenchError> {
        let (end_ns, last_version) = (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        let shared = Arc::new(Shared { began: Instant::now(), end_ns, last_version });
        let generator = Generator::connect(address, rate, traffic, Arc::clone(&shared));
        let generator = generator.map_err(io_at("connect to the server"))?;
        let thread = std::thread::Builder::new().name("open loop".to_owned());
        let thread = thread.spawn(move || generator.run()).map_err(io_at("start the load generator"))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Now, in nanoseconds since the start.
    pub fn now_ns(&self) -> u64 {
        self.shared.now_ns()
    }

    /// The version that gave the answer read last.
    pub fn last_version(&self) -> u64 {
        self.shared.last_version.load(Ordering::Relaxed)
    }

    /// Lets the load go on for a while and says when that was.
    pub fn window(&self, duration: Duration) -> Window {
        let from_ns = self.now_ns();
        std::thread::sleep(duration);
        Window { from_ns, to_ns: self.now_ns() }
    }

    /// Ends the load once everything that was due is answered.
    pub fn stop(mut self) -> Result<Record, BenchError> {
        self.shared.end_ns.store(self.now_ns(), Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(mut record)) => {
                record.samples.sort_unstable_by_key(|sample| sample.due_ns);
                Ok(record)
            }
            _ => Err(BenchError::Incorrect("the load generator panicked".to_owned())),
        }
    }
}

impl Drop for OpenLoop {
    fn drop(&mut self) {
        self.shared.end_ns.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
