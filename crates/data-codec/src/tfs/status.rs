//! The states of a model's versions in the words of TensorFlow Serving, in one object that clients of KServe's first
//! protocol read as well.

use base_types::VersionState;
use serde::Serialize;

/// What is told of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStatus {
    /// Its number.
    pub version: u64,
    /// Its state.
    pub state: VersionState,
    /// Why it may not answer, if there is more to say.
    pub reason: String,
}

/// The state's name on this wire.
pub fn state_name(state: VersionState) -> &'static str {
    match state {
        VersionState::Registered | VersionState::Gating => "START",
        VersionState::Loading => "LOADING",
        VersionState::Ready => "AVAILABLE",
        VersionState::Draining => "UNLOADING",
        VersionState::Unloaded | VersionState::Failed | VersionState::Quarantined => "END",
    }
}

/// The name of the error a state stands for, and its number on the wire of gRPC. `OK` where all went as it should.
pub fn state_error(state: VersionState) -> (&'static str, i32) {
    match state {
        VersionState::Failed => ("INTERNAL", 13),
        VersionState::Quarantined => ("FAILED_PRECONDITION", 9),
        _ => ("OK", 0),
    }
}

/// The status of versions, in the order given. `is_ready` says whether the model answers those who name no version.
pub fn model_status(model: &str, is_ready: bool, versions: &[VersionStatus]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Document<'a> {
        model_version_status: Vec<Entry<'a>>,
        name: &'a str,
        ready: bool,
    }
    let model_version_status = versions.iter().map(Entry::from).collect();
    // Structs of text and numbers always have a JSON form.
    serde_json::to_vec(&Document { model_version_status, name: model, ready: is_ready }).unwrap_or_default()
}

#[derive(Serialize)]
struct Entry<'a> {
    version: String,
    state: &'static str,
    status: Status<'a>,
}

#[derive(Serialize)]
struct Status<'a> {
    error_code: &'static str,
    error_message: &'a str,
}

impl<'a> From<&'a VersionStatus> for Entry<'a> {
    fn from(found: &'a VersionStatus) -> Self {
        let (error_code, _) = state_error(found.state);
        // Where all is well there is nothing to say, and where it is not there is always something.
        let error_message = match found.reason.as_str() {
            _ if error_code == "OK" => "",
            "" => found.state.as_str(),
            reason => reason,
        };
        Self {
            version: found.version.to_string(),
            state: state_name(found.state),
            status: Status { error_code, error_message },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_status_serves_both_kinds_of_clients() {
        let status = |version, state, reason: &str| VersionStatus { version, state, reason: reason.to_owned() };
        let versions = [
            status(3, VersionState::Quarantined, ""),
            status(2, VersionState::Failed, "no \"ONNX\""),
            status(1, VersionState::Ready, ""),
        ];
        let document: Value = serde_json::from_slice(&model_status("m", true, &versions)).unwrap();
        let entry = |version: &str, state: &str, code: &str, text: &str| json!({ "version": version, "state": state, "status": { "error_code": code, "error_message": text } });
        let expected = json!({
            "model_version_status": [
                entry("3", "END", "FAILED_PRECONDITION", "quarantined"),
                entry("2", "END", "INTERNAL", "no \"ONNX\""),
                entry("1", "AVAILABLE", "OK", ""),
            ],
            "name": "m",
            "ready": true,
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn only_what_answers_is_available() {
        for state in VersionState::ALL {
            assert_eq!(state_name(state) == "AVAILABLE", state == VersionState::Ready, "{state:?}");
        }
    }
}
