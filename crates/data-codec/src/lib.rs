//! Bytes to tensors and back, without IO: the caller brings a whole body and gets values, or an error that says
//! which input is wrong and where.
//!
//! Reading order: `infer` (a request of the Open Inference Protocol v2 in JSON), `answer` (outputs as JSON),
//! `document` (metadata, health and error bodies), `limits`, `error`. Element data is parsed straight into
//! little-endian bytes of its data type; nothing builds a tree of values, and nothing is allocated because a
//! caller merely announced it.

mod answer;
mod document;
mod elements;
mod error;
mod infer;
mod input;
mod limits;
mod parameters;
mod request;
mod skip;

pub use answer::{AnswerHead, encode_answer};
pub use document::{error_body, live, model_list, model_metadata, model_ready, ready, server_metadata};
pub use error::{DecodeError, EncodeError, Mistake, Problem};
pub use infer::{DecodedInfer, RequestedOutput, decode_infer};
pub use limits::CodecLimits;
pub use parameters::{Parameter, Parameters};
