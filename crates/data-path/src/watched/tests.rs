#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

mod back;
mod copies;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_routing::{Experiment, Facts, ModelRoute, Source, Split, SplitId};
use base_serving::lane::{Job, JobError, Submission};
use base_serving::watch::{ArmTotals, DriftBins, DriftPlan};
use base_serving::{
    Exposure, ExposureSink, ModelLimits, OutcomeLedger, PredictionKey, RetryBudget, ServingModel, Snapshot,
    SnapshotCell, Watch, WatchPlan, experiment_tag,
};
use base_types::{FaultKind, Generation, ManualClock, ModelName, Protocol, Reason, Version};
use testkit::fake::{FakeLane, NoJudge, affine4_signature, floats, fp32, report, serving_model, serving_version};

use crate::{Answer, Failure, Gateway, InferRequest};

const KEY: [u8; 16] = [5; 16];
const MS: Duration = Duration::from_millis(1);

fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

fn name() -> ModelName {
    ModelName::new("m").unwrap()
}

/// What a version answers: what its input says, times a factor. An input that begins with a negative number is a fault
/// of every version but the first.
fn submit(n: u64, job: &Job) -> Submission {
    let values = floats(&job.inputs[0]);
    if n > 1 && values[0] < 0.0 {
        return Submission::Finished(report(Err(JobError::Fault(FaultKind::Run, "secret".into()))));
    }
    let factor = if n == 3 { 10.0 } else { 1.0 };
    let answers: Vec<f32> = values.iter().map(|value| value * factor).collect();
    Submission::Finished(report(
        fp32("y", job.inputs[0].shape(), &answers)
            .map(|y| vec![y])
            .map_err(|e| JobError::Fault(FaultKind::Run, e.to_string())),
    ))
}

/// A model with stable version 1, a candidate 2 that answers the same and a candidate 3 that does not.
struct World {
    gateway: Gateway,
    watch: Arc<Watch>,
    metrics: Metrics,
    clock: Arc<ManualClock>,
}

#[derive(Default)]
struct Exposed(Mutex<Vec<Exposure>>);

impl ExposureSink for Exposed {
    fn exposed(&self, exposure: Exposure) {
        self.0.lock().unwrap().push(exposure);
    }
}

fn split(arms: &[(&str, u64, f64)]) -> Split {
    Split::new(arms.iter().map(|(name, n, weight)| (Arc::from(*name), version(*n), *weight))).unwrap()
}

fn route(arms: &[(&str, u64, f64)]) -> ModelRoute {
    let sticky = vec![Source::Header("x-user".into())];
    ModelRoute { split: split(arms), sticky, ..ModelRoute::to_one(name(), version(1)) }
}

fn world(route: ModelRoute, look: impl FnOnce(WatchPlan) -> WatchPlan, more: impl FnOnce(Gateway) -> Gateway) -> World {
    let metrics = Metrics::new("0", "0").unwrap();
    let watch = Arc::new(Watch::new(look(WatchPlan::of(&route))));
    let serving = |n: u64| {
        let lane = Arc::new(FakeLane::new(move |job| submit(n, &job)));
        (version(n), serving_version(&metrics, (&name(), version(n)), affine4_signature(), lane))
    };
    let model = ServingModel {
        route: Some(route),
        versions: [1, 2, 3].map(serving).into(),
        budget: Arc::new(RetryBudget::new(1.0, 1000)),
        watch: Some(watch.clone()),
        ..serving_model(&name(), ModelLimits::default())
    };
    let models = [(name(), Arc::new(model))].into();
    let cell = Arc::new(SnapshotCell::new(Snapshot { generation: Generation(7), models }));
    let clock = Arc::new(ManualClock::default());
    let ledger = Arc::new(OutcomeLedger::new(Arc::new(NoJudge), Instant::now()));
    let gateway = Gateway::new(cell, ledger, metrics.clone(), clock.clone());
    World { gateway: more(gateway.with_prediction_key(PredictionKey::new(KEY))), watch, metrics, clock }
}

struct User(String);

impl Facts for User {
    fn value(&self, _: &Source) -> Option<Cow<'_, str>> {
        Some(self.0.as_str()).filter(|user| !user.is_empty()).map(Cow::Borrowed)
    }
}

impl World {
    async fn ask_as(&self, user: &str, pin: Option<&str>, values: &[f32]) -> Result<Answer, Failure> {
        let request = InferRequest {
            protocol: Protocol::OipRest,
            model: "m".into(),
            pin: pin.map(|pin| pin.parse().unwrap()),
            inputs: vec![fp32("x", &[values.len() / 4, 4], values).unwrap()],
            outputs: vec![],
            uncarried: [][..].into(),
            timeout: None,
        };
        self.gateway.infer(request, &User(user.to_owned())).await
    }

    async fn ask(&self, values: &[f32]) -> Answer {
        self.ask_as("", None, values).await.unwrap()
    }

    fn arm(&self, n: u64) -> ArmTotals {
        self.watch.totals().arm(SplitId::Default, version(n)).unwrap().clone()
    }

    fn metric(&self, line: &str) -> u64 {
        let text = String::from_utf8(self.metrics.render().unwrap()).unwrap();
        let found = text.lines().find_map(|l| l.strip_prefix(line)).map(|rest| rest.trim().parse().unwrap());
        found.unwrap_or(0)
    }
}

#[tokio::test]
async fn requests_are_counted_in_the_arm_they_fell_to() {
    let bounds = |plan| WatchPlan { latency_bounds: vec![MS / 2, 2 * MS], ..plan };
    let world = world(route(&[("1", 1, 1.0), ("2", 2, 1.0)]), bounds, |gateway| gateway);
    for _ in 0..200 {
        let _pinned_ones_fall_to_no_arm = world.ask_as("", Some("2"), &[1.0; 4]).await.unwrap();
        let value = if fastrand::bool() { 1.0 } else { -1.0 };
        let _answered = world.ask(&[value; 4]).await;
    }
    let (stable, candidate) = (world.arm(1), world.arm(2));
    assert_eq!(stable.assigned + candidate.assigned, 200);
    assert!(stable.assigned.abs_diff(100) < 50, "{}", stable.assigned);
    assert_eq!((stable.ok, stable.faults), (stable.assigned, 0), "answers in the candidate's place are not its own");
    assert_eq!(candidate.ok + candidate.faults, candidate.assigned);
    assert!(candidate.faults > 10 && candidate.poisoned == 0);
    // Fake runs take a millisecond.
    assert_eq!((&*stable.slow, &*stable.within), (&[stable.ok, 0][..], &[0, stable.ok][..]));
}

#[tokio::test]
async fn an_id_says_who_answered_and_how_that_was_drawn() {
    let world = world(route(&[("1", 1, 3.0), ("2", 2, 1.0)]), |plan| plan, |gateway| gateway);
    let key = PredictionKey::new(KEY);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let answer = world.ask(&[-1.0; 4]).await;
        let id = answer.prediction;
        let prediction = key.read(&name(), id.as_str()).unwrap().prediction;
        assert_eq!(prediction.version, answer.served.version.id.version);
        // What the candidate could not answer is stable's answer, and nobody's draw.
        let is_fallback = answer.reason == Reason::Fallback;
        assert_eq!(prediction.is_random, !is_fallback);
        assert_eq!(prediction.share, if is_fallback { 0.0 } else { 0.25 });
        assert_eq!(prediction.experiment, None);
        assert!(seen.insert(id.as_str().to_owned()), "no two are the same");
    }
    let pinned = world.ask_as("", Some("2"), &[1.0; 4]).await.unwrap();
    let pinned = key.read(&name(), pinned.prediction.as_str()).unwrap().prediction;
    assert_eq!((pinned.version, pinned.is_random, pinned.share), (version(2), false, 0.0));
}

#[tokio::test]
async fn who_takes_part_in_an_experiment_is_counted_marked_and_written_down() {
    let mut route = route(&[("1", 1, 1.0)]);
    let arms = split(&[("a", 1, 1.0), ("b", 2, 1.0)]);
    let (experiment, layer) = ("price".into(), "m".into());
    route.experiments.push(Experiment { name: experiment, layer, from: 0.0, to: 0.5, holdout: 0.2, split: arms });
    let sink = Arc::new(Exposed::default());
    let world = world(route, |plan| plan, |gateway| gateway.with_exposures(sink.clone()));
    let key = PredictionKey::new(KEY);
    for user in 0..400 {
        let answer = world.ask_as(&format!("user-{user}"), None, &[1.0; 4]).await.unwrap();
        let known = key.read(&name(), answer.prediction.as_str()).unwrap();
        let exposed = sink.0.lock().unwrap().pop();
        assert_eq!(known.prediction.experiment.is_some(), exposed.is_some());
        if let (Some(mark), Some(exposed)) = (known.prediction.experiment, exposed) {
            assert_eq!((mark.tag, &*exposed.experiment), (experiment_tag("price"), "price"));
            assert_eq!(mark.arm.map(|arm| ["a", "b"][usize::from(arm)]), exposed.arm.as_deref());
            assert_eq!((exposed.version, &exposed.model), (answer.served.version.id.version, &name()));
        }
    }
    let _without_a_key = world.ask(&[1.0; 4]).await;
    let totals = world.watch.totals();
    let of = |arm: Option<&str>| {
        let is_meant =
            |totals: &&ArmTotals| totals.plan.experiment.as_ref().is_some_and(|within| within.arm.as_deref() == arm);
        totals.arms.iter().find(is_meant).unwrap().ok
    };
    let (a, b, held_out) = (of(Some("a")), of(Some("b")), of(None));
    assert_eq!(a + b + held_out + world.arm(1).ok, 401);
    for (n, expected) in [(a, 80u64), (b, 80), (held_out, 40)] {
        assert!(n.abs_diff(expected) < 35, "{a} {b} {held_out}");
    }
}

#[tokio::test]
async fn answers_fall_into_bins_and_stables_first_ones_say_where_they_end() {
    let drift = |bins| move |plan| WatchPlan { drift: Some(DriftPlan { output: "y".into(), bins }), ..plan };
    let arms = [("1", 1, 1.0), ("2", 2, 1.0)];
    let classes = world(route(&arms), drift(DriftBins::Classes), |gateway| gateway);
    for _ in 0..50 {
        // Of two rows the first one counts.
        classes.ask(&[0.0, 0.5, 0.9, 0.1, 9.0, 0.0, 0.0, 0.0]).await;
    }
    let (stable, candidate) = (classes.arm(1), classes.arm(2));
    assert_eq!((stable.bins[2], candidate.bins[2]), (stable.ok, candidate.ok));
    assert_eq!(stable.bins.iter().sum::<u64>() + candidate.bins.iter().sum::<u64>(), 50);

    let gather = world(route(&arms), drift(DriftBins::Gather), |gateway| gateway);
    for i in 0..100 {
        gather.ask(&[i as f32, 0.0, 0.0, 0.0]).await;
    }
    assert_eq!(gather.watch.sample().len() as u64, gather.arm(1).ok, "the candidate's are not among them");
    assert_eq!(gather.arm(1).bins.iter().sum::<u64>(), 0);

    let deciles = world(route(&arms), drift(DriftBins::Deciles([1.0; 9])), |gateway| gateway);
    deciles.ask(&[0.5, 7.0, 0.0, 0.0]).await;
    deciles.ask(&[1.5, 7.0, 0.0, 0.0]).await;
    let sum = |bin: usize| deciles.arm(1).bins[bin] + deciles.arm(2).bins[bin];
    assert_eq!((sum(0), sum(9)), (1, 1));
}
