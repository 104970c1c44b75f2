#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_routing::{Facts, ModelRoute, Source, Split};
use base_serving::engine::RunControl;
use base_serving::lane::{Job, JobError, Refusal, Report, Submission};
use base_serving::{
    FaultReport, Judge, ModelLimits, OutcomeLedger, Rerun, RetryBudget, ServingModel, Snapshot, SnapshotCell, Unready,
};
use base_types::{
    Data, DataType, FaultKind, Generation, ModelName, OutcomeClass, Protocol, Reason, Signature, SystemClock, Tensor,
    TensorSpec, Version, VersionState,
};
use bytes::Bytes;
use testkit::fake::{FakeLane, report, serving_model, serving_version};
use tokio::sync::oneshot;

use crate::{Answer, Code, Failure, Gateway, InferRequest, Setting, TraceChange};

/// What a fake version does with every job.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Answer,
    Fault,
    Hang,
    HangRunning,
    Refuse,
}

type Held = Arc<Mutex<Vec<(oneshot::Sender<Report>, Arc<RunControl>)>>>;

struct Never;

impl base_serving::engine::Terminate for Never {
    fn terminate(&self) {}
}

fn submit(does: Does, held: &Held, job: Job) -> Submission {
    match does {
        Does::Answer => Submission::Finished(report(Ok(vec![row("y", 1)]))),
        Does::Fault => Submission::Finished(report(Err(JobError::Fault(FaultKind::Run, "secret".into())))),
        Does::Refuse => Submission::Refused(Refusal::Full(Duration::from_millis(70))),
        Does::Hang | Does::HangRunning => {
            if does == Does::HangRunning {
                job.control.begin(Arc::new(Never));
            }
            let (reply, report) = oneshot::channel();
            held.lock().unwrap().push((reply, job.control));
            Submission::Queued(report)
        }
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<(u64, Reason, Rerun)>>);

impl Judge for Seen {
    fn on_fault(&self, report: &FaultReport<'_>) {
        let attempt = report.attempt;
        self.0.lock().unwrap().push((attempt.version.id.version.get(), attempt.assignment.reason, attempt.rerun));
    }
}

fn row(name: &str, rows: usize) -> Tensor {
    Tensor::new(name, DataType::Fp32, vec![rows, 1], Data::Raw(Bytes::from(vec![0; 4 * rows]))).unwrap()
}

fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

struct NoFacts;

impl Facts for NoFacts {
    fn value(&self, _: &Source) -> Option<Cow<'_, str>> {
        None
    }
}

struct World {
    gateway: Gateway,
    seen: Arc<Seen>,
    held: BTreeMap<u64, Held>,
}

/// Version 1 is stable, version 2 takes everything; version 3 is quarantined.
fn world(one: Does, two: Does) -> World {
    let model = ModelName::new("m").unwrap();
    let metrics = Metrics::new("0", "0").unwrap();
    let spec = |name: &str| TensorSpec { name: name.into(), datatype: DataType::Fp32, dims: vec![None, Some(1)] };
    let signature = Signature { inputs: vec![spec("a"), spec("b")], outputs: vec![spec("y")] };
    let held: BTreeMap<u64, Held> = [(1, Held::default()), (2, Held::default())].into();
    let serving = |n: u64, does: Does| {
        let held = held[&n].clone();
        let lane = Arc::new(FakeLane::new(move |job| submit(does, &held, job)));
        (version(n), serving_version(&metrics, (&model, version(n)), signature.clone(), lane))
    };
    let mut route = ModelRoute::to_one(model.clone(), version(1));
    route.split = Split::new([("1".into(), version(1), 0.0), ("2".into(), version(2), 1.0)]).unwrap();
    let limits = ModelLimits { batch_rows: 8, retry_reserve: 2, ..ModelLimits::default() };
    let entry = ServingModel {
        route: Some(route),
        versions: [serving(1, one), serving(2, two)].into(),
        unready: [(version(3), Unready { state: VersionState::Quarantined, reason: String::new() })].into(),
        budget: Arc::new(RetryBudget::new(0.0, limits.retry_reserve)),
        is_judged: true,
        ..serving_model(&model, limits)
    };
    let models = [(model, Arc::new(entry))].into();
    let cell = Arc::new(SnapshotCell::new(Snapshot { generation: Generation(7), models }));
    let seen = Arc::new(Seen::default());
    let ledger = Arc::new(OutcomeLedger::new(seen.clone(), Instant::now()));
    World { gateway: Gateway::new(cell, ledger, metrics, Arc::new(SystemClock)), seen, held }
}

fn request(pin: Option<&str>) -> InferRequest {
    InferRequest {
        protocol: Protocol::OipRest,
        model: "m".into(),
        pin: pin.map(|p| p.parse().unwrap()),
        inputs: vec![row("b", 2), row("a", 2)],
        outputs: vec![],
        uncarried: [DataType::Fp16][..].into(),
        timeout: None,
    }
}

impl World {
    async fn ask(&self, request: InferRequest) -> Result<Answer, Failure> {
        self.gateway.infer(request, &NoFacts).await
    }

    fn metric(&self, line: &str) -> u64 {
        let text = String::from_utf8(self.gateway.metrics().render().unwrap()).unwrap();
        let found = text.lines().find_map(|l| l.strip_prefix(line)).map(|rest| rest.trim().parse().unwrap());
        found.unwrap_or(0)
    }

    fn count(&self, what: &str, version: u64, outcome: &str, reason: &str) -> u64 {
        let protocol = if what == "requests" { r#"protocol="oip_rest","# } else { "" };
        let labels = format!(r#"model="m",outcome="{outcome}",{protocol}reason="{reason}",version="{version}""#);
        self.metric(&format!("switchrail_{what}_total{{{labels}}}"))
    }
}

#[tokio::test]
async fn an_answer_names_who_computed_it() {
    let world = world(Does::Answer, Does::Answer);
    let answer = world.ask(request(None)).await.unwrap();
    assert_eq!((answer.served.version.id.version.get(), answer.served.generation.0), (2, 7));
    assert_eq!(answer.reason, Reason::Split);
    assert_eq!(world.count("requests", 2, "ok", "split"), 1);
    assert_eq!(world.count("attempts", 2, "ok", "split"), 1);
}

#[tokio::test]
async fn stable_answers_for_a_faulty_candidate_within_the_budget() {
    let world = world(Does::Answer, Does::Fault);
    for _ in 0..2 {
        let answer = world.ask(request(None)).await.unwrap();
        assert_eq!((answer.served.version.id.version.get(), answer.reason), (1, Reason::Fallback));
    }
    let failure = world.ask(request(None)).await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::VersionFault, OutcomeClass::VersionFault));
    assert!(!failure.message.contains("secret") && failure.detail == "secret");
    let reruns: Vec<Rerun> = world.seen.0.lock().unwrap().iter().map(|(_, _, rerun)| *rerun).collect();
    assert_eq!(reruns, [Rerun::Answered, Rerun::Answered, Rerun::None]);
    assert_eq!(world.count("attempts", 2, "version_fault", "split"), 3);
    assert_eq!(world.count("attempts", 1, "ok", "fallback"), 2);
    assert_eq!(world.count("requests", 1, "ok", "fallback"), 2);
    assert_eq!(world.count("requests", 2, "version_fault", "split"), 1);
}

#[tokio::test]
async fn a_poison_input_is_told_apart() {
    let world = world(Does::Fault, Does::Fault);
    assert_eq!(world.ask(request(None)).await.unwrap_err().code, Code::VersionFault);
    assert_eq!(*world.seen.0.lock().unwrap(), [(2, Reason::Split, Rerun::Failed)]);
}

#[tokio::test]
async fn a_pin_never_falls_back_and_is_nobodys_evidence() {
    let world = world(Does::Answer, Does::Fault);
    assert_eq!(world.ask(request(Some("2"))).await.unwrap_err().code, Code::VersionFault);
    assert!(world.seen.0.lock().unwrap().is_empty());
    assert_eq!(world.count("requests", 2, "version_fault", "pin"), 1);
}

#[tokio::test]
async fn callers_mistakes_are_the_callers() {
    let world = world(Does::Answer, Does::Answer);
    let broken = |change: &dyn Fn(&mut InferRequest)| {
        let mut request = request(None);
        change(&mut request);
        request
    };
    let cases: Vec<(InferRequest, Code)> = vec![
        (broken(&|r| r.model = "x".into()), Code::ModelUnknown),
        (request(Some("9")), Code::VersionUnknown),
        (request(Some("3")), Code::VersionQuarantined),
        (request(Some("nobody")), Code::LabelUnknown),
        (broken(&|r| r.inputs.truncate(1)), Code::InputMissing),
        (broken(&|r| r.inputs[0] = row("c", 1)), Code::InputUnknown),
        (broken(&|r| r.inputs[0] = row("a", 1)), Code::InputMissing),
        (broken(&|r| r.inputs.push(row("a", 1))), Code::InputMismatch),
        (broken(&|r| r.inputs[0] = row("b", 9)), Code::BatchTooLarge),
        (broken(&|r| r.outputs = vec!["z".into()]), Code::OutputUnknown),
        (broken(&|r| r.outputs = vec!["y".into(), "y".into()]), Code::OutputUnknown),
    ];
    let n_cases = cases.len();
    for (request, code) in cases {
        let failure = world.ask(request).await.unwrap_err();
        assert_eq!(failure.code, code);
        assert_eq!(
            failure.class,
            if code == Code::VersionQuarantined { OutcomeClass::Unavailable } else { OutcomeClass::Client }
        );
    }
    assert!(world.seen.0.lock().unwrap().is_empty());
    let text = String::from_utf8(world.gateway.metrics().render().unwrap()).unwrap();
    let counted: u64 = text
        .lines()
        .filter(|l| l.starts_with("switchrail_requests_total"))
        .map(|l| l.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(counted, n_cases as u64, "every request is counted once:\n{text}");
}

#[tokio::test]
async fn an_output_the_wire_cannot_carry_is_refused_before_the_run() {
    let world = world(Does::Answer, Does::Answer);
    let failure =
        world.ask(InferRequest { uncarried: [DataType::Fp32][..].into(), ..request(None) }).await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::Unsupported, OutcomeClass::Client));
    assert_eq!(world.count("attempts", 2, "ok", "split"), 0);
}

#[tokio::test(start_paused = true)]
async fn deadlines_say_where_they_passed_and_stop_the_work() {
    let hurried = InferRequest { timeout: Some(Duration::from_millis(50)), ..request(None) };
    for (does, code, class) in [
        (Does::Hang, Code::DeadlineInQueue, OutcomeClass::Saturation),
        (Does::HangRunning, Code::DeadlineInRun, OutcomeClass::CallerDeadline),
    ] {
        let world = world(Does::Answer, does);
        let failure = world.ask(hurried.clone()).await.unwrap_err();
        assert_eq!((failure.code, failure.class), (code, class));
        assert!(world.held[&2].lock().unwrap()[0].1.is_terminated());
        assert!(world.seen.0.lock().unwrap().is_empty(), "a deadline is no fault");
    }
    let world = world(Does::Answer, Does::HangRunning);
    let failure = world.ask(request(None)).await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::DeadlineInRun, OutcomeClass::Saturation));
}

#[tokio::test]
async fn overload_says_when_to_come_back() {
    let world = world(Does::Answer, Does::Refuse);
    let failure = world.ask(request(None)).await.unwrap_err();
    assert_eq!((failure.code, failure.retry_after), (Code::QueueFull, Some(Duration::from_millis(70))));
    assert_eq!(world.count("requests", 2, "overload", "split"), 1);
}

#[tokio::test]
async fn a_caller_who_leaves_is_counted_once_and_stops_the_work() {
    let world = world(Does::Hang, Does::Fault);
    {
        let mut asked = Box::pin(world.ask(request(None)));
        assert!(futures_poll(asked.as_mut()).is_pending());
    }
    assert!(world.held[&1].lock().unwrap()[0].1.is_terminated());
    assert_eq!(*world.seen.0.lock().unwrap(), [(2, Reason::Split, Rerun::None)], "the fault before it still counts");
    assert_eq!(world.count("requests", 1, "cancelled", "fallback"), 1);
    assert_eq!(world.count("attempts", 1, "cancelled", "fallback"), 1);
    assert_eq!(world.count("attempts", 2, "version_fault", "split"), 1);
    assert_eq!(world.metric(r#"switchrail_in_flight{model="m",version="1"}"#), 0);
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_counted_as_what_it_was() {
    let world = world(Does::Answer, Does::Answer);
    let write = |_: Answer| Err::<(), _>(Failure::new(Code::Unsupported, "no such form"));
    let failure = world.gateway.infer_as(request(None), &NoFacts, write).await.unwrap_err();
    assert_eq!(failure.code, Code::Unsupported);
    assert_eq!((world.count("attempts", 2, "ok", "split"), world.count("requests", 2, "ok", "split")), (1, 0));
    assert_eq!(world.count("requests", 2, "client", "split"), 1);
    let write = |_: Answer| -> Result<(), Failure> { panic!("a defect") };
    let broken = std::panic::AssertUnwindSafe(|| {
        futures_poll(std::pin::pin!(world.gateway.infer_as(request(None), &NoFacts, write)))
    });
    std::panic::catch_unwind(broken).unwrap_err();
    assert_eq!((world.count("attempts", 2, "ok", "split"), world.count("requests", 2, "internal", "split")), (2, 1));
}

#[tokio::test]
async fn a_request_is_traced_however_it_ends() {
    let ends = |world: &World| world.gateway.tracer().settings(&world.gateway.snapshot(), None).unwrap().left;
    let traced = |one, two| {
        let world = world(one, two);
        let on = TraceChange { is_on: Setting::Set(true), rate: Setting::Set(1), left: Setting::Set(Some(9)) };
        world.gateway.tracer().set(&world.gateway.snapshot(), None, &on).unwrap();
        world
    };
    let without_budget = traced(Does::Answer, Does::Fault);
    for left in [8, 7, 6] {
        let _answered_while_there_is_budget = without_budget.ask(request(None)).await;
        assert_eq!(ends(&without_budget), Some(left));
    }
    let mistaken = traced(Does::Answer, Does::Answer);
    mistaken.ask(InferRequest { outputs: vec!["z".into()], ..request(None) }).await.unwrap_err();
    assert_eq!(ends(&mistaken), Some(8));
    let left = traced(Does::Answer, Does::Hang);
    assert!(futures_poll(Box::pin(left.ask(request(None))).as_mut()).is_pending());
    assert_eq!(ends(&left), Some(8));
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}
