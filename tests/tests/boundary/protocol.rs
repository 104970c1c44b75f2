//! The routes of the Open Inference Protocol beside infer: configuration, statistics, the repository, settings, and
//! what is left out on purpose.

use serde_json::{Value, json};
use switchrail_tests::{Builder, Gateway, Infer, Response, float_input, wait_until};
use testkit::onnx::{affine4, failing_when, multi};

fn post(gateway: &Gateway, path: &str, body: &str) -> Response {
    gateway.client().send("POST", path, &[], body.as_bytes())
}

fn two_versions() -> Builder {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4(2.0, 0.0));
    builder.routing("[models.m]\nstable = 1\n")
}

fn figures(gateway: &Gateway, path: &str) -> Value {
    let response = gateway.get(path);
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    response.json()
}

#[test]
fn the_extensions_listed_are_those_that_work() {
    let gateway = two_versions().start();
    let server = gateway.get("/v2").json();
    assert_eq!(
        server["extensions"],
        json!([
            "classification",
            "model_repository",
            "model_configuration",
            "binary_tensor_data",
            "parameters",
            "statistics",
            "trace",
            "logging"
        ])
    );
    for path in ["/v2/models/m/config", "/v2/models/m/stats", "/v2/trace/setting", "/v2/logging", "/v2/openapi.json"] {
        assert_eq!(gateway.get(path).status, 200, "{path}");
    }
    assert_eq!(post(&gateway, "/v2/repository/index", "").status, 200);
}

#[test]
fn a_configuration_shows_the_model_as_it_is_declared() {
    let builder = Gateway::builder().model("plain", 1, &multi()).model("batched", 7, &affine4(1.0, 0.0));
    let pbtxt = "name: \"batched\"\nplatform: \"onnxruntime_onnx\"\nmax_batch_size: 8\n\
                 version_policy: { specific: { versions: [7] } }\n";
    let gateway = builder.pbtxt("batched", pbtxt).start();
    let plain = figures(&gateway, "/v2/models/plain/config");
    assert_eq!((&plain["name"], &plain["max_batch_size"]), (&json!("plain"), &json!(0)));
    assert_eq!(plain["input"][0]["data_type"], json!("TYPE_FP32"));
    assert_eq!(plain["input"][1]["data_type"], json!("TYPE_INT64"));
    let metadata = gateway.get("/v2/models/plain").json();
    assert_eq!(plain["input"][0]["dims"], metadata["inputs"][0]["shape"], "nothing is left out without a batch axis");
    let batched = figures(&gateway, "/v2/models/batched/versions/7/config");
    assert_eq!((&batched["max_batch_size"], &batched["input"][0]["dims"]), (&json!(8), &json!([4])));
    assert_eq!(batched["version_policy"], json!({ "specific": { "versions": [7] } }));
    let metadata = gateway.get("/v2/models/batched").json();
    assert_eq!(metadata["inputs"][0]["shape"], json!([-1, 4]));
    for (path, status) in [("/v2/models/none/config", 404), ("/v2/models/plain/versions/9/config", 404)] {
        assert_eq!(gateway.get(path).status, status, "{path}");
    }
}

#[test]
fn figures_are_those_of_each_version_and_their_parts_add_up() {
    let gateway = two_versions().model("bad", 1, &failing_when(100.0, 1.0, 0.0)).start();
    gateway.wait_state("m", 2, "ready");
    let mut client = gateway.client();
    let rows = Infer::new("m").input(float_input("x", &[3, 4], &[1.0; 12]));
    for _ in 0..4 {
        rows.send(&mut client).ok();
    }
    Infer::first("m", 1.0).pin(2).send(&mut client).ok();
    for _ in 0..2 {
        assert_eq!(Infer::first("bad", 200.0).send(&mut client).status(), 500);
    }
    assert_eq!(Infer::first("m", 1.0).timeout_ms(0).send(&mut client).status(), 400, "refused before any version");
    let all = figures(&gateway, "/v2/models/stats");
    let shown: Vec<(&Value, &Value)> =
        all["model_stats"].as_array().unwrap().iter().map(|one| (&one["name"], &one["version"])).collect();
    assert_eq!(shown, [(&json!("bad"), &json!("1")), (&json!("m"), &json!("1")), (&json!("m"), &json!("2"))]);
    let one = figures(&gateway, "/v2/models/m/versions/1/stats")["model_stats"][0].clone();
    assert_eq!((&one["inference_count"], &one["execution_count"]), (&json!(12), &json!(4)));
    let part = |name: &str, unit: &str| one["inference_stats"][name][unit].as_u64().unwrap();
    for name in ["success", "queue", "compute_input", "compute_infer", "compute_output"] {
        assert_eq!(part(name, "count"), 4, "{name}");
    }
    assert_eq!([part("fail", "count"), part("cache_hit", "count"), part("cache_miss", "count")], [0; 3]);
    let parts: u64 = ["queue", "compute_input", "compute_infer", "compute_output"].iter().map(|p| part(p, "ns")).sum();
    assert_eq!(parts, part("success", "ns"));
    assert!(part("compute_infer", "ns") > 0);
    assert_eq!(
        (&one["batch_stats"][0]["batch_size"], &one["batch_stats"][0]["compute_infer"]["count"]),
        (&json!(3), &json!(4))
    );
    let bad = figures(&gateway, "/v2/models/bad/stats")["model_stats"][0].clone();
    assert_eq!((&bad["inference_stats"]["fail"]["count"], &bad["inference_count"]), (&json!(2), &json!(0)));
    assert_eq!(gateway.get("/v2/models/none/stats").status, 404);
}

#[test]
fn the_index_tells_what_is_ready_and_why_the_rest_is_not() {
    let gateway = two_versions().model("m", 3, b"no model").start();
    gateway.wait_state("m", 2, "ready");
    gateway.wait_refused("m", 3);
    let all = post(&gateway, "/v2/repository/index", "").json();
    let ready = |version: &str| json!({ "name": "m", "version": version, "state": "READY" });
    assert_eq!((&all[0], &all[1]), (&ready("1"), &ready("2")));
    assert_eq!((&all[2]["version"], &all[2]["state"]), (&json!("3"), &json!("UNAVAILABLE")));
    assert!(all[2]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{all}");
    assert_eq!(post(&gateway, "/v2/repository/index", r#"{"ready":true}"#).json(), json!([ready("1"), ready("2")]));
    let named = post(&gateway, "/v2/repository/main/index", "");
    assert_eq!((named.status, named.json()["code"].clone()), (501, json!("not_implemented")));
}

#[test]
fn callers_change_nothing_where_the_operator_does_not_let_them() {
    let gateway = two_versions().start();
    for (path, body) in [
        ("/v2/repository/models/m/unload", "{}"),
        ("/v2/repository/models/m/versions/2/load", ""),
        ("/v2/logging", r#"{"log_verbose_level":1}"#),
        ("/v2/trace/setting", r#"{"trace_level":["TIMESTAMPS"]}"#),
        ("/v2/models/m/trace/setting", r#"{"trace_rate":"1"}"#),
    ] {
        let response = post(&gateway, path, body);
        assert_eq!((response.status, response.json()["code"].clone()), (400, json!("change_refused")), "{path}");
        assert!(response.text().contains("model_control"), "{path}: {}", response.text());
    }
    assert_eq!(gateway.get("/v2/logging").json()["log_verbose_level"], 0);
    gateway.ask("m", 1.0).ok();
}

#[test]
fn files_of_callers_are_refused_whatever_they_are_allowed() {
    let gateway = two_versions().set("model_control", "true").start();
    for (path, body) in [
        ("/v2/repository/models/m/load", r#"{"parameters":{"config":"{}"}}"#),
        ("/v2/repository/models/m/load", r#"{"parameters":{"config":"{}","file:3/model.onnx":"AAAA"}}"#),
        ("/v2/logging", r#"{"log_file":"/tmp/switchrail.log"}"#),
        ("/v2/trace/setting", r#"{"trace_file":"/tmp/switchrail.trace"}"#),
    ] {
        let response = post(&gateway, path, body);
        assert_eq!((response.status, response.json()["code"].clone()), (400, json!("change_refused")), "{path} {body}");
    }
}

#[test]
fn what_is_logged_changes_at_once() {
    let gateway = two_versions().set("model_control", "true").start();
    let before = gateway.get("/v2/logging").json();
    assert_eq!(
        (&before["log_info"], &before["log_verbose_level"], &before["log_file"]),
        (&json!(true), &json!(0), &json!(""))
    );
    // A caller's mistake is told at debug.
    let mistake = |model: &str| gateway.ask(model, 1.0);
    mistake("unseen");
    let set = post(&gateway, "/v2/logging", r#"{"log_verbose_level":1}"#);
    assert_eq!((set.status, set.json()["log_verbose_level"].clone()), (200, json!(1)));
    mistake("seen");
    gateway.wait_log("there is no model \\\"seen\\\"");
    assert!(!gateway.log().contains("unseen"));
    assert_eq!(post(&gateway, "/v2/logging", r#"{"log_verbose_level":0}"#).status, 200);
    mistake("silent");
    // That a version is ready is told at info.
    let publish = |version| drop(gateway.repository().publish("m", version, &affine4(3.0, 0.0)).unwrap());
    publish(3);
    gateway.wait_log("m@3");
    let quiet = r#"{"log_info":false,"log_warning":false}"#;
    assert_eq!(post(&gateway, "/v2/logging", quiet).json()["log_warning"], false);
    publish(4);
    gateway.wait_state("m", 4, "ready");
    assert_eq!(post(&gateway, "/v2/logging", r#"{"log_info":true}"#).status, 200);
    publish(5);
    gateway.wait_log("m@5");
    assert!(!gateway.log().contains("m@4"), "nobody listened to it");
    assert!(!gateway.log().contains("silent"));
}

#[test]
fn every_nth_request_leaves_its_times_in_the_log() {
    let gateway = two_versions().set("model_control", "true").start();
    let off = gateway.get("/v2/trace/setting").json();
    assert_eq!(
        (&off["trace_level"], &off["trace_rate"], &off["trace_count"]),
        (&json!(["OFF"]), &json!("1000"), &json!("-1"))
    );
    let on = r#"{"trace_level":["TIMESTAMPS"],"trace_rate":"2","trace_count":"3"}"#;
    let set = post(&gateway, "/v2/models/m/trace/setting", on).json();
    assert_eq!((&set["trace_level"], &set["trace_count"]), (&json!(["TIMESTAMPS"]), &json!("3")));
    let mut client = gateway.client();
    let n_traced = || gateway.log().lines().filter(|line| line.contains("trace") && line.contains("total_us")).count();
    for _ in 0..4 {
        Infer::first("m", 1.0).send(&mut client).ok();
    }
    wait_until("two lines", || n_traced() == 2);
    assert_eq!(gateway.get("/v2/models/m/trace/setting").json()["trace_count"], "1");
    for _ in 0..20 {
        Infer::first("m", 1.0).send(&mut client).ok();
    }
    wait_until("the last line", || n_traced() == 3);
    assert_eq!(gateway.get("/v2/models/m/trace/setting").json()["trace_count"], "0");
    assert_eq!(gateway.get("/v2/trace/setting").json(), off, "the others are as they were");
    assert_eq!(gateway.get("/v2/models/m/versions/1/trace/setting").status, 404);
    assert_eq!(gateway.get("/v2/models/none/trace/setting").status, 404);
}

#[test]
fn what_is_left_out_is_told_with_501() {
    let gateway = two_versions().start();
    for family in ["systemsharedmemory", "cudasharedmemory"] {
        assert_eq!(gateway.get(&format!("/v2/{family}/status")).json(), json!([]));
        for path in ["region/r/register", "region/r/unregister", "unregister"] {
            let response = post(&gateway, &format!("/v2/{family}/{path}"), "{}");
            assert_eq!((response.status, response.json()["code"].clone()), (501, json!("not_implemented")), "{path}");
        }
    }
    for path in ["/v2/models/m/generate", "/v2/models/m/versions/1/generate_stream"] {
        assert_eq!(post(&gateway, path, r#"{"text_input":"x"}"#).status, 501, "{path}");
    }
    let sequence = gateway.infer(&Infer::first("m", 1.0).parameter("sequence_id", 7));
    assert_eq!((sequence.status(), sequence.code()), (501, "not_implemented"));
    gateway.infer(&Infer::first("m", 1.0).parameter("sequence_id", 0).parameter("sequence_start", false)).ok();
}

#[test]
fn dashboards_made_for_other_servers_find_their_names() {
    let gateway = two_versions().set("metrics_aliases", r#"["triton", "openvino"]"#).start();
    gateway.wait_state("m", 2, "ready");
    let mut client = gateway.client();
    let rows = Infer::new("m").input(float_input("x", &[3, 4], &[1.0; 12]));
    for _ in 0..5 {
        rows.send(&mut client).ok();
    }
    assert_eq!(Infer::first("m", 1.0).field("inputs", json!([])).send(&mut client).status(), 400);
    let of_1 = [("model", "m"), ("version", "1")];
    let metrics = gateway.metrics();
    for (name, expected) in [
        ("nv_inference_request_success", 5.0),
        ("nv_inference_request_failure", 1.0),
        ("nv_inference_count", 15.0),
        ("nv_inference_exec_count", 5.0),
        ("nv_inference_pending_request_count", 0.0),
    ] {
        assert_eq!(metrics.get(name, &of_1), Some(expected), "{name}");
    }
    let parts = ["queue", "compute_input", "compute_infer", "compute_output"];
    let sum: f64 = parts.iter().map(|p| metrics.get(&format!("nv_inference_{p}_duration_us"), &of_1).unwrap()).sum();
    let whole = metrics.get("nv_inference_request_duration_us", &of_1).unwrap();
    assert!(whole > 0.0 && (whole - sum).abs() < 10.0, "{sum} {whole}");
    let kserve = [("api", "KServe"), ("interface", "REST"), ("method", "ModelInfer"), ("name", "m"), ("version", "1")];
    assert_eq!(metrics.get("ovms_requests_success", &kserve), Some(5.0));
    assert_eq!(metrics.get("ovms_requests_fail", &kserve), Some(1.0));
    let named = [("name", "m"), ("version", "1")];
    assert_eq!(metrics.get("ovms_request_time_us_count", &named), Some(6.0));
    assert_eq!(metrics.get("ovms_inference_time_us_count", &named), Some(5.0));
    assert_eq!(metrics.get("ovms_current_requests", &named), Some(0.0));
    let of_2 = [("model", "m"), ("version", "2")];
    assert_eq!(metrics.get("nv_inference_request_success", &of_2), Some(0.0));
    gateway.repository().remove("m", 2).unwrap();
    wait_until("the names of a version that is gone to go too", || {
        let metrics = gateway.metrics();
        let ovms = metrics.get("ovms_current_requests", &[("name", "m"), ("version", "2")]);
        (metrics.get("nv_inference_request_success", &of_2), ovms) == (None, None)
    });
    let plain = two_versions().start().metrics();
    assert!(plain.families().iter().all(|name| !name.starts_with("nv_") && !name.starts_with("ovms_")));
}

#[test]
fn the_document_of_the_routes_is_served() {
    let gateway = two_versions().start();
    let document = gateway.get("/v2/openapi.json").json();
    assert_eq!(document["openapi"], "3.0.3");
    for path in ["/v2/models/{model}/infer", "/v2/repository/models/{model}/load", "/v1/models/{model}:predict"] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
}
