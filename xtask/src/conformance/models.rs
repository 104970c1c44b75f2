//! The models that the clients ask, and how their traffic is routed.

use std::io;
use std::path::Path;

use base_types::DataType;
use testkit::onnx::{Graph, Init, Shape, affine4, identity, looping, multi};
use testkit::repository::Repository;

/// Every type has a model that answers its input unchanged.
const TYPES: [DataType; 14] = [
    DataType::Bool,
    DataType::Uint8,
    DataType::Uint16,
    DataType::Uint32,
    DataType::Uint64,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::Fp16,
    DataType::Fp32,
    DataType::Fp64,
    DataType::Bf16,
    DataType::Bytes,
];

/// The matrices of `looping`: a round of its loop takes about a millisecond.
const LOOP_WIDTH: usize = 256;

/// routing.toml: version 2 of `affine` serves, `old` names version 1, and one tenant stays there.
pub const ROUTING: &str = "\
[models.affine]
stable = 2
labels = { old = 1 }

[[models.affine.rules]]
name = \"acme stays on 1\"
when = { header = \"x-tenant\", equals = \"acme\" }
use = 1

[models.identity_fp32]
allow_non_finite = [\"y\"]
";

const BATCH: &str = "\
name: \"batch\"
platform: \"onnxruntime_onnx\"
max_batch_size: 8
input [ { name: \"x\" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: \"y\" data_type: TYPE_FP32 dims: [ 4 ] } ]
";

/// Writes the repository.
pub fn write(root: &Path) -> io::Result<()> {
    let repository = Repository::new(root)?;
    let publish = |model: &str, version, content: &[u8]| repository.publish(model, version, content).map(drop);
    publish("affine", 1, &affine4(2.0, 1.0))?;
    publish("affine", 2, &affine4(3.0, -1.0))?;
    publish("loose", 1, &affine4(1.0, 0.0))?;
    publish("multi", 1, &multi())?;
    publish("batch", 1, &affine4(1.0, 1.0))?;
    repository.config("batch", BATCH)?;
    publish("looping", 1, &looping(LOOP_WIDTH, 1.0, 0.0))?;
    publish("regressor", 1, &regressor())?;
    publish("blobs", 1, &blobs())?;
    for datatype in TYPES {
        let name = format!("identity_{}", datatype.as_str().to_lowercase());
        publish(&name, 1, &identity(datatype))?;
    }
    Ok(())
}

/// `x` FP32 `[batch,4]` to `y` FP32 `[batch,1]`, their sum.
fn regressor() -> Vec<u8> {
    Graph::new("regressor")
        .input("x", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .output("y", DataType::Fp32, Shape::Dims(&[-1, 1]))
        .init("ones", &[4, 1], Init::Floats(&[1.0; 4]))
        .node("MatMul", "x ones", "y", &[])
        .model()
}

/// `x` BYTES to `y_bytes` BYTES, unchanged: by its name TensorFlow Serving's REST answers it in base64.
fn blobs() -> Vec<u8> {
    Graph::new("blobs")
        .input("x", DataType::Bytes, Shape::Dims(&[-1, -1]))
        .output("y_bytes", DataType::Bytes, Shape::Dims(&[-1, -1]))
        .node("Identity", "x", "y_bytes", &[])
        .model()
}
