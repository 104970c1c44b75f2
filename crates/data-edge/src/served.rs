//! Who answered, in header fields; on gRPC they are metadata of the same names. And who the server is.

use base_serving::PredictionId;
use base_types::Reason;
use data_path::Served;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

/// The server's name in its metadata.
pub const SERVER: &str = "switchrail";
/// Extensions of the protocol, as Triton names them. Only what is true; without priorities there is no
/// `schedule_policy`.
pub const EXTENSIONS: [&str; 8] = [
    "classification",
    "model_repository",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "trace",
    "logging",
];

/// The number of the version that was asked.
static VERSION: HeaderName = HeaderName::from_static("switchrail-version");
/// The first digits of its digest.
static DIGEST: HeaderName = HeaderName::from_static("switchrail-digest");
/// The generation of the routing that chose it.
static GENERATION: HeaderName = HeaderName::from_static("switchrail-generation");
/// Why it was chosen.
static REASON: HeaderName = HeaderName::from_static("switchrail-reason");
/// What feedback on an answer comes back by.
static PREDICTION_ID: HeaderName = HeaderName::from_static("switchrail-prediction-id");

/// Says in headers which version was asked and why.
pub fn name_version(headers: &mut HeaderMap, served: &Served, reason: Option<Reason>) {
    headers.insert(&VERSION, HeaderValue::from(served.version.id.version.get()));
    if let Ok(digest) = HeaderValue::from_str(&served.version.digest_short) {
        headers.insert(&DIGEST, digest);
    }
    headers.insert(&GENERATION, HeaderValue::from(served.generation.0));
    if let Some(reason) = reason {
        headers.insert(&REASON, HeaderValue::from_static(reason.as_str()));
    }
}

/// Says in a header what feedback on a good answer comes back by.
pub fn name_prediction(headers: &mut HeaderMap, id: &PredictionId) {
    if let Ok(id) = HeaderValue::from_bytes(id.as_bytes()) {
        headers.insert(&PREDICTION_ID, id);
    }
}
