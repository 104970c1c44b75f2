#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeMap;

use base_types::DataType;
use serde_json::{Value, json};

use super::*;

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn a_configuration_has_the_fields_that_clients_read() {
    let parameters = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let tensor = |name, datatype| TensorView { name, datatype, shape: vec![-1, 4] };
    let view = ConfigView {
        name: "m",
        platform: "onnxruntime_onnx",
        backend: "onnxruntime",
        model_file: "model.onnx",
        max_batch_size: 8,
        versions: VersionsView::Latest(2),
        inputs: vec![tensor("x", DataType::Bytes)],
        outputs: vec![tensor("y", DataType::Fp32)],
        batching: Some(BatchingView { preferred_sizes: vec![4], delay_us: 100 }),
        instances: Some(2),
        parameters: &parameters,
    };
    let config = parsed(&model_config(&view));
    let member = |pointer: &str| config.pointer(pointer).cloned().unwrap_or(Value::Null);
    for (pointer, expected) in [
        ("/name", json!("m")),
        ("/platform", json!("onnxruntime_onnx")),
        ("/max_batch_size", json!(8)),
        ("/version_policy", json!({"latest": {"num_versions": 2}})),
        ("/input/0/data_type", json!("TYPE_STRING")),
        ("/input/0/dims", json!([-1, 4])),
        ("/output/0/data_type", json!("TYPE_FP32")),
        ("/dynamic_batching/preferred_batch_size", json!([4])),
        ("/dynamic_batching/max_queue_delay_microseconds", json!(100)),
        ("/instance_group/0/count", json!(2)),
        ("/parameters/k/string_value", json!("v")),
        ("/model_transaction_policy/decoupled", json!(false)),
        ("/response_cache/enable", json!(false)),
    ] {
        assert_eq!(member(pointer), expected, "{pointer}");
    }
    let plain =
        ConfigView { batching: None, instances: None, versions: VersionsView::Specific(vec![1, 3]), ..view.clone() };
    let plain = parsed(&model_config(&plain));
    assert!(plain.get("dynamic_batching").is_none() && plain.get("sequence_batching").is_none());
    assert_eq!(
        (&plain["instance_group"], &plain["version_policy"]),
        (&json!([]), &json!({"specific": {"versions": [1, 3]}}))
    );
    let all = parsed(&model_config(&ConfigView { versions: VersionsView::All, ..view }));
    assert_eq!(all["version_policy"], json!({"all": {}}));
}

#[test]
fn statistics_have_all_members() {
    let sum = |count, ns| CountNs { count, ns };
    let view = StatisticsView {
        model: "m",
        version: 12,
        n_rows: 5,
        n_runs: 2,
        success: sum(2, 9),
        batches: vec![(4, sum(2, 5))],
        ..StatisticsView::default()
    };
    let one = parsed(&statistics(&[view]))["model_stats"][0].clone();
    assert_eq!(
        (&one["version"], &one["inference_count"], &one["execution_count"]),
        (&json!("12"), &json!(5), &json!(2))
    );
    let mut members: Vec<&String> = one["inference_stats"].as_object().unwrap().keys().collect();
    members.sort_unstable();
    let names =
        ["cache_hit", "cache_miss", "compute_infer", "compute_input", "compute_output", "fail", "queue", "success"];
    assert_eq!(members, names);
    assert_eq!(one["inference_stats"]["success"], json!({"count": 2, "ns": 9}));
    let batch = &one["batch_stats"][0];
    assert_eq!((&batch["batch_size"], &batch["compute_infer"]), (&json!(4), &json!({"count": 2, "ns": 5})));
    assert_eq!(batch["compute_output"]["count"], json!(2));
}

#[test]
fn an_index_line_says_only_what_there_is() {
    let line = |version, state, reason| IndexLine { name: "m", version, state, reason };
    let lines = [line(Some(3), "READY", ""), line(Some(4), "UNAVAILABLE", "bad"), line(None, "UNAVAILABLE", "")];
    assert_eq!(
        parsed(&repository_index(&lines)),
        json!([
            {"name": "m", "version": "3", "state": "READY"},
            {"name": "m", "version": "4", "state": "UNAVAILABLE", "reason": "bad"},
            {"name": "m"}
        ])
    );
}

#[test]
fn bodies_may_be_empty_and_are_told_when_they_are_nonsense() {
    for (body, expected) in [
        ("", Some(false)),
        ("  ", Some(false)),
        ("{}", Some(false)),
        (r#"{"ready":true}"#, Some(true)),
        ("[", None),
        ("7", None),
    ] {
        assert_eq!(decode_index(body.as_bytes()).ok(), expected, "{body}");
    }
    let change = |body: &str| decode_change(body.as_bytes()).map_err(|_| ());
    assert_eq!(change(""), Ok(vec![]));
    assert_eq!(change(r#"{"parameters":null}"#), Ok(vec![]));
    let names = vec!["config".to_owned(), "file:1/model.onnx".to_owned()];
    assert_eq!(change(r#"{"parameters":{"config":"{}","file:1/model.onnx":"AAAA"}}"#), Ok(names));
    assert_eq!(change(r#"{"parameters":7}"#), Err(()));
    let many: String = (0..65).map(|n| format!(r#""p{n}":1,"#)).collect();
    assert_eq!(change(&format!(r#"{{"parameters":{{{}}}}}"#, many.trim_end_matches(','))), Err(()));
}

#[test]
fn settings_are_read_in_every_form_clients_send() {
    let body = br#"{"a":null,"b":true,"c":7,"d":"x","e":["y","z"],"f":-1}"#;
    let read = decode_settings(body).unwrap();
    let text = |text: &str| SettingValue::Text(text.to_owned());
    let expected = [
        SettingValue::Null,
        SettingValue::Flag(true),
        SettingValue::Number(7),
        text("x"),
        SettingValue::Texts(vec!["y".to_owned(), "z".to_owned()]),
        text("-1"),
    ];
    assert_eq!(read.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(decode_settings(b"").unwrap(), []);
    let many = format!(r#"{{"a":[{}"x"]}}"#, r#""x","#.repeat(20));
    for body in ["{\"a\":1.5}", "{\"a\":{}}", "{\"a\":[1]}", "[]", &many] {
        assert!(decode_settings(body.as_bytes()).is_err(), "{body}");
    }
    let shown = settings(&[("b", SettingValue::Flag(true)), ("a", SettingValue::Texts(vec!["x".to_owned()]))]);
    assert_eq!(shown, br#"{"b":true,"a":["x"]}"#);
}
