//! Overload, deadlines, callers that hang up, and the orderly end.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use switchrail_tests::{Builder, Client, Gateway, Infer, wait_until};
use testkit::onnx::{affine4, looping};

/// Matrix products of one run that nobody waits for to end.
const ENDLESS: f32 = 16_000_000.0;
const PATIENT: &str = "run_timeout_ms = 600000\ndeadline_ms = 600000\n";

/// `m` runs as long as its input says; `quick` is always quick.
fn builder(more: &str) -> Builder {
    let builder = Gateway::builder().model("m", 1, &looping(256, 1.0, 0.0)).model("quick", 1, &affine4(1.0, 0.0));
    builder.routing(&format!("[models.m]\nstable = 1\n{more}"))
}

fn send_endless(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send_only(&Infer::first("m", ENDLESS).bytes());
    client
}

fn wait_queue(gateway: &Gateway, in_flight: f64, waiting: f64) {
    wait_until(&format!("{in_flight} in flight, {waiting} waiting"), || {
        let metrics = gateway.metrics();
        let now = |name: &str| metrics.sum(name, &[("model", "m")]);
        now("switchrail_in_flight") == in_flight && now("switchrail_queue_depth") == waiting
    });
}

/// An input for which a run takes about this long.
fn input_for(gateway: &Gateway, wanted: Duration) -> f32 {
    let mut n = 100.0;
    loop {
        let began = Instant::now();
        gateway.ask("m", n).ok();
        let took = began.elapsed();
        if took > Duration::from_millis(50) {
            return (n * (wanted.as_secs_f32() / took.as_secs_f32())).ceil();
        }
        n *= 2.0;
    }
}

#[test]
fn a_full_queue_is_refused_at_once_and_those_who_leave_make_room() {
    let gateway = builder(&format!("{PATIENT}queue_requests = 2\n")).set("runtime.run_threads", "1").start();
    let mut callers = vec![send_endless(&gateway)];
    wait_queue(&gateway, 1.0, 0.0);
    callers.extend((0..2).map(|_| send_endless(&gateway)));
    wait_queue(&gateway, 3.0, 2.0);
    for _ in 0..5 {
        let began = Instant::now();
        let answer = gateway.ask("m", 1.0);
        assert_eq!((answer.status(), answer.code(), answer.fault()), (429, "queue_full", "overload"));
        assert!(answer.response.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    // Hanging up cancels what waits and stops what runs.
    drop(callers);
    wait_queue(&gateway, 0.0, 0.0);
    gateway.ask("m", 1.0).ok();
    let metrics = gateway.metrics();
    let requests = |outcome: &str| metrics.sum("switchrail_requests_total", &[("model", "m"), ("outcome", outcome)]);
    assert_eq!((requests("overload"), requests("cancelled"), requests("version_fault")), (5.0, 3.0, 0.0));
}

#[test]
fn deadlines_end_the_wait_in_the_queue_and_in_the_run() {
    let gateway = builder(&format!("{PATIENT}deadline_ms = 2000\n").replace("deadline_ms = 600000\n", ""))
        .set("runtime.run_threads", "1")
        .start();
    let late = |request: Infer, code: &str, fault: &str, at_least: u64| {
        let began = Instant::now();
        let answer = gateway.infer(&request);
        let took = began.elapsed();
        assert_eq!((answer.status(), answer.code(), answer.fault()), (504, code, fault));
        assert!(took >= Duration::from_millis(at_least) && took < Duration::from_millis(at_least + 3_000), "{took:?}");
    };
    late(Infer::first("m", ENDLESS).timeout_ms(200), "deadline_in_run", "caller_deadline", 200);
    // The model's own deadline bounds the caller's.
    late(Infer::first("m", ENDLESS).timeout_ms(60_000), "deadline_in_run", "saturation", 2_000);
    let running = send_endless(&gateway);
    wait_queue(&gateway, 1.0, 0.0);
    late(Infer::first("m", 1.0).timeout_ms(200), "deadline_in_queue", "saturation", 200);
    drop(running);
    wait_queue(&gateway, 0.0, 0.0);
    gateway.ask("m", 1.0).ok();
    assert_eq!(gateway.metric("switchrail_version_faults_total", &[]), 0.0);
}

#[test]
fn a_run_over_its_time_is_stopped_and_is_the_versions_fault() {
    let gateway = builder("run_timeout_ms = 200\n").set("runtime.run_threads", "1").start();
    let answer = gateway.ask("m", ENDLESS);
    assert_eq!((answer.status(), answer.code(), answer.fault()), (500, "version_fault", "version_fault"));
    assert_eq!(gateway.metric("switchrail_version_faults_total", &[("kind", "timeout")]), 1.0);
    gateway.ask("m", 1.0).ok();
}

#[test]
fn one_version_at_work_does_not_keep_others_waiting() {
    let gateway = builder(PATIENT).set("runtime.run_threads", "2").start();
    let mut callers = vec![send_endless(&gateway)];
    wait_queue(&gateway, 1.0, 0.0);
    let began = Instant::now();
    for _ in 0..20 {
        gateway.ask("quick", 1.0).ok();
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    callers.clear();
    wait_queue(&gateway, 0.0, 0.0);
}

#[test]
fn a_quick_model_that_turns_endless_does_not_stop_the_gateway() {
    // Its runs are so quick that they may be done where requests are read, until one input makes them endless.
    let content = looping(4, 1.0, 0.0);
    let builder = Gateway::builder().model("m", 1, &content).model("quick", 1, &affine4(1.0, 0.0));
    let gateway = builder.routing("[models.m]\nstable = 1\nrun_timeout_ms = 8000\n").start();
    for _ in 0..50 {
        gateway.ask("m", 1.0).ok();
        gateway.ask("quick", 1.0).ok();
    }
    let mut callers: Vec<Client> = (0..6).map(|_| gateway.client()).collect();
    for caller in &mut callers {
        caller.send_only(&Infer::first("m", ENDLESS).timeout_ms(500).bytes());
    }
    let began = Instant::now();
    for _ in 0..5 {
        gateway.ask("quick", 1.0).ok();
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "others waited {took:?}");
    for caller in &mut callers {
        assert_eq!(caller.receive().unwrap().status, 504);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "the deadline of 500 ms came after {took:?}");
}

#[test]
fn one_connection_too_many_is_told_so() {
    let gateway = builder("").set("limits.connections", "3").start();
    let mut callers: Vec<Client> = (0..3).map(|_| gateway.client()).collect();
    for caller in &mut callers {
        Infer::first("quick", 1.0).send(caller).ok();
    }
    let answer = gateway.get("/v2");
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("connection_limit")));
    assert!(answer.header("retry-after").is_some());
    Infer::first("quick", 1.0).send(&mut callers[0]).ok();
    callers.clear();
    wait_until("room for a connection", || gateway.get("/v2").status == 200);
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_takes_nothing_new() {
    let mut gateway = builder(PATIENT).set("limits.drain_ms", "20000").start();
    let input = input_for(&gateway, Duration::from_millis(3_000));
    let mut in_flight = gateway.client();
    in_flight.send_only(&Infer::first("m", input).bytes());
    let mut kept = gateway.client();
    Infer::first("quick", 1.0).send(&mut kept).ok();
    wait_queue(&gateway, 1.0, 0.0);
    gateway.signal(Signal::TERM);
    let http = gateway.addresses().http;
    wait_until("new requests to be refused", || {
        match Client::new(http).try_send("GET", "/v2/health/ready", &[], b"") {
            Ok(response) => response.status == 503,
            Err(_) => true,
        }
    });
    // A request over an old connection is refused in words, or the connection is closed, soon.
    wait_until("the old connection to be refused", || match Infer::first("quick", 1.0).try_send(&mut kept) {
        Ok(answer) if answer.is_ok() => false,
        Ok(answer) => answer.fault() == "unavailable",
        Err(_) => true,
    });
    let in_flight_now = gateway.metric("switchrail_in_flight", &[("model", "m")]);
    assert_eq!(in_flight_now, 1.0, "the metrics are there until the end");
    assert_eq!(in_flight.receive().expect("what was accepted is answered").status, 200);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert!(TcpStream::connect(http).is_err());
}

#[test]
fn a_stop_ends_within_its_limit_whatever_still_runs() {
    let mut gateway = builder(PATIENT).set("limits.drain_ms", "500").start();
    let mut caller = send_endless(&gateway);
    // One that connected and says nothing, and one in the middle of its head.
    let silent = TcpStream::connect(gateway.addresses().http).unwrap();
    let mut half = gateway.client();
    half.send_only(b"POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{");
    wait_queue(&gateway, 1.0, 0.0);
    let began = Instant::now();
    gateway.signal(Signal::TERM);
    let status = gateway.wait_exit();
    let took = began.elapsed();
    assert!(status.code().is_some(), "{status:?}");
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(4), "{took:?}");
    // Cut off or told: never a good answer.
    if let Ok(response) = caller.receive() {
        assert_ne!(response.status, 200);
    }
    drop(silent);
}

#[test]
fn an_interrupt_at_the_terminal_is_an_orderly_end_too() {
    let mut gateway = builder("").start();
    let mut idle = gateway.client();
    Infer::first("quick", 1.0).send(&mut idle).ok();
    let began = Instant::now();
    gateway.signal(Signal::INT);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(4), "an idle connection holds nothing up: {:?}", began.elapsed());
}
