//! Bytes to tensors and back, without IO: the caller brings a whole body and gets values, or an error that says
//! which input is wrong and where.
//!
//! Reading order: `infer` (a request of the Open Inference Protocol v2 in JSON), `binary` (tensors behind the JSON),
//! `answer` (outputs as JSON and in binary), `classify` (their largest values), `document` (metadata, configuration, statistics, settings, health and error bodies), `tfs` (the JSON of
//! TensorFlow Serving), `limits`, `error`. Element data is parsed straight into
//! little-endian bytes of its data type; nothing builds a tree of values, and nothing is allocated because a
//! caller merely announced it.

mod answer;
mod binary;
mod classify;
pub mod document;
mod elements;
mod error;
mod infer;
mod input;
mod lenient;
mod limits;
mod outline;
mod parameters;
mod request;
mod skip;
pub mod tfs;

pub use answer::{AnswerHead, EncodedAnswer, Form, encode_answer};
pub use binary::{decode_raw, read_strings, tensor_bytes, write_strings};
pub use classify::{CLASSES_MAX, ClassifyError, classify};
pub use document::{alive, error_body, live, model_list, model_metadata, model_ready, ready, server_metadata};
pub use error::{BinaryFlaw, DecodeError, EncodeError, Mistake, Problem};
pub use infer::{DecodedInfer, RequestedOutput, decode_infer};
pub use limits::CodecLimits;
pub use parameters::{Parameter, Parameters};
