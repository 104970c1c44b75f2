//! TensorFlow Serving's REST API in front of ONNX models: the same router, the same faults, other words.

use std::io::Write;

use base_types::DataType;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use switchrail_tests::{Client, Gateway, Response, wait_until};
use testkit::onnx::{
    Graph, Init, Shape, affine4, affine4_named, failing_when, identity, looping, multi, nan_when, strings,
};

fn post(client: &mut Client, path: &str, body: &Value) -> Response {
    client.send("POST", path, &[], body.to_string().as_bytes())
}

fn ok(client: &mut Client, path: &str, body: &Value) -> Value {
    let response = post(client, path, body);
    assert_eq!(response.status, 200, "{path} {body}: {}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    response.json()
}

fn version(response: &Response) -> &str {
    response.header("switchrail-version").unwrap_or_default()
}

fn row() -> Value {
    json!({ "instances": [[1.0, 2.0, 3.0, 4.0]] })
}

/// `x` FP32 `[batch,2]` to its last column, FP32 `[batch,1]`.
fn last_column() -> Vec<u8> {
    Graph::new("regressor")
        .input("x", DataType::Fp32, Shape::Dims(&[-1, 2]))
        .output("y", DataType::Fp32, Shape::Dims(&[-1, 1]))
        .init("weights", &[2, 1], Init::Floats(&[0.0, 1.0]))
        .node("MatMul", "x weights", "y", &[])
        .model()
}

/// Scores FP32 `[batch,2]` and labels BYTES `[batch,2]`, both as they came.
fn labelled() -> Vec<u8> {
    Graph::new("classifier")
        .input("x", DataType::Fp32, Shape::Dims(&[-1, 2]))
        .input("words", DataType::Bytes, Shape::Dims(&[-1, 2]))
        .output("labels", DataType::Bytes, Shape::Dims(&[-1, 2]))
        .output("scores", DataType::Fp32, Shape::Dims(&[-1, 2]))
        .node("Identity", "words", "labels", &[])
        .node("Identity", "x", "scores", &[])
        .model()
}

/// `raw` BYTES `[batch]` to `raw_bytes`, unchanged.
fn binary() -> Vec<u8> {
    Graph::new("binary")
        .input("raw", DataType::Bytes, Shape::Dims(&[-1]))
        .output("raw_bytes", DataType::Bytes, Shape::Dims(&[-1]))
        .node("Identity", "raw", "raw_bytes", &[])
        .model()
}

#[test]
fn rows_give_predictions_and_columns_give_outputs() {
    let gateway = Gateway::builder().model("m", 7, &affine4(2.0, 1.0)).model("multi", 1, &multi()).start();
    let mut client = gateway.client();
    let (x, y) = (json!([[1, 2, 3, 4], [0.5, 0, -1, 1e3]]), json!([[3.0, 5.0, 7.0, 9.0], [2.0, 1.0, -1.0, 2001.0]]));
    let named = json!([{ "x": x[0] }, { "x": x[1] }]);
    for body in [json!({ "instances": x }), json!({ "instances": named })] {
        assert_eq!(ok(&mut client, "/v1/models/m:predict", &body), json!({ "predictions": y }));
    }
    for inputs in [x.clone(), json!({ "x": x })] {
        assert_eq!(ok(&mut client, "/v1/models/m:predict", &json!({ "inputs": inputs })), json!({ "outputs": y }));
    }
    let rows = json!({ "instances": [{ "b": [10], "a": [1, 2] }, { "a": [3, 4], "b": [20] }] });
    let expected = json!({ "predictions": [
        { "sum": [11.0, 12.0], "negated": [-1.0, -2.0], "doubled": [20] },
        { "sum": [23.0, 24.0], "negated": [-3.0, -4.0], "doubled": [40] },
    ] });
    assert_eq!(ok(&mut client, "/v1/models/multi:predict", &rows), expected);
    let columns = json!({ "inputs": { "a": [[1, 2], [3, 4]], "b": [[10], [20]] } });
    let expected = json!({ "outputs": {
        "sum": [[11.0, 12.0], [23.0, 24.0]], "negated": [[-1.0, -2.0], [-3.0, -4.0]], "doubled": [[20], [40]],
    } });
    assert_eq!(ok(&mut client, "/V1/MODELS/multi/VERSIONS/1:Predict", &columns), expected);
    let response = post(&mut client, "/v1/models/%6D:predict", &row());
    assert_eq!((response.status, version(&response)), (200, "7"));
    assert_eq!(response.header("switchrail-reason"), Some("stable"));
    assert!(response.header("switchrail-digest").is_some_and(|digest| digest.len() == 16));
    assert_eq!(response.text(), r#"{"predictions":[[3.0,5.0,7.0,9.0]]}"#, "floats keep their point");
    assert_eq!(client.n_opened(), 1);
}

#[test]
fn every_data_type_of_json_goes_in_and_comes_out() {
    let cases = [
        (DataType::Bool, json!([[true, false]])),
        (DataType::Uint8, json!([[0, 255]])),
        (DataType::Uint16, json!([[0, 65535]])),
        (DataType::Uint32, json!([[0, 4_294_967_295u64]])),
        (DataType::Uint64, json!([[0, u64::MAX]])),
        (DataType::Int8, json!([[-128, 127]])),
        (DataType::Int16, json!([[-32768, 32767]])),
        (DataType::Int32, json!([[i32::MIN, i32::MAX]])),
        (DataType::Int64, json!([[i64::MIN, i64::MAX]])),
        (DataType::Fp32, json!([[-1.5, 16777216.0]])),
        (DataType::Fp64, json!([[0.1, 1e300]])),
        (DataType::Bytes, json!([["", "ü\n\"\\"], ["a", "\u{1F600}"]])),
    ];
    let name = |datatype: DataType| datatype.as_str().to_lowercase();
    let builder = cases.iter().fold(Gateway::builder(), |builder, (datatype, _)| {
        let content = if *datatype == DataType::Bytes { strings() } else { identity(*datatype) };
        builder.model(&name(*datatype), 1, &content)
    });
    let gateway = builder.model("binary", 1, &binary()).start();
    let mut client = gateway.client();
    for (datatype, data) in cases {
        let path = format!("/v1/models/{}:predict", name(datatype));
        assert_eq!(ok(&mut client, &path, &json!({ "instances": data })), json!({ "predictions": data }));
        assert_eq!(ok(&mut client, &path, &json!({ "inputs": { "x": data } })), json!({ "outputs": data }));
    }
    let sent = json!([{ "b64": "AP8B" }, "a", { "b64": "" }]);
    let back = json!([{ "b64": "AP8B" }, { "b64": "YQ==" }, { "b64": "" }]);
    let path = "/v1/models/binary:predict";
    assert_eq!(ok(&mut client, path, &json!({ "instances": sent })), json!({ "predictions": back }));
    assert_eq!(ok(&mut client, path, &json!({ "inputs": { "raw": sent } })), json!({ "outputs": back }));
    // Bytes that are no text have a form only where the output's name says so.
    let response = post(&mut client, "/v1/models/bytes:predict", &json!({ "instances": [[{ "b64": "/w==" }]] }));
    assert_eq!((response.status, &response.json()["code"]), (400, &json!("unsupported")), "{}", response.text());
    assert_eq!(version(&response), "1");
}

#[test]
fn tokens_for_what_is_no_number_go_in_and_come_out() {
    let routing = "[models.m]\nstable = 1\nallow_non_finite = [\"y\"]\n";
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).routing(routing).start();
    let body = br#"{"instances": [[NaN, Infinity, -Infinity, 1]]}"#;
    let response = gateway.client().send("POST", "/v1/models/m:predict", &[], body);
    assert_eq!(response.text(), r#"{"predictions":[[NaN,Infinity,-Infinity,1.0]]}"#);
}

#[test]
fn examples_are_classified_and_regressed() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("multi", 1, &multi());
    let gateway = builder.model("last", 1, &last_column()).model("labelled", 1, &labelled()).start();
    let mut client = gateway.client();
    let examples = json!({ "examples": [{ "x": [1, 2] }, { "x": [3, 4] }] });
    assert_eq!(ok(&mut client, "/v1/models/last:regress", &examples), json!({ "results": [2.0, 4.0] }));
    let scores = ok(&mut client, "/v1/models/last:classify", &examples);
    assert_eq!(scores, json!({ "results": [[["0", 2.0]], [["0", 4.0]]] }));
    let four = json!({ "examples": [{ "x": [0.5, 0.25, 0.0, 0.25] }] });
    let expected = json!({ "results": [[["0", 0.5], ["1", 0.25], ["2", 0.0], ["3", 0.25]]] });
    assert_eq!(ok(&mut client, "/v1/models/m/labels/stable:classify", &four), expected);
    let both = json!({ "context": { "words": ["cat", "dog"] }, "examples": [{ "x": [0.75, 0.25] }, { "x": [0, 1] }] });
    let expected = json!({ "results": [[["cat", 0.75], ["dog", 0.25]], [["cat", 0.0], ["dog", 1.0]]] });
    assert_eq!(ok(&mut client, "/v1/models/labelled:classify", &both), expected);
    for (path, body) in [
        ("/v1/models/m:regress", &four),
        ("/v1/models/multi:regress", &examples),
        ("/v1/models/multi:classify", &examples),
    ] {
        let response = post(&mut client, path, body);
        assert_eq!(response.status, 400, "{path}");
        let error = response.json();
        assert_eq!((&error["code"], &error["fault"]), (&json!("unsupported"), &json!("client")), "{path}");
        assert!(error["error"].as_str().unwrap().contains("needs one FP32 or FP64 output"), "{error}");
    }
}

#[test]
fn mistakes_of_the_caller_are_told_apart_and_named() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("multi", 1, &multi());
    let builder = builder.model("half", 1, &identity(DataType::Fp16)).model("empty", 1, b"no model");
    let routing = "[models.m]\nstable = 1\nbatch_rows = 8\n[models.multi]\nstable = 1\n[models.half]\nstable = 1\n";
    let gateway = builder.routing(routing).set("limits.body_bytes", "4000").start();
    let mut client = gateway.client();
    let m = "/v1/models/m:predict";
    let multi = "/v1/models/multi:predict";
    let cases = [
        (m, "", 400, "malformed", "expected an object"),
        (m, "{}", 400, "malformed", "`instances`"),
        (m, r#"{"instances": [[1,2,3,4]], "inputs": [[1,2,3,4]]}"#, 400, "malformed", "not both"),
        (m, r#"{"instances": []}"#, 400, "malformed", "at least one row"),
        (m, r#"{"signature_name": "other", "instances": [[1,2,3,4]]}"#, 400, "malformed", "\"other\""),
        (m, r#"{"instances": [[1,2,3,4], [1,2]]}"#, 400, "input_mismatch", "instances[1]"),
        (m, r#"{"instances": [[1,2,3,"4"]]}"#, 400, "input_mismatch", "instances[0][3]"),
        (m, r#"{"instances": [[1,2,3,1e39]]}"#, 400, "input_mismatch", "1e39 does not fit FP32"),
        (m, r#"{"instances": [[1,2,3]]}"#, 400, "input_mismatch", "[1, 3] given"),
        (m, r#"{"instances": [{"z": [1,2,3,4]}]}"#, 400, "input_unknown", "\"z\""),
        (multi, r#"{"inputs": {"a": [[1,2]]}}"#, 400, "input_missing", "b INT64"),
        (multi, r#"{"instances": [[1,2]]}"#, 400, "input_mismatch", "an object that names them"),
        (multi, r#"{"inputs": {"a": [[1,2]], "b": [[1.5]]}}"#, 400, "input_mismatch", "1.5 does not fit INT64"),
        ("/v1/models/half:predict", r#"{"inputs": [[1]]}"#, 400, "unsupported", "FP16"),
        ("/v1/models/none:predict", "{}", 404, "model_unknown", "Servable not found for request: Latest(none)"),
        ("/v1/models/m/versions/9:predict", "{}", 404, "version_unknown", "Specific(m, 9)"),
        ("/v1/models/m/versions/latest:predict", "{}", 400, "malformed", "Malformed request: POST"),
        ("/v1/models/m:sing", "{}", 400, "malformed", "Malformed request: POST"),
        ("/v1/nothing", "{}", 400, "malformed", "Malformed request: POST"),
    ];
    for (path, body, status, code, part) in cases {
        let response = client.send("POST", path, &[], body.as_bytes());
        let error = response.json();
        let what = format!("{path} {body}: {error}");
        assert_eq!(
            (response.status, &error["code"], &error["fault"]),
            (status, &json!(code), &json!("client")),
            "{what}"
        );
        assert!(error["error"].as_str().unwrap().contains(part), "{what}");
        ok(&mut client, m, &row());
    }
    assert_eq!(client.n_opened(), 1, "keep-alive survives mistakes");
    let rows = json!({ "instances": vec![[1; 4]; 9] });
    assert_eq!(post(&mut client, m, &rows).json()["code"], "batch_too_large");
    assert_eq!(post(&mut client, m, &json!({ "instances": vec![0; 4000] })).status, 413);
    let soon = [("switchrail-timeout-ms", "soon")];
    assert_eq!(client.send("POST", m, &soon, row().to_string().as_bytes()).json()["code"], "malformed");
    // A model that is known and cannot answer is no mistake of the caller.
    let response = post(&mut client, "/v1/models/empty:predict", &row());
    assert_eq!((response.status, &response.json()["fault"]), (503, &json!("unavailable")));
    assert_eq!(gateway.metric("switchrail_attempts_total", &[("model", "m"), ("outcome", "version_fault")]), 0.0);
    let mine = [("protocol", "tfs_rest"), ("outcome", "client")];
    let counted =
        || gateway.metric("switchrail_refused_total", &mine) + gateway.metric("switchrail_requests_total", &mine);
    assert_eq!(counted(), cases.len() as f64 + 3.0, "each mistake once");
}

#[test]
fn status_and_metadata_tell_about_versions() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4(2.0, 0.0));
    let builder = builder.model("m", 3, b"no model").model("multi", 4, &multi()).model("empty", 1, b"no model");
    let routing = "[models.m]\nstable = 1\nlabels = { next = 2 }\n[models.multi]\nstable = 4\n";
    let gateway = builder.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    gateway.wait_refused("m", 3);
    gateway.wait_refused("empty", 1);
    let get = |path: &str| gateway.get(path);
    let ready = |version: &str| json!({ "version": version, "state": "AVAILABLE", "status": { "error_code": "OK", "error_message": "" } });
    let all = get("/v1/models/m");
    assert_eq!(all.status, 200);
    let all = all.json();
    let versions = all["model_version_status"].as_array().unwrap();
    assert_eq!((&all["name"], &all["ready"]), (&json!("m"), &json!(true)), "clients of KServe V1 read these");
    assert_eq!(versions[1..], [ready("2"), ready("1")]);
    assert_eq!((&versions[0]["version"], &versions[0]["state"]), (&json!("3"), &json!("END")));
    assert_ne!(versions[0]["status"]["error_message"], "");
    for path in ["/v1/models/m/versions/2", "/V1/models/m/LABELS/next"] {
        assert_eq!(get(path).json()["model_version_status"], json!([ready("2")]), "{path}");
    }
    let failed = get("/v1/models/m/versions/3");
    assert_eq!((failed.status, &failed.json()["model_version_status"][0]["state"]), (200, &json!("END")));
    let empty = get("/v1/models/empty");
    assert_eq!((empty.status, &empty.json()["ready"]), (503, &json!(false)), "{}", empty.text());
    for path in ["/v1/models/none", "/v1/models/m/versions/9", "/v1/models/m/labels/none", "/v1/models/none/metadata"] {
        let response = get(path);
        assert_eq!(response.status, 404, "{path}");
        assert!(response.json()["error"].as_str().unwrap().starts_with("Servable not found for request: "), "{path}");
    }
    let metadata = get("/v1/models/multi/metadata").json();
    assert_eq!(metadata["model_spec"], json!({ "name": "multi", "signature_name": "", "version": "4" }));
    let signature = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!(signature["method_name"], "tensorflow/serving/predict");
    assert_eq!(signature["inputs"]["b"]["dtype"], "DT_INT64");
    let sizes = |tensor: &Value| -> Vec<Value> {
        tensor["tensor_shape"]["dim"].as_array().unwrap().iter().map(|dim| dim["size"].clone()).collect()
    };
    assert_eq!(sizes(&signature["inputs"]["a"]), [json!("-1"), json!("2")]);
    assert_eq!(get("/v1/models/m/labels/next/metadata").json()["model_spec"]["version"], "2");
    assert_eq!(get("/v1/models").json(), json!({ "models": ["empty", "m", "multi"] }));
}

#[test]
fn pins_labels_rules_and_sticky_keys_choose_as_on_the_other_wire() {
    let routing = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\nlabels = { next = 2 }\nsticky = { header = \"x-user\" }\n\
                   [[models.m.rules]]\nname = \"try\"\nwhen = { query = \"try\", present = true }\nuse = 2\n";
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4(2.0, 0.0));
    let gateway = builder.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    let mut client = gateway.client();
    for (path, expected, reason) in [
        ("/v1/models/m/versions/1:predict", "1", "pin"),
        ("/v1/models/m/versions/2:predict", "2", "pin"),
        ("/v1/models/m/labels/next:predict", "2", "label"),
        ("/v1/models/m:predict?try=1", "2", "rule"),
    ] {
        let response = post(&mut client, path, &row());
        assert_eq!((response.status, version(&response)), (200, expected), "{path}: {}", response.text());
        assert_eq!(response.header("switchrail-reason"), Some(reason), "{path}");
    }
    let mut seen = [0; 3];
    for user in 0..60 {
        let user = format!("user-{user}");
        let headers = [("x-user", user.as_str())];
        let rest = client.send("POST", "/v1/models/m:predict", &headers, row().to_string().as_bytes());
        let oip = br#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}"#;
        let other = client.send("POST", "/v2/models/m/infer", &headers, oip);
        assert_eq!((rest.status, other.status), (200, 200));
        assert_eq!(version(&rest), version(&other), "{user} stays put, whatever it speaks");
        let number: usize = version(&rest).parse().unwrap();
        assert_eq!(rest.json()["predictions"][0][3], json!(4.0 * number as f64));
        seen[number] += 1;
    }
    assert!(seen[1] > 10 && seen[2] > 10, "{seen:?}");
    let answered = gateway.metric("switchrail_requests_total", &[("protocol", "tfs_rest"), ("outcome", "ok")]);
    assert_eq!(answered, 64.0);
}

#[test]
fn a_version_with_other_names_is_asked_and_answers_by_the_names_of_the_model() {
    let routing =
        "[models.m]\nstable = 1\nversions.2 = { inputs = { x = \"image\" }, outputs = { y = \"softmax_bytes\" } }\n";
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0));
    let gateway = builder.model("m", 2, &affine4_named("image", "softmax_bytes", 2.0, 0.0)).routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    let mut client = gateway.client();
    let body = json!({ "instances": [{ "x": [1.0, 2.0, 3.0, 4.0] }] });
    let answer = ok(&mut client, "/v1/models/m/versions/2:predict", &body);
    assert_eq!(answer, json!({ "predictions": [[2.0, 4.0, 6.0, 8.0]] }));
    let body = json!({ "instances": [{ "image": [1.0, 2.0, 3.0, 4.0] }] });
    assert_eq!(post(&mut client, "/v1/models/m/versions/2:predict", &body).json()["code"], "input_unknown");
    let metadata = gateway.get("/v1/models/m/versions/2/metadata").json();
    let signature = &metadata["metadata"]["signature_def"]["signature_def"]["serving_default"];
    assert_eq!((&signature["inputs"]["x"]["name"], &signature["outputs"]["y"]["name"]), (&json!("x"), &json!("y")));
}

#[test]
fn a_faulty_canary_is_covered_and_rolled_back() {
    let routing = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\n";
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &nan_when(100.0, 2.0, 0.0));
    let gateway = builder.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    let mut client = gateway.client();
    let body = json!({ "instances": [[200.0, 2.0, 3.0, 4.0]] });
    let mut n_covered = 0;
    wait_until("the canary to be rolled back", || {
        let response = post(&mut client, "/v1/models/m:predict", &body);
        assert_eq!((response.status, version(&response)), (200, "1"), "{}", response.text());
        n_covered += usize::from(response.header("switchrail-reason") == Some("fallback"));
        gateway.state("m", 2) == "quarantined"
    });
    assert!(n_covered > 0);
    let status = gateway.get("/v1/models/m/versions/2").json();
    assert_eq!(status["model_version_status"][0]["status"]["error_code"], "FAILED_PRECONDITION", "{status}");
    assert_eq!(post(&mut client, "/v1/models/m/versions/2:predict", &row()).status, 503);
}

#[test]
fn a_pinned_fault_is_the_version_s_and_a_deadline_is_the_caller_s() {
    let routing = "[models.bad]\nstable = 1\n[models.slow]\nstable = 1\nrun_timeout_ms = 20000\n";
    let builder = Gateway::builder().model("bad", 1, &failing_when(100.0, 1.0, 0.0));
    let gateway = builder.model("slow", 1, &looping(256, 1.0, 0.0)).routing(routing).start();
    let mut client = gateway.client();
    let body = json!({ "instances": [[200.0, 2.0, 3.0, 4.0]] });
    let response = post(&mut client, "/v1/models/bad/versions/1:predict", &body);
    assert_eq!((response.status, version(&response)), (500, "1"), "{}", response.text());
    assert_eq!(
        (&response.json()["code"], &response.json()["fault"]),
        (&json!("version_fault"), &json!("version_fault"))
    );
    let body = json!({ "instances": [[10_000_000.0, 1.0, 2.0, 3.0]] }).to_string();
    let headers = [("switchrail-timeout-ms", "150")];
    let response = client.send("POST", "/v1/models/slow:predict", &headers, body.as_bytes());
    assert_eq!((response.status, &response.json()["code"]), (504, &json!("deadline_in_run")), "{}", response.text());
    assert_eq!(response.json()["fault"], "caller_deadline");
    // A caller who leaves is counted once, and stops the work.
    let head = format!("POST /v1/models/slow:predict HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", body.len());
    let in_flight = || gateway.metric("switchrail_in_flight", &[("model", "slow")]);
    let mut caller = gateway.client();
    caller.send_only(format!("{head}{body}").as_bytes());
    wait_until("the request to run", || in_flight() == 1.0);
    drop(caller);
    wait_until("the work to stop", || in_flight() == 0.0);
    let left = [("protocol", "tfs_rest"), ("outcome", "cancelled")];
    assert_eq!(gateway.metric("switchrail_requests_total", &left), 1.0);
}

#[test]
fn packed_bodies_are_unpacked_and_unknown_packings_refused() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    let mut client = gateway.client();
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(row().to_string().as_bytes()).unwrap();
    let body = packer.finish().unwrap();
    let send = |client: &mut Client, encoding: &str, body: &[u8]| {
        client.send(
            "POST",
            "/v1/models/m:predict",
            &[("content-encoding", encoding), ("accept-encoding", "gzip")],
            body,
        )
    };
    let response = send(&mut client, "gzip", &body);
    assert_eq!((response.status, response.text().as_str()), (200, r#"{"predictions":[[1.0,2.0,3.0,4.0]]}"#));
    assert_eq!(send(&mut client, "gzip", &body[..body.len() - 1]).json()["fault"], "client");
    assert_eq!(send(&mut client, "br", &body).json()["code"], "unsupported_encoding");
}
