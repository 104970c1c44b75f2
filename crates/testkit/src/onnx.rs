//! Writes real ONNX files: a graph builder, ready-made models, and the derivation of faulty versions.
//!
//! The files hold IR version 8 and opset 17 unless a model needs a newer operator, so that every runtime this
//! project supports reads them.

mod batch;
pub mod derive;
mod faulty;
mod graph;
mod models;
mod odd;
mod wire;

pub use batch::{one_row, per_row, summed};
pub use faulty::{failing_when, looping, nan_when, slow, wrong_shape_when};
pub use graph::{Attribute, ElementType, Graph, Init, OPSET, Shape};
pub use models::{
    ExternalModel, SELF_IDENTIFYING_WIDTH, Tag, affine4, affine4_named, external, identity, large, multi,
    self_identifying, shape_of,
};
pub use odd::{float8_input, sequence_output, strings, unshaped_output};
