#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{JoinHandle, spawn};

use serde_json::json;

use super::*;

/// Answers one request and hands over what was asked.
fn answering(status: &str, body: &str) -> (GatewayArguments, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = Some(listener.local_addr().unwrap().to_string());
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let answer = head + body;
    let server = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        let mut buffer = [0; 4096];
        // The head and the small bodies of these tests; a body ends with a brace.
        while !asked.contains("\r\n\r\n") || (asked.starts_with("POST") && !asked.ends_with('}')) {
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "{asked}");
            asked.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        stream.write_all(answer.as_bytes()).unwrap();
        asked.to_lowercase()
    });
    (GatewayArguments { admin, token_file: None, json: false }, server)
}

#[test]
fn questions_are_asked_as_the_admin_api_wants_them() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "0123456789abcdef\n").unwrap();
    let (arguments, server) = answering("200 OK", "{\"rows\":[]}");
    let arguments = GatewayArguments { token_file: Some(token_file), ..arguments };
    let answer = arguments.gateway().unwrap().get("/v1/history", &[("model", "a b&c".to_owned())]).unwrap();
    assert_eq!(answer, json!({ "rows": [] }));
    let asked = server.join().unwrap();
    assert!(asked.starts_with("get /v1/history?model=a%20b%26c http/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: bearer 0123456789abcdef\r\n"), "{asked}");

    let (arguments, server) = answering("200 OK", "{}");
    arguments.gateway().unwrap().post("/v1/models/m/rollback", &json!({ "to": "1" })).unwrap();
    let asked = server.join().unwrap();
    assert!(asked.contains("content-type: application/json\r\n") && asked.ends_with("{\"to\":\"1\"}"), "{asked}");
    assert!(!asked.contains("authorization"), "{asked}");
}

#[test]
fn a_refusal_is_told_in_the_gateways_words() {
    let (arguments, server) = answering("409 Conflict", r#"{"error":"not yet","code":"not_proven"}"#);
    let error = arguments.gateway().unwrap().post("/v1/models/m/promote", &json!({})).unwrap_err();
    assert_eq!(error.to_string(), "not yet [not_proven]");
    server.join().unwrap();
}

#[test]
fn a_gateway_that_is_not_there_is_told_with_the_remedy() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let arguments = GatewayArguments { admin: Some(free.clone()), token_file: None, json: false };
    let error = arguments.gateway().unwrap().get("/v1/status", &[]).unwrap_err().to_string();
    for part in [free.as_str(), "refused", "Is it running?", "--admin"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn another_server_is_told_apart() {
    let check = |status: &str, body: &str| {
        let (arguments, server) = answering(status, body);
        let error = arguments.gateway().unwrap().get("/v1/status", &[]).unwrap_err().to_string();
        assert!(error.contains("admin API") && error.contains("--admin"), "{error}");
        server.join().unwrap();
    };
    check("200 OK", "<html>");
    check("404 Not Found", "nothing here");
    check("302 Found", "{}");
    let (arguments, server) = answering("200 OK", "{}");
    let gateway = arguments.gateway().unwrap();
    let answer = gateway.get("/v1/status", &[]).unwrap();
    assert!(gateway.read_as::<super::super::answers::Status>(answer).unwrap_err().to_string().contains("generation"));
    server.join().unwrap();
}

#[test]
fn an_address_may_come_with_a_scheme() {
    assert_eq!(base("127.0.0.1:8003"), "http://127.0.0.1:8003");
    assert_eq!(base("[::1]:8003"), "http://[::1]:8003");
    assert_eq!(base("https://switchrail.example/"), "https://switchrail.example");
}
