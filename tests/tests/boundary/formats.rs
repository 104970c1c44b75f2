//! Requests that are answered: every data type of JSON, the shapes of data, what an answer says besides its outputs,
//! metadata and readiness.

use base_types::DataType;
use serde_json::{Value, json};
use switchrail_tests::{Gateway, Infer, float_input};
use testkit::onnx::{affine4, identity, multi, nan_when, strings};

#[test]
fn every_data_type_of_json_goes_in_and_comes_out_flat_and_nested() {
    let cases = [
        (DataType::Bool, json!([true, false, true, true])),
        (DataType::Uint8, json!([0, 1, 2, 255])),
        (DataType::Uint16, json!([0, 1, 2, 65535])),
        (DataType::Uint32, json!([0, 1, 2, 4_294_967_295u64])),
        (DataType::Uint64, json!([0, 1, 2, u64::MAX])),
        (DataType::Int8, json!([-128, -1, 0, 127])),
        (DataType::Int16, json!([-32768, -1, 0, 32767])),
        (DataType::Int32, json!([i32::MIN, -1, 0, i32::MAX])),
        (DataType::Int64, json!([i64::MIN, -1, 0, i64::MAX])),
        (DataType::Fp32, json!([-1.5, 0.0, 0.25, 16777216.0])),
        (DataType::Fp64, json!([-1.5, 0.1, 1e300, 5e-324])),
        (DataType::Bytes, json!(["", "a", "ü\n\"\\", "\u{1F600}"])),
    ];
    let name = |datatype: DataType| datatype.as_str().to_lowercase();
    let builder = cases.iter().fold(Gateway::builder(), |builder, (datatype, _)| {
        let content = if *datatype == DataType::Bytes { strings() } else { identity(*datatype) };
        builder.model(&name(*datatype), 1, &content)
    });
    let gateway = builder.start();
    let mut client = gateway.client();
    for (datatype, data) in cases {
        let nested = json!([[data[0], data[1]], [data[2], data[3]]]);
        for sent in [data.clone(), nested] {
            let input = json!({ "name": "x", "datatype": datatype.as_str(), "shape": [2, 2], "data": sent });
            let answer = Infer::new(&name(datatype)).input(input).send(&mut client).ok();
            let output = answer.output("y");
            assert_eq!(output["data"], data, "{datatype}");
            assert_eq!((&output["shape"], &output["datatype"]), (&json!([2, 2]), &json!(datatype.as_str())));
        }
        let empty = json!({ "name": "x", "datatype": datatype.as_str(), "shape": [0, 2], "data": [] });
        assert_eq!(Infer::new(&name(datatype)).input(empty).send(&mut client).ok().output("y")["data"], json!([]));
    }
}

#[test]
fn outputs_are_those_asked_for_in_that_order() {
    let gateway = Gateway::builder().model("multi", 3, &multi()).start();
    let b = json!({ "name": "b", "datatype": "INT64", "shape": [1, 1], "data": [10] });
    // The inputs in another order than the model's.
    let request = Infer::new("multi").input(b).input(float_input("a", &[1, 2], &[1.0, 2.0]));
    let names = |request: &Infer| -> Vec<String> {
        let answer = gateway.infer(request).ok();
        let outputs = answer.body["outputs"].as_array().unwrap();
        outputs.iter().map(|output| output["name"].as_str().unwrap().to_owned()).collect()
    };
    let answer = gateway.infer(&request).ok();
    assert_eq!(answer.floats("sum"), [11.0, 12.0]);
    assert_eq!(answer.floats("negated"), [-1.0, -2.0]);
    assert_eq!(answer.output("doubled")["data"], json!([20]));
    assert_eq!(names(&request), ["sum", "negated", "doubled"]);
    let asking = |outputs: Value| request.clone().field("outputs", outputs);
    assert_eq!(names(&asking(json!([{ "name": "doubled" }, { "name": "sum" }]))), ["doubled", "sum"]);
    assert_eq!(names(&asking(json!([]))), ["sum", "negated", "doubled"]);
    assert_eq!(names(&asking(Value::Null)), ["sum", "negated", "doubled"]);
}

#[test]
fn an_answer_says_who_computed_it_and_for_which_request() {
    let gateway = Gateway::builder().model("m", 12, &affine4(2.0, 1.0)).start();
    let request = Infer::first("m", 1.0).field("id", json!("request \"7\"")).parameter("anything", 1.5);
    let request = request.field("unknown", json!({ "a": [null] })).field("model_name", json!("m"));
    let answer = gateway.infer(&request).ok();
    assert_eq!(answer.floats("y"), [3.0, 3.0, 5.0, 7.0]);
    assert_eq!((&answer.body["id"], &answer.body["model_name"]), (&json!("request \"7\""), &json!("m")));
    assert_eq!(answer.body["model_version"], "12");
    assert_eq!((answer.version(), answer.reason()), (12, "stable"));
    let digest = answer.said("digest").unwrap();
    assert!(digest.len() == 16 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{digest}");
    assert!(gateway.version("m", 12).unwrap()["digest"].as_str().unwrap().starts_with(digest));
    assert_eq!(answer.generation(), gateway.generation());
    assert!(answer.body["outputs"][0].get("parameters").is_none(), "clients take such an output for a binary one");
    assert!(gateway.ask("m", 1.0).ok().body.get("id").is_none(), "no id where none was sent");
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(12)).ok().reason(), "pin");
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin("stable")).ok().reason(), "label");
}

#[test]
fn a_request_id_and_a_trace_go_through_to_the_log() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0));
    let gateway = builder.set("log.access", "true").set("log.format", "\"json\"").start();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = Infer::first("m", 1.0).header("x-request-id", "my-request-1");
    let answer = gateway.infer(&request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))).ok();
    assert_eq!(answer.response.header("x-request-id"), Some("my-request-1"));
    gateway.wait_log("my-request-1");
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("my-request-1")).unwrap();
    assert!(line.contains(trace), "{line}");
    serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(gateway.ask("m", 1.0).ok().response.header("x-request-id").is_some_and(|id| !id.is_empty()));
}

#[test]
fn an_output_that_is_not_finite_is_a_fault_unless_it_is_allowed() {
    let allowed = "[models.free]\nstable = 1\nallow_non_finite = [\"y\"]\n[models.strict]\nstable = 1\n";
    let content = nan_when(100.0, 1.0, 0.0);
    let gateway = Gateway::builder().model("free", 1, &content).model("strict", 1, &content).routing(allowed).start();
    let answer = gateway.ask("free", 200.0).ok();
    assert_eq!(answer.output("y")["data"], json!([null, null, null, null]));
    let answer = gateway.ask("strict", 200.0);
    assert_eq!((answer.status(), answer.code()), (500, "version_fault"));
    let labels = [("model", "strict"), ("version", "1"), ("kind", "non_finite")];
    assert_eq!(gateway.metric("switchrail_version_faults_total", &labels), 1.0);
    assert_eq!(gateway.metric("switchrail_version_faults_total", &[("model", "free")]), 0.0);
}

#[test]
fn metadata_and_readiness_satisfy_the_known_clients() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 3, &affine4(3.0, 0.0));
    let gateway = builder.model("broken", 1, b"no model").start();
    let json = |path: &str| {
        let response = gateway.get(path);
        assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")), "{path}");
        response.json()
    };
    let server = json("/v2");
    assert!(server["name"].is_string() && server["version"].is_string() && server["extensions"].is_array(), "{server}");
    assert_eq!(json("/v2/health/live")["live"], true);
    let ready = json("/v2/health/ready");
    assert_eq!((&ready["ready"], &ready["live"]), (&Value::Bool(true), &Value::Bool(true)));
    let model = json("/v2/models/m");
    assert_eq!((&model["name"], &model["versions"]), (&json!("m"), &json!(["1", "3"])));
    assert_eq!(model["inputs"], json!([{ "name": "x", "datatype": "FP32", "shape": [-1, 4] }]));
    assert_eq!(model["outputs"], json!([{ "name": "y", "datatype": "FP32", "shape": [-1, 4] }]));
    assert!(model["platform"].as_str().unwrap().contains("onnx"), "{model}");
    assert_eq!(json("/v2/models/m/versions/1")["versions"], json!(["1"]));
    for path in ["/v2/models/m/ready", "/v2/models/m/versions/1/ready", "/v2/models/m/versions/stable/ready"] {
        assert_eq!(json(path)["ready"], true, "{path}");
    }
    assert_eq!(gateway.get("/v2/models/broken/ready").status, 503);
    assert_eq!(gateway.get("/v2/models/m/versions/2/ready").status, 404);
    assert_eq!(gateway.get("/v2/models/nobody/ready").status, 404);
    assert_eq!(gateway.get("/v2/models/nobody").status, 404);
    let listed = json("/v2/models").to_string();
    assert!(listed.contains("\"m\"") && listed.contains("\"broken\""), "{listed}");
}
