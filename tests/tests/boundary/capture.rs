//! Requests kept with their answers: what is kept, what is left out, and that one run again gives the same bits.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use base_types::DataType;
use serde_json::{Value, json};
use switchrail_tests::{
    Builder, Calls, Client, Exit, Gateway, GrpcInfer, Infer, Response, run, under_load, wait_until,
};
use testkit::onnx::{affine4, affine4_named, failing_when, identity, slow, strings};

/// Everything is captured.
const ALL: &str = "[models.m]\nstable = 1\ncapture = { share = 1 }\n";

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn one() -> Builder {
    Gateway::builder().model("m", 1, &affine4(2.0, 1.0))
}

fn id(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.text());
    response.header("switchrail-prediction-id").expect("every answer has an id").to_owned()
}

fn ask(gateway: &Gateway, first: f32) -> String {
    id(&gateway.infer(&Infer::first("m", first)).ok().response)
}

fn counted(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric("switchrail_captures_total", &[("result", result)])
}

fn wait_written(gateway: &Gateway, n: usize) {
    wait_until(&format!("{n} captures to be written"), || counted(gateway, "written") >= n as f64);
}

/// Runs it again at the running gateway.
fn replay(gateway: &Gateway, id: &str, more: &[&str]) -> Exit {
    let state = gateway.builder_used().state_folder();
    let http = gateway.addresses().http.to_string();
    run(&[&["replay", id, "--state-dir", state.to_str().unwrap(), "--http", &http], more].concat())
}

/// Runs it again without a gateway.
fn replay_here(gateway: &Gateway, id: &str, more: &[&str]) -> Exit {
    let (state, models) = (gateway.builder_used().state_folder(), gateway.builder_used().folder().join("models"));
    let (state, models) = (state.to_str().unwrap(), models.to_str().unwrap());
    run(&[&["replay", id, "--state-dir", state, "--model-repository", models], more].concat())
}

fn check_same(exit: &Exit) {
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(exit.stdout.contains("the same, bit for bit"), "{exit:?}");
}

/// The reason why not, by its code.
fn cannot(exit: &Exit) -> String {
    assert_eq!(exit.code, Some(1), "{exit:?}");
    let answer: Value = serde_json::from_str(&exit.stdout).unwrap_or_else(|_| panic!("{exit:?}"));
    assert_eq!(answer["result"], "cannot");
    answer["code"].as_str().unwrap().to_owned()
}

fn listed(gateway: &Gateway, model: &str) -> Vec<Value> {
    let state = gateway.builder_used().state_folder();
    let exit = run(&["captures", model, "-n", "1000", "--json", "--state-dir", state.to_str().unwrap()]);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let answer: Value = serde_json::from_str(&exit.stdout).unwrap();
    answer["captures"].as_array().unwrap().clone()
}

#[test]
fn nothing_is_kept_unless_it_is_asked_for_and_then_it_is_without_a_restart() {
    let gateway = one().routing("[models.m]\nstable = 1\n").start();
    let before = ask(&gateway, 1.0);
    let folder = gateway.builder_used().state_folder().join("captures");
    assert!(!folder.exists());
    assert_eq!(cannot(&replay(&gateway, &before, &["--json"])), "no_captures");
    gateway.write_routing(ALL);
    wait_until("captures to be on", || {
        ask(&gateway, 2.0);
        counted(&gateway, "written") > 0.0
    });
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(folder.join("captures.jsonl").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let exit = replay(&gateway, &before, &["--json"]);
    assert_eq!(cannot(&exit), "expired", "older than the oldest: {exit:?}");
    assert_eq!(cannot(&replay(&gateway, &"x".repeat(48), &["--json"])), "unknown_id");
    let generation = gateway.generation();
    gateway.write_routing("[models.m]\nstable = 1\n");
    wait_until("captures to be off", || gateway.generation() > generation);
    let exit = replay(&gateway, &ask(&gateway, 3.0), &["--json"]);
    assert_eq!(cannot(&exit), "not_captured", "{exit:?}");
}

#[test]
fn what_gateway_toml_forbids_is_not_captured() {
    let gateway = one().routing(ALL).set("record.captures", "false").start();
    ask(&gateway, 1.0);
    assert!(!gateway.builder_used().state_folder().join("captures").exists());
    assert_eq!(counted(&gateway, "written") + counted(&gateway, "dropped"), 0.0);
}

#[test]
fn a_captured_request_gives_the_same_bits_again_and_another_version_says_how_it_differs() {
    let gateway = one().model("m", 2, &affine4(2.5, 1.0)).routing(ALL).set("log.access", "true").start();
    gateway.wait_state("m", 2, "ready");
    let request = Infer::first("m", 7.0).header("traceparent", TRACE);
    let id = id(&gateway.infer(&request).ok().response);
    wait_written(&gateway, 1);
    check_same(&replay(&gateway, &id, &[]));
    check_same(&replay_here(&gateway, &id, &[]));
    for again in [replay, replay_here] {
        let exit = again(&gateway, &id, &["--version", "2", "--json"]);
        assert_eq!(exit.code, Some(3), "{exit:?}");
        let answer: Value = serde_json::from_str(&exit.stdout).unwrap();
        assert_eq!((&answer["result"], &answer["again"]["version"]), (&json!("differs"), &json!(2)));
        assert_eq!(answer["captured"]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        gateway.wait_log("trace_id=4bf92f3577b34da6a3ce929d0e0e4736");
        // 7, 1, 2 and 3 times a half more.
        let difference = &answer["differences"][0];
        assert_eq!((&difference["output"], &difference["n_differing"]), (&json!("y"), &json!(4)), "{answer}");
        assert_eq!((&difference["largest_absolute"], &difference["n_elements"]), (&json!(3.5), &json!(4)));
        let changed = answer["changed"].as_array().unwrap();
        assert_eq!(changed, &[json!("version 1 answered then, version 2 now")], "nothing else changed");
        let told = again(&gateway, &id, &["--version", "2"]);
        assert!(told.stdout.contains("4 of 4 elements differ"), "{told:?}");
    }
    let exit = replay(&gateway, &id, &["--version", "9", "--json"]);
    assert_eq!(cannot(&exit), "version_gone", "{exit:?}");
    assert_eq!(cannot(&replay_here(&gateway, &id, &["--version", "9", "--json"])), "version_gone");
}

#[test]
fn a_request_under_the_callers_names_is_run_again_under_the_graphs() {
    let names = "versions.1 = { inputs = { x = \"image\" }, outputs = { y = \"softmax\" } }\n";
    let builder = Gateway::builder().model("m", 1, &affine4_named("image", "softmax", 2.0, 0.5));
    let gateway = builder.model("m", 2, &affine4(2.0, 0.5)).routing(&format!("{ALL}{names}")).start();
    gateway.wait_state("m", 2, "ready");
    let id = ask(&gateway, 4.0);
    wait_written(&gateway, 1);
    for again in [replay, replay_here] {
        check_same(&again(&gateway, &id, &[]));
        let exit = again(&gateway, &id, &["--version", "2"]);
        check_same(&exit);
        assert!(exit.stdout.contains("version 1 answered then, version 2 now"), "{exit:?}");
    }
}

#[test]
fn a_captured_request_is_run_again_from_the_store() {
    let gateway = one().routing(ALL).start();
    let id = ask(&gateway, 4.0);
    wait_written(&gateway, 1);
    let (state, folder) = (gateway.builder_used().state_folder(), gateway.builder_used().folder());
    let store = folder.join("store");
    let push = |content: &[u8]| {
        let file = folder.join("pushed.onnx");
        fs::write(&file, content).unwrap();
        let exit = run(&["push", file.to_str().unwrap(), "--model", "m", "--store", store.to_str().unwrap()]);
        assert_eq!(exit.code, Some(0), "{exit:?}");
    };
    let from_store = |more: &[&str]| {
        let places = ["--state-dir", state.to_str().unwrap(), "--store", store.to_str().unwrap()];
        run(&[&["replay", id.as_str()], &places[..], more].concat())
    };
    push(&affine4(2.0, 1.0));
    check_same(&from_store(&[]));
    push(&affine4(2.0, 3.0));
    assert_eq!(from_store(&["--version", "2"]).code, Some(3));
    assert_eq!(cannot(&from_store(&["--version", "3", "--json"])), "version_gone");
}

#[test]
fn an_answer_out_of_a_shared_run_says_so() {
    let content = slow(12, 160, 1.0, 0.5);
    let routing = format!("{ALL}[models.m.batching]\nmax_size = 8\n");
    let builder = Gateway::builder().model("m", 1, &content).routing(&routing).set("runtime.run_threads", "1");
    let gateway = builder.start();
    let shared = || {
        let captures = listed(&gateway, "m");
        captures.into_iter().find(|capture| capture["batch_rows"].as_u64().is_some_and(|n_rows| n_rows > 1))
    };
    let ask = |client: &mut Client, n: u64| drop(Infer::first("m", (n % 1_000) as f32).send(client).ok());
    under_load(gateway.addresses().http, 6, ask, || {
        wait_until("requests to share runs", || {
            gateway.builder_used().state_folder().join("captures").exists() && shared().is_some()
        });
    });
    let capture = shared().unwrap();
    let exit = replay(&gateway, capture["prediction_id"].as_str().unwrap(), &[]);
    // Whether the last bits are the same is up to the kernels; that the reason is told is up to us.
    assert!(matches!(exit.code, Some(0 | 3)), "{exit:?}");
    let told = format!("a run of {} rows, shared with other requests", capture["batch_rows"]);
    assert!(exit.stdout.contains(&told), "{exit:?}");
}

#[test]
fn requests_over_grpc_are_captured_alike_and_an_end_in_order_loses_none() {
    let mut gateway = one().routing(ALL).start();
    let calls = Calls::new(gateway.addresses().grpc);
    let request = GrpcInfer::first("m", 4.0).metadata("traceparent", TRACE);
    let id = request.send(&calls).unwrap().said("switchrail-prediction-id").to_owned();
    let declined = GrpcInfer::first("m", 5.0).metadata("switchrail-capture", "off").send(&calls).unwrap();
    drop(calls);
    gateway.stop();
    check_same(&replay_here(&gateway, &id, &[]));
    let captures = listed(&gateway, "m");
    assert_eq!((captures.len(), &captures[0]["trace_id"]), (1, &json!("4bf92f3577b34da6a3ce929d0e0e4736")));
    let exit = replay_here(&gateway, declined.said("switchrail-prediction-id"), &["--json"]);
    assert_eq!(cannot(&exit), "not_captured", "{exit:?}");
}

#[test]
fn other_content_under_the_number_is_not_mistaken_for_the_version() {
    let mut gateway = one().routing(ALL).start();
    let id = ask(&gateway, 1.0);
    wait_written(&gateway, 1);
    gateway.stop();
    gateway.repository().publish("m", 1, &affine4(3.0, 1.0)).unwrap();
    let exit = replay_here(&gateway, &id, &["--json"]);
    assert_eq!(cannot(&exit), "other_content", "{exit:?}");
    let told = replay_here(&gateway, &id, &[]);
    assert!(told.stderr.contains("its digest was"), "{told:?}");
    let exit = replay(&gateway, &id, &["--json"]);
    assert_eq!(cannot(&exit), "unreachable", "{exit:?}");
}

/// A request with binary tensors.
fn binary(gateway: &Gateway, model: &str, (datatype, shape): (&str, Value), elements: &[u8]) -> Response {
    let size = json!({ "binary_data_size": elements.len() });
    let input = json!({ "name": "x", "datatype": datatype, "shape": shape, "parameters": size });
    let json = json!({ "inputs": [input], "parameters": { "binary_data_output": true } }).to_string();
    let length = json.len().to_string();
    let headers = [("inference-header-content-length", length.as_str())];
    let path = format!("/v2/models/{model}/infer");
    gateway.client().send("POST", &path, &headers, &[json.as_bytes(), elements].concat())
}

#[test]
fn every_bit_is_kept_nan_payloads_halves_and_texts_that_are_no_utf_8() {
    let block =
        |model: &str| format!("[models.{model}]\nstable = 1\nallow_non_finite = [\"y\"]\ncapture = {{ share = 1 }}\n");
    let routing = [block("nan"), block("half"), block("texts")].concat();
    let gateway = Gateway::builder()
        .model("nan", 1, &identity(DataType::Fp32))
        .model("half", 1, &identity(DataType::Fp16))
        .model("texts", 1, &strings())
        .routing(&routing)
        .start();
    let nan = [0x7fc1_2345u32, 0xffc0_0001, 0x8000_0000, 0x7f80_0000].map(u32::to_le_bytes).concat();
    let half = [0x7e01u16, 0x0001, 0x3c00, 0xfc00].map(u16::to_le_bytes).concat();
    let texts: Vec<u8> = [&b"\xff\x00\n"[..], b"", b"\"}", b"plain"]
        .iter()
        .flat_map(|text| [&(text.len() as u32).to_le_bytes()[..], text].concat())
        .collect();
    let cases = [("nan", "FP32", nan), ("half", "FP16", half), ("texts", "BYTES", texts)];
    for (n_before, (model, datatype, elements)) in cases.iter().enumerate() {
        let response = binary(&gateway, model, (datatype, json!([2, 2])), elements);
        let id = id(&response);
        assert!(response.body.ends_with(elements), "{model} came back otherwise");
        wait_written(&gateway, n_before + 1);
        check_same(&replay(&gateway, &id, &[]));
        check_same(&replay_here(&gateway, &id, &[]));
    }
}

#[test]
fn what_is_redacted_is_nowhere_in_the_file_and_such_a_request_cannot_be_run_again() {
    let routing = "[models.m]\nstable = 1\ncapture = { share = 1, redact = [\"x\"] }\n";
    let gateway = one().routing(routing).start();
    let id = ask(&gateway, 123.456);
    wait_written(&gateway, 1);
    let exit = replay(&gateway, &id, &["--json"]);
    assert_eq!(cannot(&exit), "redacted", "{exit:?}");
    assert!(exit.stdout.contains("values of x were left out"), "{exit:?}");
    let line = fs::read_to_string(gateway.builder_used().state_folder().join("captures/captures.jsonl")).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["was_redacted"], &line["inputs"][0].get("data")), (&json!(true), &None), "{line}");
    assert!(line["outputs"][0]["data"].is_string(), "{line}");
    assert_eq!(listed(&gateway, "m")[0]["redacted"], json!(["x"]));
    let state = gateway.builder_used().state_folder();
    let file = state.join("requests.jsonl");
    let (state, file) = (state.to_str().unwrap(), file.to_str().unwrap());
    let exit = run(&["captures", "m", "--state-dir", state, "--as-inputs", file]);
    assert!(exit.stdout.contains("0 requests") && exit.stdout.contains("1 left out"), "{exit:?}");
}

#[test]
fn an_answer_in_place_of_another_versions_is_marked_and_is_stables() {
    let routing = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 99 }\ncapture = { share = 1 }\nguardrail = { mode = \"observe\" }\n";
    let gateway = one().model("m", 2, &failing_when(5.0, 1.0, 0.0)).routing(routing).start();
    wait_until("a captured fallback", || {
        gateway.infer(&Infer::first("m", 9.0));
        let state = gateway.builder_used().state_folder().join("captures");
        state.exists() && listed(&gateway, "m").iter().any(|capture| capture["reason"] == "fallback")
    });
    let captures = listed(&gateway, "m");
    let capture = captures.iter().find(|capture| capture["reason"] == "fallback").unwrap();
    assert_eq!(capture["version"], 1);
    let exit = replay(&gateway, capture["prediction_id"].as_str().unwrap(), &[]);
    check_same(&exit);
    assert!(exit.stdout.contains("in place of another version"), "{exit:?}");
}

#[test]
fn the_inputs_of_captures_are_requests_that_give_the_same_answers() {
    let gateway = one().routing(ALL).start();
    let firsts = [1.5, -0.0, 1.7e38, 1e-40];
    let answers: Vec<Value> = firsts.iter().map(|first| gateway.ask("m", *first).ok().output("y").clone()).collect();
    wait_written(&gateway, firsts.len());
    let state = gateway.builder_used().state_folder();
    let file = state.join("requests.jsonl");
    let (folder, path) = (state.to_str().unwrap(), file.to_str().unwrap());
    let exit = run(&["captures", "m", "-n", "100", "--state-dir", folder, "--as-inputs", path]);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    let lines = fs::read_to_string(&file).unwrap();
    let again: Vec<Value> = lines
        .lines()
        .map(|line| {
            let response = gateway.client().send("POST", "/v2/models/m/infer", &[], line.as_bytes());
            response.json()["outputs"][0].clone()
        })
        .collect();
    assert_eq!(again, answers, "the oldest first");
}

#[test]
fn what_comes_faster_than_it_can_be_written_is_dropped_and_counted_and_nobody_waits() {
    let builder = one().routing(ALL);
    let folder = builder.state_folder().join("captures");
    fs::create_dir_all(&folder).unwrap();
    // A pipe that nobody reads takes so much and no more, as a disk that hangs.
    let made = Command::new("mkfifo").arg(folder.join("captures.jsonl")).status().unwrap();
    assert!(made.success());
    let gateway = builder.start();
    let mut client = gateway.client();
    let request = Infer::first("m", 1.0);
    let mut n_asked = 0;
    wait_until("captures to be dropped", || {
        for _ in 0..100 {
            request.send(&mut client).ok();
        }
        n_asked += 100;
        counted(&gateway, "dropped") > 0.0
    });
    let (written, dropped) = (counted(&gateway, "written"), counted(&gateway, "dropped"));
    let n_waiting = f64::from(n_asked) - written - dropped;
    assert!((0.0..=1_025.0).contains(&n_waiting), "{n_asked} asked, {written} written, {dropped} dropped");
}

#[test]
fn a_request_too_large_is_answered_and_not_kept() {
    let gateway = Gateway::builder()
        .model("m", 1, &identity(DataType::Fp32))
        .routing(ALL)
        .set("record.capture_bytes", "8192")
        .start();
    let large = vec![0; 4 * 4_000];
    id(&binary(&gateway, "m", ("FP32", json!([2, 2_000])), &large));
    assert_eq!((counted(&gateway, "too_large"), counted(&gateway, "written")), (1.0, 0.0));
}

#[test]
fn a_process_that_is_killed_leaves_captures_that_can_be_read() {
    let mut gateway = one().routing(ALL).start();
    let mut ids = Vec::new();
    for round in 0..3 {
        let n_before = ids.len();
        for n in 0..40u8 {
            ids.push(ask(&gateway, f32::from(n)));
        }
        // What is counted as written is in the file, whatever comes.
        wait_until("some captures to be written", || counted(&gateway, "written") > 5.0);
        let n_written = counted(&gateway, "written") as usize;
        gateway.kill();
        let kept = listed(&gateway, "m");
        let is_kept = |id: &String| kept.iter().any(|capture| capture["prediction_id"] == id.as_str());
        let n_kept = ids[n_before..].iter().filter(|id| is_kept(id)).count();
        assert!(n_kept >= n_written, "round {round}: {n_kept} of {n_written} are there");
        gateway.start_again();
        check_same(&replay(&gateway, &ids[n_before], &[]));
    }
    // The end of the file torn off, as a power cut does.
    gateway.kill();
    let file = gateway.builder_used().state_folder().join("captures/captures.jsonl");
    let content = fs::read(&file).unwrap();
    fs::write(&file, &content[..content.len() - 9]).unwrap();
    let n_before = listed(&gateway, "m").len();
    gateway.start_again();
    let id = ask(&gateway, 1.0);
    wait_written(&gateway, 1);
    assert_eq!(listed(&gateway, "m").len(), n_before + 1);
    check_same(&replay(&gateway, &id, &[]));
}
