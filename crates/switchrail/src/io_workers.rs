//! How many of the threads that read and write requests are awake.
//!
//! As soon as two workers of the async runtime are awake they hand requests to each other: the one that waits for
//! events wakes the other, which finds nothing to do and takes over the waiting, and so on. With a few callers that
//! doubles what a request costs. So only as many workers are awake as have work, usually one; the others sleep inside
//! a task each. A thread of its own looks every few milliseconds: when the awake ones are busy, or none of them came to
//! rest because a request keeps its thread, one more is woken. That is also what keeps the gateway answering while a
//! quick model, which runs on the caller's thread, turns slow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use base_types::Clock;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::sync::Notify;
use tokio::task::yield_now;

/// How often the workers are looked at.
const TICK: Duration = Duration::from_millis(10);
/// Above this share of their time the awake workers get one more.
const BUSY: f64 = 0.9;
/// One goes to sleep when the others would be busy for less than this share of their time. It is high because awake
/// workers make work for each other, which ends with the sleep ...
const QUIET: f64 = 0.75;
/// ... for so many looks in a row: going to sleep costs a moment's attention.
const QUIET_TICKS: u32 = 50;

/// Lets workers of a runtime sleep and wakes them. Dropping it wakes all of them for good.
pub struct IoWorkers {
    shared: Arc<Shared>,
    watcher: Option<JoinHandle<()>>,
}

struct Shared {
    spares: Vec<Spare>,
    is_closed: AtomicBool,
}

/// A worker that can be put to sleep, whichever it is.
#[derive(Default)]
struct Spare {
    wish: Mutex<Wish>,
    changed: Condvar,
    tired: Notify,
}

/// What is wanted of a spare, and whether it has come to it.
#[derive(Default)]
struct Wish {
    is_to_sleep: bool,
    is_asleep: bool,
}

impl Spare {
    fn wish(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn set(&self, is_to_sleep: bool) {
        self.wish().is_to_sleep = is_to_sleep;
        self.changed.notify_all();
        if is_to_sleep {
            self.tired.notify_one();
        }
    }

    /// Waits until a worker sleeps here, but not for long. Says whether one does.
    fn falls_asleep(&self) -> bool {
        let wait = self.changed.wait_timeout_while(self.wish(), TICK, |wish| wish.is_to_sleep && !wish.is_asleep);
        wait.unwrap_or_else(|e| e.into_inner()).0.is_asleep
    }

    /// Takes a worker out of service whenever that is wished, until it is wanted again.
    async fn stand_by(&self, is_closed: &AtomicBool) {
        loop {
            self.tired.notified().await;
            if is_closed.load(Ordering::Acquire) {
                return;
            }
            // The worker may hold another task in a place that nobody else looks at; after this it has run it.
            yield_now().await;
            let mut wish = self.wish();
            while wish.is_to_sleep {
                wish.is_asleep = true;
                self.changed.notify_all();
                wish = self.changed.wait(wish).unwrap_or_else(|e| e.into_inner());
            }
            wish.is_asleep = false;
        }
    }
}

impl IoWorkers {
    /// Takes over the workers of a runtime.
    pub fn start(runtime: &Handle, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        Self::start_with(runtime, clock, QUIET_TICKS)
    }

    fn start_with(runtime: &Handle, clock: Arc<dyn Clock>, quiet_ticks: u32) -> std::io::Result<Self> {
        let n_spares = runtime.metrics().num_workers().saturating_sub(1);
        let spares = (0..n_spares).map(|_| Spare::default()).collect();
        let shared = Arc::new(Shared { spares, is_closed: AtomicBool::new(false) });
        for index in 0..n_spares {
            let shared = shared.clone();
            runtime.spawn(async move { shared.spares[index].stand_by(&shared.is_closed).await });
        }
        let (watched, handle) = (shared.clone(), runtime.clone());
        let watch = move || Watcher::new(&watched, (handle, clock), quiet_ticks).watch();
        let watcher = std::thread::Builder::new().name("io-watch".to_owned()).spawn(watch)?;
        Ok(Self { shared, watcher: Some(watcher) })
    }
}

impl Drop for IoWorkers {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::Release);
        if let Some(watcher) = self.watcher.take()
            && watcher.join().is_err()
        {
            tracing::warn!("the watcher of the workers panicked");
        }
    }
}

/// What the awake workers did since the last look.
#[derive(Debug, Clone, Copy)]
struct Look {
    n_awake: usize,
    /// Time spent on requests, in workers: 1 is one worker all the time.
    busy: f64,
    /// Whether any of them ran out of work.
    has_rested: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Wake,
    Stay,
    /// One too many, if it stays so.
    Quiet,
}

fn step(look: Look) -> Step {
    let awake = look.n_awake as f64;
    if !look.has_rested || look.busy > BUSY * awake {
        Step::Wake
    } else if look.busy < QUIET * (awake - 1.0) {
        Step::Quiet
    } else {
        Step::Stay
    }
}

struct Watcher<'a> {
    shared: &'a Shared,
    runtime: Handle,
    metrics: RuntimeMetrics,
    clock: Arc<dyn Clock>,
    /// Per worker: time spent on requests, and how often it fell asleep or woke up.
    seen: Vec<(Duration, u64)>,
    /// Spares that sleep or are on their way there.
    n_asleep: usize,
    /// The last of them is not known to sleep yet.
    is_settling: bool,
    quiet_ticks: u32,
    n_quiet: u32,
}

impl<'a> Watcher<'a> {
    fn new(shared: &'a Shared, (runtime, clock): (Handle, Arc<dyn Clock>), quiet_ticks: u32) -> Self {
        let metrics = runtime.metrics();
        let seen = vec![(Duration::ZERO, 0); metrics.num_workers()];
        Self {
            shared,
            runtime,
            metrics,
            clock,
            seen,
            n_asleep: 0,
            is_settling: false,
            quiet_ticks,
            n_quiet: quiet_ticks,
        }
    }

    fn watch(&mut self) {
        let mut looked = self.clock.now();
        let mut has_woken = false;
        while !self.shared.is_closed.load(Ordering::Acquire) {
            self.settle();
            std::thread::sleep(TICK);
            let now = self.clock.now();
            let look = self.look(now.saturating_duration_since(looked));
            looked = now;
            // A worker that has just woken up tells its sleep as work.
            let is_telling = !std::mem::take(&mut has_woken) || !look.has_rested;
            if is_telling {
                has_woken = self.act(step(look));
            }
        }
        self.shared.spares.iter().for_each(|spare| spare.set(false));
        self.shared.spares.iter().for_each(|spare| spare.tired.notify_one());
    }

    /// As soon as a worker is seen asleep, makes another one look around: for what the sleeping one left in its queue,
    /// and because it may have been the one that waited for events. Whoever parked meanwhile left that to it.
    fn settle(&mut self) {
        if self.is_settling && self.shared.spares[self.n_asleep - 1].falls_asleep() {
            self.is_settling = false;
            // Comes from outside, so it wakes a worker.
            self.runtime.spawn(async {});
        }
    }

    /// Says whether a worker was woken.
    fn act(&mut self, step: Step) -> bool {
        self.n_quiet = if step == Step::Quiet { self.n_quiet + 1 } else { 0 };
        match step {
            Step::Wake if self.n_asleep > 0 => {
                self.n_asleep -= 1;
                self.shared.spares[self.n_asleep].set(false);
                self.is_settling = false;
                true
            }
            Step::Quiet if self.n_quiet >= self.quiet_ticks && !self.is_settling => {
                self.n_quiet = 0;
                self.shared.spares[self.n_asleep].set(true);
                self.n_asleep += 1;
                self.is_settling = true;
                false
            }
            _ => false,
        }
    }

    fn look(&mut self, elapsed: Duration) -> Look {
        let (mut busy, mut n_rested) = (Duration::ZERO, 0);
        for (worker, (busy_seen, turns_seen)) in self.seen.iter_mut().enumerate() {
            let total = self.metrics.worker_total_busy_duration(worker);
            let turns = self.metrics.worker_park_unpark_count(worker);
            busy += total.saturating_sub(*busy_seen).min(elapsed);
            // The count is odd while the worker waits for work.
            n_rested += usize::from(turns != *turns_seen || turns % 2 == 1);
            (*busy_seen, *turns_seen) = (total, turns);
        }
        let n_awake = self.seen.len() - self.n_asleep;
        Look { n_awake, busy: busy.as_secs_f64() / elapsed.as_secs_f64(), has_rested: n_rested > 0 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::sync::mpsc;

    use base_types::SystemClock;

    use super::*;

    fn look(n_awake: usize, busy: f64, has_rested: bool) -> Look {
        Look { n_awake, busy, has_rested }
    }

    #[test]
    fn workers_wake_when_the_awake_ones_are_busy_or_held_and_sleep_when_the_others_suffice() {
        assert_eq!(step(look(1, 0.1, true)), Step::Stay);
        assert_eq!(step(look(1, 0.8, true)), Step::Stay);
        assert_eq!(step(look(1, 0.95, true)), Step::Wake);
        assert_eq!(step(look(1, 0.0, false)), Step::Wake);
        assert_eq!(step(look(2, 1.4, true)), Step::Stay);
        assert_eq!(step(look(2, 1.9, true)), Step::Wake);
        assert_eq!(step(look(2, 0.6, true)), Step::Quiet);
        assert_eq!(step(look(2, 0.8, true)), Step::Stay);
        assert_eq!(step(look(3, 1.4, true)), Step::Quiet);
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap()
    }

    /// Workers that are soon put to sleep again.
    fn start(runtime: &tokio::runtime::Runtime) -> IoWorkers {
        IoWorkers::start_with(runtime.handle(), Arc::new(SystemClock), 3).unwrap()
    }

    /// Waits until as many workers sleep as can.
    fn all_asleep(workers: &IoWorkers) {
        let give_up = std::time::Instant::now() + Duration::from_secs(20);
        while !workers.shared.spares.iter().all(|spare| spare.wish().is_asleep) {
            assert!(std::time::Instant::now() < give_up, "the workers do not go to sleep");
            std::thread::sleep(TICK);
        }
    }

    #[test]
    fn tasks_go_on_while_others_keep_their_threads() {
        let runtime = runtime();
        let workers = start(&runtime);
        all_asleep(&workers);
        let (began, has_begun) = mpsc::channel();
        let releases: Vec<_> = (0..2)
            .map(|_| {
                let (release, released) = mpsc::channel::<()>();
                let began = began.clone();
                runtime.spawn(async move {
                    began.send(()).unwrap();
                    // Keeps the thread, not only the task.
                    released.recv().ok();
                });
                release
            })
            .collect();
        // Both must have begun although one thread alone was awake, and a third task must come through beside them.
        for _ in 0..2 {
            has_begun.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        let (done, is_done) = mpsc::channel();
        runtime.spawn(async move { done.send(()).unwrap() });
        is_done.recv_timeout(Duration::from_secs(20)).unwrap();
        drop(releases);
        drop(workers);
    }

    #[test]
    fn nothing_is_left_behind_when_workers_go_to_sleep() {
        let runtime = runtime();
        let workers = start(&runtime);
        let (done, is_done) = mpsc::channel();
        const TASKS: usize = 2_000;
        for index in 0..TASKS {
            let done = done.clone();
            runtime.spawn(async move {
                for _ in 0..20 {
                    yield_now().await;
                }
                tokio::time::sleep(Duration::from_millis(index as u64 % 50)).await;
                done.send(()).unwrap();
            });
            if index % 100 == 0 {
                std::thread::sleep(Duration::from_millis(3));
            }
        }
        for _ in 0..TASKS {
            is_done.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        drop(workers);
    }

    #[test]
    fn sockets_are_heard_however_often_workers_sleep_and_wake() {
        use std::io::{Read, Write};
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let runtime = runtime();
        let workers = start(&runtime);
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {}
                });
            }
        });
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for round in 0..8u8 {
            all_asleep(&workers);
            // Keeps every worker in turn until another one is woken, so that the next round puts them to sleep again.
            let held = runtime.spawn(async { std::thread::sleep(TICK * 3) });
            for byte in 0..20u8 {
                stream.write_all(&[byte ^ round]).unwrap();
                let mut echo = [0];
                stream.read_exact(&mut echo).unwrap();
                assert_eq!(echo, [byte ^ round]);
            }
            runtime.block_on(held).unwrap();
        }
        drop(workers);
    }
}
