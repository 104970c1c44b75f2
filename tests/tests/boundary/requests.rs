//! Requests that cannot be answered: each has its status, its code and whose fault it is, and costs nobody else
//! anything.

use std::io::Write;
use std::net::TcpStream;

use serde_json::json;
use switchrail_tests::{Client, Gateway, Infer, float_input, wait_until};
use testkit::onnx::{affine4, failing_when, multi};

const ROUTING: &str = "[models.m]\nstable = 1\nbatch_rows = 8\n[models.multi]\nstable = 1\n[models.bad]\nstable = 1\n";

fn gateway() -> Gateway {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("multi", 1, &multi());
    let builder = builder.model("bad", 1, &failing_when(100.0, 1.0, 0.0)).model("empty", 1, b"no model");
    builder.routing(ROUTING).set("limits.body_bytes", "4000").start()
}

fn x(shape: &[usize], n: usize) -> Infer {
    Infer::new("m").input(float_input("x", shape, &vec![1.0; n]))
}

#[test]
fn mistakes_of_the_caller_are_told_apart_and_named() {
    let gateway = gateway();
    let mut client = gateway.client();
    let typed = |datatype: &str, data: serde_json::Value| {
        Infer::new("m").input(json!({ "name": "x", "datatype": datatype, "shape": [1, 4], "data": data }))
    };
    let two = || x(&[1, 4], 4).input(float_input("x", &[1, 4], &[1.0; 4]));
    let other = |name: &str| Infer::new("m").input(float_input(name, &[1, 4], &[1.0; 4]));
    let multi = || Infer::new("multi").input(float_input("a", &[1, 2], &[1.0; 2]));
    let output = |name: &str| x(&[1, 4], 4).field("outputs", json!([{ "name": name }]));
    let cases = [
        (x(&[1, 4], 3), 400, "input_mismatch"),
        (x(&[1, 4], 5), 400, "input_mismatch"),
        (x(&[1, 5], 5), 400, "input_mismatch"),
        (x(&[4], 4), 400, "input_mismatch"),
        (typed("FP64", json!([1, 2, 3, 4])), 400, "input_mismatch"),
        (typed("INT64", json!([1, 2, 3, 4])), 400, "input_mismatch"),
        (typed("FP32", json!([1, 2, 3, "4"])), 400, "input_mismatch"),
        (typed("FP32", json!([1, 2, 3, null])), 400, "input_mismatch"),
        (typed("FP32", json!([[1, 2], [3, 4]])), 400, "input_mismatch"),
        (typed("FP16", json!([1, 2, 3, 4])), 400, "unsupported"),
        (typed("FP99", json!([1, 2, 3, 4])), 400, "malformed"),
        (x(&[9, 4], 36), 400, "batch_too_large"),
        (two(), 400, "malformed"),
        (other("z"), 400, "input_unknown"),
        (multi(), 400, "input_missing"),
        (output("z"), 400, "output_unknown"),
        (Infer::new("m"), 400, ""),
        (Infer::new("m").field("inputs", json!([])), 400, "input_missing"),
        (Infer::new("m").field("inputs", json!({})), 400, "malformed"),
        (Infer::first("nobody", 1.0), 404, "model_unknown"),
        (Infer::first("m", 1.0).pin(2), 404, "version_unknown"),
        (Infer::first("m", 1.0).pin("champion"), 404, "label_unknown"),
        (Infer::first("m", 1.0).pin("0"), 400, "malformed"),
        (Infer::first("m", 1.0).pin("01"), 400, "malformed"),
        (Infer::first("m", 1.0).pin("-1"), 400, "malformed"),
        (Infer::first("a%2fb", 1.0), 400, "malformed"),
        (Infer::first("m", 1.0).header("switchrail-timeout-ms", "soon"), 400, "malformed"),
    ];
    for (request, status, code) in cases {
        let answer = request.send(&mut client);
        let what = format!("{} {}: {}", request.path(), request.json(), answer.body);
        assert_eq!(answer.status(), status, "{what}");
        assert!(code.is_empty() || answer.code() == code, "{what}");
        assert_eq!(answer.fault(), "client", "{what}");
        assert!(answer.body["error"].as_str().is_some_and(|text| text.len() > 10), "{what}");
        assert_eq!(answer.response.header("content-type"), Some("application/json"), "{what}");
        // The connection is as good as before.
        Infer::first("m", 1.0).send(&mut client).ok();
    }
    assert_eq!(client.n_opened(), 1, "keep-alive survives mistakes");
    assert_eq!(gateway.metric("switchrail_attempts_total", &[("model", "m"), ("outcome", "version_fault")]), 0.0);
}

#[test]
fn bodies_that_are_no_json_are_refused() {
    let gateway = gateway();
    let mut client = gateway.client();
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let bodies: [&[u8]; 8] =
        [b"", b"{", b"null", b"[]", b"{\"inputs\": [}", b"\xff\xfe", b"{\"inputs\":[]} x", deep.as_bytes()];
    for body in bodies {
        let response = client.send("POST", "/v2/models/m/infer", &[], body);
        let text = String::from_utf8_lossy(body);
        assert_eq!(response.status, 400, "{text}: {}", response.text());
        assert_eq!(response.json()["fault"], "client", "{text}");
    }
    Infer::first("m", 1.0).send(&mut client).ok();
    assert_eq!(client.n_opened(), 1);
}

#[test]
fn paths_and_methods_that_lead_nowhere() {
    let gateway = gateway();
    let mut client = gateway.client();
    for path in ["/v3", "/v2/nothing", "/v2/models/m/nothing", "/v2/models/a/b/infer", "/v2x"] {
        let response = client.send("GET", path, &[], b"");
        assert_eq!((response.status, &response.json()["code"]), (404, &json!("no_such_route")), "{path}");
    }
    for (method, path) in
        [("GET", "/v2/models/m/infer"), ("POST", "/v2"), ("DELETE", "/v2/models/m"), ("PUT", "/v2/models")]
    {
        let response = client.send(method, path, &[], b"");
        assert_eq!((response.status, &response.json()["code"]), (405, &json!("method_not_allowed")), "{method} {path}");
        assert!(response.header("allow").is_some(), "{method} {path}");
    }
    assert_eq!(client.n_opened(), 1);
}

#[test]
fn a_model_without_a_ready_version_is_unavailable_not_unknown() {
    let gateway = gateway();
    for path in ["/v2/models/empty/infer", "/v2/models/empty/versions/1/infer"] {
        let response = gateway.client().send("POST", path, &[], Infer::first("m", 1.0).json().as_bytes());
        assert_eq!(response.status, 503, "{path}: {}", response.text());
        assert_eq!(response.json()["fault"], "unavailable", "{path}");
    }
}

#[test]
fn a_fault_of_the_version_is_not_the_callers() {
    let gateway = gateway();
    let answer = gateway.ask("bad", 200.0);
    assert_eq!((answer.status(), answer.code(), answer.fault()), (500, "version_fault", "version_fault"));
    assert_eq!((answer.version(), answer.reason()), (1, "stable"), "errors name the version too");
    assert!(!answer.body["error"].as_str().unwrap().contains("Gather"), "internals of the runtime: {}", answer.body);
    gateway.ask("bad", 1.0).ok();
}

#[test]
fn a_body_over_the_limit_is_refused_whatever_its_head_says() {
    let gateway = gateway();
    let body = x(&[1, 4], 4).field("padding", json!("x".repeat(5_000))).json();
    let response = gateway.client().send("POST", "/v2/models/m/infer", &[], body.as_bytes());
    assert_eq!((response.status, response.json()["code"].clone()), (413, json!("body_too_large")));
    // The same without an announced length.
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let response = gateway.client().try_raw(chunked.as_bytes()).unwrap();
    assert_eq!(response.status, 413, "{}", response.text());
    // And one within the limit is read.
    let body = x(&[1, 4], 4).json();
    let chunked = format!("{head}{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", 7, &body[..7], body.len() - 7, &body[7..]);
    let response = gateway.client().try_raw(chunked.as_bytes()).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn an_unknown_encoding_is_refused_not_misread() {
    let gateway = gateway();
    let body = x(&[1, 4], 4).json();
    let response = gateway.client().send("POST", "/v2/models/m/infer", &[("content-encoding", "br")], body.as_bytes());
    assert_eq!((response.status, response.json()["code"].clone()), (415, json!("unsupported_encoding")));
    let response =
        gateway.client().send("POST", "/v2/models/m/infer", &[("content-encoding", "gzip")], body.as_bytes());
    assert!(matches!(response.status, 400 | 415), "{}", response.text());
}

#[test]
fn bytes_that_are_no_http_harm_nobody() {
    let gateway = gateway();
    let address = gateway.addresses().http;
    let long = format!("GET /v2 HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(100_000));
    let path = format!("GET /v2/{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000));
    let garbage: [&[u8]; 7] = [
        b"\0\0\0\0",
        b"HELLO\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        long.as_bytes(),
        path.as_bytes(),
    ];
    for bytes in garbage {
        // Refused with a status of the caller's fault, or hung up on.
        if let Ok(response) = Client::new(address).try_raw(bytes) {
            assert!((400..500).contains(&response.status), "{response:?}");
        }
        gateway.ask("m", 1.0).ok();
    }
    // Half a head, half a body, and gone.
    for part in
        [&b"POST /v2/models/m/inf"[..], b"POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{"]
    {
        TcpStream::connect(address).unwrap().write_all(part).unwrap();
    }
    gateway.ask("m", 1.0).ok();
    wait_until("the connections to be closed", || gateway.metric("switchrail_connections", &[]) == 0.0);
    assert_eq!(gateway.metric("switchrail_in_flight", &[]), 0.0);
}
