//! TensorFlow Serving's REST API: predict, classify and regress in JSON, and what it tells about models.
//!
//! Unlike the Open Inference Protocol this one announces neither shapes nor types: types come from the model's
//! signature, shapes from the nesting of arrays.
//!
//! Reading order: `signature` (the one signature of a model, which gRPC shares), `status`, `predict` and `examples`
//! (the two kinds of requests), `column` (one input under way), `element`, `scan`, `flaw`; `answer` and `results`
//! (the two kinds of answers), `write`.

mod answer;
mod column;
mod element;
mod examples;
mod flaw;
mod predict;
mod results;
mod scan;
mod signature;
mod status;
mod write;

pub use answer::encode_predictions;
pub use examples::decode_examples;
pub use predict::{Arrangement, DecodedPredict, decode_predict};
pub use results::{Method, check_results, encode_results};
pub use signature::{METHOD_NAME, SIGNATURE_NAME, TensorFlowType, datatype_of, metadata, tensorflow_type};
pub use status::{VersionStatus, model_status, state_error, state_name};

#[cfg(test)]
mod tests;
