//! Tensors behind the JSON: in requests, in answers, in both or without any JSON, and what is wrong with some.

use base_types::DataType;
use serde_json::{Value, json};
use switchrail_tests::{Client, Gateway, Response};
use testkit::onnx::{affine4, identity, multi, strings};

const LENGTH: &str = "inference-header-content-length";

/// Sends JSON and what follows it.
fn send(client: &mut Client, model: &str, json: &Value, tail: &[u8]) -> Response {
    let json = json.to_string();
    let length = json.len().to_string();
    let body = [json.as_bytes(), tail].concat();
    client.send("POST", &format!("/v2/models/{model}/infer"), &[(LENGTH, &length)], &body)
}

/// The JSON of a good answer, and what follows it.
#[track_caller]
fn parts(response: &Response) -> (Value, &[u8]) {
    assert_eq!(response.status, 200, "{}", response.text());
    match response.header(LENGTH) {
        Some(length) => {
            assert_eq!(response.header("content-type"), Some("application/octet-stream"));
            let (json, tail) = response.body.split_at(length.parse().unwrap());
            assert!(!tail.is_empty());
            (serde_json::from_slice(json).unwrap(), tail)
        }
        None => {
            assert_eq!(response.header("content-type"), Some("application/json"));
            (response.json(), &[])
        }
    }
}

fn input(name: &str, datatype: &str, shape: &[usize], size: usize) -> Value {
    json!({ "name": name, "datatype": datatype, "shape": shape, "parameters": { "binary_data_size": size } })
}

fn binary_outputs(inputs: Value) -> Value {
    json!({ "inputs": inputs, "parameters": { "binary_data_output": true } })
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[track_caller]
fn check_refused(response: &Response, code: &str, part: &str) {
    let json = response.json();
    assert_eq!((response.status, &json["code"], &json["fault"]), (400, &json!(code), &json!("client")), "{json}");
    assert!(json["error"].as_str().unwrap().contains(part), "{part:?} is not in: {json}");
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[test]
fn every_data_type_goes_through_in_binary() {
    let name = |datatype: DataType| datatype.as_str().to_lowercase();
    let models = DataType::ALL
        .iter()
        .fold(Gateway::builder(), |builder, datatype| builder.model(&name(*datatype), 1, &identity(*datatype)));
    let gateway = models.start();
    let mut client = gateway.client();
    for datatype in DataType::ALL {
        let tail: Vec<u8> = match datatype {
            DataType::Bool => vec![1, 0, 0, 1, 1, 0],
            // NUL, no text at all, and nothing.
            DataType::Bytes => b"\x03\0\0\0a\0b\x02\0\0\0\xff\xfe\0\0\0\0\x01\0\0\0\0\x01\0\0\0x\0\0\0\0".to_vec(),
            // Finite in every type of floats.
            _ => (0..6 * datatype.element_bytes().unwrap()).map(|i| (i % 60) as u8).collect(),
        };
        let request = binary_outputs(json!([input("x", datatype.as_str(), &[3, 2], tail.len())]));
        let response = send(&mut client, &name(datatype), &request, &tail);
        let (json, answer) = parts(&response);
        assert_eq!(answer, tail, "{datatype}");
        let expected = json!([{ "name": "y", "datatype": datatype.as_str(), "shape": [3, 2],
            "parameters": { "binary_data_size": tail.len() } }]);
        assert_eq!(json["outputs"], expected);
        // Nothing at all is an answer without bytes.
        let request = binary_outputs(json!([input("x", datatype.as_str(), &[0, 2], 0)]));
        let (json, answer) = (send(&mut client, &name(datatype), &request, b""), b"");
        let (json, tail) = parts(&json);
        assert_eq!((&json["outputs"][0]["parameters"], tail), (&json!({ "binary_data_size": 0 }), &answer[..]));
    }
    assert_eq!(client.n_opened(), 1);
}

#[test]
fn json_and_binary_mix_in_requests_and_answers() {
    let gateway = Gateway::builder().model("multi", 1, &multi()).start();
    let mut client = gateway.client();
    let a = input("a", "FP32", &[1, 2], 8);
    let b = json!({ "name": "b", "datatype": "INT64", "shape": [1, 1], "data": [10] });
    let outputs = json!([
        { "name": "doubled", "parameters": { "binary_data": true } },
        { "name": "sum", "parameters": { "binary_data": false } },
        { "name": "negated" },
    ]);
    let mut request = json!({ "inputs": [b, a], "outputs": outputs });
    let response = send(&mut client, "multi", &request, &bytes(&[1.0, 2.0]));
    let (json, tail) = parts(&response);
    let expected = json!([
        { "name": "doubled", "datatype": "INT64", "shape": [1, 1], "parameters": { "binary_data_size": 8 } },
        { "name": "sum", "datatype": "FP32", "shape": [1, 2], "data": [11.0, 12.0] },
        { "name": "negated", "datatype": "FP32", "shape": [1, 2], "data": [-1.0, -2.0] },
    ]);
    assert_eq!(json["outputs"], expected);
    assert_eq!(tail, 20i64.to_le_bytes());
    // What an output says itself wins over the request as a whole.
    request["parameters"] = json!({ "binary_data_output": true });
    let response = send(&mut client, "multi", &request, &bytes(&[1.0, 2.0]));
    let (json, tail) = parts(&response);
    assert_eq!(json["outputs"][1]["data"], json!([11.0, 12.0]));
    assert_eq!(tail, [&20i64.to_le_bytes()[..], &bytes(&[-1.0, -2.0])].concat());
    // Both inputs in binary, in another order than the model's.
    let inputs = json!([input("b", "INT64", &[1, 1], 8), input("a", "FP32", &[1, 2], 8)]);
    let tail = [&5i64.to_le_bytes()[..], &bytes(&[1.0, 2.0])].concat();
    let response = send(&mut client, "multi", &json!({ "inputs": inputs }), &tail);
    assert_eq!(parts(&response).0["outputs"][0]["data"], json!([6.0, 7.0]));
}

#[test]
fn a_header_as_long_as_the_body_changes_nothing() {
    let gateway = Gateway::builder().model("m", 1, &affine4(2.0, 0.0)).start();
    let x = json!({ "name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4] });
    let response = send(&mut gateway.client(), "m", &json!({ "inputs": [x] }), b"");
    assert_eq!(parts(&response).0["outputs"][0]["data"], json!([2.0, 4.0, 6.0, 8.0]));
}

#[test]
fn a_large_tensor_at_any_offset_is_answered_exactly() {
    let gateway = Gateway::builder().model("m", 1, &identity(DataType::Fp32)).start();
    let mut client = gateway.client();
    let values: Vec<f32> = (0..150_528).map(|i| i as f32 * 0.5).collect();
    let tail = bytes(&values);
    for n_padding in 0..5 {
        let mut request = binary_outputs(json!([input("x", "FP32", &[3, 50_176], tail.len())]));
        request["id"] = json!("i".repeat(n_padding));
        let response = send(&mut client, "m", &request, &tail);
        assert!(parts(&response).1 == tail, "offset by {n_padding}");
    }
}

#[test]
fn a_body_without_json_is_the_only_input() {
    let builder = Gateway::builder().model("m", 1, &affine4(2.0, 0.0)).model("multi", 1, &multi());
    let builder = builder.model("text", 1, &strings()).model("open", 1, &identity(DataType::Fp16));
    let gateway = builder.model("m", 2, &affine4(3.0, 0.0)).start();
    let mut client = gateway.client();
    let mut raw =
        |path: &str, body: &[u8]| client.send("POST", &format!("/v2/models/{path}/infer"), &[(LENGTH, "0")], body);
    let response = raw("m/versions/1", &bytes(&[1.0, 2.0, 3.0, 4.0]));
    let (json, tail) = parts(&response);
    assert_eq!((&json["outputs"][0]["shape"], tail), (&json!([1, 4]), &bytes(&[2.0, 4.0, 6.0, 8.0])[..]));
    let response = raw("m/versions/2", &bytes(&[1.0, 2.0, 3.0, 4.0]));
    assert_eq!(parts(&response).1, bytes(&[3.0, 6.0, 9.0, 12.0]));
    // BYTES: the body is the element itself; the answer has lengths as ever.
    let response = raw("text", b"\0\xff");
    let (json, tail) = parts(&response);
    assert_eq!((&json["outputs"][0]["shape"], tail), (&json!([1, 1]), &b"\x02\0\0\0\0\xff"[..]));
    let response = raw("open", b"\0\x3c\0\x40\0\x42");
    assert_eq!(parts(&response).0["outputs"][0]["shape"], json!([1, 3]));

    check_refused(&raw("m", &bytes(&[1.0, 2.0])), "input_mismatch", "asks for 16 bytes, 8 given");
    check_refused(&raw("multi", &bytes(&[1.0, 2.0])), "input_mismatch", "the model has 2");
    let response = raw("nobody", b"");
    assert_eq!((response.status, &response.json()["code"]), (404, &json!("model_unknown")));
    assert_eq!(raw("m/versions/9", b"").status, 404);
}

#[test]
fn bodies_whose_lengths_do_not_add_up_are_the_callers_mistake() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    let mut client = gateway.client();
    let good = json!({ "inputs": [input("x", "FP32", &[1, 4], 16)] });
    let row = bytes(&[1.0; 4]);
    check_refused(&send(&mut client, "m", &good, &row[..15]), "input_mismatch", "15 bytes are left");
    check_refused(&send(&mut client, "m", &good, &[&row[..], b"x"].concat()), "malformed", "1 bytes follow");
    let short = json!({ "inputs": [input("x", "FP32", &[1, 4], 15)] });
    check_refused(&send(&mut client, "m", &short, &row[..15]), "input_mismatch", "asks for 16 bytes, 15 given");
    let mut twice = good.clone();
    twice["inputs"][0]["data"] = json!([1, 2, 3, 4]);
    check_refused(&send(&mut client, "m", &twice, &row), "input_mismatch", "exclude each other");
    let path = "/v2/models/m/infer";
    let text = good.to_string();
    let response = client.send("POST", path, &[], text.as_bytes());
    check_refused(&response, "input_mismatch", LENGTH);
    let longer = (text.len() + 17).to_string();
    let response = client.send("POST", path, &[(LENGTH, &longer)], &[text.as_bytes(), &row].concat());
    check_refused(&response, "malformed", LENGTH);
    for number in ["-1", "x", "99999999999999999999999"] {
        let response = client.send("POST", path, &[(LENGTH, number)], text.as_bytes());
        check_refused(&response, "malformed", LENGTH);
    }
    let mut shared = good.clone();
    shared["inputs"][0]["parameters"] = json!({ "shared_memory_region": "r", "shared_memory_byte_size": 16 });
    check_refused(&send(&mut client, "m", &shared, b""), "unsupported", "shared_memory_region");
    let mut shared = good.clone();
    shared["outputs"] = json!([{ "name": "y", "parameters": { "shared_memory_region": "r" } }]);
    check_refused(&send(&mut client, "m", &shared, &row), "unsupported", "shared_memory_region");
    parts(&send(&mut client, "m", &good, &row));
    assert_eq!(client.n_opened(), 1, "keep-alive survives mistakes");
}

#[test]
fn types_without_a_json_form_are_refused_only_where_json_is_asked_for() {
    let gateway = Gateway::builder().model("half", 1, &identity(DataType::Fp16)).start();
    let mut client = gateway.client();
    let tail = b"\0\x3c\0\xc0";
    let mut ask = |parameters: Value, outputs: Value| {
        let inputs = json!([input("x", "FP16", &[1, 2], 4)]);
        let request = json!({ "inputs": inputs, "parameters": parameters, "outputs": outputs });
        send(&mut client, "half", &request, tail)
    };
    let y = |parameters: Value| json!([{ "name": "y", "parameters": parameters }]);
    check_refused(&ask(json!({}), json!([])), "unsupported", "FP16");
    check_refused(
        &ask(json!({ "binary_data_output": true }), y(json!({ "binary_data": false }))),
        "unsupported",
        "FP16",
    );
    assert_eq!(parts(&ask(json!({}), y(json!({ "binary_data": true })))).1, tail);
    assert_eq!(parts(&ask(json!({ "binary_data_output": true }), Value::Null)).1, tail);
    assert_eq!(
        parts(&ask(json!({}), y(json!({ "classification": 2 })))).0["outputs"][0]["data"],
        json!(["1:0", "-2:1"])
    );
    // Refused before the model runs, and never held against it.
    let answered = gateway.metric("switchrail_attempts_total", &[("model", "half"), ("outcome", "ok")]);
    assert_eq!(answered, 3.0);
}

#[test]
fn text_that_is_none_is_refused_only_where_json_is_asked_for() {
    let gateway = Gateway::builder().model("text", 1, &strings()).start();
    let mut client = gateway.client();
    let request = json!({ "inputs": [input("x", "BYTES", &[1, 1], 5)] });
    check_refused(&send(&mut client, "text", &request, b"\x01\0\0\0\xff"), "unsupported", "binary");
    let response = send(&mut client, "text", &request, b"\x01\0\0\0\0");
    assert_eq!(parts(&response).0["outputs"][0]["data"], json!(["\0"]));
}

#[test]
fn a_classification_is_given_instead_of_the_output() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.5)).start();
    let mut client = gateway.client();
    let x = json!({ "name": "x", "datatype": "FP32", "shape": [2, 4], "data": [3, 1, 4, 1, 5, 9, 2, 6] });
    let mut ask = |parameters: Value| {
        let outputs = json!([{ "name": "y", "parameters": parameters }]);
        send(&mut client, "m", &json!({ "inputs": [x], "outputs": outputs }), b"")
    };
    let response = ask(json!({ "classification": 2 }));
    let expected = json!([{ "name": "y", "datatype": "BYTES", "shape": [2, 2],
        "data": ["4.5:2", "3.5:0", "9.5:1", "6.5:3"] }]);
    assert_eq!(parts(&response).0["outputs"], expected);
    let response = ask(json!({ "classification": 1, "binary_data": true }));
    assert_eq!(parts(&response).1, b"\x05\0\0\x004.5:2\x05\0\0\x009.5:1");
    check_refused(&ask(json!({ "classification": "2" })), "malformed", "classification");
}

#[test]
fn floats_that_json_lacks_go_in_as_tokens_or_strings_and_come_out_as_null() {
    let builder = Gateway::builder().model("m", 1, &identity(DataType::Fp32));
    let gateway = builder.routing("[models.m]\nstable = 1\nallow_non_finite = [\"y\"]\n").start();
    let mut client = gateway.client();
    for data in ["[1.5, NaN, Infinity, -Infinity]", r#"[1.5, "NaN", "Infinity", "-Infinity"]"#] {
        let body = format!(r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,4],"data":{data}}}]}}"#);
        let response = client.send("POST", "/v2/models/m/infer", &[], body.as_bytes());
        assert_eq!(parts(&response).0["outputs"][0]["data"], json!([1.5, null, null, null]), "{data}");
    }
}

#[test]
fn classes_carry_the_labels_that_lie_beside_the_model() {
    let config = "output { name: \"y\" data_type: TYPE_FP32 dims: [ -1, 4 ] label_filename: \"labels.txt\" }";
    let builder = Gateway::builder().model("m", 1, &affine4(2.0, 1.0)).pbtxt("m", config);
    std::fs::write(builder.repository().root().join("m/labels.txt"), "cat\ndog\nhen\n").unwrap();
    let gateway = builder.start();
    let body = json!({
        "inputs": [{ "name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 4, 2, 3] }],
        "outputs": [{ "name": "y", "parameters": { "classification": 3 } }],
    });
    let response = gateway.client().send("POST", "/v2/models/m/infer", &[], body.to_string().as_bytes());
    let (json, _) = parts(&response);
    assert_eq!(json["outputs"][0]["data"], json!(["9:1:dog", "7:3", "5:2:hen"]));
}
