//! Sessions that are not shared: the same answers, from one session for each thread.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use base_serving::engine::{Artifact, ArtifactFile, Engine, Placement, RunControl};
use base_types::{Data, DataType, Tensor};
use bytes::Bytes;
use engine_onnx::{OnnxEngine, Options};
use testkit::onnx::{Tag, self_identifying};

const N_THREADS: u32 = 4;

#[test]
fn threads_get_their_own_answers_from_sessions_of_their_own() {
    let engine = OnnxEngine::start(&Options { sessions_apart: 2, ..Options::default() }).unwrap();
    let model = ArtifactFile { path: "model.onnx".to_owned(), content: self_identifying(7).into() };
    let artifact = Artifact { model, external: Vec::new() };
    let shared = engine.load(&artifact).unwrap();
    let apart = engine.load_on(&artifact, Placement::default()).unwrap();
    assert_eq!(apart.signature(), shared.signature());
    assert!(apart.memory().arena_bytes >= 2 * shared.memory().arena_bytes.max(1), "there are two sessions");
    let ask = |id: u32| {
        let row: Vec<u8> = Tag::input(id).iter().flat_map(|v| v.to_le_bytes()).collect();
        let input = Tensor::new("x", DataType::Fp32, vec![1, 16], Data::Raw(Bytes::from(row))).unwrap();
        let outputs = apart.run(&[input], &[0], &RunControl::default()).unwrap();
        let Data::Raw(raw) = outputs[0].data() else { panic!("strings") };
        let floats: Vec<f32> = raw.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect();
        Tag::read(&floats)
    };
    std::thread::scope(|scope| {
        for thread in 0..N_THREADS {
            let ask = &ask;
            scope.spawn(move || {
                for id in thread * 10_000..thread * 10_000 + 1_000 {
                    assert_eq!(ask(id), Some(Tag { id, version: 7 }));
                }
            });
        }
    });
}
