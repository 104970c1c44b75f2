//! What a healthy request pays while rules are armed: the data plane's own code with and without a watch.

use std::borrow::Cow;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_routing::{Assignment, Facts, ModelRoute, Source, Split, SplitId};
use base_serving::lane::Submission;
use base_serving::watch::{DECILE_EDGES, DriftBins, DriftPlan};
use base_serving::{
    Attempt, ModelLimits, OutcomeLedger, Rerun, ServingModel, Snapshot, SnapshotCell, Watch, WatchPlan,
};
use base_types::{
    Generation, ModelName, Outcome, OutcomeClass, Protocol, Reason, Signature, SystemClock, Tensor, Version,
};
use data_path::{Gateway, InferRequest};
use testkit::fake::{FakeLane, NoJudge, affine4_signature, fp32, report, serving_model, serving_version};

use crate::BenchError;

/// What a run of a fake is said to take: below some bounds and above others.
const TOOK: Duration = Duration::from_millis(1);
/// A limit, and three quantiles of stable.
const BOUNDS_US: [u64; 4] = [80_000, 900, 1_100, 5_000];
/// The width of an answer whose largest value is looked for.
const N_CLASSES: usize = 1000;
/// Batches are short, so that few are interrupted.
const N_RECORDED: usize = 4_000;
const N_REQUESTS: usize = 400;

/// What is done over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// The outcome is recorded, the arm counted and the answer binned; nothing else.
    Recording,
    /// A whole request from decoded to answered, four floats, deciles of the first.
    Request,
    /// The same, and the largest of a thousand values is looked for.
    WideRequest,
}

impl Case {
    pub(super) const ALL: [Self; 3] = [Self::Recording, Self::Request, Self::WideRequest];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Recording => "an outcome is recorded",
            Self::Request => "a request of 4 floats, drift by deciles",
            Self::WideRequest => "a request of 1,000 floats, drift by classes",
        }
    }

    fn width(self) -> usize {
        if self == Self::WideRequest { N_CLASSES } else { 4 }
    }
}

/// One pair of batches, per request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) unarmed_ns: f64,
    pub(super) armed_ns: f64,
}

/// Runs batches with and without rules in turn.
pub(super) fn measure(case: Case, n_threads: usize, n_rounds: usize) -> Result<Vec<Cost>, BenchError> {
    let (unarmed, armed) = (Scene::new(case, false)?, Scene::new(case, true)?);
    // The first round warms up and is not counted.
    let costs = (0..=n_rounds).map(|round| {
        let (unarmed_ns, armed_ns) = if round % 2 == 0 {
            let unarmed_ns = unarmed.batch(n_threads)?;
            (unarmed_ns, armed.batch(n_threads)?)
        } else {
            let armed_ns = armed.batch(n_threads)?;
            (unarmed.batch(n_threads)?, armed_ns)
        };
        Ok(Cost { unarmed_ns, armed_ns })
    });
    let costs: Result<Vec<Cost>, BenchError> = costs.collect();
    armed.check(n_threads * (n_rounds + 1))?;
    Ok(costs?.split_off(1))
}

/// A model with a candidate, and everything that a request passes.
struct Scene {
    case: Case,
    gateway: Gateway,
    ledger: Arc<OutcomeLedger>,
    model: Arc<ServingModel>,
    input: Tensor,
}

impl Scene {
    fn new(case: Case, is_armed: bool) -> Result<Self, BenchError> {
        let failed = |error: &dyn std::fmt::Display| BenchError::InProcess(error.to_string());
        let name = ModelName::new("m").map_err(|e| failed(&e))?;
        let version = |n| Version::new(n).ok_or_else(|| BenchError::InProcess("no version 0".to_owned()));
        let (stable, candidate) = (version(1)?, version(2)?);
        let split = Split::new([("1".into(), stable, 0.75), ("2".into(), candidate, 0.25)]).map_err(|e| failed(&e))?;
        let route = ModelRoute { split, ..ModelRoute::to_one(name.clone(), stable) };
        let watch = is_armed.then(|| Arc::new(Watch::new(plan(case, &route))));
        let metrics = Metrics::new("0", "0").map_err(|e| failed(&e))?;
        let values: Vec<f32> = (0..case.width()).map(|n| (n * 7919 % 1009) as f32).collect();
        let input = fp32("x", &[1, case.width()], &values).map_err(|e| failed(&e))?;
        let answer = fp32("y", &[1, case.width()], &values).map_err(|e| failed(&e))?;
        let serving = |n| {
            let answer = answer.clone();
            let lane = Arc::new(FakeLane::new(move |_| Submission::Finished(report(Ok(vec![answer.clone()])))));
            (n, serving_version(&metrics, (&name, n), signature(case), lane))
        };
        let model = Arc::new(ServingModel {
            route: Some(route),
            versions: [stable, candidate].map(serving).into(),
            is_judged: is_armed,
            watch,
            ..serving_model(&name, ModelLimits::default())
        });
        let models = [(name, model.clone())].into();
        let cell = Arc::new(SnapshotCell::new(Snapshot { generation: Generation(1), models }));
        let ledger = Arc::new(OutcomeLedger::new(Arc::new(NoJudge), Instant::now()));
        let gateway = Gateway::new(cell, ledger.clone(), metrics, Arc::new(SystemClock));
        Ok(Self { case, gateway, ledger, model, input })
    }

    /// One batch on each of so many threads at once; nanoseconds per request.
    fn batch(&self, n_threads: usize) -> Result<f64, BenchError> {
        let start = Barrier::new(n_threads);
        let times: Vec<Result<Duration, BenchError>> = std::thread::scope(|scope| {
            let work = || if self.case == Case::Recording { self.record(&start) } else { self.ask(&start) };
            let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
            let panicked = |_| Err(BenchError::InProcess("a batch panicked".to_owned()));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        let times: Result<Vec<Duration>, BenchError> = times.into_iter().collect();
        let all: Duration = times?.iter().sum();
        Ok(all.as_nanos() as f64 / (n_threads * self.n_calls()) as f64)
    }

    fn n_calls(&self) -> usize {
        if self.case == Case::Recording { N_RECORDED } else { N_REQUESTS }
    }

    /// What the request path does for the outcome of a good answer of stable, and for its watch.
    fn record(&self, start: &Barrier) -> Result<Duration, BenchError> {
        let asked = self.model.versions.values().next();
        let version = asked.ok_or_else(|| BenchError::InProcess("no version".to_owned()))?;
        let (split, reason) = (Some(SplitId::Default), Reason::Split);
        let assignment = Assignment { split, reason, arm: Some(0), ..Assignment::pinned(version.id.version) };
        let attempt = Attempt { model: &self.model, version, assignment: &assignment, rerun: Rerun::None };
        let queue = Duration::ZERO;
        let outcome = Outcome { class: OutcomeClass::Ok, fault: None, reason, queue, run: TOOK, total: TOOK };
        let now = Instant::now();
        start.wait();
        let began = Instant::now();
        for n in 0..N_RECORDED {
            let attempt = std::hint::black_box(&attempt);
            let arm = attempt.model.watch.as_ref().and_then(|watch| Some((watch, watch.arm(attempt.assignment)?)));
            if let Some((watch, arm)) = arm {
                watch.assigned(arm, attempt.assignment.key);
                watch.binned((arm, attempt.assignment.key), n % 10);
            }
            self.ledger.attempt(attempt, std::hint::black_box(&outcome), now);
        }
        Ok(began.elapsed())
    }

    /// Whole requests, drawn at random.
    fn ask(&self, start: &Barrier) -> Result<Duration, BenchError> {
        let failed = |error: &dyn std::fmt::Debug| BenchError::InProcess(format!("{error:?}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|e| failed(&e))?;
        start.wait();
        let began = Instant::now();
        runtime.block_on(async {
            for _ in 0..N_REQUESTS {
                let request = InferRequest {
                    protocol: Protocol::OipRest,
                    model: "m".into(),
                    pin: None,
                    inputs: vec![self.input.clone()],
                    outputs: Vec::new(),
                    uncarried: [][..].into(),
                    timeout: None,
                };
                let answer = self.gateway.infer(request, &NoFacts).await;
                std::hint::black_box(answer.map_err(|e| failed(&e))?);
            }
            Ok(began.elapsed())
        })
    }

    /// What was measured must have been counted, or it was not what it seems.
    fn check(&self, n_batches: usize) -> Result<(), BenchError> {
        let arms = self.model.watch.iter().flat_map(|watch| watch.totals().arms);
        let (mut n_ok, mut n_assigned, mut n_binned, mut n_slow) = (0, 0, 0, 0);
        for arm in arms {
            (n_ok, n_assigned) = (n_ok + arm.ok, n_assigned + arm.assigned);
            n_binned += arm.bins.iter().sum::<u64>();
            n_slow += arm.slow.iter().sum::<u64>();
        }
        let expected = (n_batches * self.n_calls()) as u64;
        if [n_ok, n_assigned, n_binned, n_slow].iter().all(|n| *n == expected) {
            return Ok(());
        }
        Err(BenchError::Incorrect(format!(
            "of {expected} requests {n_assigned} were assigned, {n_ok} good, {n_binned} binned, {n_slow} slow by a bound"
        )))
    }
}

/// A watch for all rules that look at every request.
fn plan(case: Case, route: &ModelRoute) -> WatchPlan {
    let edges: [f64; DECILE_EDGES] = std::array::from_fn(|n| n as f64);
    let bins = if case == Case::WideRequest { DriftBins::Classes } else { DriftBins::Deciles(edges) };
    let drift = Some(DriftPlan { output: "y".into(), bins });
    // One of them is below what fakes take.
    let latency_bounds = BOUNDS_US.map(Duration::from_micros).to_vec();
    WatchPlan { latency_bounds, drift, ..WatchPlan::of(route) }
}

fn signature(case: Case) -> Signature {
    let mut signature = affine4_signature();
    let specs = signature.inputs.iter_mut().chain(&mut signature.outputs);
    specs.for_each(|spec| spec.dims = vec![None, Some(case.width())]);
    signature
}

struct NoFacts;

impl Facts for NoFacts {
    fn value(&self, _: &Source) -> Option<Cow<'_, str>> {
        None
    }
}
