//! A model repository in a bucket: served like a folder, from a mirror that a bucket out of reach does not empty.
//! `file://` goes through the same code as the clouds; `cargo xtask buckets` runs those against emulators.

use std::fs;
use std::time::Duration;

use switchrail_tests::{Builder, Gateway, Infer, wait_until};
use testkit::onnx::{affine4, external};

fn pinned(version: u64) -> Infer {
    Infer::first("m", 1.0).pin(version)
}

fn one() -> Builder {
    Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).bucket()
}

#[test]
fn a_bucket_serves_like_a_folder() {
    let gateway = one().start();
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    let repository = gateway.repository();
    repository.publish("m", 2, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    assert_eq!(gateway.infer(&pinned(2)).ok().floats("y")[0], 2.0);
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1, "no traffic without a decision");
    let model = external("weights.bin", 3.0, 0.5);
    repository.publish_files("m", 3, &[("model.onnx", &model.model), ("weights.bin", &model.data)]).unwrap();
    gateway.wait_state("m", 3, "ready");
    assert_eq!(gateway.infer(&pinned(3)).ok().floats("y")[0], 3.5);
    repository.remove("m", 2).unwrap();
    wait_until("version 2 to be gone", || gateway.infer(&pinned(2)).status() == 404);
    assert!(gateway.metric("switchrail_bucket_looks_total", &[("result", "ok")]) > 0.0);
    assert!(gateway.metric("switchrail_bucket_last_success_timestamp_seconds", &[]) > 1.0e9);
}

#[test]
fn the_first_start_chooses_among_all_versions_of_the_bucket() {
    let builder = (1..=4).fold(Gateway::builder(), |b, v| b.model("m", v, &affine4(v as f32, 0.0)));
    let gateway = builder.bucket().start();
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 4);
}

#[test]
fn nothing_is_fetched_twice() {
    let mut gateway = one().start();
    let bytes = |gateway: &Gateway| gateway.metric("switchrail_bucket_fetched_bytes_total", &[]);
    let looks = |gateway: &Gateway| gateway.metric("switchrail_bucket_looks_total", &[("result", "ok")]);
    assert_eq!(bytes(&gateway), affine4(1.0, 0.0).len() as f64);
    let seen = looks(&gateway);
    wait_until("more looks", || looks(&gateway) > seen + 2.0);
    assert_eq!(bytes(&gateway), affine4(1.0, 0.0).len() as f64);
    gateway.stop();
    gateway.start_again();
    wait_until("looks after the restart", || looks(&gateway) > 1.0);
    assert_eq!(bytes(&gateway), 0.0);
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
}

#[test]
fn what_is_cached_serves_while_the_bucket_is_out_of_reach() {
    let mut gateway = one().start();
    gateway.stop();
    let root = gateway.repository().root().to_owned();
    let away = root.with_extension("away");
    fs::rename(&root, &away).unwrap();
    gateway.start_again();
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    gateway.wait_log("cannot look at the bucket");
    wait_until("several failures", || gateway.metric("switchrail_bucket_looks_total", &[("result", "failed")]) > 2.0);
    assert_eq!(gateway.log().matches("cannot look at the bucket").count(), 1, "told once");
    fs::rename(&away, &root).unwrap();
    gateway.repository().publish("m", 2, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    gateway.wait_log("the bucket can be looked at again");
}

#[test]
fn with_nothing_cached_a_bucket_out_of_reach_ends_the_start() {
    let builder = one();
    fs::remove_dir_all(builder.repository().root()).unwrap();
    let exit = builder.run_to_end();
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(exit.stderr.contains("nothing of it is cached"), "{}", exit.stderr);
}

#[test]
fn an_address_that_cannot_be_served_is_told_at_once() {
    let cases = [
        ("ftp://host/models", "use s3://bucket/prefix"),
        ("file://models", "no absolute folder"),
        ("s3://user:secret@bucket/p", "names no bucket"),
        ("gs://bucket/a/../b", "no clean path"),
    ];
    for (address, text) in cases {
        let exit = Gateway::builder().models_from(address).run_to_end();
        assert_eq!(exit.code, Some(2), "{address}: {exit:?}");
        assert!(exit.stderr.contains(text) && !exit.stderr.contains("secret"), "{address}: {}", exit.stderr);
    }
    let exit = switchrail_tests::run(&["serve", "--model-repository", "file:///nowhere"]);
    assert_eq!(exit.code, Some(2), "{exit:?}");
    assert!(exit.stderr.contains("--state-dir"), "{}", exit.stderr);
}

#[test]
fn a_version_that_is_still_uploaded_is_not_fetched() {
    let gateway = one().set("repository.settle_ms", "1000").start();
    let content = affine4(2.0, 0.0);
    let repository = gateway.repository();
    for n_bytes in (8..content.len()).step_by(content.len() / 8) {
        repository.half_copy("m", 2, &content, n_bytes).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(gateway.state("m", 2), "", "not even seen");
    }
    repository.finish_copy("m", 2, &content).unwrap();
    gateway.wait_state("m", 2, "ready");
}

#[test]
fn other_content_under_a_known_number_is_refused_and_the_old_serves_on() {
    let gateway = one().start();
    let digest = gateway.ask("m", 1.0).said("digest").unwrap().to_owned();
    gateway.repository().publish("m", 1, &affine4(9.0, 0.0)).unwrap();
    gateway.wait_history("m", "content_changed");
    let answer = gateway.ask("m", 1.0).ok();
    assert_eq!((answer.floats("y")[0], answer.said("digest")), (1.0, Some(digest.as_str())));
}

#[test]
fn a_link_in_the_bucket_is_refused_by_name() {
    let gateway = one().start();
    let repository = gateway.repository();
    let secret = repository.root().with_extension("secret");
    fs::write(&secret, affine4(6.0, 0.0)).unwrap();
    fs::create_dir(repository.version_folder("m", 6)).unwrap();
    std::os::unix::fs::symlink(&secret, repository.model_file("m", 6)).unwrap();
    gateway.wait_log("m/6/model.onnx");
    wait_until("the refusal to be counted", || gateway.metric("switchrail_bucket_refused", &[]) == 1.0);
    assert_eq!(gateway.state("m", 6), "");
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
}

#[test]
fn kills_while_versions_arrive_leave_a_view_that_serves() {
    let mut gateway = one().start();
    for round in 0..6_u64 {
        let version = round + 2;
        gateway.repository().publish("m", version, &affine4(version as f32, 0.0)).unwrap();
        std::thread::sleep(Duration::from_millis(23 * round));
        gateway.kill();
        gateway.start_again();
        assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
        gateway.wait_state("m", version, "ready");
        assert_eq!(gateway.infer(&pinned(version)).ok().floats("y")[0], version as f32);
    }
}
