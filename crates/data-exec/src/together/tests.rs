#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_serving::ModelLimits;
use base_serving::batching::{Batching, BatchingRule};
use base_serving::engine::{RunControl, RunError, Runner, Terminate};
use base_serving::lane::{Job, JobError, Lane, Refusal, Report, Submission};
use base_types::{
    Clock, Data, DataType, FaultKind, MemoryUse, ModelName, Signature, SystemClock, Tensor, TensorSpec, Version,
};
use bytes::Bytes;

use crate::{ExecLane, Executor};

mod waits;

const MS: Duration = Duration::from_millis(1);
/// No test waits so long for anything that goes well.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a row asks for, as its first number; the second is given back.
const PLAIN: f32 = 0.0;
/// The whole run fails.
const POISON: f32 = 1.0;
/// The row's output is no number.
const NAN: f32 = 2.0;
/// The run takes as many milliseconds as the second number says, or ends when it is terminated.
const SLOW: f32 = 3.0;
/// The same for a run that cannot be terminated.
const DEAF: f32 = 4.0;

/// How a model treats its rows.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Apart,
    /// Gives one row, however many go in.
    Merged,
    /// Gives each row the mean of all.
    Mean,
}

/// Gives rows back, and remembers how many it saw in each run.
struct Rows {
    signature: Signature,
    habit: Habit,
    seen: Mutex<Vec<usize>>,
    n_terminated: Mutex<usize>,
}

#[derive(Default)]
struct Stop(Mutex<bool>, Condvar);

impl Terminate for Stop {
    fn terminate(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

fn tensor(name: &str, columns: usize, values: &[f32]) -> Tensor {
    let data = Data::Raw(Bytes::from(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()));
    Tensor::new(name, DataType::Fp32, vec![values.len() / columns, columns], data).unwrap()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    match tensor.data() {
        Data::Raw(raw) => raw.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect(),
        Data::Strings(_) => panic!("no numbers"),
    }
}

impl Rows {
    fn new(habit: Habit) -> Arc<Self> {
        let spec =
            |name: &str, width| TensorSpec { name: name.into(), datatype: DataType::Fp32, dims: vec![None, width] };
        let signature =
            Signature { inputs: vec![spec("x", None)], outputs: vec![spec("y", Some(1)), spec("z", Some(1))] };
        Arc::new(Self { signature, habit, seen: Mutex::default(), n_terminated: Mutex::default() })
    }

    fn seen(&self) -> Vec<usize> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until so many runs have begun.
    fn wait_runs(&self, n: usize) {
        let give_up = Instant::now() + PATIENCE;
        while self.seen().len() < n {
            assert!(Instant::now() < give_up, "{:?}", self.seen());
            std::thread::sleep(MS);
        }
    }

    fn wait(&self, rows: &[&[f32]], stop: &Stop) -> Result<(), RunError> {
        for row in rows.iter().filter(|row| row[0] == SLOW || row[0] == DEAF) {
            let end = Instant::now() + MS.mul_f32(row[1]);
            let mut is_stopped = stop.0.lock().unwrap();
            while Instant::now() < end && (row[0] == DEAF || !*is_stopped) {
                let left = end.saturating_duration_since(Instant::now());
                is_stopped = stop.1.wait_timeout(is_stopped, left).unwrap().0;
            }
            if row[0] == SLOW && *is_stopped {
                *self.n_terminated.lock().unwrap() += 1;
                return Err(RunError::Terminated);
            }
        }
        Ok(())
    }
}

impl Runner for Rows {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, inputs: &[Tensor], outputs: &[usize], control: &RunControl) -> Result<Vec<Tensor>, RunError> {
        let values = floats(&inputs[0]);
        let rows: Vec<&[f32]> = values.chunks_exact(inputs[0].shape()[1]).collect();
        let stop = Arc::new(Stop::default());
        if !control.begin(stop.clone()) {
            return Err(RunError::Terminated);
        }
        self.seen.lock().unwrap().push(rows.len());
        let waited = self.wait(&rows, &stop);
        control.end();
        waited?;
        if rows.iter().any(|row| row[0] == POISON) {
            return Err(RunError::Failed("poison".into()));
        }
        let mut given: Vec<f32> = rows.iter().map(|row| if row[0] == NAN { f32::NAN } else { row[1] }).collect();
        match self.habit {
            Habit::Apart => {}
            Habit::Merged => given.truncate(1),
            Habit::Mean => {
                let mean = given.iter().sum::<f32>() / given.len() as f32;
                given.fill(mean);
            }
        }
        Ok(outputs.iter().map(|output| tensor(["y", "z"][*output], 1, &given)).collect())
    }

    fn memory(&self) -> MemoryUse {
        MemoryUse::default()
    }
}

fn executor(n_workers: usize) -> Executor {
    // Nothing runs on the callers' threads: what these tests are about is the queue.
    Executor::start(n_workers, 0, Arc::new(SystemClock) as Arc<dyn Clock>).unwrap()
}

fn limits(batching: Batching) -> Arc<ModelLimits> {
    let batching = BatchingRule::On(batching);
    Arc::new(ModelLimits { run_timeout: 2_000 * MS, batching, ..ModelLimits::default() })
}

fn plain() -> Arc<ModelLimits> {
    limits(Batching { max_rows: 16, ..Batching::default() })
}

fn job(limits: &Arc<ModelLimits>, rows: &[[f32; 2]]) -> Job {
    Job {
        inputs: Arc::new([tensor("x", 2, rows.as_flattened())]),
        outputs: Arc::new([0]),
        deadline: Instant::now() + PATIENCE,
        limits: limits.clone(),
        control: Arc::default(),
    }
}

fn wait(submission: Submission) -> Report {
    match submission {
        Submission::Queued(report) => report.blocking_recv().unwrap(),
        Submission::Finished(_) => panic!("it was not queued"),
        Submission::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// The numbers of an answer.
fn answer(submission: Submission) -> Vec<f32> {
    let report = wait(submission);
    let outputs = report.result.unwrap_or_else(|error| panic!("{error:?}"));
    floats(&outputs[0])
}

fn fault(submission: Submission) -> FaultKind {
    match wait(submission).result {
        Err(JobError::Fault(kind, _)) => kind,
        other => panic!("{other:?}"),
    }
}

/// Keeps the only worker busy, so that what comes next waits together. What it takes says nothing about batches.
fn hold(lane: &ExecLane, runner: &Rows) -> Submission {
    let n_before = runner.seen().len();
    let limits = Arc::new(ModelLimits { batching: BatchingRule::Off, ..ModelLimits::default() });
    let held = lane.submit(job(&limits, &[[SLOW, 120.0]]));
    runner.wait_runs(n_before + 1);
    held
}

#[test]
fn requests_that_wait_run_together_and_each_gets_its_own_rows() {
    let (executor, runner, limits) = (executor(1), Rows::new(Habit::Apart), plain());
    let lane = executor.lane(runner.clone());
    let metrics = Metrics::new("0", "1").unwrap();
    let handles = metrics.version(&ModelName::new("m").unwrap(), Version::new(1).unwrap());
    lane.counted_by(handles.batches());
    let held = hold(&lane, &runner);
    let sizes = [1_usize, 3, 2, 1, 5, 4, 2, 1];
    let rows = |request: usize, n: usize| (0..n).map(|row| [PLAIN, (request * 10 + row) as f32]).collect::<Vec<_>>();
    let waiting: Vec<_> = sizes.iter().enumerate().map(|(at, n)| lane.submit(job(&limits, &rows(at, *n)))).collect();
    let mut counted = Vec::new();
    for ((at, n), submission) in sizes.iter().enumerate().zip(waiting) {
        let report = wait(submission);
        let expected: Vec<f32> = rows(at, *n).iter().map(|row| row[1]).collect();
        assert_eq!(floats(&report.result.unwrap()[0]), expected);
        let batch = report.batch.unwrap_or_else(|| panic!("request {at} ran by itself"));
        counted.extend(batch.is_counted.then_some(batch.n_rows));
    }
    drop(wait(held));
    // 16 rows at most: the first six requests, and the last two. In each batch the last member ran alone as well.
    assert_eq!(counted, [16, 3]);
    assert_eq!(runner.seen(), [1, 16, 4, 3, 1]);
    let shown = String::from_utf8(metrics.render().unwrap()).unwrap();
    for line in [
        r#"switchrail_batches_total{model="m",reason="full",version="1"} 1"#,
        r#"switchrail_batches_total{model="m",reason="idle",version="1"} 1"#,
        r#"switchrail_batch_rows_sum{model="m",version="1"} 19"#,
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn a_poison_request_condemns_itself_alone() {
    let (executor, runner, limits) = (executor(1), Rows::new(Habit::Apart), plain());
    let lane = executor.lane(runner.clone());
    let held = hold(&lane, &runner);
    let mut waiting: Vec<_> = (0..4).map(|n| lane.submit(job(&limits, &[[PLAIN, n as f32]]))).collect();
    let poison = lane.submit(job(&limits, &[[POISON, 0.0]]));
    waiting.extend((4..8).map(|n| lane.submit(job(&limits, &[[PLAIN, n as f32]]))));
    for (n, submission) in waiting.into_iter().enumerate() {
        assert_eq!(answer(submission), [n as f32]);
    }
    assert_eq!(fault(poison), FaultKind::Run);
    drop(wait(held));
    assert_eq!(runner.seen()[..2], [1, 9]);
    assert!(runner.seen()[2..].iter().all(|rows| *rows == 1), "{:?}", runner.seen());
}

#[test]
fn what_is_no_number_is_the_fault_of_its_own_request() {
    let (executor, runner, limits) = (executor(1), Rows::new(Habit::Apart), plain());
    let lane = executor.lane(runner.clone());
    let held = hold(&lane, &runner);
    let first = lane.submit(job(&limits, &[[PLAIN, 1.0]]));
    let odd = lane.submit(job(&limits, &[[PLAIN, 2.0], [NAN, 0.0]]));
    let last = lane.submit(job(&limits, &[[PLAIN, 3.0]]));
    assert_eq!((answer(first), answer(last)), (vec![1.0], vec![3.0]));
    assert_eq!(fault(odd), FaultKind::NonFinite);
    drop(wait(held));
    // Together, the last one compared, and the odd one by itself.
    assert_eq!(runner.seen(), [1, 4, 1, 2]);
}

#[test]
fn a_version_whose_rows_are_not_its_own_is_not_batched_and_nobody_is_blamed() {
    for habit in [Habit::Merged, Habit::Mean] {
        let (executor, runner, limits) = (executor(1), Rows::new(habit), plain());
        let lane = executor.lane(runner.clone());
        for _ in 0..2 {
            let held = hold(&lane, &runner);
            let waiting: Vec<_> = (0..5).map(|n| lane.submit(job(&limits, &[[PLAIN, n as f32]]))).collect();
            for (n, submission) in waiting.into_iter().enumerate() {
                assert_eq!(answer(submission), [n as f32]);
            }
            drop(wait(held));
        }
        let n_batches = runner.seen().iter().filter(|rows| **rows > 1).count();
        assert_eq!(n_batches, 1, "{:?}", runner.seen());
    }
}

#[test]
fn requests_of_other_shapes_outputs_or_bounds_do_not_join() {
    let (executor, runner, limits) = (executor(1), Rows::new(Habit::Apart), plain());
    let lane = executor.lane(runner.clone());
    let held = hold(&lane, &runner);
    let narrow = |n: f32| job(&limits, &[[PLAIN, n]]);
    let wide = |n: f32| Job { inputs: Arc::new([tensor("x", 3, &[PLAIN, n, 0.0])]), ..narrow(0.0) };
    let other_output = |n: f32| Job { outputs: Arc::new([1]), ..narrow(n) };
    let others = Arc::new(ModelLimits { batching: BatchingRule::Off, ..ModelLimits::default() });
    let apart = |n: f32| job(&others, &[[PLAIN, n]]);
    let jobs = [narrow(1.0), wide(2.0), other_output(3.0), narrow(4.0), apart(5.0), wide(6.0), other_output(7.0)];
    let waiting: Vec<_> = jobs.into_iter().map(|job| lane.submit(job)).collect();
    let answers: Vec<f32> = waiting.into_iter().flat_map(answer).collect();
    assert_eq!(answers, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    drop(wait(held));
    let n_rows: Vec<usize> = runner.seen().into_iter().filter(|rows| *rows > 1).collect();
    assert_eq!(n_rows, [2, 2, 2], "pairs of a kind: {:?}", runner.seen());
}

#[test]
fn a_run_ends_early_only_when_all_its_callers_have_left() {
    let (executor, runner, limits) = (executor(1), Rows::new(Habit::Apart), plain());
    let lane = executor.lane(runner.clone());
    let held = hold(&lane, &runner);
    let (leaves, stays) = (job(&limits, &[[SLOW, 300.0]]), job(&limits, &[[PLAIN, 1.0]]));
    let control = leaves.control.clone();
    let (left, kept) = (lane.submit(leaves), lane.submit(stays));
    drop(wait(held));
    runner.wait_runs(2);
    control.terminate();
    drop(left);
    assert_eq!(answer(kept), [1.0], "a neighbour who leaves ends nothing");
    assert_eq!(*runner.n_terminated.lock().unwrap(), 0);
    let held = hold(&lane, &runner);
    let n_before = runner.seen().len();
    let both: Vec<Job> = (0..2).map(|_| job(&limits, &[[SLOW, 60_000.0]])).collect();
    let controls: Vec<_> = both.iter().map(|job| job.control.clone()).collect();
    let submissions: Vec<_> = both.into_iter().map(|job| lane.submit(job)).collect();
    drop(wait(held));
    runner.wait_runs(n_before + 1);
    drop(submissions);
    controls.iter().for_each(|control| control.terminate());
    // Long before the run would have ended by itself, the worker is free.
    assert_eq!(answer(lane.submit(job(&limits, &[[PLAIN, 2.0]]))), [2.0]);
    assert_eq!(*runner.n_terminated.lock().unwrap(), 1);
}

#[test]
fn a_batch_that_takes_too_long_is_run_apart_whether_it_can_be_stopped_or_not() {
    for kind in [SLOW, DEAF] {
        let (executor, runner) = (executor(1), Rows::new(Habit::Apart));
        let lane = executor.lane(runner.clone());
        let limits = Arc::new(ModelLimits { run_timeout: 400 * MS, ..ModelLimits::clone(&plain()) });
        let held = hold(&lane, &runner);
        let mut waiting = vec![lane.submit(job(&limits, &[[PLAIN, 0.0]]))];
        let slow = lane.submit(job(&limits, &[[kind, 3_000.0]]));
        waiting.extend((1..4).map(|n| lane.submit(job(&limits, &[[PLAIN, n as f32]]))));
        for (n, submission) in waiting.into_iter().enumerate() {
            assert_eq!(answer(submission), [n as f32]);
        }
        assert_eq!(fault(slow), FaultKind::Timeout);
        drop(wait(held));
        assert_eq!(runner.seen()[..2], [1, 5]);
    }
}
