//! Open loop: requests are due at fixed times, whether or not earlier ones were answered, and latency counts from the
//! time a request was due. A server that stalls is charged for every request due meanwhile, which a closed loop would
//! not even have sent (coordinated omission).
//!
//! Each connection has a thread that takes the next due time, sleeps until then, sends and waits. A slow answer holds
//! up only its own connection: the next due time goes to whichever is free.

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::BenchError;
use crate::error::io_at;
use crate::http1::Connection;
use crate::stats::quantile;
use crate::traffic::{Origin, Traffic};

/// Requests that may be under way at once; more wait for a connection, and their latency shows it.
pub const N_CONNECTIONS: usize = 32;
/// How many failures are kept word by word.
const FAILURES_MAX: usize = 20;
/// Threads need a moment to connect before the first request is due.
const HEAD_START: Duration = Duration::from_millis(100);

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

    fn absorb(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.n_failed += other.n_failed;
        self.failures.extend(other.failures);
        self.failures.truncate(FAILURES_MAX);
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

struct Shared {
    address: String,
    traffic: Arc<dyn Traffic>,
    began: Instant,
    interval: Duration,
    next: AtomicU32,
    /// Requests due from then on are not sent; those due before are, however late it is.
    end_ns: AtomicU64,
    last_version: AtomicU64,
    record: Mutex<Record>,
}

/// A running open loop.
pub struct OpenLoop {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl OpenLoop {
    /// Starts to ask `rate` times a second.
    pub fn start(address: &str, rate: f64, traffic: Arc<dyn Traffic>) -> Result<Self, BenchError> {
        let shared = Arc::new(Shared {
            address: address.to_owned(),
            traffic,
            began: Instant::now(),
            interval: Duration::from_secs_f64(1.0 / rate),
            next: AtomicU32::new(0),
            end_ns: AtomicU64::new(u64::MAX),
            last_version: AtomicU64::new(0),
            record: Mutex::default(),
        });
        let mut threads = Vec::with_capacity(N_CONNECTIONS);
        for _ in 0..N_CONNECTIONS {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("open loop".to_owned()).spawn(move || shared.work());
            threads.push(thread.map_err(io_at("start the load generator"))?);
        }
        Ok(Self { shared, threads })
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
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                return Err(BenchError::Incorrect("the load generator panicked".to_owned()));
            }
        }
        let mut record = std::mem::take(&mut *self.shared.record.lock().unwrap_or_else(|e| e.into_inner()));
        record.samples.sort_unstable_by_key(|sample| sample.due_ns);
        Ok(record)
    }
}

impl Drop for OpenLoop {
    fn drop(&mut self) {
        self.shared.end_ns.store(0, Ordering::Relaxed);
    }
}

impl Shared {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn work(&self) {
        // By default Linux lets a sleeper oversleep by 50 us to save power, which would count as the server's.
        let precise = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut own = Record::default();
        if let Err(error) = precise {
            own.fail(format!("timers stay coarse: {error}"));
        }
        let mut request = Vec::new();
        let mut connection = None;
        loop {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let due = HEAD_START + self.interval * id;
            let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
            self.traffic.write(id, &mut request);
            if connection.is_none() {
                connection = self.connect(&mut own);
            }
            if let Some(wait) = due.checked_sub(self.began.elapsed()) {
                std::thread::sleep(wait);
            }
            if due_ns >= self.end_ns.load(Ordering::Relaxed) {
                break;
            }
            let Some(open) = connection.as_mut() else { continue };
            if let Err(failure) = self.ask(open, id, due_ns, &request, &mut own) {
                own.fail(failure);
                connection = None;
            }
        }
        self.record.lock().unwrap_or_else(|e| e.into_inner()).absorb(own);
    }

    fn connect(&self, own: &mut Record) -> Option<Connection> {
        let connection = Connection::open(&self.address);
        connection.map_err(|error| own.fail(format!("could not connect: {error}"))).ok()
    }

    /// An error means that the connection is of no more use.
    fn ask(
        &self,
        connection: &mut Connection,
        id: u32,
        due_ns: u64,
        request: &[u8],
        own: &mut Record,
    ) -> Result<(), String> {
        let sent_ns = self.now_ns();
        let answer = connection.exchange(request).map_err(|e: io::Error| format!("request {id} got no answer: {e}"))?;
        let answered_ns = self.now_ns();
        match self.traffic.read(id, &answer) {
            Ok(origin) => {
                self.last_version.store(origin.version, Ordering::Relaxed);
                own.samples.push(Sample { id, due_ns, sent_ns, answered_ns, origin });
            }
            Err(failure) => own.fail(failure),
        }
        Ok(())
    }
}

impl Record {
    fn fail(&mut self, failure: String) {
        self.n_failed += 1;
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(failure);
        }
    }
}

#[cfg(test)]
mod tests;
