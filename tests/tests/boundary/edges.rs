//! Callers on the edges of the protocols: they take no answers, break off, dribble, say two things at once, or fail a
//! version as often as they can.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use data_grpc::proto::inference::{ModelInferRequest, ModelInferResponse};
use prost::Message;
use switchrail_tests::{Builder, Calls, Came, Client, Gateway, GrpcInfer, Infer, RawH2, wait_until};
use testkit::onnx::{affine4, failing_when, nan_when};
use tonic::Code;

const INFER: &str = "/v2/models/m/infer";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const ROW: &[u8] = br#"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0.5,1,2,3]}]}"#;
/// A message without content.
const EMPTY_MESSAGE: &[u8] = &[0; 5];
const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc"), ("te", "trailers")];

fn builder() -> Builder {
    Gateway::builder().model("m", 1, &affine4(1.0, 0.0))
}

/// What a caller gets who sends requests and lets nothing of the answers come: heads, bytes, and how long it lasts.
fn untaken(address: SocketAddr, send: impl Fn(&mut RawH2)) -> (usize, usize, Duration) {
    let began = Instant::now();
    let mut caller = RawH2::connect(address, 0);
    send(&mut caller);
    let came = caller.until_closed();
    let n_heads = came.iter().filter(|came| matches!(came, Came::Head(_))).count();
    let bytes = came.iter().map(|came| if let Came::Data(_, bytes, _) = came { bytes.len() } else { 0 });
    (n_heads, bytes.sum(), began.elapsed())
}

#[test]
fn callers_who_take_nothing_of_their_answers_are_cut_off() {
    let gateway = builder().set("limits.answer_timeout_ms", "500").start();
    let check = |(n_heads, n_bytes, lasted): (usize, usize, Duration), n_requests: usize| {
        assert_eq!((n_heads, n_bytes), (n_requests, 0));
        assert!(lasted >= Duration::from_millis(450) && lasted < Duration::from_secs(8), "{lasted:?}");
    };
    let addresses = gateway.addresses();
    for n_requests in [1, 40] {
        let requests = [(addresses.http, INFER, &[][..], ROW), (addresses.grpc, HEALTH, GRPC, EMPTY_MESSAGE)];
        for (address, path, headers, body) in requests {
            let send = |caller: &mut RawH2| {
                for _ in 0..n_requests {
                    caller.post(path, headers, body);
                }
            };
            check(untaken(address, send), n_requests);
        }
    }
    gateway.ask("m", 1.0).ok();
}

#[test]
fn an_answer_that_is_taken_is_no_excuse_for_one_that_is_not() {
    let gateway = builder().set("limits.answer_timeout_ms", "500").start();
    let mut caller = RawH2::connect(gateway.addresses().http, 0);
    let (taken, ignored) = (caller.post(INFER, &[], ROW), caller.post(INFER, &[], ROW));
    let began = Instant::now();
    // A byte for a byte, as often as they come.
    let mut n_taken = 0;
    caller.let_come(taken, 1);
    while let Some(came) = caller.receive() {
        if let Came::Data(number, bytes, is_last) = came {
            assert_ne!(number, ignored);
            n_taken += bytes.len();
            std::thread::sleep(Duration::from_millis(20));
            let next = if is_last { caller.post(INFER, &[], ROW) } else { number };
            caller.let_come(next, 1);
        }
    }
    assert!(n_taken > 10, "{n_taken}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn a_caller_who_takes_its_answer_slowly_gets_all_of_it() {
    // Who is taking an answer is not idle either.
    let gateway = builder().set("limits.answer_timeout_ms", "500").set("limits.idle_timeout_ms", "300").start();
    let mut caller = RawH2::connect(gateway.addresses().http, 0);
    let number = caller.post(INFER, &[], ROW);
    let (began, mut answer) = (Instant::now(), Vec::new());
    caller.let_come(number, 10);
    loop {
        match caller.receive().expect("the connection stays") {
            Came::Data(_, bytes, is_last) => {
                answer.extend(bytes);
                if is_last {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
                caller.let_come(number, 10);
            }
            Came::Head(_) | Came::Other => {}
        }
    }
    assert!(began.elapsed() > Duration::from_millis(1100), "the case is slow: {:?}", began.elapsed());
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["outputs"][0]["data"][0], 0.5);
}

fn post(headers: &str) -> Vec<u8> {
    let head = format!("POST {INFER} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {}\r\n\r\n", ROW.len());
    [head.as_bytes(), ROW].concat()
}

#[test]
fn mistakes_on_the_edge_of_the_protocol_are_told_as_mistakes() {
    let gateway = builder().start();
    let check = |bytes: &[u8], expected: (u16, &str, &str)| {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        let response = gateway.client().try_raw(bytes).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let body = response.json();
        assert_eq!(
            (response.status, &body["code"], &body["fault"]),
            (expected.0, &expected.1.into(), &expected.2.into())
        );
    };
    let malformed = (400, "malformed", "client");
    let chunked = format!("POST {INFER} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for broken in ["zz\r\n{}", "5\r\n{\"a\":1}\r\n", "fffffffffffffffff\r\n{}", "2;\nx\r\n{}\r\n"] {
        check(format!("{chunked}{broken}\r\n0\r\n\r\n").as_bytes(), malformed);
    }
    for twice in [
        "inference-header-content-length: 10\r\ninference-header-content-length: 11\r\n",
        "Inference-Header-Content-Length: 0\r\ninference-header-content-length: 5\r\n",
        "switchrail-timeout-ms: 100\r\nswitchrail-timeout-ms: 5000\r\n",
        "switchrail-timeout-ms: 100\r\nswitchrail-timeout-ms: soon\r\n",
    ] {
        check(&post(twice), malformed);
    }
    let length = format!("inference-header-content-length: {}\r\n", ROW.len());
    let same = [&*length, &*length, "switchrail-timeout-ms: 9000\r\nswitchrail-timeout-ms: 9000\r\n"].concat();
    assert_eq!(gateway.client().try_raw(&post(&same)).unwrap().status, 200);
    let requests = |outcome: &str| gateway.metric("switchrail_requests_total", &[("outcome", outcome)]);
    assert_eq!((requests("client"), requests("cancelled")), (8.0, 0.0));
}

#[test]
fn a_body_that_is_too_slow_is_told_so_on_every_wire() {
    let gateway = builder().set("limits.body_timeout_ms", "300").start();
    let half = format!("POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{{", ROW.len());
    let response = gateway.client().try_raw(half.as_bytes()).unwrap();
    let body = response.json();
    assert_eq!(
        (response.status, body["code"].as_str(), body["fault"].as_str()),
        (408, Some("body_too_slow"), Some("client"))
    );
    let calls = Calls::new(gateway.addresses().grpc);
    let never = tokio_stream::pending::<ModelInferRequest>();
    let path = "/inference.GRPCInferenceService/ModelInfer";
    let status = calls.stream::<_, ModelInferResponse>(path, never, &[]).expect_err("no message came");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert_eq!(status.metadata().get("switchrail-code").unwrap(), "body_too_slow");
}

#[test]
fn a_part_of_a_preface_is_waited_for_no_longer_than_a_head() {
    let gateway = builder().set("limits.header_timeout_ms", "300").start();
    for part in ["PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut caller = TcpStream::connect(gateway.addresses().http).unwrap();
        caller.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        caller.write_all(part.as_bytes()).unwrap();
        let mut rest = Vec::new();
        let closed = caller.read_to_end(&mut rest);
        assert!(closed.is_ok() || closed.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "{part:?}");
    }
}

#[test]
fn a_deadline_of_nothing_is_the_callers_own() {
    let gateway = builder().start();
    let message = GrpcInfer::first("m", 1.0).message.encode_to_vec();
    let framed = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
    let mut caller = RawH2::connect(gateway.addresses().grpc, 65_535);
    caller.post("/inference.GRPCInferenceService/ModelInfer", &[GRPC, &[("grpc-timeout", "0n")]].concat(), &framed);
    while !matches!(caller.receive().expect("an answer"), Came::Head(_)) {}
    let requests = |outcome: &str| gateway.metric("switchrail_requests_total", &[("outcome", outcome)]);
    assert_eq!((requests("caller_deadline"), requests("saturation"), requests("client")), (1.0, 0.0, 0.0));
}

#[test]
fn inputs_that_fail_a_version_do_not_fill_the_log() {
    let builder = Gateway::builder().model("nan", 1, &nan_when(10.0, 1.0, 0.0));
    let gateway = builder.model("failing", 1, &failing_when(10.0, 1.0, 0.0)).start();
    let mut caller = gateway.client();
    let n_requests = 200;
    let began = Instant::now();
    for _ in 0..n_requests {
        for model in ["nan", "failing"] {
            let answer = Infer::first(model, 99.0).send(&mut caller);
            assert_eq!((answer.status(), answer.code()), (500, "version_fault"));
        }
    }
    let requests = gateway.metric("switchrail_requests_total", &[("outcome", "version_fault")]);
    assert_eq!(requests, f64::from(2 * n_requests));
    wait_until("lines that count those left out", || {
        Infer::first("nan", 99.0).send(&mut caller);
        gateway.log().contains("left_out=")
    });
    let n_seconds = began.elapsed().as_secs() as usize + 1;
    let log = gateway.log();
    let lines = |part: &str| log.lines().filter(|line| line.contains(part)).count();
    // One of each version a second, and nothing else: the runtime itself says nothing about runs that fail.
    assert!((2..=2 * n_seconds).contains(&lines("code=\"version_fault\"")), "{n_seconds} s: {log}");
    assert!(lines("") <= 10 + 2 * n_seconds, "{n_seconds} s: {log}");
}

#[test]
fn the_room_for_all_bodies_is_the_operators_to_say() {
    let row_bytes = 100_000;
    let body = [vec![b' '; row_bytes - ROW.len()], ROW.to_vec()].concat();
    let head = format!("POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    let first_part = [head.as_bytes(), &body[..row_bytes - 1]].concat();
    let gateway = builder().set("limits.body_bytes", "100000").set("limits.bodies_bytes", "1").start();
    // Four largest bodies fit whatever is said; what is beyond 64 KiB of each counts.
    let mut callers: Vec<Client> = (0..20).map(|_| gateway.client()).collect();
    callers.iter_mut().for_each(|caller| caller.send_only(&first_part));
    let refused = || gateway.metric("switchrail_requests_total", &[("outcome", "overload")]);
    wait_until("some to be refused", || refused() >= 5.0);
    let mut statuses = Vec::new();
    for caller in &mut callers {
        // Those who were refused may be gone already.
        let response = caller.try_raw(&body[row_bytes - 1..]);
        statuses.extend(response.map(|response| response.status));
    }
    let count = |status: u16| statuses.iter().filter(|s| **s == status).count();
    assert!(count(200) >= 4 && count(429) >= 1 && count(200) + count(429) == statuses.len(), "{statuses:?}");
}
