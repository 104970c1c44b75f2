//! Messages of gRPC that carry tensors, without their frames.

use base_types::Tensor;
use bytes::Bytes;
use data_codec::{CodecLimits, DecodeError};
use data_grpc::{decode_infer_request, decode_predict_request};

use crate::{Meter, check_peak};

/// The bytes are a `ModelInferRequest`.
pub fn grpc_infer<M: Meter>(bytes: &[u8], meter: &M) {
    let message = Bytes::copy_from_slice(bytes);
    let (result, peak) = meter.peak(|| decode_infer_request(message.clone(), &CodecLimits::default()));
    check_peak(peak, message.len());
    check(result.map(|read| read.request.inputs));
}

/// The bytes are a `PredictRequest` of TensorFlow Serving.
pub fn grpc_predict<M: Meter>(bytes: &[u8], meter: &M) {
    let message = Bytes::copy_from_slice(bytes);
    let (result, peak) = meter.peak(|| decode_predict_request(message.clone(), &CodecLimits::default()));
    check_peak(peak, message.len());
    check(result.map(|read| read.inputs));
}

/// Errors are short and say something; names are unique and bounds are kept.
fn check(result: Result<Vec<Tensor>, DecodeError>) {
    let limits = CodecLimits::default();
    match result {
        Ok(inputs) => {
            assert!(inputs.len() <= limits.tensors);
            for (index, input) in inputs.iter().enumerate() {
                assert!(input.shape().len() <= limits.rank && input.element_count() <= limits.elements);
                assert!(inputs[..index].iter().all(|other| other.name() != input.name()), "{}", input.name());
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 8 * 1024, "{} bytes of error", text.len());
        }
    }
}
