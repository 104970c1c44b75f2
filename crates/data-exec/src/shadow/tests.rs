#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_serving::engine::{RunControl, Runner};
use base_serving::lane::{Job, JobError, Lane, Report};
use base_serving::{InFlightMark, ModelLimits};
use base_types::{FaultKind, ModelName, SystemClock, Version};
use testkit::fake::{FakeRunner, affine4_signature, fp32, serving_version};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// How a copy ended, in a word.
#[derive(Debug, PartialEq)]
enum Ended {
    Answered,
    Fault(FaultKind),
    Shed,
}

struct Task {
    version: Arc<ServingVersion>,
    run_timeout: Duration,
    n_bytes: usize,
    ended: Sender<Ended>,
    panics: bool,
}

impl ShadowTask for Task {
    fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    fn begin(&mut self, now: Instant) -> Option<(Arc<ServingVersion>, Job)> {
        let limits = Arc::new(ModelLimits { run_timeout: self.run_timeout, ..ModelLimits::default() });
        let inputs = [fp32("x", &[1, 4], &[1.0; 4]).unwrap()].into();
        let control = Arc::new(RunControl::default());
        Some((self.version.clone(), Job { inputs, outputs: [0].into(), deadline: now + PATIENCE, limits, control }))
    }

    fn end(self: Box<Self>, end: ShadowEnd) {
        assert!(!self.panics, "asked to");
        let _gone = self.ended.send(match end {
            ShadowEnd::Shed => Ended::Shed,
            ShadowEnd::Ran(Report { result: Ok(_), .. }) => Ended::Answered,
            ShadowEnd::Ran(Report { result: Err(JobError::Fault(kind, _)), .. }) => Ended::Fault(kind),
            ShadowEnd::Ran(report) => panic!("{report:?}"),
        });
    }
}

#[derive(Default)]
struct Marks(AtomicU64);

impl InFlightMark for Marks {
    fn begin(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn end(&self) {
        self.0.fetch_add(1 << 32, Ordering::SeqCst);
    }
}

struct World {
    executor: Executor,
    pool: ShadowPool,
    version: Arc<ServingVersion>,
    marks: Arc<Marks>,
    metrics: Metrics,
    ended: (Sender<Ended>, Receiver<Ended>),
}

fn world(options: ShadowOptions, delay: Duration) -> World {
    let executor = Executor::start(1, 0, Arc::new(SystemClock)).unwrap();
    let pool = ShadowPool::start(&executor, options, || Ok(())).unwrap();
    let metrics = Metrics::new("0", "0").unwrap();
    let runner: Arc<dyn Runner> = Arc::new(FakeRunner::affine4(1.0, 0.0).with_delay(delay));
    let lane = Arc::new(executor.lane(runner));
    let name = ModelName::new("m").unwrap();
    let marks = Arc::new(Marks::default());
    let version = serving_version(&metrics, (&name, Version::new(2).unwrap()), affine4_signature(), lane);
    let mut version = Arc::try_unwrap(version).unwrap_or_else(|_| panic!("shared"));
    version.mark = Some(marks.clone());
    World { executor, pool, version: Arc::new(version), marks, metrics, ended: channel() }
}

impl World {
    fn task(&self, n_bytes: usize) -> Box<Task> {
        let (version, ended) = (self.version.clone(), self.ended.0.clone());
        Box::new(Task { version, run_timeout: PATIENCE, n_bytes, ended, panics: false })
    }

    fn ends(&self, n: usize) -> Vec<Ended> {
        (0..n).map(|_| self.ended.1.recv_timeout(PATIENCE).unwrap()).collect()
    }
}

#[test]
fn a_copy_runs_apart_and_shows_in_no_metric_of_the_live_path() {
    let world = world(ShadowOptions::default(), Duration::ZERO);
    world.pool.offer(world.task(10));
    assert_eq!(world.ends(1), [Ended::Answered]);
    while world.pool.room.n_bytes.load(Ordering::SeqCst) > 0 {
        std::thread::yield_now();
    }
    assert!(world.pool.has_room(ShadowOptions::default().n_bytes_max));
    assert_eq!(world.marks.0.load(Ordering::SeqCst), (1 << 32) + 1, "it was marked while it ran");
    let shown = String::from_utf8(world.metrics.render().unwrap()).unwrap();
    assert!(!shown.contains("switchrail_attempts_total{"), "{shown}");
    assert!(shown.contains("switchrail_run_seconds_count{model=\"m\",version=\"2\"} 0"), "{shown}");
    assert!(world.version.lane.is_idle());
}

#[test]
fn what_does_not_fit_is_shed_at_once() {
    let options = ShadowOptions { n_waiting_max: 2, ..ShadowOptions::default() };
    let world = world(options, Duration::from_millis(200));
    world.pool.offer(world.task(10));
    while world.pool.room.n_waiting.load(Ordering::SeqCst) > 0 {
        std::thread::yield_now();
    }
    // One runs, two wait.
    let began = Instant::now();
    (0..5).for_each(|_| world.pool.offer(world.task(10)));
    assert!(began.elapsed() < Duration::from_millis(150), "nobody waited: {:?}", began.elapsed());
    assert!(!world.pool.has_room(10));
    assert_eq!(world.ends(3), [Ended::Shed, Ended::Shed, Ended::Shed]);
    assert_eq!(world.ends(3), [Ended::Answered, Ended::Answered, Ended::Answered]);
}

#[test]
fn bytes_are_bounded_over_what_waits_and_runs() {
    let options = ShadowOptions { n_bytes_max: 100, ..ShadowOptions::default() };
    let world = world(options, Duration::from_millis(100));
    assert!(world.pool.has_room(100) && !world.pool.has_room(101));
    for n_bytes in [60, 60, 40, 101, usize::MAX] {
        world.pool.offer(world.task(n_bytes));
    }
    assert_eq!(world.ends(5), [Ended::Shed, Ended::Shed, Ended::Shed, Ended::Answered, Ended::Answered]);
}

#[test]
fn a_run_that_takes_too_long_is_stopped() {
    let world = world(ShadowOptions::default(), PATIENCE * 6);
    world.pool.offer(Box::new(Task { run_timeout: Duration::from_millis(30), ..*world.task(1) }));
    assert_eq!(world.ends(1), [Ended::Fault(FaultKind::Timeout)]);
}

#[test]
fn a_copy_that_panics_takes_no_thread_with_it() {
    let world = world(ShadowOptions::default(), Duration::ZERO);
    world.pool.offer(Box::new(Task { panics: true, ..*world.task(1) }));
    world.pool.offer(world.task(1));
    assert_eq!(world.ends(1), [Ended::Answered]);
}

#[test]
fn copies_go_first_when_live_requests_wait_for_workers() {
    let world = world(ShadowOptions::default(), Duration::ZERO);
    let slow: Arc<dyn Runner> = Arc::new(FakeRunner::affine4(1.0, 0.0).with_delay(Duration::from_millis(300)));
    let lane = world.executor.lane(slow);
    let live = || {
        let (_, job) = world.task(0).begin(Instant::now()).unwrap();
        lane.submit(job)
    };
    // One worker: the first runs, the second waits.
    let waiting = [live(), live()];
    let began = Instant::now();
    while world.pool.has_room(1) {
        assert!(began.elapsed() < PATIENCE, "live requests wait, and copies still find room");
        std::thread::yield_now();
    }
    world.pool.offer(world.task(1));
    assert_eq!(world.ends(1), [Ended::Shed]);
    while !world.pool.has_room(1) {
        assert!(began.elapsed() < PATIENCE, "nobody waits any more, and copies find no room");
        std::thread::yield_now();
    }
    world.pool.offer(world.task(1));
    assert_eq!(world.ends(1), [Ended::Answered]);
    drop(waiting);
}

#[test]
fn the_time_of_a_copy_decides_nothing_about_live_requests() {
    let world = world(ShadowOptions::default(), Duration::from_millis(50));
    world.pool.offer(world.task(1));
    assert_eq!(world.ends(1), [Ended::Answered]);
    // A lane that took fifty milliseconds a run for a measurement would refuse what has less time than that.
    let jobs: Vec<_> = (0..3)
        .map(|_| {
            let (_, job) = world.task(0).begin(Instant::now()).unwrap();
            world.version.lane.submit(Job { deadline: Instant::now() + Duration::from_millis(40), ..job })
        })
        .collect();
    for submission in &jobs {
        assert!(matches!(submission, base_serving::lane::Submission::Queued(_)));
    }
}

#[test]
fn what_waits_at_the_end_is_let_go() {
    let World { executor, pool, version, ended, .. } = world(ShadowOptions::default(), Duration::from_millis(100));
    for _ in 0..20 {
        let (version, ended) = (version.clone(), ended.0.clone());
        pool.offer(Box::new(Task { version, run_timeout: PATIENCE, n_bytes: 1, ended, panics: false }));
    }
    let began = Instant::now();
    drop(pool);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    drop(executor);
    assert_eq!(Arc::strong_count(&version), 1, "no copy holds the version any more");
}
