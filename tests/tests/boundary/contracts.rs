//! One contract for the callers of a model, whatever its versions call their inputs and outputs or how they shape them.

use std::fs;

use serde_json::{Value, json};
use switchrail_tests::{Builder, Gateway, Infer, float_input, wait_until};
use testkit::onnx::{Graph, Init, Shape, affine4, affine4_named, nan_when};

const MAPPED: &str = "versions.2 = { inputs = { x = \"image\" }, outputs = { y = \"softmax\" } }\n";

/// Version 2 calls its input and its output otherwise.
fn renamed() -> Builder {
    Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4_named("image", "softmax", 2.0, 0.0))
}

fn names(specs: &Value) -> Vec<&str> {
    specs.as_array().unwrap().iter().map(|spec| spec["name"].as_str().unwrap()).collect()
}

#[test]
fn a_successor_with_other_names_serves_the_same_callers() {
    let split = format!("[models.m]\nstable = 1\nsplit = {{ 1 = 1, 2 = 1 }}\n{MAPPED}");
    let gateway = renamed().routing(&split).start();
    gateway.wait_state("m", 2, "ready");
    let mut seen = [0, 0];
    for _ in 0..60 {
        let answer = gateway.ask("m", 1.0).ok();
        let version = answer.version() as usize;
        assert_eq!(answer.floats("y"), [1.0, 1.0, 2.0, 3.0].map(|x| x * version as f32));
        seen[version - 1] += 1;
    }
    assert!(seen.iter().all(|n| *n > 0), "{seen:?}");
    assert_eq!(gateway.model("m")["notices"], json!([]));
    // Whoever names the version uses the same names, and metadata say so.
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(2)).ok().floats("y")[0], 2.0);
    let metadata = gateway.get("/v2/models/m/versions/2").json();
    assert_eq!((names(&metadata["inputs"]), names(&metadata["outputs"])), (vec!["x"], vec!["y"]));
    let of_the_graph = Infer::new("m").input(float_input("image", &[1, 4], &[0.0; 4])).pin(2);
    assert_eq!((gateway.infer(&of_the_graph).status(), gateway.infer(&of_the_graph).code()), (400, "input_unknown"));
    let wanted = Infer::first("m", 3.0).pin(2).field("outputs", json!([{ "name": "y" }]));
    assert_eq!(gateway.infer(&wanted).ok().floats("y")[0], 6.0);
    let unknown = Infer::first("m", 3.0).pin(2).field("outputs", json!([{ "name": "softmax" }]));
    assert_eq!(gateway.infer(&unknown).status(), 400);
    let shown = gateway.version("m", 2).unwrap();
    assert!(shown["graph"].as_str().unwrap().contains("softmax"), "{shown}");
    // What explains the routing explains the names.
    let (_, explained) = gateway.admin_post("/v1/models/m/explain", "{\"pin\": 2}");
    assert!(explained["sentences"].to_string().contains("is \\\"softmax\\\" in the graph"), "{explained}");
}

#[test]
fn without_names_the_successor_is_refused_with_both_contracts_and_the_remedy() {
    let gateway = renamed().routing("[models.m]\nstable = 1\n").start();
    gateway.wait_state("m", 2, "ready");
    let (status, answer) = gateway.try_order("m", "canary", json!({ "version": "2", "share": 0.5 }));
    let error = answer["error"].as_str().unwrap();
    assert_eq!((status, &answer["code"]), (409, &json!("signature")), "{answer}");
    for part in [
        "input \"x\" is missing",
        "1 is x FP32[-1,4] -> y FP32[-1,4]",
        "2 is image FP32[-1,4] -> softmax FP32[-1,4]",
        "[models.m.versions.2] inputs = { \"x\" = \"image\" }, outputs = { \"y\" = \"softmax\" }",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    gateway.write_routing("[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 9 }\n");
    wait_until("the notice", || gateway.model("m")["notices"].to_string().contains("cannot succeed version 1"));
    assert!((0..30).all(|_| gateway.ask("m", 1.0).ok().version() == 1));
    // The remedy, as it was told, mends it: live, and without loading anything again.
    let told = error.split("[models.m.versions.2] ").nth(1).unwrap().replace(", outputs", "\noutputs");
    let n_loads = |gateway: &Gateway| gateway.history("m").iter().filter(|row| row["action"] == "loaded").count();
    let before = n_loads(&gateway);
    gateway
        .write_routing(&format!("[models.m]\nstable = 1\nsplit = {{ 1 = 1, 2 = 9 }}\n[models.m.versions.2]\n{told}\n"));
    wait_until("version 2 to answer", || gateway.ask("m", 1.0).ok().version() == 2);
    assert_eq!(n_loads(&gateway), before);
    // Taken away again, the names are the graph's again and the version is out.
    gateway.write_routing("[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 9 }\n");
    wait_until("version 2 to be out", || gateway.model("m")["split"].as_array().unwrap().len() == 1);
    let of_the_graph = Infer::new("m").input(float_input("image", &[1, 4], &[4.0; 4])).pin(2);
    assert_eq!(gateway.infer(&of_the_graph).ok().floats("softmax"), [8.0; 4]);
}

#[test]
fn names_the_graph_does_not_have_are_told_and_keep_the_version_out() {
    let wrong = MAPPED.replace("softmax", "softmaxx");
    let routing = format!("[models.m]\nstable = 1\nsplit = {{ 1 = 1, 2 = 9 }}\n{wrong}");
    let gateway = renamed().routing(&routing).start();
    gateway.wait_state("m", 2, "ready");
    wait_until("the notice", || gateway.model("m")["notices"].to_string().contains("softmaxx"));
    let notices = gateway.model("m")["notices"].to_string();
    assert!(notices.contains("image FP32[-1,4] -> softmax FP32[-1,4]"), "{notices}");
    assert!((0..30).all(|_| gateway.ask("m", 1.0).ok().version() == 1));
    let (status, answer) = gateway.try_order("m", "canary", json!({ "version": "2", "share": 0.5 }));
    assert_eq!((status, &answer["code"]), (409, &json!("signature")), "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("softmaxx"), "{answer}");
    gateway.write_routing(&format!("[models.m]\nstable = 1\nsplit = {{ 1 = 1, 2 = 9 }}\n{MAPPED}"));
    wait_until("version 2 to answer", || gateway.ask("m", 1.0).ok().version() == 2);
    wait_until("the notices to go", || gateway.model("m")["notices"] == json!([]));
}

#[test]
fn names_do_not_help_where_more_differs() {
    let classes = |n: i64| {
        let dims = [-1, n];
        let weights = vec![1.0; 4 * n as usize];
        Graph::new("classes")
            .input("x", base_types::DataType::Fp32, Shape::Dims(&[-1, 4]))
            .output("scores", base_types::DataType::Fp32, Shape::Dims(&dims))
            .init("w", &[4, n], Init::Floats(&weights))
            .node("MatMul", "x w", "scores", &[])
            .model()
    };
    let gateway = Gateway::builder()
        .model("m", 1, &classes(3))
        .model("m", 2, &classes(5))
        .routing("[models.m]\nstable = 1\nversions.2 = { outputs = { scores = \"scores\" } }\n")
        .start();
    gateway.wait_state("m", 2, "ready");
    let (status, answer) = gateway.try_order("m", "canary", json!({ "version": "2", "share": 0.5 }));
    let error = answer["error"].as_str().unwrap();
    assert_eq!(status, 409, "{answer}");
    assert!(error.contains("scores FP32[-1,3]") && error.contains("scores FP32[-1,5]"), "{error}");
    assert!(!error.contains("routing.toml"), "names would not mend it: {error}");
}

#[test]
fn a_fault_of_a_renamed_version_is_answered_by_stable_under_the_same_names() {
    let gateway = Gateway::builder()
        .model("m", 1, &affine4_named("image", "softmax", 1.0, 0.0))
        .model("m", 2, &nan_when(100.0, 2.0, 0.0))
        .routing(&format!("[models.m]\nstable = 1\n{}", MAPPED.replace("versions.2", "versions.1")))
        .start();
    gateway.wait_state("m", 2, "ready");
    gateway.canary("m", 2, 0.9);
    wait_until("version 2 to answer", || gateway.ask("m", 1.0).ok().version() == 2);
    let answer = gateway.ask("m", 200.0).ok();
    assert_eq!((answer.version(), answer.floats("y")[0]), (1, 200.0));
}

#[test]
fn an_output_exempt_from_the_check_of_numbers_is_so_in_every_version() {
    let nan = |output: &str| affine4_named("x", output, f32::NAN, 0.0);
    let routing =
        "[models.m]\nstable = 1\nallow_non_finite = [\"y\"]\nversions.2 = { outputs = { y = \"softmax\" } }\n";
    let gateway = Gateway::builder().model("m", 1, &nan("y")).model("m", 2, &nan("softmax")).routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    for version in [1, 2] {
        assert!(gateway.infer(&Infer::first("m", 1.0).pin(version)).ok().floats("y")[0].is_nan());
    }
}

#[test]
fn wrong_names_in_the_file_are_refused_with_their_place() {
    let gateway = renamed().routing("[models.m]\nstable = 1\n").start();
    let text =
        "[models.m]\nstable = 1\n[models.m.versions.2]\noutputs = { a = \"softmax\", b = \"softmax\" }\noutput = {}\n";
    gateway.write_routing(text);
    wait_until("the problems to be shown", || gateway.metric("switchrail_config_problems", &[]) >= 2.0);
    let problems = gateway.admin("/v1/status")["config"]["problems"].to_string();
    assert!(problems.contains("duplicate") && problems.contains("unknown-key"), "{problems}");
    let file = gateway.builder_used().routing_file();
    let exit = switchrail_tests::run(&["check", file.to_str().unwrap()]);
    assert!(exit.code != Some(0), "{exit:?}");
    fs::write(&file, format!("[models.m]\nstable = 1\n{MAPPED}")).unwrap();
    let (status, difference) = gateway.admin_post("/v1/config/diff", &fs::read_to_string(&file).unwrap());
    assert_eq!(status, 200, "{difference}");
}

/// `x` FP32 `[batch]` to `y` FP32 `[batch]`.
fn rows_only() -> Vec<u8> {
    Graph::new("rows")
        .input("x", base_types::DataType::Fp32, Shape::Dims(&[-1]))
        .output("y", base_types::DataType::Fp32, Shape::Dims(&[-1]))
        .init("two", &[], Init::Floats(&[2.0]))
        .node("Mul", "x two", "y", &[])
        .model()
}

#[test]
fn a_reshape_of_config_pbtxt_gives_the_graph_the_shape_it_has() {
    let side = |side: &str, name: &str| {
        format!("{side} {{ name: \"{name}\" data_type: TYPE_FP32 dims: [ 1 ] reshape {{ shape: [ ] }} }}\n")
    };
    let config = format!("max_batch_size: 8\n{}{}", side("input", "x"), side("output", "y"));
    let gateway =
        Gateway::builder().model("m", 1, &rows_only()).pbtxt("m", &config).model("plain", 1, &rows_only()).start();
    let three = |shape: &[usize]| Infer::new("m").input(float_input("x", shape, &[1.0, 2.0, 3.0]));
    let answer = gateway.infer(&three(&[3, 1])).ok();
    assert_eq!((answer.output("y")["shape"].clone(), answer.floats("y")), (json!([3, 1]), vec![2.0, 4.0, 6.0]));
    assert_eq!(gateway.infer(&three(&[3])).status(), 400);
    let metadata = gateway.get("/v2/models/m").json();
    assert_eq!(metadata["inputs"][0]["shape"], json!([-1, 1]), "{metadata}");
    let nine = Infer::new("m").input(float_input("x", &[9, 1], &[0.0; 9]));
    assert_eq!(gateway.infer(&nine).status(), 400, "max_batch_size holds");
    let plain = Infer::new("plain").input(float_input("x", &[3], &[1.0, 2.0, 3.0]));
    assert_eq!(gateway.infer(&plain).ok().output("y")["shape"], json!([3]));
}

#[test]
fn the_names_of_config_pbtxt_are_those_of_the_callers() {
    let config = "output { name: \"y\" data_type: TYPE_FP32 dims: [ -1, 4 ] }";
    let gateway = renamed().pbtxt("m", config).routing("[models.m]\nstable = 1\n").start();
    let (code, text) = gateway.wait_refused("m", 2);
    assert!(code == "config_mismatch" && text.contains("\"y\""), "{code} {text}");
    // The names of the version mend that, too.
    gateway.write_routing(&format!("[models.m]\nstable = 1\n{MAPPED}"));
    gateway.wait_state("m", 2, "ready");
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(2)).ok().floats("y")[0], 2.0);
}

#[test]
fn the_warm_up_of_config_pbtxt_is_run() {
    let config = |data: &str| {
        format!(
            "max_batch_size: 4\nmodel_warmup {{ name: \"w\" batch_size: 2 count: 3 inputs {{ key: \"x\" value {{ data_type: TYPE_FP32 dims: [ 4 ] {data} }} }} }}"
        )
    };
    let from_file = config("input_data_file: \"row.bin\"");
    let builder = Gateway::builder()
        .model("file", 1, &affine4(1.0, 0.0))
        .pbtxt("file", &from_file)
        .model("short", 1, &affine4(1.0, 0.0))
        .pbtxt("short", &from_file)
        .model("absent", 1, &affine4(1.0, 0.0))
        .pbtxt("absent", &from_file)
        .model("zero", 1, &affine4(1.0, 0.0))
        .pbtxt("zero", &config("zero_data: true"))
        .model("random", 1, &affine4(1.0, 0.0))
        .pbtxt("random", &config("random_data: true"))
        .model("wrong", 1, &affine4(1.0, 0.0))
        .pbtxt("wrong", &config("zero_data: true").replace("dims: [ 4 ]", "dims: [ 5 ]"))
        .model("good", 1, &affine4(1.0, 0.0));
    for (model, n_bytes) in [("file", 16), ("short", 12)] {
        let folder = builder.repository().root().join(model).join("warmup");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("row.bin"), vec![0; n_bytes]).unwrap();
    }
    let gateway = builder.start();
    for model in ["file", "zero", "random", "good"] {
        gateway.wait_state(model, 1, "ready");
    }
    for (model, part) in [("short", "12 bytes"), ("absent", "warmup/row.bin is missing"), ("wrong", "[2, 5]")] {
        let (code, text) = gateway.wait_refused(model, 1);
        assert!(code == "warm_up_failed" && text.contains(part), "{model}: {code} {text}");
    }
}
