#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use base_metrics::Metrics;
use base_routing::ModelRoute;
use base_serving::lane::Submission;
use base_serving::{AnswerTimes, Declaration, ModelLimits, Unready};
use base_types::{Generation, ModelName, Signature};
use testkit::fake::{FakeLane, report, serving_model, serving_version};

use super::*;

fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

fn signature() -> Signature {
    let spec = |name: &str, dims: &[Option<usize>]| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        dims: dims.to_vec(),
    };
    Signature { inputs: vec![spec("x", &[None, Some(4)])], outputs: vec![spec("y", &[None]), spec("n", &[])] }
}

/// Model `m` with versions 1 and 10 ready and others on their way, and model `empty`.
fn snapshot() -> Snapshot {
    let metrics = Metrics::new("0", "0").unwrap();
    let name = ModelName::new("m").unwrap();
    let ready = |n: u64| {
        let lane = Arc::new(FakeLane::new(|_| Submission::Finished(report(Ok(vec![])))));
        (version(n), serving_version(&metrics, (&name, version(n)), signature(), lane))
    };
    let unready = |n: u64, state, reason: &str| (version(n), Unready { state, reason: reason.to_owned() });
    let model = ServingModel {
        route: Some(ModelRoute::to_one(name.clone(), version(1))),
        versions: [ready(1), ready(10)].into(),
        unready: [
            unready(2, VersionState::Loading, ""),
            unready(3, VersionState::Quarantined, ""),
            unready(4, VersionState::Failed, "no ONNX file"),
            unready(5, VersionState::Draining, ""),
        ]
        .into(),
        ..serving_model(&name, ModelLimits::default())
    };
    let empty = serving_model(&ModelName::new("empty").unwrap(), ModelLimits::default());
    let models = [model, empty].into_iter().map(|m| (m.name.clone(), Arc::new(m))).collect();
    Snapshot { generation: Generation(1), models }
}

#[test]
fn the_index_is_sorted_and_says_why_a_version_does_not_answer() {
    let lines: Vec<String> = index(&snapshot())
        .into_iter()
        .map(|e| format!("{} {:?} {} {}", e.name, e.version.map(Version::get), e.state.as_str(), e.reason))
        .collect();
    assert_eq!(
        lines,
        [
            "empty None UNAVAILABLE ",
            "m Some(1) READY ",
            "m Some(2) LOADING ",
            "m Some(3) UNAVAILABLE quarantined",
            "m Some(4) UNAVAILABLE no ONNX file",
            "m Some(5) UNLOADING ",
            "m Some(10) READY ",
        ]
    );
}

#[test]
fn statistics_are_of_versions_that_answer() {
    let snapshot = snapshot();
    let times = AnswerTimes { total: Duration::from_millis(1), ..AnswerTimes::default() };
    snapshot.models["m"].versions[&version(10)].stats.answered(&times, 3, 9);
    let shown = |model: Option<&str>, pin: Option<&str>| {
        let pin = pin.map(|p| p.parse().unwrap());
        let list = statistics(&snapshot, model, pin.as_ref()).map_err(|failure| failure.code)?;
        Ok(list.into_iter().map(|s| (s.version.get(), s.stats.n_rows)).collect::<Vec<_>>())
    };
    assert_eq!(shown(None, None), Ok(vec![(1, 0), (10, 3)]));
    assert_eq!(shown(Some("m"), None), Ok(vec![(1, 0), (10, 3)]));
    assert_eq!(shown(Some("m"), Some("10")), Ok(vec![(10, 3)]));
    assert_eq!(shown(Some("m"), Some("2")), Err(Code::VersionNotReady));
    assert_eq!(shown(Some("m"), Some("7")), Err(Code::VersionUnknown));
    assert_eq!(shown(Some("empty"), None), Err(Code::ModelNotReady));
    assert_eq!(shown(Some("none"), None), Err(Code::ModelUnknown));
}

#[test]
fn the_batch_axis_is_left_out_of_declared_dims_only_where_the_model_declares_one() {
    let snapshot = snapshot();
    let plain = &snapshot.models["m"];
    let shown = |model: &ServingModel| {
        let wire = wire_signature(model, &plain.versions[&version(1)]);
        let both = |t: &WireTensor<'_>| (t.shape.clone(), t.dims.clone());
        wire.inputs.iter().chain(&wire.outputs).map(both).collect::<Vec<_>>()
    };
    let whole = |shape: &[i64]| (shape.to_vec(), shape.to_vec());
    assert_eq!(shown(plain), [whole(&[-1, 4]), whole(&[-1]), whole(&[])]);
    let declared = Arc::new(Declaration { max_batch_size: 8, ..Declaration::default() });
    let batched = ServingModel { declared, ..serving_model(&plain.name, ModelLimits::default()) };
    assert_eq!(shown(&batched), [(vec![-1, 4], vec![4]), (vec![-1], vec![]), whole(&[])]);
}

#[test]
fn names_and_versions_have_one_rule() {
    let check = |model, text, expected: Option<Option<&str>>| {
        let expected = expected.map(|pin| (model, pin.map(|p| p.parse().unwrap())));
        assert_eq!(target(model, text).ok(), expected, "{model} {text}");
    };
    check("m", "", Some(None));
    check("m", "12", Some(Some("12")));
    check("m", "champion", Some(Some("champion")));
    check("m", "1.0.0", Some(Some("1.0.0")));
    for (model, text) in [("", ""), ("a/b", ""), ("m", "0"), ("m", "01"), ("m", "-1"), ("m", "99999999999999999999999")]
    {
        check(model, text, None);
    }
}

#[test]
fn versions_have_a_state_where_they_are_known_and_none_where_they_are_not() {
    let snapshot = snapshot();
    let shown = |model: &ServingModel, pin: Option<&str>| {
        let pin = pin.map(|pin| pin.parse().unwrap());
        let states = version_states(model, pin.as_ref()).map_err(|failure| failure.code)?;
        Ok(states.into_iter().map(|s| format!("{} {} {}", s.version, s.state.as_str(), s.reason)).collect::<Vec<_>>())
    };
    let model = &snapshot.models["m"];
    let all = ["10 ready ", "5 draining ", "4 failed no ONNX file", "3 quarantined ", "2 loading ", "1 ready "];
    assert_eq!(shown(model, None).unwrap(), all);
    assert_eq!(shown(model, Some("10")).unwrap(), ["10 ready "]);
    assert_eq!(shown(model, Some("4")).unwrap(), ["4 failed no ONNX file"]);
    assert_eq!(shown(model, Some("7")), Err(Code::VersionUnknown));
    assert_eq!(shown(model, Some("champion")), Err(Code::LabelUnknown));
    // Without a route a version that is not there is none all the same.
    let waiting = ServingModel {
        route: None,
        unready: model.unready.clone(),
        ..serving_model(&model.name, ModelLimits::default())
    };
    assert_eq!(shown(&waiting, Some("2")).unwrap(), ["2 loading "]);
    assert_eq!(shown(&waiting, Some("7")), Err(Code::VersionUnknown));
    assert_eq!(shown(&waiting, Some("champion")), Err(Code::ModelNotReady));
}

#[test]
fn what_is_not_there_is_named_as_a_servable() {
    let said = |code, pin: Option<&str>| {
        let pin = pin.map(|pin| pin.parse().unwrap());
        in_words_of_tfs(Failure::new(code, "why"), "m", pin.as_ref()).message
    };
    assert_eq!(said(Code::ModelUnknown, None), "Servable not found for request: Latest(m): why");
    assert_eq!(said(Code::VersionUnknown, Some("3")), "Servable not found for request: Specific(m, 3): why");
    assert_eq!(said(Code::LabelUnknown, Some("a")), "Servable not found for request: Labelled(m, a): why");
    assert_eq!(said(Code::QueueFull, None), "why");
}
