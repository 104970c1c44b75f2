//! Requests put together into one run: nobody notices but by the clock, and nobody answers for a neighbour.

use serde_json::json;
use switchrail_tests::{Builder, Gateway, Infer, float_input, under_load, wait_until};
use testkit::onnx::derive::{Effect, Fault, When, faulty};
use testkit::onnx::{looping, one_row, slow, summed};

const N_CALLERS: usize = 6;
const BATCHING: &str = "[models.m.batching]\nmax_size = 8\n";

/// Takes a few milliseconds, however many rows there are.
fn steady(bias: f32) -> Vec<u8> {
    slow(12, 160, 1.0, bias)
}

/// One worker, so that requests wait while another runs.
fn builder(content: &[u8], routing: &str) -> Builder {
    Gateway::builder().model("m", 1, content).routing(routing).set("runtime.run_threads", "1")
}

fn n_batches(gateway: &Gateway) -> f64 {
    gateway.metric("switchrail_batch_rows_count", &[("model", "m")])
}

fn n_batched_rows(gateway: &Gateway) -> f64 {
    gateway.metric("switchrail_batch_rows_sum", &[("model", "m")])
}

/// Lets callers ask until some of them have shared runs, and then until `more` holds.
fn until_batched(gateway: &Gateway, ask: impl Fn(&mut switchrail_tests::Client, u64) + Sync, more: impl Fn() -> bool) {
    under_load(gateway.addresses().http, N_CALLERS, ask, || {
        wait_until("requests to share runs", || n_batched_rows(gateway) >= n_batches(gateway) + 100.0);
        wait_until("the rest", more);
    });
}

fn row(number: u64) -> [f32; 4] {
    let number = (number % 1_000_000) as f32;
    [number, number + 1.0, number + 2.0, number + 3.0]
}

/// Asks with one to three rows of numbers of its own.
fn ask_own_rows(client: &mut switchrail_tests::Client, number: u64, bias: impl Fn(u64) -> f32) {
    let n_rows = (number % 3 + 1) as usize;
    let rows: Vec<f32> = (0..n_rows as u64).flat_map(|at| row(number * 4 + at)).collect();
    let answer = Infer::new("m").input(float_input("x", &[n_rows, 4], &rows)).send(client).ok();
    let bias = bias(answer.version());
    assert_eq!(answer.floats("y"), rows.iter().map(|value| value + bias).collect::<Vec<_>>());
}

#[test]
fn requests_that_wait_share_runs_and_each_gets_its_own_answer() {
    let gateway = builder(&steady(0.5), &format!("[models.m]\nstable = 1\n{BATCHING}")).start();
    until_batched(&gateway, |client, number| ask_own_rows(client, number, |_| 0.5), || true);
    let stats = gateway.get("/v2/models/m/stats").json()["model_stats"][0].clone();
    let (rows, runs) = (stats["inference_count"].as_u64().unwrap(), stats["execution_count"].as_u64().unwrap());
    let requests = stats["inference_stats"]["success"]["count"].as_u64().unwrap();
    assert!(runs < requests && requests < rows, "{runs} runs, {requests} requests, {rows} rows");
    let batches = stats["batch_stats"].as_array().unwrap();
    let counted: u64 = batches
        .iter()
        .map(|one| one["batch_size"].as_u64().unwrap() * one["compute_infer"]["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, rows, "{batches:?}");
    assert!(batches.iter().all(|one| one["batch_size"].as_u64().unwrap() <= 8));
    let reasons = gateway.metrics().label_values("switchrail_batches_total", "reason");
    assert!(reasons.contains(&"full".to_owned()), "{reasons:?}");
    assert_eq!(gateway.metric("switchrail_batch_reruns_total", &[]), 0.0);
    // Without batching each request runs by itself from then on.
    let before = gateway.generation();
    gateway.write_routing("[models.m]\nstable = 1\nbatching = false\n");
    wait_until("the edit to be in force", || gateway.generation() > before);
    let n_before = n_batches(&gateway);
    under_load(gateway.addresses().http, N_CALLERS, |client, n| ask_own_rows(client, n, |_| 0.5), || ());
    assert_eq!(n_batches(&gateway), n_before);
}

#[test]
fn a_batch_holds_one_version_only() {
    let routing = format!("[models.m]\nstable = 1\nsplit = {{ 1 = 50, 2 = 50 }}\n{BATCHING}");
    let gateway = builder(&steady(1.0), &routing).model("m", 2, &steady(2.0)).start();
    gateway.wait_state("m", 2, "ready");
    let both =
        || ["1", "2"].iter().all(|version| gateway.metric("switchrail_batch_rows_sum", &[("version", version)]) > 50.0);
    until_batched(&gateway, |client, number| ask_own_rows(client, number, |version| version as f32), both);
}

#[test]
fn a_poison_request_in_a_batch_fails_alone() {
    for (effect, kind, cause) in [(Effect::Fail, "run", "error"), (Effect::Nan, "non_finite", "output")] {
        let when = When::OneOf(vec![-1.0]);
        let fault = Fault { input: "x".into(), column: 0, when, output: "y".into(), effect };
        let content = faulty(&steady(0.0), &fault).unwrap();
        let gateway = builder(&content, &format!("[models.m]\nstable = 1\n{BATCHING}")).start();
        let ask = |client: &mut switchrail_tests::Client, number: u64| {
            let first = if number % 20 == 3 { -1.0 } else { number as f32 };
            let answer = Infer::first("m", first).send(client);
            if first < 0.0 {
                assert_eq!((answer.status(), answer.code()), (500, "version_fault"), "{number}");
            } else {
                assert_eq!(answer.ok().floats("y")[0], first);
            }
        };
        let has_rerun = || gateway.metric("switchrail_batch_reruns_total", &[("cause", cause)]) > 0.0;
        until_batched(&gateway, ask, has_rerun);
        let failed = gateway.metric("switchrail_requests_total", &[("model", "m"), ("outcome", "version_fault")]);
        assert_eq!(gateway.metric("switchrail_version_faults_total", &[("kind", kind)]), failed);
    }
}

#[test]
fn a_version_whose_rows_depend_on_each_other_is_found_out_and_nobody_gets_a_wrong_answer() {
    let gateway = builder(&summed(12, 160), &format!("[models.m]\nstable = 1\n{BATCHING}")).start();
    let ask = |client: &mut switchrail_tests::Client, number: u64| {
        let sent = row(number + 1);
        assert_eq!(Infer::row("m", sent).send(client).ok().floats("y"), sent, "alone a row is given back");
    };
    under_load(gateway.addresses().http, N_CALLERS, ask, || {
        gateway.wait_log("requests are not put together any more");
        let now = gateway.metric("switchrail_requests_total", &[("model", "m")]);
        wait_until("more requests", || gateway.metric("switchrail_requests_total", &[("model", "m")]) > now + 50.0);
    });
    assert!(gateway.log().contains("the rows depend on each other"));
    assert_eq!(gateway.log().matches("requests are not put together any more").count(), 1);
    assert!(gateway.metric("switchrail_batch_reruns_total", &[("cause", "unfit")]) >= 2.0);
    assert_eq!(gateway.metric("switchrail_version_faults_total", &[]), 0.0);
}

#[test]
fn a_version_whose_batch_axis_is_fixed_is_named_and_serves_without_batches() {
    let gateway = builder(&one_row(), &format!("[models.m]\nstable = 1\n{BATCHING}")).start();
    let model = gateway.admin("/v1/status")["models"].to_string();
    assert!(model.contains("requests of version 1 cannot be put together"), "{model}");
    assert!(model.contains("fixed at 1"), "{model}");
    assert_eq!(gateway.ask("m", 2.0).ok().floats("y")[0], 4.0);
    assert_eq!(n_batches(&gateway), 0.0);
}

#[test]
fn what_config_pbtxt_declares_holds_until_routing_says_otherwise() {
    let config = "name: \"m\"\nmax_batch_size: 4\ndynamic_batching { max_queue_delay_microseconds: 2000 }\n";
    let gateway = builder(&steady(0.0), "[models.m]\nstable = 1\n").pbtxt("m", config).start();
    until_batched(&gateway, |client, number| ask_own_rows(client, number, |_| 0.0), || true);
    let above_four = || {
        let metrics = gateway.metrics();
        let up_to = |le: &str| metrics.sum("switchrail_batch_rows_bucket", &[("model", "m"), ("le", le)]);
        up_to("+Inf") - up_to("4")
    };
    assert_eq!(above_four(), 0.0);
    assert_eq!(
        gateway.get("/v2/models/m/config").json()["dynamic_batching"]["max_queue_delay_microseconds"],
        json!(2000)
    );
}

#[test]
fn a_caller_who_leaves_a_batch_takes_nobody_with_him_and_the_last_one_ends_it() {
    // Runs as long as the first number of the first row says.
    let routing = format!("[models.m]\nstable = 1\nrun_timeout_ms = 600000\ndeadline_ms = 600000\n{BATCHING}");
    let gateway = builder(&looping(256, 1.0, 0.0), &routing).start();
    let in_flight = |n: f64| {
        wait_until(&format!("{n} in flight"), || gateway.metric("switchrail_in_flight", &[("model", "m")]) == n);
    };
    let endless = Infer::first("m", 16_000_000.0).bytes();
    let mut first = gateway.client();
    first.send_only(&endless);
    in_flight(1.0);
    // These two wait, and share the next run.
    let mut others: Vec<_> = (0..2).map(|_| gateway.client()).collect();
    others.iter_mut().for_each(|client| client.send_only(&endless));
    in_flight(3.0);
    drop(first);
    wait_until("the next run", || gateway.metric("switchrail_batch_rows_sum", &[("model", "m")]) >= 3.0);
    others.pop();
    in_flight(1.0);
    drop(others);
    in_flight(0.0);
    // The worker is free again.
    assert_eq!(gateway.ask("m", 1.0).ok().floats("y")[0], 1.0);
    assert_eq!(gateway.metric("switchrail_version_faults_total", &[]), 0.0);
}

#[test]
fn a_late_caller_of_a_batch_is_told_in_time_and_classed_rightly() {
    let routing = format!("[models.m]\nstable = 1\nrun_timeout_ms = 600000\ndeadline_ms = 600000\n{BATCHING}");
    let gateway = builder(&looping(256, 1.0, 0.0), &routing).start();
    let mut first = gateway.client();
    first.send_only(&Infer::first("m", 16_000_000.0).bytes());
    wait_until("it runs", || gateway.metric("switchrail_in_flight", &[("model", "m")]) == 1.0);
    let mut others: Vec<_> = (0..2).map(|_| gateway.client()).collect();
    for client in &mut others {
        client.send_only(&Infer::first("m", 16_000_000.0).timeout_ms(3_000).bytes());
    }
    wait_until("all wait", || gateway.metric("switchrail_in_flight", &[("model", "m")]) == 3.0);
    drop(first);
    for client in &mut others {
        let answer = client.receive().unwrap();
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (504, Some("deadline_in_run")),
            "{}",
            answer.text()
        );
    }
    assert_eq!(gateway.ask("m", 1.0).ok().floats("y")[0], 1.0);
    let late = gateway.metric("switchrail_requests_total", &[("model", "m"), ("outcome", "caller_deadline")]);
    assert_eq!(late, 2.0);
}

#[test]
fn a_provider_that_is_not_there_refuses_the_version_until_the_edit_is_taken_back() {
    let gateway = Gateway::builder()
        .model("m", 1, &steady(0.0))
        .model("other", 1, &steady(0.0))
        .routing("[models.m]\nprovider = \"cuda\"\n")
        .start();
    gateway.ask("other", 1.0).ok();
    gateway.wait_refused("m", 1);
    gateway.wait_log("the provider cuda (CUDAExecutionProvider) is not in this ONNX Runtime library, which has cpu");
    assert_eq!(gateway.ask("m", 1.0).status(), 503);
    gateway.write_routing("[models.m]\nprovider = \"cpu\"\n");
    gateway.wait_state("m", 1, "ready");
    assert_eq!(gateway.ask("m", 5.0).ok().floats("y")[0], 5.0);
}

#[test]
fn sessions_that_are_not_shared_answer_the_same() {
    let gateway = Gateway::builder()
        .model("m", 1, &steady(0.25))
        .set("runtime.run_threads", "2")
        .set("runtime.shared_sessions", "false")
        .start();
    under_load(
        gateway.addresses().http,
        N_CALLERS,
        |client, n| ask_own_rows(client, n, |_| 0.25),
        || {
            wait_until("a few answers", || gateway.metric("switchrail_requests_total", &[("model", "m")]) > 200.0);
        },
    );
}
