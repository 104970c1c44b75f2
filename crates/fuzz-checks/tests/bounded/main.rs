//! The checks on stable, for a few seconds: every file of the corpora as it is, then changed at random. The numbers are
//! drawn from a fixed seed, so that a failure comes again. `SWITCHRAIL_FUZZ_RUNS` asks for another number of changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]

mod alloc;
mod large;
mod mutate;

use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use alloc::Counting;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use fuzz_checks::Check;
use mutate::Mutator;

/// Changes tried for each check.
const RUNS: usize = 30_000;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(folder).expect("a corpus").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "the corpus of {name} is there");
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn find(name: &str) -> Check<Counting> {
    fuzz_checks::all::<Counting>().into_iter().find(|(n, _)| *n == name).expect("a check").1
}

fn run(name: &str) {
    let check = find(name);
    let seeds = corpus(name);
    let n_runs = std::env::var("SWITCHRAIL_FUZZ_RUNS").map_or(RUNS, |runs| runs.parse().expect("a number"));
    let mut mutator = Mutator::new(0x5eed, &seeds);
    for run in 0..seeds.len() + n_runs {
        let bytes = seeds.get(run).cloned().unwrap_or_else(|| mutator.next());
        if catch_unwind(AssertUnwindSafe(|| check(&bytes, &Counting))).is_err() {
            panic!("run {run} of {name} fails with b\"{}\"", bytes.escape_ascii());
        }
    }
}

#[test]
fn json_of_any_kind_is_read_or_refused_in_bounded_memory() {
    let _alone = Counting::alone();
    run("json_infer");
}

#[test]
fn binary_tensors_of_any_kind_are_read_or_refused_in_bounded_memory() {
    let _alone = Counting::alone();
    run("binary_infer");
}

#[test]
fn packed_bodies_of_any_kind_are_unpacked_or_refused_in_bounded_memory() {
    let _alone = Counting::alone();
    run("decompress");
}

#[test]
fn messages_of_inference_of_any_kind_are_read_or_refused_in_bounded_memory() {
    let _alone = Counting::alone();
    run("grpc_infer");
}

#[test]
fn messages_of_prediction_of_any_kind_are_read_or_refused_in_bounded_memory() {
    let _alone = Counting::alone();
    run("grpc_predict");
}

#[test]
fn shapes_of_any_size_are_computed_or_refused() {
    let _alone = Counting::alone();
    run("shape");
}

#[test]
fn rows_and_columns_of_any_kind_are_read_or_refused_in_bounded_memory() {
    let _alone = Counting::alone();
    run("tfs_json");
}

#[test]
fn large_bodies_of_rows_and_columns_stay_in_bounds() {
    let _alone = Counting::alone();
    let list = |item: &str, n: usize| format!("[{}]", vec![item; n].join(","));
    let (numbers, texts) = (list("1", 300_000), list("\"\"", 65_536));
    let rows = list(&list("1", 40_000), 7);
    for (pick, body) in [
        (12, format!("{{\"inputs\":{numbers}}}")),
        (12, format!("{{\"inputs\":{rows}}}")),
        (12, format!("{{\"instances\":{}}}", list("[1]", 100_000))),
        (13, format!("{{\"inputs\":{texts}}}")),
        (13, format!("{{\"inputs\":{}}}", list("[\"\"]", 65_536))),
        (14, format!("{{\"inputs\":{{\"x\":{numbers},\"y_bytes\":{texts}}}}}")),
        (14, format!("{{\"instances\":[{{\"y_bytes\":{texts},\"x\":{numbers}}}]}}")),
        (15, format!("{{\"instances\":{}}}", list("{\"x\":1,\"y\":2}", 100_000))),
        (15, format!("{{\"examples\":{},\"context\":{{\"x\":[1,2],\"y\":1}}}}", list("{}", 100_000))),
    ] {
        fuzz_checks::tfs_json(&[&[pick], body.as_bytes()].concat(), &Counting);
    }
}

fn run_large(name: &str, cases: Vec<(&str, Vec<u8>)>) {
    let check = find(name);
    for (what, bytes) in cases {
        let result = catch_unwind(AssertUnwindSafe(|| check(&bytes, &Counting)));
        assert!(result.is_ok(), "{what}: {} bytes", bytes.len());
    }
}

#[test]
fn large_bodies_made_to_cost_memory_cost_no_more_than_others() {
    let _alone = Counting::alone();
    run_large("json_infer", large::json());
    run_large("binary_infer", large::binary());
    run_large("decompress", large::packed(pack));
}

fn pack(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let packed = if kind == 0 {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).and_then(|()| encoder.finish())
    } else {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).and_then(|()| encoder.finish())
    };
    [&[kind][..], &packed.unwrap()].concat()
}

#[test]
fn every_check_has_a_test_a_target_and_a_corpus() {
    let _alone = Counting::alone();
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let source = include_str!("main.rs");
    for (name, _) in fuzz_checks::all::<Counting>() {
        assert!(source.contains(&format!("run(\"{name}\");")), "{name} has no test");
        let target = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("fuzz_checks::{name}(")), "{name} has no target");
        assert!(fs::read_to_string(fuzz.join("Cargo.toml")).unwrap().contains(&format!("name = \"{name}\"")));
        assert!(!corpus(name).is_empty());
    }
}

#[test]
fn the_meter_sees_what_is_allocated_at_the_same_time() {
    use fuzz_checks::Meter;
    let _alone = Counting::alone();
    let one_after_the_other = || (0..4).for_each(|_| drop(std::hint::black_box(vec![1u8; 100_000])));
    let ((), peak) = Counting.peak(one_after_the_other);
    assert!((100_000..110_000).contains(&peak.unwrap()), "{peak:?}");
    let (_, peak) = Counting.peak(|| std::hint::black_box([vec![1u8; 100_000], vec![2; 100_000]]));
    assert!((200_000..210_000).contains(&peak.unwrap()), "{peak:?}");
}
