#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::borrow::Cow;
use std::sync::Mutex;
use std::time::Duration;

use base_metrics::Metrics;
use base_routing::{Facts, Source};
use base_serving::{
    Demand, FaultReport, Judge, ModelLimits, NotLoaded, OnDemand, OutcomeLedger, SnapshotCell, Unready,
};
use base_types::{Generation, ModelName, OutcomeClass, Protocol, SystemClock};
use testkit::fake::serving_model;

use super::*;
use crate::Code;

struct NoFacts;

impl Facts for NoFacts {
    fn value(&self, _: &Source) -> Option<Cow<'_, str>> {
        None
    }
}

struct NoJudge;

impl Judge for NoJudge {
    fn on_fault(&self, _: &FaultReport<'_>) {}
}

/// Loads nothing: says so, or keeps silent.
struct Loads {
    answer: Option<NotLoaded>,
    asked: Mutex<Vec<Option<Version>>>,
}

impl OnDemand for Loads {
    fn demand<'a>(&'a self, _: &'a ModelName, version: Option<Version>) -> Demand<'a> {
        self.asked.lock().unwrap().push(version);
        match self.answer.clone() {
            Some(refused) => Box::pin(async move { Err(refused) }),
            None => Box::pin(std::future::pending()),
        }
    }
}

/// Asks for a model of which version 1 is not in memory and version 2 is quarantined.
async fn ask(loads: &Arc<Loads>, pin: Option<u64>) -> Failure {
    let name = ModelName::new("m").unwrap();
    let unready = |state| Unready { state, reason: String::new() };
    let model = ServingModel {
        unready: [
            (Version::new(1).unwrap(), unready(VersionState::Registered)),
            (Version::new(2).unwrap(), unready(VersionState::Quarantined)),
        ]
        .into(),
        ..serving_model(&name, ModelLimits::default())
    };
    let snapshot = Snapshot { generation: Generation(1), models: [(name, Arc::new(model))].into() };
    let metrics = Metrics::new("0", "0").unwrap();
    let ledger = Arc::new(OutcomeLedger::new(Arc::new(NoJudge), std::time::Instant::now()));
    let gateway = Gateway::new(Arc::new(SnapshotCell::new(snapshot)), ledger, metrics, Arc::new(SystemClock));
    let gateway = gateway.with_on_demand(loads.clone());
    let request = InferRequest {
        protocol: Protocol::OipRest,
        model: "m".into(),
        pin: pin.map(|version| Selector::Version(Version::new(version).unwrap())),
        inputs: Vec::new(),
        outputs: Vec::new(),
        uncarried: Default::default(),
        timeout: Some(Duration::from_millis(20)),
    };
    gateway.infer(request, &NoFacts).await.unwrap_err()
}

fn loads(answer: Option<&str>) -> Arc<Loads> {
    Arc::new(Loads { answer: answer.map(|text| NotLoaded(text.into())), asked: Mutex::default() })
}

#[tokio::test]
async fn a_request_waits_no_longer_than_it_may_take() {
    let loads = loads(None);
    let failure = ask(&loads, Some(1)).await;
    assert_eq!((failure.code, failure.class), (Code::VersionNotReady, OutcomeClass::Unavailable));
    assert!(failure.message.contains("is being loaded"), "{}", failure.message);
    assert_eq!(ask(&loads, None).await.code, Code::ModelNotReady);
    assert_eq!(*loads.asked.lock().unwrap(), [Version::new(1), None]);
}

#[tokio::test]
async fn why_nothing_is_loaded_is_told() {
    let failure = ask(&loads(Some("no room")), Some(1)).await;
    assert_eq!(failure.code, Code::VersionNotReady);
    assert!(failure.message.ends_with("is not in memory: no room"), "{}", failure.message);
}

#[tokio::test]
async fn what_loading_would_not_help_is_not_asked_for() {
    let loads = loads(None);
    assert_eq!(ask(&loads, Some(2)).await.code, Code::VersionQuarantined);
    assert_eq!(ask(&loads, Some(9)).await.code, Code::VersionUnknown);
    assert_eq!(*loads.asked.lock().unwrap(), []);
}
