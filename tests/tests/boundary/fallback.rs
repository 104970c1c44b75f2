//! Falling back to stable: within the deadline, within the budget, and only for faults of the version.

use std::time::{Duration, Instant};

use switchrail_tests::{Gateway, Infer};
use testkit::onnx::{affine4, looping, nan_when};

const SPLIT: &str = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\n";
const OBSERVE: &str = "guardrail = { mode = \"observe\" }\n";

fn start(content: &[u8], routing: &str) -> Gateway {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, content);
    let gateway = builder.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    gateway
}

fn fallbacks(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric("switchrail_fallbacks_total", &[("version", "2"), ("result", result)])
}

#[test]
fn the_reserve_covers_the_first_faults_and_the_budget_bounds_the_rest() {
    let gateway = start(&nan_when(100.0, 2.0, 0.0), &format!("{SPLIT}{OBSERVE}"));
    let mut client = gateway.client();
    const N: usize = 300;
    let answers: Vec<_> = (0..N).map(|_| Infer::first("m", 200.0).send(&mut client)).collect();
    let first_seen = answers.iter().position(|answer| !answer.is_ok()).expect("the budget ends");
    let covered = answers[..first_seen].iter().filter(|answer| answer.reason() == "fallback").count();
    assert!(covered >= 32, "{covered}");
    let n_faults = gateway.metric("switchrail_attempts_total", &[("version", "2"), ("outcome", "version_fault")]);
    let answered = fallbacks(&gateway, "answered");
    assert!((answered - 32.0 - n_faults * 0.1).abs() <= 1.0, "{answered} of {n_faults}");
    assert_eq!(fallbacks(&gateway, "no_budget"), n_faults - answered);
    let n_failed = answers.iter().filter(|answer| !answer.is_ok()).count() as f64;
    assert_eq!(n_failed, n_faults - answered);
    for answer in answers.iter().filter(|answer| !answer.is_ok()) {
        assert_eq!((answer.status(), answer.code(), answer.version()), (500, "version_fault", 2));
    }
    assert_eq!(gateway.metric("switchrail_requests_total", &[]), N as f64, "each request once");
    assert_eq!(gateway.metric("switchrail_attempts_total", &[]), N as f64 + answered);
}

#[test]
fn it_can_be_switched_off() {
    let gateway = start(&nan_when(100.0, 2.0, 0.0), &format!("{SPLIT}fallback = false\n"));
    let failed = (0..60).filter(|_| !gateway.ask("m", 200.0).is_ok()).count();
    assert!((1..=8).contains(&failed), "{failed}");
    gateway.wait_state("m", 2, "quarantined");
    assert_eq!(gateway.metric("switchrail_fallbacks_total", &[]), 0.0);
}

#[test]
fn without_a_rerun_one_caller_is_one_witness() {
    let routing = format!("{SPLIT}fallback = false\nsticky = {{ header = \"x-user\" }}\n");
    let gateway = start(&nan_when(100.0, 2.0, 0.0), &routing);
    let ask = |user: u32, first: f32| gateway.infer(&Infer::first("m", first).header("x-user", user));
    let on_2: Vec<u32> = (0..200).filter(|user| ask(*user, 1.0).ok().version() == 2).take(30).collect();
    for _ in 0..50 {
        assert_eq!(ask(on_2[0], 200.0).status(), 500);
    }
    assert_eq!(gateway.state("m", 2), "ready", "one caller alone convicts nobody");
    for user in &on_2 {
        ask(*user, 200.0);
    }
    gateway.wait_state("m", 2, "quarantined");
}

#[test]
fn a_deadline_of_the_caller_is_no_fault_and_leads_nowhere_else() {
    let routing = format!("{SPLIT}run_timeout_ms = 20000\n");
    let gateway = start(&looping(256, 2.0, 0.0), &routing);
    let mut n_late = 0;
    while n_late < 6 {
        let began = Instant::now();
        let answer = gateway.infer(&Infer::first("m", 10_000_000.0).timeout_ms(150));
        if answer.is_ok() {
            assert_eq!((answer.version(), answer.reason()), (1, "split"));
            continue;
        }
        n_late += 1;
        assert_eq!((answer.status(), answer.code(), answer.fault()), (504, "deadline_in_run", "caller_deadline"));
        assert_eq!(answer.version(), 2);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    assert_eq!(gateway.state("m", 2), "ready");
    assert_eq!(gateway.metric("switchrail_version_faults_total", &[]), 0.0);
    assert_eq!(gateway.metric("switchrail_fallbacks_total", &[]), 0.0);
    assert_eq!(gateway.metric("switchrail_attempts_total", &[("version", "2"), ("outcome", "caller_deadline")]), 6.0);
}

#[test]
fn a_fault_that_comes_too_late_is_counted_and_not_answered() {
    // The run timeout leaves no time of the deadline.
    let routing = format!("{SPLIT}run_timeout_ms = 300\ndeadline_ms = 305\n{OBSERVE}");
    let gateway = start(&looping(256, 2.0, 0.0), &routing);
    let answers: Vec<_> = (0..8).map(|_| gateway.ask("m", 10_000_000.0)).collect();
    for answer in answers.iter().filter(|answer| !answer.is_ok()) {
        assert!(matches!(answer.status(), 500 | 504), "{answer:?}");
    }
    let ended: f64 = ["answered", "no_time", "failed"].map(|result| fallbacks(&gateway, result)).iter().sum();
    assert_eq!(ended, gateway.metric("switchrail_version_faults_total", &[("version", "2")]));
}
