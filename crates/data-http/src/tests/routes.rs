//! What each route answers, and what each mistake gets.

use http::StatusCode;
use serde_json::json;

use super::client::{GOOD, post};
use super::world::World;
use data_edge::{AccessLog, EdgeOptions};

#[tokio::test]
async fn the_server_and_its_models_tell_about_themselves() {
    let world = World::new().await;
    let mut client = world.client().await;
    assert_eq!(client.get("/v2/health/live").await.json(), json!({"live": true}));
    assert_eq!(client.get("/v2/health/ready").await.json(), json!({"ready": true, "live": true}));
    let server = client.get("/v2").await.json();
    let extensions = json!([
        "classification",
        "model_repository",
        "model_configuration",
        "binary_tensor_data",
        "parameters",
        "statistics",
        "trace",
        "logging"
    ]);
    assert_eq!((&server["name"], &server["extensions"]), (&json!("switchrail"), &extensions));
    assert_eq!(client.get("/v2/models").await.json(), json!({"models": ["cold", "m"]}));
    let model = client.get("/v2/models/m").await.json();
    let spec = |name: &str| json!([{"name": name, "datatype": "FP32", "shape": [-1, 4]}]);
    assert_eq!(
        model,
        json!({"name": "m", "versions": ["1", "2", "4", "5", "6", "7"], "platform": "onnxruntime_onnx",
            "inputs": spec("x"), "outputs": spec("y")})
    );
    assert_eq!(client.get("/v2/models/m/versions/2").await.json()["versions"], json!(["2"]));
    assert_eq!(client.get("/v2/models/m/versions/champion").await.json()["versions"], json!(["1"]));
    for path in ["/v2/models/m/ready", "/v2/models/m/versions/champion/ready", "/v2/models/m/versions/4/ready"] {
        assert_eq!(client.get(path).await.json(), json!({"name": "m", "ready": true}), "{path}");
    }
}

#[tokio::test]
async fn readiness_is_the_process_and_not_a_model() {
    let options = EdgeOptions { model_unready: StatusCode::BAD_REQUEST, ..EdgeOptions::default() };
    let world = World::with(options).await;
    let mut client = world.client().await;
    // One model has nothing loaded, and versions of the other are loading or quarantined.
    assert_eq!(client.get("/v2/health/ready").await.status, 200);
    client.get("/v2/models/cold/ready").await.check_error(400, "model_not_ready", "unavailable");
    client.get("/v2/models/cold").await.check_error(503, "model_not_ready", "unavailable");
    client.get("/v2/models/m/versions/8/ready").await.check_error(400, "version_not_ready", "unavailable");
    world.readiness.set_draining();
    world.readiness.set_ready();
    let reply = client.get("/v2/health/ready").await;
    assert_eq!((reply.status, reply.json()), (503, json!({"ready": false, "live": true})));
    assert_eq!(client.get("/v2/health/live").await.status, 200);
}

#[tokio::test]
async fn an_absent_model_may_still_come_while_starting() {
    let options = EdgeOptions::default();
    let world = World::with(options).await;
    let mut client = world.client().await;
    client.infer("none", GOOD).await.check_error(404, "model_unknown", "client");
    // A process that is starting: the phase is only ever set forward, so it takes a readiness of its own.
    let starting = World::with_starting().await;
    let mut client = starting.client().await;
    client.infer("none", GOOD).await.check_error(503, "model_not_ready", "unavailable");
    client.get("/v2/models/none").await.check_error(503, "model_not_ready", "unavailable");
    assert_eq!(client.get("/v2/health/ready").await.status, 503);
    assert_eq!(client.infer("m", GOOD).await.status, 200);
}

#[tokio::test]
async fn an_answer_names_the_version_in_headers_and_body() {
    let world = World::with(EdgeOptions { access_log: AccessLog::All, ..EdgeOptions::default() }).await;
    let mut client = world.client().await;
    for (target, reason) in [("m", "stable"), ("m/versions/1", "pin"), ("m/versions/champion", "label")] {
        let reply = client.infer(target, GOOD).await;
        assert_eq!(reply.status, 200, "{target}");
        let digest = "01".repeat(8);
        let names = ["switchrail-version", "switchrail-digest", "switchrail-generation", "switchrail-reason"];
        assert_eq!(names.map(|name| reply.header(name)), ["1", digest.as_str(), "7", reason]);
        let parameters = json!({"switchrail_digest": digest, "switchrail_generation": 7, "switchrail_reason": reason});
        assert_eq!(
            reply.json(),
            json!({"model_name": "m", "model_version": "1", "id": "42", "parameters": parameters,
                "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 4], "data": [0.5, 1.0, 2.0, 3.0]}]})
        );
    }
    assert_eq!(world.requests("outcome=\"ok\""), 3.0);
}

#[tokio::test]
async fn every_mistake_has_its_status_and_is_counted_once() {
    let world = World::new().await;
    let mut client = world.client().await;
    let x = |part: &str| GOOD.replace(r#""datatype":"FP32""#, part);
    let cases = [
        ("m", "{".to_owned(), 400, "malformed", "client"),
        ("m", "{}".to_owned(), 400, "malformed", "client"),
        ("m", x(r#""datatype":"FP16""#), 400, "unsupported", "client"),
        ("m", x(r#""datatype":"INT8""#), 400, "input_mismatch", "client"),
        ("m", GOOD.replace("[1,4]", "[1,5]"), 400, "input_mismatch", "client"),
        ("m", GOOD.replace("[1,4]", "[2,2]"), 400, "input_mismatch", "client"),
        ("m", GOOD.replace(r#""x""#, r#""z""#), 400, "input_unknown", "client"),
        ("m", r#"{"inputs":[]}"#.to_owned(), 400, "input_missing", "client"),
        ("m", GOOD.replace(r#""id""#, r#""outputs":[{"name":"q"}],"id""#), 400, "output_unknown", "client"),
        ("m", GOOD.replace(r#""id""#, r#""parameters":{"timeout":-1},"id""#), 400, "malformed", "client"),
        ("none", GOOD.to_owned(), 404, "model_unknown", "client"),
        ("a%2Fb", GOOD.to_owned(), 400, "malformed", "client"),
        ("a/b", GOOD.to_owned(), 404, "no_such_route", "client"),
        ("m/versions/99", GOOD.to_owned(), 404, "version_unknown", "client"),
        ("m/versions/nobody", GOOD.to_owned(), 404, "label_unknown", "client"),
        ("m/versions/3", GOOD.to_owned(), 503, "version_quarantined", "unavailable"),
        ("m/versions/8", GOOD.to_owned(), 503, "version_not_ready", "unavailable"),
        ("cold", GOOD.to_owned(), 503, "model_not_ready", "unavailable"),
        ("m/versions/4", GOOD.to_owned(), 500, "version_fault", "version_fault"),
        ("m/versions/5", GOOD.to_owned(), 429, "queue_full", "overload"),
    ];
    for (n_before, (target, body, status, code, fault)) in cases.iter().enumerate() {
        assert_eq!(world.requests(""), n_before as f64, "before {target} {body}");
        let reply = client.infer(target, body).await;
        reply.check_error(*status, code, fault);
        let has_retry = matches!(*code, "queue_full" | "model_not_ready" | "version_not_ready");
        assert_eq!(reply.headers.contains_key("retry-after"), has_retry, "{code}");
    }
    assert_eq!(world.requests("model=\"none\""), 0.0, "a name from outside is no label");
}

#[tokio::test]
async fn a_failure_names_the_version_and_keeps_its_secrets() {
    let world = World::new().await;
    let reply = world.client().await.infer("m/versions/4", GOOD).await;
    assert_eq!((reply.header("switchrail-version"), reply.header("switchrail-reason")), ("4", "pin"));
    assert!(!String::from_utf8(reply.body).unwrap().contains("secret"));
    let reply = world.client().await.infer("m/versions/5", GOOD).await;
    assert_eq!(reply.header("retry-after"), "2");
}

#[tokio::test]
async fn a_connection_survives_errors_and_a_panic() {
    let world = World::new().await;
    let mut client = world.client().await;
    let large = format!("{}{}", " ".repeat(100_000), GOOD);
    for (method, path, status) in [
        ("POST", "/v2/models/none/infer", 404),
        ("POST", "/nowhere", 404),
        ("PUT", "/v2/models/m/infer", 405),
        ("POST", "/v2/models/m/versions/6/infer", 500),
        ("POST", "/v2/models/m/versions/0/infer", 400),
        ("GET", "/v2/health/live", 200),
        ("POST", "/v2/models/m/infer", 200),
    ] {
        let reply = client.request(method, path, "", &large).await;
        assert_eq!(reply.status, status, "{method} {path}");
        if reply.header("connection") == "close" {
            assert_eq!(status, 500, "only a panic may cost the connection");
            client = world.client().await;
        }
    }
}

#[tokio::test]
async fn wrong_methods_and_paths_are_told_in_json() {
    let world = World::new().await;
    let mut client = world.client().await;
    let reply = client.request("DELETE", "/v2/models/m", "", "").await;
    reply.check_error(405, "method_not_allowed", "client");
    assert_eq!(reply.header("allow"), "GET, HEAD");
    let reply = client.get("/v2/models/m/infer").await;
    assert_eq!((reply.status, reply.header("allow")), (405, "POST"));
    client.get("/metrics").await.check_error(404, "no_such_route", "client");
    client.send("HEAD /v2/models/m HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let head = client.reply_to("HEAD").await;
    let get = client.get("/v2/models/m").await;
    assert_eq!((head.status, head.header("content-length")), (200, get.header("content-length")));
}

#[tokio::test]
async fn real_clients_have_their_habits() {
    let world = World::new().await;
    let mut client = world.client().await;
    // No content type, or an odd one; the length header on a body that is all JSON; a query nobody reads.
    let length = format!("Inference-Header-Content-Length: {}\r\n", GOOD.len());
    for headers in ["", "content-type: application/octet-stream\r\n", &length, "accept-encoding: gzip, deflate, br\r\n"]
    {
        let reply = client.request("POST", "/v2/models/m/infer?a=b", headers, GOOD).await;
        assert_eq!(reply.status, 200, "{headers}");
        assert!(!reply.headers.contains_key("content-encoding"));
    }
    let infer = |headers: &'static str| post("POST", "/v2/models/m/infer", headers, GOOD);
    for (headers, status, code) in [
        ("inference-header-content-length: 5\r\n", 400, "malformed"),
        ("inference-header-content-length: 5000\r\n", 400, "malformed"),
        ("inference-header-content-length: x\r\n", 400, "malformed"),
        ("content-encoding: gzip\r\n", 400, "malformed"),
        ("content-encoding: br\r\n", 415, "unsupported_encoding"),
        ("switchrail-timeout-ms: 0\r\n", 400, "malformed"),
        ("switchrail-timeout-ms: soon\r\n", 400, "malformed"),
    ] {
        client.send(infer(headers)).await;
        client.reply().await.check_error(status, code, "client");
    }
    client.send(infer("content-encoding: identity\r\nswitchrail-timeout-ms: 18446744073709551615\r\n")).await;
    assert_eq!(client.reply().await.status, 200);
    // A body in chunks, and with the politeness of asking first.
    let chunked = "POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(format!("{chunked}{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len())).await;
    assert_eq!(client.reply().await.status, 200);
    let (first, second) = GOOD.split_at(20);
    client.send(format!("{chunked}{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len())).await;
    assert_eq!(client.reply().await.status, 200);
    client.send(post("POST", "/v2/models/m/infer", "expect: 100-continue\r\n", GOOD)).await;
    assert_eq!(client.reply().await.status, 100);
    assert_eq!(client.reply().await.status, 200);
    // Two requests before the first answer.
    client.send(infer("x-request-id: one\r\n").repeat(2)).await;
    assert_eq!([client.reply().await.status, client.reply().await.status], [200, 200]);
}

#[tokio::test]
async fn request_ids_are_echoed_on_every_answer() {
    let world = World::new().await;
    let mut client = world.client().await;
    let id = "an id of any kind \"{}\"";
    for (method, path) in [("GET", "/v2"), ("POST", "/v2/models/m/infer"), ("POST", "/nowhere")] {
        let reply = client.request(method, path, &format!("x-request-id: {id}\r\n"), GOOD).await;
        assert_eq!(reply.header("x-request-id"), id, "{path}");
    }
    assert_eq!(client.get("/v2").await.header("x-request-id").len(), 16);
}

#[tokio::test]
async fn a_callers_deadline_is_kept() {
    let world = World::new().await;
    let mut client = world.client().await;
    let path = "/v2/models/m/versions/2/infer";
    let reply = client.request("POST", path, "switchrail-timeout-ms: 20\r\n", GOOD).await;
    assert_eq!(reply.status, 504, "{:?}", reply.json());
    let with_parameter = GOOD.replace(r#""id""#, r#""parameters":{"timeout":20000},"id""#);
    assert_eq!(client.request("POST", path, "", &with_parameter).await.status, 504);
    // The header wins over the parameter.
    let long = GOOD.replace(r#""id""#, r#""parameters":{"timeout":3600000000},"id""#);
    assert_eq!(client.request("POST", path, "switchrail-timeout-ms: 20\r\n", &long).await.status, 504);
}

#[tokio::test]
async fn an_output_without_json_form_is_refused_by_name() {
    let world = World::new().await;
    let reply = world.client().await.infer("m/versions/7", GOOD).await;
    reply.check_error(400, "unsupported", "client");
    assert!(reply.json()["error"].as_str().unwrap().contains("\"y\""));
    assert_eq!(reply.header("switchrail-version"), "7");
    // Only the values told: the attempt was good, and the request is counted as what it was.
    assert_eq!((world.requests("outcome=\"client\""), world.requests("outcome=\"ok\"")), (1.0, 0.0));
    let text = String::from_utf8(world.metrics.render().unwrap()).unwrap();
    let attempts = |line: &&str| line.starts_with("switchrail_attempts_total{") && line.contains("version=\"7\"");
    assert!(
        text.lines().filter(attempts).any(|line| line.contains("outcome=\"ok\"") && line.ends_with(" 1")),
        "{text}"
    );
}

#[tokio::test]
async fn classes_of_texts_are_refused_before_the_model_runs() {
    let world = World::new().await;
    let outputs = r#""outputs":[{"name":"y","parameters":{"classification":1}}],"id""#;
    let reply = world.client().await.infer("m/versions/7", &GOOD.replace(r#""id""#, outputs)).await;
    reply.check_error(400, "unsupported", "client");
    assert!(reply.json()["error"].as_str().unwrap().contains("cannot be classified"));
    let text = String::from_utf8(world.metrics.render().unwrap()).unwrap();
    let attempts = |line: &&str| line.starts_with("switchrail_attempts_total{") && line.contains("version=\"7\"");
    assert!(text.lines().filter(attempts).all(|line| line.ends_with(" 0")), "{text}");
    assert!((world.requests("outcome=\"client\"") - 1.0).abs() < 0.1);
}
