//! Providers other than the CPU are there, or the load says which ones are.

use base_serving::Provider;
use base_serving::engine::{Engine, Placement};
use testkit::onnx::affine4;

use crate::support::{artifact, engine, run_fp32};

#[test]
fn a_provider_that_the_library_has_not_is_named_and_nothing_else_takes_its_place() {
    let artifact = artifact(&affine4(2.0, 0.0), &[]);
    for (provider, runtime_name) in [
        (Provider::Cuda, "CUDAExecutionProvider"),
        (Provider::TensorRt, "TensorrtExecutionProvider"),
        (Provider::OpenVino, "OpenVINOExecutionProvider"),
    ] {
        let placement = Placement { provider, n_sessions: 2 };
        let Err(error) = engine().load_on(&artifact, placement) else { panic!("{provider} is there after all") };
        let text = error.to_string();
        assert!(text.contains(&format!("provider {provider} ({runtime_name})")), "{text}");
        assert!(text.contains("which has cpu"), "{text}");
    }
    let runner = engine().load_on(&artifact, Placement::default()).unwrap();
    assert_eq!(run_fp32(&*runner, &[1, 4], &[1.0; 4]).unwrap(), [2.0; 4]);
}
