//! Copies of requests for a candidate.

use std::sync::atomic::{AtomicBool, Ordering};

use base_serving::watch::{ShadowPlan, ShadowTotals};
use base_serving::{ShadowEnd, ShadowSink, ShadowTask};
use base_types::{Comparison, Match};

use super::*;

/// Runs copies when it is told to.
#[derive(Default)]
struct Later {
    tasks: Mutex<Vec<Box<dyn ShadowTask>>>,
    is_full: AtomicBool,
}

impl ShadowSink for Later {
    fn has_room(&self, _: usize) -> bool {
        !self.is_full.load(Ordering::Relaxed)
    }

    fn offer(&self, task: Box<dyn ShadowTask>) {
        self.tasks.lock().unwrap().push(task);
    }
}

impl Later {
    fn take(&self) -> Vec<Box<dyn ShadowTask>> {
        std::mem::take(&mut *self.tasks.lock().unwrap())
    }

    fn run(&self) {
        for mut task in self.take() {
            if let Some((version, job)) = task.begin(Instant::now()) {
                task.end(ShadowEnd::Ran(version.lane.run_apart(job)));
            }
        }
    }
}

fn shadowed(plan: ShadowPlan, arms: &[(&str, u64, f64)]) -> (World, Arc<Later>) {
    let sink = Arc::new(Later::default());
    let look = |watch| WatchPlan { shadow: Some(plan), latency_bounds: vec![MS / 2], ..watch };
    let world = world(route(arms), look, |gateway| gateway.with_shadow(sink.clone()));
    (world, sink)
}

fn plan(candidate: u64) -> ShadowPlan {
    let comparison =
        Comparison { otherwise: Match::Tolerance { absolute: 0.1, relative: 0.0 }, ..Comparison::default() };
    ShadowPlan { candidate: version(candidate), share: 1.0, comparison, is_redacted: false }
}

const ALONE: [(&str, u64, f64); 1] = [("1", 1, 1.0)];

fn totals(world: &World) -> ShadowTotals {
    world.watch.totals().shadow.unwrap()
}

fn shown(world: &World, candidate: u64, result: &str) -> u64 {
    let labels = format!(r#"{{model="m",result="{result}",version="{candidate}"}}"#);
    world.metric(&format!("switchrail_shadow_requests_total{labels}"))
}

#[tokio::test]
async fn a_candidate_that_answers_the_same_agrees() {
    let (world, sink) = shadowed(plan(2), &ALONE);
    for _ in 0..5 {
        world.ask(&[1.0; 4]).await;
    }
    assert_eq!(totals(&world).compared(), 0, "nothing runs before the caller has an answer");
    sink.run();
    let totals = totals(&world);
    assert_eq!((totals.agreed, totals.disagreed, totals.latencies.count()), (5, 0, 5));
    assert_eq!(totals.slow, [5], "fake runs take a millisecond");
    assert_eq!(shown(&world, 2, "agreed"), 5);
    assert!(world.watch.examples().is_empty());
    assert_eq!(world.metric(r#"switchrail_attempts_total{model="m",outcome="ok",reason="stable",version="2"}"#), 0);
}

#[tokio::test]
async fn a_candidate_that_answers_otherwise_leaves_examples() {
    let (world, sink) = shadowed(plan(3), &ALONE);
    let answer = world.ask(&[1.0, 2.0, 0.0, 0.0]).await;
    sink.run();
    assert_eq!((totals(&world).disagreed, shown(&world, 3, "disagreed")), (1, 1));
    let examples = world.watch.examples();
    let [example] = examples.as_slice() else { panic!("{examples:?}") };
    assert_eq!(example.prediction, answer.prediction);
    assert_eq!((example.outputs[0].output.as_str(), example.outputs[0].largest), ("y", Some(18.0)));
    assert_eq!(example.inputs[0].values, [1.0, 2.0, 0.0, 0.0]);
    assert_eq!(example.stable[0].values, [1.0, 2.0, 0.0, 0.0]);
    assert_eq!(example.candidate[0].values, [10.0, 20.0, 0.0, 0.0]);
}

#[tokio::test]
async fn what_is_to_be_kept_from_view_is_not_in_examples() {
    let (world, sink) = shadowed(ShadowPlan { is_redacted: true, ..plan(3) }, &ALONE);
    world.ask(&[1.0; 400]).await;
    sink.run();
    let example = world.watch.examples().remove(0);
    let tensors = [&example.inputs[0], &example.stable[0], &example.candidate[0]];
    assert!(tensors.iter().all(|tensor| tensor.values.is_empty() && tensor.shape == [100, 4]));
    assert_eq!(example.outputs[0].largest, None, "a difference is a value, too");
    let (world, sink) = shadowed(plan(3), &ALONE);
    world.ask(&[1.0; 400]).await;
    sink.run();
    assert_eq!(world.watch.examples()[0].inputs[0].values.len(), 64);
}

#[tokio::test]
async fn faults_and_copies_without_room_are_counted_and_nobodys_answer() {
    let (world, sink) = shadowed(plan(2), &ALONE);
    world.ask(&[-1.0; 4]).await;
    sink.run();
    world.ask(&[1.0; 4]).await;
    sink.take().into_iter().for_each(|task| task.end(ShadowEnd::Shed));
    sink.is_full.store(true, Ordering::Relaxed);
    world.ask(&[1.0; 4]).await;
    assert!(sink.take().is_empty());
    let totals = totals(&world);
    assert_eq!((totals.faults, totals.shed, totals.compared()), (1, 2, 0));
    assert_eq!((shown(&world, 2, "fault"), shown(&world, 2, "shed")), (1, 2));
    assert_eq!(world.arm(1).ok, 3);
    assert_eq!(world.metric(r#"switchrail_version_faults_total{kind="run",model="m",version="2"}"#), 0);
}

#[tokio::test]
async fn only_what_stable_answered_by_its_own_draw_is_copied() {
    let (world, sink) = shadowed(plan(3), &[("1", 1, 1.0), ("2", 2, 1.0)]);
    for _ in 0..40 {
        // The candidate faults, and stable answers for it.
        world.ask(&[-1.0; 4]).await;
        world.ask_as("", Some("1"), &[1.0; 4]).await.unwrap();
    }
    assert_eq!(sink.take().len() as u64, world.arm(1).ok);
    let unwritten = |_: Answer| Err::<(), _>(Failure::new(crate::Code::Unsupported, "no such form"));
    let request = InferRequest {
        protocol: Protocol::OipRest,
        model: "m".into(),
        pin: None,
        inputs: vec![fp32("x", &[1, 4], &[1.0; 4]).unwrap()],
        outputs: vec![],
        uncarried: [][..].into(),
        timeout: None,
    };
    for _ in 0..20 {
        world.gateway.infer_as(request.clone(), &User(String::new()), unwritten).await.unwrap_err();
    }
    assert!(sink.take().is_empty(), "a caller without an answer has no copy");
}

#[tokio::test]
async fn a_share_of_requests_is_copied() {
    let (world, sink) = shadowed(ShadowPlan { share: 0.25, ..plan(2) }, &ALONE);
    for _ in 0..1000 {
        world.ask(&[1.0; 4]).await;
    }
    let n = sink.take().len();
    assert!((170..330).contains(&n), "{n}");
    let (world, sink) = shadowed(ShadowPlan { share: 0.0, ..plan(2) }, &ALONE);
    world.ask(&[1.0; 4]).await;
    assert!(sink.take().is_empty());
    let (world, sink) = shadowed(plan(9), &ALONE);
    world.ask(&[1.0; 4]).await;
    assert!(sink.take().is_empty(), "a candidate that is not there gets nothing");
}
