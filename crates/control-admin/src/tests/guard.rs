//! Who is let in.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::support::{Answer, Door, TOKEN, read, token};
use crate::{AdminLimits, AdminOptions, Method, ROUTES, Role};

fn code(answer: &Answer) -> &str {
    answer.body["code"].as_str().unwrap_or_default()
}

#[test]
fn every_route_but_health_asks_for_the_token() {
    let door = Door::with_token();
    for route in ROUTES {
        let path = route.path.replace("{model}", "m");
        let send = |authorization: Option<&str>| {
            let mut headers = vec![("content-type", "application/json")];
            headers.extend(authorization.map(|value| ("authorization", value)));
            let body = if route.method == Method::Get { "" } else { "{\"unknown\":1}" };
            let answer = door.send(route.method.as_str(), &path, &headers, body);
            (answer.status, code(&answer).to_owned(), answer.head)
        };
        let (wrong, right) = (format!("Bearer {TOKEN}x"), format!("Bearer {TOKEN}"));
        for shown in [None, Some(wrong.as_str()), Some("Basic YTpi"), Some("")] {
            let (status, code, head) = send(shown);
            match route.role {
                Role::Open => assert_eq!(status, 200, "{path} {shown:?}"),
                Role::Read | Role::Write => {
                    assert_eq!((status, code.as_str()), (401, "token"), "{path} {shown:?}");
                    assert!(head.contains("www-authenticate: bearer"), "{head}");
                }
            }
        }
        let (status, code, _) = send(Some(&right));
        assert!(status != 401 && code != "token", "{path}: {status} {code}");
        // What changes anything must refuse what it does not know.
        assert!(route.role != Role::Write || (status, code.as_str()) == (400, "malformed"), "{path}: {status} {code}");
    }
    let twice = [("authorization", &*format!("Bearer {TOKEN}")), ("authorization", "Bearer x")];
    assert_eq!(door.send("GET", "/v1/status", &twice, "").status, 401);
    assert_eq!(door.get("/v1/nowhere").status, 401, "what exists is not told to strangers");
}

#[test]
fn a_page_under_another_name_does_not_reach_a_loopback_listener() {
    let door = Door::open();
    let check = |host: &str, expected: u16| {
        let answer = door.send("GET", "/v1/status", &[("host", host)], "");
        assert_eq!(answer.status, expected, "{host}: {}", answer.body);
    };
    let port = door.address.port();
    check(&format!("127.0.0.1:{port}"), 200);
    check("127.0.0.1", 200);
    check(&format!("LocalHost:{port}"), 200);
    check(&format!("[::1]:{port}"), 200);
    check("127.9.9.9", 200);
    check("evil.example", 403);
    check(&format!("evil.example:{port}"), 403);
    check("localhost.evil.example", 403);
    check("192.0.2.1", 403);
    check("127.0.0.1@evil.example", 400);
    check("", 400);
    let raw = |text: &str| door.send_raw(text).status;
    assert_eq!(raw("GET /v1/status HTTP/1.1\r\nconnection: close\r\n\r\n"), 400);
    assert_eq!(raw("GET /v1/status HTTP/1.1\r\nhost: localhost\r\nhost: evil\r\nconnection: close\r\n\r\n"), 400);
    let line = |host: &str| {
        raw(&format!("GET http://{host}/v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"))
    };
    assert_eq!((line("evil.example"), line("localhost")), (400, 200));
    let health = door.send("GET", "/v1/health", &[("host", "evil.example")], "");
    assert_eq!((health.status, code(&health)), (403, "host_unknown"));
}

#[test]
fn further_names_can_be_allowed() {
    let allowed_hosts = vec!["switchrail.internal".to_owned()];
    let door = Door::with("127.0.0.1:0", |_| AdminOptions { allowed_hosts, ..AdminOptions::default() });
    let status = |host: &str| door.send("GET", "/v1/status", &[("host", host)], "").status;
    assert_eq!((status("Switchrail.internal:8003"), status("other.internal"), status("localhost")), (200, 403, 200));
}

#[test]
fn an_open_address_lets_nobody_in_without_a_token() {
    let door = Door::with("0.0.0.0:0", |_| AdminOptions::default());
    let answer = door.get("/v1/status");
    assert_eq!((answer.status, code(&answer)), (401, "token"));
    let door = Door::with("0.0.0.0:0", |folder| AdminOptions { token: Some(token(folder)), ..AdminOptions::default() });
    let right = format!("Bearer {TOKEN}");
    let headers = [("host", "switchrail.internal"), ("authorization", right.as_str())];
    assert_eq!(door.send("GET", "/v1/status", &headers, "").status, 200, "names beyond loopback cannot be known");
}

#[test]
fn a_page_of_another_origin_can_change_nothing() {
    let door = Door::open();
    let own = format!("http://{}", door.address);
    let body = json!({ "to": "1" }).to_string();
    let send = |headers: &[(&str, &str)]| {
        let answer = door.send("POST", "/v1/models/m/rollback", headers, &body);
        (answer.status, code(&answer).to_owned())
    };
    let json = ("content-type", "application/json");
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "file://", ""] {
        assert_eq!(send(&[json, ("origin", origin)]), (403, "origin".to_owned()), "{origin}");
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        assert_eq!(send(&[("content-type", content_type)]), (415, "content_type".to_owned()), "{content_type}");
    }
    assert_eq!(send(&[]), (415, "content_type".to_owned()));
    assert_eq!(door.get("/v1/models/m").body["stable"], 2);
    assert_eq!(send(&[("content-type", "Application/JSON; charset=utf-8"), ("origin", &own)]).0, 200);
    assert_eq!(door.get("/v1/models/m").body["stable"], 1);
}

#[test]
fn bodies_and_waits_are_bounded() {
    let limits = AdminLimits { request_timeout: Duration::from_millis(200), ..AdminLimits::default() };
    let door = Door::with("127.0.0.1:0", |_| AdminOptions { limits, ..AdminOptions::default() });
    let large = "#".repeat((1 << 20) + 1);
    let answer = door.send("POST", "/v1/config/check", &[], &large);
    assert_eq!((answer.status, code(&answer)), (413, "body_too_large"));
    let chunked = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let head =
        "POST /v1/config/check HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n";
    let answer = door.send_raw(&format!("{head}\r\n{chunked}"));
    assert_eq!((answer.status, code(&answer)), (413, "body_too_large"));
    let mut slow = door.connect();
    slow.write_all(b"POST /v1/config/check HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc").unwrap();
    let answer = read(&mut slow);
    assert_eq!((answer.status, code(&answer)), (504, "timeout"));
}

#[test]
fn too_many_requests_at_once_are_refused() {
    let limits = AdminLimits { requests: 1, ..AdminLimits::default() };
    let door = Door::with("127.0.0.1:0", |_| AdminOptions { limits, ..AdminOptions::default() });
    let head = b"POST /v1/config/check HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1\r\n\r\n";
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    // Which of two requests comes first is not ours to say: should the slow one be the one refused, it tries again.
    let (mut slow, busy) = loop {
        let mut slow = door.connect();
        slow.write_all(head).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let answer = door.get("/v1/status");
        if answer.status == 503 || std::time::Instant::now() > deadline {
            break (slow, answer);
        }
    };
    assert_eq!((busy.status, code(&busy)), (503, "busy"));
    assert!(busy.head.contains("retry-after: 1"), "{}", busy.head);
    slow.write_all(b"#").unwrap();
    assert_eq!(read(&mut slow).status, 200);
    assert_eq!(door.get("/v1/status").status, 200);
}

#[test]
fn the_listener_ends_with_its_requests() {
    let mut door = Door::open();
    let mut slow = door.connect();
    slow.write_all(b"POST /v1/config/check HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n").unwrap();
    assert_eq!(door.get("/v1/status").status, 200);
    door.stop();
    assert!(door.is_closed());
    slow.write_all(b"#").unwrap();
    assert_eq!(read(&mut slow).status, 200, "a request under way is answered");
}
