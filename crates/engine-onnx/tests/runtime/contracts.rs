//! What the gateway cannot carry, or cannot read, is refused at load, with a reason.

use base_serving::engine::Engine;
use base_types::DataType;
use testkit::onnx::{Graph, Init, Shape, affine4, external, float8_input, large, sequence_output, unshaped_output};

use crate::support::{artifact, engine, load, run_fp32, try_load};

fn refusal(model: &[u8]) -> String {
    try_load(model).err().expect("the load is refused").to_string()
}

#[test]
fn what_no_protocol_carries_is_refused_by_name() {
    let check = |model: Vec<u8>, expected: &[&str]| {
        let message = refusal(&model);
        assert!(expected.iter().all(|part| message.contains(part)), "{message}");
    };
    check(sequence_output(), &["output \"y\"", "sequence"]);
    check(float8_input(), &["input \"x\"", "FLOAT8E4M3FN"]);
    check(unshaped_output(), &["output \"y\"", "no shape"]);
}

#[test]
fn garbage_is_refused() {
    let model = affine4(2.0, 1.0);
    refusal(b"");
    refusal(b"not a model at all");
    refusal(&[0; 4096]);
    refusal(&[0xff; 4096]);
    refusal(b"\x08\0\0\0ORTM with nothing behind it");
    for cut in 0..model.len() {
        // A cut between two fields may leave a readable file, but never one with this graph in it.
        if let Ok(runner) = try_load(&model[..cut]) {
            panic!("cut at {cut} of {}: {:?}", model.len(), runner.signature());
        }
    }
}

#[test]
fn a_large_model_cut_short_is_refused() {
    let model = large(2_000_000, 3);
    for part in [1, 2, 3, 9] {
        refusal(&model[..model.len() * part / 10]);
    }
}

#[test]
fn flipped_bytes_never_crash() {
    let model = affine4(2.0, 1.0);
    for index in 0..model.len() {
        let mut damaged = model.clone();
        damaged[index] ^= 0x55;
        if let Ok(runner) = try_load(&damaged) {
            // Names, constants and declarations may be hit and still make a model; running it must be safe too.
            let _ = run_fp32(&*runner, &[1, 4], &[1.0; 4]);
        }
    }
    assert!(run_fp32(&*load(&model), &[1, 4], &[1.0; 4]).is_ok(), "the runtime is still well");
}

#[test]
fn external_data_is_never_looked_for_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    let small = external("weights.bin", 3.0, 0.5);
    // No optimiser of the runtime looks into these weights, so they are read at the very last.
    let weights = vec![0; 64 * 4 * size_of::<f32>()];
    let model = |location: &str| {
        Graph::new("large")
            .input("x", DataType::Fp32, Shape::Dims(&[-1, 64]))
            .output("y", DataType::Fp32, Shape::Dims(&[-1, 4]))
            .init("w", &[64, 4], Init::External { location, offset: 0, length: weights.len() })
            .node("MatMul", "x w", "y", &[])
            .model()
    };
    let large = model("large.bin");
    std::fs::write("weights.bin", &small.data).unwrap();
    std::fs::write("large.bin", &weights).unwrap();
    refusal(&small.model);
    let absolute = folder.path().join("large.bin");
    // The last is the runtime's own mark for an address in memory, which no file may use.
    for location in ["large.bin", "./large.bin", "../large.bin", &absolute.to_string_lossy(), "*/_ORT_MEM_ADDR_/*"] {
        refusal(&model(location));
    }
    let other = artifact(&large, &[("other.bin", &weights)]);
    assert!(engine().load(&other).is_err());
    assert!(engine().load(&artifact(&large, &[("large.bin", &weights)])).is_ok());
    assert!(engine().load(&artifact(&large, &[("large.bin", &weights[1..])])).is_err(), "one byte short");
}
