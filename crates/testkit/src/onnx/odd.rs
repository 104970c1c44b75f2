//! Models of unusual contracts: strings, and what the gateway refuses to load.

use base_types::DataType;

use super::graph::{Attribute, ElementType, Graph, Shape};
use super::models::identity;

/// `x` BYTES to `y` BYTES, unchanged, with any two dimensions.
pub fn strings() -> Vec<u8> {
    identity(DataType::Bytes)
}

/// `x` FP32 `[batch,4]` to `y`, a sequence of tensors, which the gateway cannot carry.
pub fn sequence_output() -> Vec<u8> {
    Graph::new("sequence")
        .input("x", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .sequence_output("y", DataType::Fp32)
        .node("SequenceConstruct", "x", "y", &[])
        .model()
}

/// `x` FLOAT8E4M3FN `[batch,4]`, which the gateway cannot carry, to `y` FP32 `[batch,4]`.
pub fn float8_input() -> Vec<u8> {
    const FLOAT8_E4M3FN: ElementType = ElementType(17);
    Graph::new("float8")
        .input("x", FLOAT8_E4M3FN, Shape::Dims(&[-1, 4]))
        .output("y", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .node("Cast", "x", "y", &[("to", Attribute::Int(1))])
        .model_with(9, 19)
}

/// `x` FP32 and `shape` INT64 to `y`, whose rank nobody knows before the run.
pub fn unshaped_output() -> Vec<u8> {
    Graph::new("unshaped")
        .input("x", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .input("shape", DataType::Int64, Shape::Dims(&[-1]))
        .output("y", DataType::Fp32, Shape::Unknown)
        .node("Reshape", "x shape", "y", &[])
        .model()
}
