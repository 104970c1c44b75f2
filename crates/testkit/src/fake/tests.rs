#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base_serving::engine::ArtifactFile;

use super::*;

fn artifact(content: &[u8]) -> Artifact {
    Artifact { model: ArtifactFile { path: "model.onnx".into(), content: content.into() }, external: Vec::new() }
}

#[test]
fn the_script_decides_what_loads() {
    let engine = FakeEngine::new(|artifact| match &*artifact.model.content {
        b"good" => Ok(FakeRunner::affine4(2.0, 1.0)),
        _ => Err(LoadError("not good".into())),
    });
    assert!(engine.load(&artifact(b"bad")).is_err());
    let runner = engine.load(&artifact(b"good")).unwrap();
    let x = fp32("x", &[1, 4], &[0.0, 1.0, 2.0, 3.0]).unwrap();
    let y = runner.run(&[x], &[0], &RunControl::default()).unwrap();
    assert_eq!(floats(&y[0]), [1.0, 3.0, 5.0, 7.0]);
    assert_eq!(engine.n_loads(), 2);
}

#[test]
fn terminating_ends_the_wait() {
    let runner = FakeRunner::affine4(1.0, 0.0).with_delay(Duration::from_secs(60));
    let runs = runner.counter();
    let control = RunControl::default();
    let x = fp32("x", &[0, 4], &[]).unwrap();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| runner.run(std::slice::from_ref(&x), &[0], &control));
        while runs.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        control.terminate();
        assert_eq!(run.join().unwrap(), Err(RunError::Terminated));
    });
    assert_eq!(runner.run(&[x], &[0], &control), Err(RunError::Terminated), "a terminated run does not begin");
    assert_eq!(runs.load(Ordering::Acquire), 1);
}
