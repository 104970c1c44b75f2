#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use base_metrics::Metrics;
use base_routing::ModelRoute;
use base_serving::lane::{JobError, Submission};
use base_serving::{FaultReport, Judge, ModelLimits, OutcomeLedger, RetryBudget, ServingModel, Snapshot, SnapshotCell};
use base_types::{Data, DataType, FaultKind, ModelName, Protocol, Signature, SystemClock, TensorSpec, Version};
use testkit::fake::{FakeLane, report, serving_model, serving_version};

use super::*;
use crate::{Failure, InferRequest};

struct Nobody;

impl Judge for Nobody {
    fn on_fault(&self, _: &FaultReport<'_>) {}
}

struct Headers(&'static str);

struct Declined;

impl Facts for Declined {
    fn value(&self, source: &Source) -> Option<Cow<'_, str>> {
        (*source == Source::Header("switchrail-capture".into())).then_some(Cow::Borrowed("off"))
    }
}

impl Facts for Headers {
    fn value(&self, source: &Source) -> Option<Cow<'_, str>> {
        let is_asked = *source == Source::Header("traceparent".into()) && !self.0.is_empty();
        is_asked.then_some(Cow::Borrowed(self.0))
    }
}

/// Takes captures of up to so many bytes.
struct Kept(usize, Mutex<Vec<Capture>>, AtomicUsize);

impl CaptureSink for Kept {
    fn has_room(&self, n_bytes: usize) -> bool {
        self.2.fetch_add(1, Ordering::Relaxed);
        n_bytes <= self.0
    }

    fn captured(&self, capture: Capture) {
        self.1.lock().unwrap().push(capture);
    }
}

fn tensor(name: &str, bytes: &[u8]) -> Tensor {
    Tensor::new(name, DataType::Uint8, vec![1, bytes.len()], Data::Raw(bytes.to_vec().into())).unwrap()
}

/// Version 1 is stable; version 2 takes everything, and faults where it is told to.
fn gateway(plan: Option<CapturePlan>, two_faults: bool) -> (Gateway, Arc<Kept>) {
    let model = ModelName::new("m").unwrap();
    let metrics = Metrics::new("0", "0").unwrap();
    let version = |n: u64| Version::new(n).unwrap();
    let spec = |name: &str| TensorSpec { name: name.into(), datatype: DataType::Uint8, dims: vec![Some(1), None] };
    let serving = |n: u64| {
        // The versions list their inputs and outputs in another order.
        let (inputs, outputs) = if n == 1 { (["b", "a"], ["y", "z"]) } else { (["a", "b"], ["z", "y"]) };
        let signature = Signature { inputs: inputs.map(spec).into(), outputs: outputs.map(spec).into() };
        let named = signature.clone();
        let lane = FakeLane::new(move |job| {
            if n == 2 && two_faults {
                return Submission::Finished(report(Err(JobError::Fault(FaultKind::Run, "secret".into()))));
            }
            let output = |at: &usize| tensor(&named.outputs[*at].name, &[n as u8, *at as u8]);
            Submission::Finished(report(Ok(job.outputs.iter().map(output).collect())))
        });
        (version(n), serving_version(&metrics, (&model, version(n)), signature, Arc::new(lane)))
    };
    let mut route = ModelRoute::to_one(model.clone(), version(1));
    route.split = base_routing::Split::new([("1".into(), version(1), 0.0), ("2".into(), version(2), 1.0)]).unwrap();
    let limits = ModelLimits { capture: plan.map(Arc::new), ..ModelLimits::default() };
    let entry = ServingModel {
        route: Some(route),
        versions: [serving(1), serving(2)].into_iter().collect::<BTreeMap<_, _>>(),
        budget: Arc::new(RetryBudget::new(0.0, 32)),
        ..serving_model(&model, limits)
    };
    let models = [(model, Arc::new(entry))].into();
    let cell = Arc::new(SnapshotCell::new(Snapshot { generation: Generation(7), models }));
    let ledger = Arc::new(OutcomeLedger::new(Arc::new(Nobody), Instant::now()));
    let kept = Arc::new(Kept(100_000, Mutex::default(), AtomicUsize::new(0)));
    let gateway = Gateway::new(cell, ledger, metrics, Arc::new(SystemClock)).with_captures(kept.clone());
    (gateway, kept)
}

fn share(share: f64, redact: &[&str]) -> Option<CapturePlan> {
    Some(CapturePlan { share, redact: redact.iter().map(|name| (*name).into()).collect() })
}

fn request(outputs: &[&str]) -> InferRequest {
    InferRequest {
        protocol: Protocol::OipRest,
        model: "m".into(),
        pin: None,
        inputs: vec![tensor("b", &[2, 3]), tensor("a", &[1])],
        outputs: outputs.iter().map(|name| (*name).to_owned()).collect(),
        uncarried: crate::Uncarried::default(),
        timeout: None,
    }
}

fn names(tensors: &[base_serving::CapturedTensor]) -> Vec<&str> {
    tensors.iter().map(|tensor| tensor.name.as_str()).collect()
}

#[tokio::test]
async fn a_drawn_request_is_kept_as_it_was_answered() {
    let (gateway, kept) = gateway(share(1.0, &[]), false);
    let trace = Headers("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let answer = gateway.infer(request(&["y"]), &trace).await.unwrap();
    let kept = kept.1.lock().unwrap();
    let [capture] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!((capture.prediction, capture.version.get(), capture.reason), (answer.prediction, 2, Reason::Split));
    assert_eq!((capture.generation.0, capture.asked.as_slice()), (7, &["y".to_owned()][..]));
    assert_eq!(names(&capture.inputs), ["a", "b"], "as the version has them, not as they were sent");
    assert_eq!((names(&capture.outputs), capture.positions.as_slice()), (vec!["y"], &[1][..]));
    assert_eq!(capture.outputs[0].tensor().unwrap().unwrap(), answer.outputs[0]);
    assert_eq!(capture.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
}

#[tokio::test]
async fn what_stable_answered_in_place_of_another_is_marked_and_in_stables_order() {
    let (gateway, kept) = gateway(share(1.0, &[]), true);
    gateway.infer(request(&[]), &Headers("")).await.unwrap();
    let kept = kept.1.lock().unwrap();
    let [capture] = kept.as_slice() else { panic!("one answer is one capture: {kept:?}") };
    assert_eq!((capture.version.get(), capture.reason), (1, Reason::Fallback));
    assert_eq!((names(&capture.inputs), names(&capture.outputs)), (vec!["b", "a"], vec!["y", "z"]));
    assert_eq!((capture.positions.as_slice(), capture.asked.len()), (&[0, 1][..], 0));
}

#[tokio::test]
async fn what_is_redacted_never_leaves_the_request() {
    let (gateway, kept) = gateway(share(1.0, &["b", "z"]), false);
    gateway.infer(request(&[]), &Headers("")).await.unwrap();
    let kept = kept.1.lock().unwrap();
    let data = |of: &[base_serving::CapturedTensor]| of.iter().map(|tensor| tensor.data.is_some()).collect::<Vec<_>>();
    assert_eq!((data(&kept[0].inputs), data(&kept[0].outputs)), (vec![true, false], vec![false, true]));
}

#[tokio::test]
async fn the_share_is_the_share() {
    for (plan, expected) in [(None, 0..=0), (share(0.0, &["a"]), 0..=0), (share(0.25, &[]), 380..=620)] {
        let (gateway, kept) = gateway(plan.clone(), false);
        for _ in 0..2_000 {
            gateway.infer(request(&[]), &Headers("")).await.unwrap();
        }
        let n_kept = kept.1.lock().unwrap().len();
        assert!(expected.contains(&n_kept), "{plan:?}: {n_kept}");
    }
}

#[tokio::test]
async fn a_caller_may_decline() {
    let (gateway, kept) = gateway(share(1.0, &[]), false);
    gateway.infer(request(&[]), &Declined).await.unwrap();
    assert_eq!((kept.1.lock().unwrap().len(), kept.2.load(Ordering::Relaxed)), (0, 0));
}

#[tokio::test]
async fn without_room_nothing_is_kept_and_without_an_answer_nobody_asks_for_room() {
    let (gateway, kept) = gateway(share(1.0, &[]), false);
    let mut large = request(&[]);
    large.inputs[1] = tensor("a", &[0; 100_000]);
    gateway.infer(large, &Headers("")).await.unwrap();
    assert_eq!((kept.1.lock().unwrap().len(), kept.2.load(Ordering::Relaxed)), (0, 1));
    let mut wrong = request(&[]);
    wrong.inputs.pop();
    gateway.infer(wrong, &Headers("")).await.unwrap_err();
    let unwritten: Result<(), Failure> = gateway
        .infer_as(request(&[]), &Headers(""), |_| Err(Failure::new(crate::Code::Internal, "cannot be written")))
        .await;
    unwritten.unwrap_err();
    assert_eq!(kept.1.lock().unwrap().len(), 0, "only what callers were given is kept");
}

#[test]
fn a_trace_is_taken_from_a_well_formed_header_alone() {
    let good = "4bf92f3577b34da6a3ce929d0e0e4736";
    let check = |header: &'static str, expected: Option<&str>| {
        assert_eq!(trace_id(&Headers(header)).as_deref(), expected, "{header}");
    };
    check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some(good));
    check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", Some(good));
    for header in [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-éé92f3577b34da6a3ce929d0e0e47361-00f067aa0ba902b7-01",
    ] {
        check(header, None);
    }
}
