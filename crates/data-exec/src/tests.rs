#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base_serving::ModelLimits;
use base_serving::engine::{RunControl, RunError, Runner, Terminate};
use base_serving::lane::{Job, JobError, Lane, Refusal, Report, Submission};
use base_types::{Clock, Data, DataType, FaultKind, MemoryUse, Signature, SystemClock, Tensor, TensorSpec};
use bytes::Bytes;

use crate::Executor;

/// Takes the time and gives the number its input says, until terminated if it listens.
struct Script {
    signature: Signature,
    is_deaf: bool,
    n_runs: AtomicUsize,
}

struct Stop(std::sync::Mutex<bool>, std::sync::Condvar);

impl Terminate for Stop {
    fn terminate(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

fn tensor(name: &str, value: f32) -> Tensor {
    let data = Data::Raw(Bytes::copy_from_slice(&value.to_le_bytes()));
    Tensor::new(name, DataType::Fp32, vec![1], data).unwrap()
}

impl Script {
    fn new(is_deaf: bool) -> Arc<Self> {
        let spec = |name: &str| TensorSpec { name: name.into(), datatype: DataType::Fp32, dims: vec![Some(1)] };
        let signature = Signature { inputs: vec![spec("millis"), spec("value")], outputs: vec![spec("y")] };
        Arc::new(Self { signature, is_deaf, n_runs: AtomicUsize::new(0) })
    }
}

fn number(tensor: &Tensor) -> f32 {
    match tensor.data() {
        Data::Raw(raw) => f32::from_le_bytes(raw[..4].try_into().unwrap()),
        Data::Strings(_) => panic!("not a number"),
    }
}

impl Runner for Script {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, inputs: &[Tensor], _: &[usize], control: &RunControl) -> Result<Vec<Tensor>, RunError> {
        self.n_runs.fetch_add(1, Ordering::SeqCst);
        let stop = Arc::new(Stop(false.into(), std::sync::Condvar::new()));
        if !control.begin(stop.clone()) {
            return Err(RunError::Terminated);
        }
        let millis = Duration::from_micros((number(&inputs[0]) * 1000.0) as u64);
        if self.is_deaf {
            std::thread::sleep(millis);
        } else {
            let end = Instant::now() + millis;
            let mut stopped = stop.0.lock().unwrap();
            while !*stopped && Instant::now() < end {
                stopped = stop.1.wait_timeout(stopped, end.saturating_duration_since(Instant::now())).unwrap().0;
            }
            if *stopped {
                return Err(RunError::Terminated);
            }
        }
        control.end();
        match number(&inputs[1]) {
            -1.0 => Err(RunError::Failed("asked to".into())),
            -2.0 => panic!("asked to"),
            -3.0 => Ok(vec![]),
            v => Ok(vec![tensor("y", v)]),
        }
    }

    fn memory(&self) -> MemoryUse {
        MemoryUse::default()
    }
}

fn executor(n_workers: usize) -> Executor {
    Executor::start(n_workers, 1, Arc::new(SystemClock) as Arc<dyn Clock>).unwrap()
}

fn job(millis: f32, value: f32) -> Job {
    let limits = ModelLimits { run_timeout: Duration::from_millis(700), queue_requests: 4, ..ModelLimits::default() };
    Job {
        inputs: Arc::new([tensor("millis", millis), tensor("value", value)]),
        outputs: Arc::new([0]),
        deadline: Instant::now() + Duration::from_secs(20),
        limits: Arc::new(limits),
        control: Arc::default(),
    }
}

fn wait(submission: Submission) -> Report {
    match submission {
        Submission::Finished(report) => report,
        Submission::Queued(report) => report.blocking_recv().unwrap(),
        Submission::Refused(refusal) => panic!("{refusal:?}"),
    }
}

fn fault(lane: &dyn Lane, millis: f32, value: f32) -> FaultKind {
    match wait(lane.submit(job(millis, value))).result {
        Err(JobError::Fault(kind, _)) => kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn faults_are_told_apart_and_the_pool_survives_them() {
    let executor = executor(1);
    let lane = executor.lane(Script::new(false));
    for _ in 0..3 {
        assert_eq!(fault(&lane, 1.0, -1.0), FaultKind::Run);
        assert_eq!(fault(&lane, 1.0, -2.0), FaultKind::Run);
        assert_eq!(fault(&lane, 1.0, -3.0), FaultKind::WrongOutput);
        assert_eq!(fault(&lane, 1.0, f32::NAN), FaultKind::NonFinite);
        assert_eq!(fault(&lane, 1.0, f32::INFINITY), FaultKind::NonFinite);
        assert_eq!(fault(&lane, 5_000.0, 1.0), FaultKind::Timeout);
        assert_eq!(number(&wait(lane.submit(job(1.0, 7.0))).result.unwrap()[0]), 7.0);
    }
}

#[test]
fn a_run_that_does_not_stop_is_answered_for_and_its_worker_replaced() {
    let executor = executor(1);
    let (deaf, other) = (executor.lane(Script::new(true)), executor.lane(Script::new(false)));
    let began = Instant::now();
    assert_eq!(fault(&deaf, 5_000.0, 1.0), FaultKind::Timeout);
    assert!(wait(other.submit(job(1.0, 1.0))).result.is_ok());
    assert!(began.elapsed() < Duration::from_secs(4), "the only worker stayed stuck");
}

#[test]
fn a_full_queue_and_a_hopeless_deadline_are_refused_at_once() {
    let executor = executor(1);
    let script = Script::new(false);
    let lane = executor.lane(script.clone());
    (0..2).for_each(|_| drop(wait(lane.submit(job(50.0, 1.0)))));
    let mut held = vec![lane.submit(job(90.0, 1.0))];
    while script.n_runs.load(Ordering::SeqCst) < 3 {
        std::thread::yield_now();
    }
    held.extend((0..3).map(|_| lane.submit(job(90.0, 1.0))));
    let hurried = Job { deadline: Instant::now() + Duration::from_millis(20), ..job(1.0, 1.0) };
    assert!(matches!(lane.submit(hurried), Submission::Refused(Refusal::TooLate(_))));
    held.push(lane.submit(job(90.0, 1.0)));
    assert!(matches!(lane.submit(job(1.0, 1.0)), Submission::Refused(Refusal::Full(_))));
    // Callers that leave make room.
    held.drain(1..);
    assert!(wait(lane.submit(job(1.0, 1.0))).result.is_ok());
    assert_eq!(script.n_runs.load(Ordering::SeqCst), 4, "a job nobody waited for was run");
}

#[test]
fn expired_and_stopped_jobs_never_begin() {
    let executor = executor(1);
    let script = Script::new(false);
    let lane = executor.lane(script.clone());
    let late = Job { deadline: Instant::now(), ..job(0.0, 1.0) };
    assert_eq!(wait(lane.submit(late)).result, Err(JobError::Expired));
    let stopped = job(1.0, 1.0);
    stopped.control.terminate();
    assert_eq!(wait(lane.submit(stopped)).result, Err(JobError::Stopped));
}

#[test]
fn a_backlog_of_one_lane_does_not_starve_another() {
    let executor = executor(1);
    let (busy, calm) = (executor.lane(Script::new(false)), executor.lane(Script::new(false)));
    let many = ModelLimits { queue_requests: 1_000, ..ModelLimits::default() };
    let limits = Arc::new(many);
    let backlog: Vec<_> = (0..100).map(|_| busy.submit(Job { limits: limits.clone(), ..job(10.0, 1.0) })).collect();
    let began = Instant::now();
    assert!(wait(calm.submit(job(1.0, 1.0))).result.is_ok());
    assert!(began.elapsed() < Duration::from_millis(500), "waited behind the other lane: {:?}", began.elapsed());
    drop(backlog);
}

#[test]
fn a_quick_model_runs_on_the_callers_thread_once_that_is_known() {
    let executor = executor(1);
    let lane = executor.lane(Script::new(true));
    assert!(matches!(lane.submit(job(0.0, 1.0)), Submission::Queued(_)));
    let give_up = Instant::now() + Duration::from_secs(10);
    while !matches!(lane.submit(job(0.0, 1.0)), Submission::Finished(_)) {
        assert!(Instant::now() < give_up);
    }
    // Slow runs in a row take it off the short path again; a single one, which the system may be to blame for, does not.
    wait(lane.submit(job(50.0, 1.0)));
    assert!(matches!(lane.submit(job(0.0, 1.0)), Submission::Finished(_)));
    (0..12).for_each(|_| drop(wait(lane.submit(job(50.0, 1.0)))));
    assert!(matches!(lane.submit(job(0.0, 1.0)), Submission::Queued(_)));
}
