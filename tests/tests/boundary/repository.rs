//! What a repository may hold and what of it is refused, one version at a time, at start.

use base_types::DataType;
use switchrail_tests::{Builder, Gateway, Infer};
use testkit::onnx::{affine4, external, float8_input, identity, large, sequence_output};

const STABLE_1: &str = "[models.m]\nstable = 1\n";

fn good() -> Builder {
    Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).routing(STABLE_1)
}

/// The version is refused with this code, the reason names what is wrong, and version 1 serves.
fn check_refused(gateway: &Gateway, version: u64, code: &str, part: &str) {
    let (found, text) = gateway.wait_refused("m", version);
    assert_eq!(found, code, "{version}: {text}");
    assert!(text.contains(part), "{version}: {part:?} is not in {text:?}");
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(version)).status(), 503);
    assert!(gateway.metric("switchrail_versions_refused_total", &[("model", "m"), ("code", code)]) >= 1.0, "{code}");
}

#[test]
fn bad_versions_are_refused_one_by_one_and_stop_nobody() {
    let onnx = affine4(2.0, 0.0);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
    let builder = good()
        .model("m", 2, b"this is no model")
        .model("m", 3, b"")
        .model("m", 4, &onnx[..onnx.len() / 2])
        .model("m", 5, pointer)
        .model("m", 6, &sequence_output())
        .model("m", 7, &float8_input())
        .model("m", 9, &onnx);
    builder.repository().publish_files("m", 8, &[("readme.txt", b"nothing")]).unwrap();
    let gateway = builder.start();
    check_refused(&gateway, 2, "malformed", "");
    check_refused(&gateway, 3, "malformed", "");
    check_refused(&gateway, 4, "malformed", "");
    check_refused(&gateway, 5, "lfs_pointer", "");
    check_refused(&gateway, 6, "load_failed", "y");
    check_refused(&gateway, 7, "load_failed", "x");
    check_refused(&gateway, 8, "no_model_file", "model.onnx");
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(9)).ok().version(), 9);
}

#[test]
fn an_oversized_version_is_refused() {
    let builder = good().model("m", 2, &large(100_000, 1)).set("repository.model_file_bytes", "50000");
    check_refused(&builder.start(), 2, "too_large", "50000");
}

#[test]
fn a_file_from_outside_the_folder_is_refused() {
    let builder = good();
    let outside = builder.folder().join("secret.onnx");
    std::fs::write(&outside, affine4(2.0, 0.0)).unwrap();
    let folder = builder.repository().publish_files("m", 2, &[]).unwrap();
    std::os::unix::fs::symlink(&outside, folder.join("model.onnx")).unwrap();
    check_refused(&builder.start(), 2, "not_contained", "");
}

#[test]
fn another_contract_is_addressable_but_no_successor() {
    let gateway = good().model("m", 2, &identity(DataType::Fp32)).start();
    gateway.wait_state("m", 2, "ready");
    gateway.infer(&Infer::first("m", 1.0).pin(2)).ok();
    let (status, answer) = gateway.try_order("m", "canary", serde_json::json!({ "version": "2", "share": 0.5 }));
    // Wider shapes may succeed narrower ones for inputs, but its output is not what callers were promised.
    assert_eq!(status, 409, "{answer}");
    assert_eq!(answer["code"], "signature", "{answer}");
    for _ in 0..20 {
        assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    }
}

#[test]
fn routing_to_another_contract_is_told_and_answered_by_stable() {
    let other = testkit::onnx::affine4_named("x", "z", 2.0, 0.0);
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &other);
    let gateway = gateway.routing("[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\n").start();
    gateway.wait_state("m", 2, "ready");
    for _ in 0..40 {
        assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    }
    let notices = gateway.model("m")["notices"].to_string();
    assert!(notices.contains("cannot succeed"), "{notices}");
}

#[test]
fn weights_in_a_file_beside_the_model_are_read() {
    let model = external("weights.bin", 3.0, 1.0);
    let builder = good();
    let repository = builder.repository();
    let files: [(&str, &[u8]); 2] = [("model.onnx", &model.model), (&model.data_name, &model.data)];
    repository.publish_files("m", 2, &files).unwrap();
    repository.publish_files("m", 3, &files[..1]).unwrap();
    let outside = external("../1/model.onnx", 3.0, 1.0);
    repository.publish_files("m", 4, &[("model.onnx", &outside.model)]).unwrap();
    let gateway = builder.start();
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(2)).ok().floats("y"), [4.0, 4.0, 7.0, 10.0]);
    check_refused(&gateway, 3, "external_missing", "weights.bin");
    check_refused(&gateway, 4, "external_data", "");
    // Once the file is there, the version is taken up.
    let folder = gateway.repository().version_folder("m", 3);
    std::fs::write(folder.join(&model.data_name), &model.data).unwrap();
    gateway.wait_state("m", 3, "ready");
}

#[test]
fn the_version_policy_of_config_pbtxt_chooses() {
    let check = |policy: &str, expected: &[u64]| {
        let builder = (1..=3).fold(Gateway::builder(), |b, v| b.model("m", v, &affine4(v as f32, 0.0)));
        let gateway = builder.pbtxt("m", policy).start();
        let ready: Vec<u64> = (1..=3).filter(|v| gateway.state("m", *v) == "ready").collect();
        assert_eq!(ready, expected, "{policy}");
        assert_eq!(gateway.ask("m", 1.0).ok().version(), *expected.last().unwrap(), "{policy}");
    };
    check("version_policy: { latest: { num_versions: 1 } }", &[3]);
    check("version_policy { latest { num_versions: 2 } }", &[2, 3]);
    check("version_policy { specific { versions: [1, 2] } }", &[1, 2]);
    check("version_policy { all {} }", &[1, 2, 3]);
    check("", &[1, 2, 3]);
}

#[test]
fn config_pbtxt_is_honoured_hinted_or_refused_by_name() {
    let onnx = affine4(1.0, 0.0);
    let names = ["honoured", "hinted", "ensemble", "typo", "misnamed", "mistyped"];
    let builder = names.iter().fold(Gateway::builder(), |builder, name| builder.model(name, 1, &onnx));
    let tensors = "input [{ name: \"x\" data_type: TYPE_FP32 dims: [4] }]\noutput [{ name: \"y\" data_type: TYPE_FP32 dims: [4] }]";
    let gateway = builder
        .pbtxt(
            "honoured",
            &format!("name: \"honoured\"\nplatform: \"onnxruntime_onnx\"\nmax_batch_size: 2\n{tensors}\n"),
        )
        .pbtxt("hinted", "instance_group [{ count: 2 kind: KIND_CPU }]\ndynamic_batching { }\n")
        .pbtxt("ensemble", "ensemble_scheduling { step [] }\n")
        .pbtxt("typo", "max_batchsize: 2\n")
        .pbtxt("misnamed", "name: \"other\"\n")
        .pbtxt("mistyped", "input [{ name: \"x\" data_type: TYPE_INT64 dims: [4] }]\n")
        .start();
    for name in ["honoured", "hinted"] {
        gateway.ask(name, 1.0).ok();
    }
    let rows = Infer::new("honoured").input(switchrail_tests::float_input("x", &[3, 4], &[1.0; 12]));
    assert_eq!(gateway.infer(&rows).code(), "batch_too_large");
    gateway.wait_log("instance_group");
    for (name, part) in
        [("ensemble", "ensemble_scheduling"), ("typo", "max_batchsize"), ("misnamed", "other"), ("mistyped", "x")]
    {
        let (_, text) = gateway.wait_refused(name, 1);
        assert!(text.contains(part), "{name}: {text}");
        assert_eq!(gateway.ask(name, 1.0).status(), 503, "{name}");
    }
}

#[test]
fn folders_that_are_no_models_are_passed_over() {
    let builder = good();
    let root = builder.repository().root().to_owned();
    for folder in [".git", "lost+found", "-bad name", "empty", "m/latest", "m/01", "m/0"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("README.md"), "hello").unwrap();
    let gateway = builder.start();
    gateway.ask("m", 1.0).ok();
    gateway.wait_log("-bad name");
    assert_eq!(gateway.metric("switchrail_versions_refused_total", &[("code", "bad_version")]), 2.0);
}
