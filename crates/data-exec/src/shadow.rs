//! Copies of requests for a candidate: threads of their own that give way to all others, and a bounded queue that is
//! never waited for. What does not fit, and everything while live requests wait for workers, is shed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base_serving::{InFlightMark, ServingVersion, ShadowEnd, ShadowSink, ShadowTask};
use tracing::warn;

use crate::Executor;
use crate::pool::{ExecutorError, Shared, join_within};

/// Bounds of the copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShadowOptions {
    /// Threads that run them.
    pub n_threads: usize,
    /// Copies waiting; one more is shed.
    pub n_waiting_max: usize,
    /// Bytes of all copies, the ones being run included.
    pub n_bytes_max: usize,
}

impl Default for ShadowOptions {
    fn default() -> Self {
        Self { n_threads: 1, n_waiting_max: 64, n_bytes_max: 64 * 1024 * 1024 }
    }
}

/// What those who offer and those who run share.
struct Room {
    options: ShadowOptions,
    n_waiting: AtomicUsize,
    n_bytes: AtomicUsize,
    is_closed: AtomicBool,
    pool: Arc<Shared>,
}

/// A copy that has room. The room is given back with it.
struct Held {
    task: Option<Box<dyn ShadowTask>>,
    n_bytes: usize,
    room: Arc<Room>,
}

/// The threads that run copies. Dropping it drops what waits, and joins the threads within a bound.
pub struct ShadowPool {
    sender: Option<SyncSender<Held>>,
    room: Arc<Room>,
    threads: Vec<JoinHandle<()>>,
}

impl ShadowPool {
    /// Starts the threads. `step_back` lowers the priority of the thread that calls it; each calls it first.
    pub fn start(
        executor: &Executor,
        options: ShadowOptions,
        step_back: fn() -> std::io::Result<()>,
    ) -> Result<Self, ExecutorError> {
        let (n_waiting, n_bytes, is_closed) = Default::default();
        let room = Arc::new(Room { options, n_waiting, n_bytes, is_closed, pool: executor.shared() });
        let (sender, receiver) = sync_channel(options.n_waiting_max.max(1));
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::new();
        for index in 0..options.n_threads.max(1) {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new().name(format!("shadow-{index}"));
            threads.push(thread.spawn(move || work(&receiver, step_back))?);
        }
        Ok(Self { sender: Some(sender), room, threads })
    }
}

impl ShadowSink for ShadowPool {
    fn has_room(&self, n_bytes: usize) -> bool {
        let Room { options, n_waiting, n_bytes: held, pool, .. } = &*self.room;
        let is_queue_free = n_waiting.load(Ordering::Relaxed) < options.n_waiting_max.max(1);
        let has_bytes = held.load(Ordering::Relaxed).saturating_add(n_bytes) <= options.n_bytes_max;
        is_queue_free && has_bytes && !pool.is_pressed()
    }

    fn offer(&self, task: Box<dyn ShadowTask>) {
        let n_bytes = task.n_bytes();
        let fits = |held: usize| held.checked_add(n_bytes).filter(|sum| *sum <= self.room.options.n_bytes_max);
        let is_held = self.room.n_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        let sender = self.sender.as_ref().filter(|_| is_held && !self.room.pool.is_pressed());
        if !is_held {
            return task.end(ShadowEnd::Shed);
        }
        self.room.n_waiting.fetch_add(1, Ordering::Relaxed);
        let held = Held { task: Some(task), n_bytes, room: Arc::clone(&self.room) };
        let refused = match sender {
            Some(sender) => sender.try_send(held).err().map(|error| match error {
                std::sync::mpsc::TrySendError::Full(held) | std::sync::mpsc::TrySendError::Disconnected(held) => held,
            }),
            None => Some(held),
        };
        if let Some(mut refused) = refused {
            self.room.n_waiting.fetch_sub(1, Ordering::Relaxed);
            refused.shed();
        }
    }
}

impl Drop for ShadowPool {
    fn drop(&mut self) {
        self.room.is_closed.store(true, Ordering::Relaxed);
        self.sender = None;
        join_within(&self.room.pool, &mut self.threads);
    }
}

impl Held {
    fn shed(&mut self) {
        if let Some(task) = self.task.take() {
            task.end(ShadowEnd::Shed);
        }
    }

    fn run(&mut self) {
        let Some(mut task) = self.task.take() else { return };
        let Some((version, job)) = task.begin(self.room.pool.clock().now()) else { return };
        let marked = Marked::begin(&version);
        let report = version.lane.run_apart(job);
        drop(marked);
        task.end(ShadowEnd::Ran(report));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.n_bytes.fetch_sub(self.n_bytes, Ordering::Relaxed);
    }
}

/// A run that would be the version's should the process die in it. It is no attempt of the live path, and shows in none
/// of its metrics.
struct Marked(Option<Arc<dyn InFlightMark>>);

impl Marked {
    fn begin(version: &ServingVersion) -> Self {
        let mark = version.mark.clone();
        if let Some(mark) = &mark {
            mark.begin();
        }
        Self(mark)
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        if let Some(mark) = &self.0 {
            mark.end();
        }
    }
}

fn work(receiver: &Mutex<Receiver<Held>>, step_back: fn() -> std::io::Result<()>) {
    if let Err(error) = step_back() {
        warn!(%error, "copies for candidates run at the priority of live requests");
    }
    loop {
        // Whoever waits for the next copy holds the lock; the others wait for it.
        let next = receiver.lock().unwrap_or_else(|e| e.into_inner()).recv();
        let Ok(mut held) = next else { return };
        held.room.n_waiting.fetch_sub(1, Ordering::Relaxed);
        if held.room.is_closed.load(Ordering::Relaxed) {
            continue;
        }
        if held.room.pool.is_pressed() {
            held.shed();
        } else if catch_unwind(AssertUnwindSafe(|| held.run())).is_err() {
            warn!("the copy of a request panicked");
        }
        // Some kernels let others run only at a system call, whatever the priorities.
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests;
