//! A version whose graph has other names and one dimension less than its callers know.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::borrow::Cow;
use std::sync::Mutex;
use std::time::Instant;

use base_metrics::Metrics;
use base_routing::{Facts, ModelRoute, Source, Split};
use base_serving::lane::{Job, JobError, Submission};
use base_serving::{ModelLimits, OutcomeLedger, Snapshot, SnapshotCell};
use base_types::{Data, DataType, FaultKind, Generation, ModelName, Protocol, Reason, Signature, SystemClock, Version};
use bytes::Bytes;
use testkit::fake::{FakeLane, NoJudge, report, serving_model, serving_version};

use super::*;
use crate::{Answer, Gateway, InferRequest};

struct NoFacts;

impl Facts for NoFacts {
    fn value(&self, _: &Source) -> Option<Cow<'_, str>> {
        None
    }
}

fn spec(name: &str, dims: &[i64]) -> TensorSpec {
    let dims = dims.iter().map(|d| usize::try_from(*d).ok()).collect();
    TensorSpec { name: name.to_owned(), datatype: DataType::Fp32, dims }
}

fn tensor(name: &str, shape: &[usize]) -> Tensor {
    let n_bytes = 4 * shape.iter().product::<usize>();
    Tensor::new(name, DataType::Fp32, shape.to_vec(), Data::Raw(Bytes::from(vec![7; n_bytes]))).unwrap()
}

/// The shapes that each lane saw.
type Shapes = Arc<Mutex<Vec<(u64, Vec<usize>)>>>;

/// Stable says `x [-1,1] -> y [-1,1]`; version 2, which takes everything, says `in [-1] -> out [-1]`.
fn gateway(is_faulty: bool) -> (Gateway, Shapes) {
    let model = ModelName::new("m").unwrap();
    let metrics = Metrics::new("0", "0").unwrap();
    let (one, two) = (Version::new(1).unwrap(), Version::new(2).unwrap());
    let contract = Signature { inputs: vec![spec("x", &[-1, 1])], outputs: vec![spec("y", &[-1, 1])] };
    let graph = Signature { inputs: vec![spec("in", &[-1])], outputs: vec![spec("out", &[-1])] };
    let shapes = Shapes::default();
    let serving = |version: Version, signature: &Signature, is_faulty: bool| {
        let (shapes, output) = (shapes.clone(), signature.outputs[0].name.clone());
        let lane = FakeLane::new(move |job: Job| {
            let shape = job.inputs[0].shape().to_vec();
            shapes.lock().unwrap().push((version.get(), shape.clone()));
            Submission::Finished(report(match is_faulty {
                true => Err(JobError::Fault(FaultKind::Run, "secret".into())),
                false => Ok(vec![tensor(&output, &shape)]),
            }))
        });
        (version, serving_version(&metrics, (&model, version), signature.clone(), Arc::new(lane)))
    };
    let mut route = ModelRoute::to_one(model.clone(), one);
    route.split = Split::new([("1".into(), one, 0.0), ("2".into(), two, 1.0)]).unwrap();
    let entry = ServingModel {
        route: Some(route),
        versions: [serving(one, &contract, false), serving(two, &graph, is_faulty)].into(),
        contracts: [(two, Arc::new(contract))].into(),
        ..serving_model(&model, ModelLimits::default())
    };
    let models = [(model, Arc::new(entry))].into();
    let cell = Arc::new(SnapshotCell::new(Snapshot { generation: Generation(7), models }));
    let ledger = Arc::new(OutcomeLedger::new(Arc::new(NoJudge), Instant::now()));
    (Gateway::new(cell, ledger, metrics, Arc::new(SystemClock)), shapes)
}

async fn ask(gateway: &Gateway, inputs: Vec<Tensor>, outputs: &[&str]) -> Result<Answer, Failure> {
    let request = InferRequest {
        protocol: Protocol::OipRest,
        model: "m".into(),
        pin: None,
        inputs,
        outputs: outputs.iter().map(ToString::to_string).collect(),
        uncarried: Uncarried::default(),
        timeout: None,
    };
    gateway.infer(request, &NoFacts).await
}

#[tokio::test]
async fn names_and_shapes_are_the_contracts_outside_and_the_graphs_inside() {
    let (gateway, shapes) = gateway(false);
    let answer = ask(&gateway, vec![tensor("x", &[3, 1])], &["y"]).await.unwrap();
    assert_eq!(*shapes.lock().unwrap(), [(2, vec![3])]);
    assert_eq!((answer.outputs[0].name(), answer.outputs[0].shape()), ("y", [3, 1].as_slice()));
    for (inputs, outputs) in [
        (vec![tensor("in", &[3])], vec![]),
        (vec![tensor("x", &[3])], vec![]),
        (vec![tensor("x", &[3, 1])], vec!["out"]),
    ] {
        assert!(ask(&gateway, inputs, &outputs).await.is_err());
    }
}

#[tokio::test]
async fn stable_gets_the_input_as_it_was_sent() {
    let (gateway, shapes) = gateway(true);
    let answer = ask(&gateway, vec![tensor("x", &[3, 1])], &[]).await.unwrap();
    assert_eq!(*shapes.lock().unwrap(), [(2, vec![3]), (1, vec![3, 1])]);
    assert_eq!((answer.reason, answer.outputs[0].name()), (Reason::Fallback, "y"));
    assert_eq!(answer.outputs[0].shape(), [3, 1]);
}
