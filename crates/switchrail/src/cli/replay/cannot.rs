//! Why a request cannot be run again.

use std::path::Path;

use base_serving::{Known, PredictionKey};
use base_types::{ModelName, Version};
use control_admin::time::rfc3339;
use control_registry::captures::{Captures, CapturesError, Held};
use thiserror::Error;

use crate::records;

/// Why a captured request cannot be run again.
#[derive(Debug, Error)]
pub(in crate::cli) enum Cannot {
    /// Nothing was captured, or it cannot be read.
    #[error(transparent)]
    Captures(#[from] CapturesError),
    /// The id was given out for an answer whose capture would be gone.
    #[error(
        "the answer was given at {} by {model} version {version}, and the captures kept go back to {} only: [record] in \
         gateway.toml says how much is kept", rfc3339(*.at_unix_ms), rfc3339(*.oldest_unix_ms)
    )]
    Expired {
        /// The model.
        model: ModelName,
        /// The version that answered.
        version: Version,
        /// When.
        at_unix_ms: u64,
        /// The oldest capture.
        oldest_unix_ms: u64,
    },
    /// The id was given out for an answer that was not captured.
    #[error(
        "the answer was given at {} by {model} version {version} and was not captured: a share of the requests is, which \
         [models.{model}.capture] in routing.toml sets", rfc3339(*.at_unix_ms)
    )]
    NotDrawn {
        /// The model.
        model: ModelName,
        /// The version that answered.
        version: Version,
        /// When.
        at_unix_ms: u64,
    },
    /// Nobody here gave out the id.
    #[error(
        "no capture has this id, and no model with captures here gave it out (there are captures of: {}). Is it the \
         header switchrail-prediction-id of an answer, and this the state directory of the gateway that gave it?",
        if .0.is_empty() { "none" } else { .0 }
    )]
    Unknown(String),
    /// Its inputs, or all its outputs, were left out.
    #[error("the values of {} were left out when it was captured ([models.NAME.capture] redact)", .0.join(", "))]
    Redacted(Vec<String>),
    /// The version is not there.
    #[error("version {version} of {model} is not {place}: {reason}")]
    VersionGone {
        /// The model.
        model: ModelName,
        /// The version.
        version: Version,
        /// Where it was looked for.
        place: String,
        /// What was found instead.
        reason: String,
    },
    /// Under the number is something else now.
    #[error(
        "version {version} is not the content that answered: its digest was {was}, and is {is}. Bring the old content \
         back, or compare with another version by --version"
    )]
    OtherContent {
        /// The version.
        version: Version,
        /// The digest in the capture.
        was: String,
        /// The digest now.
        is: String,
    },
    /// The version does not take these inputs, or has no such outputs.
    #[error("version {version} does not take this request: {reason}")]
    Misfit {
        /// The version.
        version: Version,
        /// Why.
        reason: String,
    },
    /// The version, or the runtime, could not answer.
    #[error("version {version} does not answer: {reason}")]
    Failed {
        /// The version.
        version: Version,
        /// Why.
        reason: String,
    },
    /// Nobody listens.
    #[error(
        "cannot reach a gateway at {address}: {reason}. Name its data listener with --http HOST:PORT, or run it here \
         with --model-repository DIR or --store DIR"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// There is no runtime to run it with.
    #[error("there is no ONNX Runtime to run it with")]
    Runtime(#[from] engine_onnx::RuntimeError),
}

impl Cannot {
    /// A word for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Captures(_) => "no_captures",
            Self::Expired { .. } => "expired",
            Self::NotDrawn { .. } => "not_captured",
            Self::Unknown(_) => "unknown_id",
            Self::Redacted(_) => "redacted",
            Self::VersionGone { .. } => "version_gone",
            Self::OtherContent { .. } => "other_content",
            Self::Misfit { .. } => "misfit",
            Self::Failed { .. } => "failed",
            Self::Unreachable { .. } => "unreachable",
            Self::Runtime(_) => "no_runtime",
        }
    }
}

/// Why there is no capture of an id: the id itself says who answered and when.
pub(super) fn not_found(state_dir: &Path, captures: &Captures, id: &str) -> Cannot {
    match (captures.held(), records::known_key(state_dir)) {
        (Ok(held), Some(key)) => explained(&held, &key, id),
        (Ok(held), None) => Cannot::Unknown(held.models.join(", ")),
        (Err(error), _) => error.into(),
    }
}

fn explained(held: &Held, key: &PredictionKey, id: &str) -> Cannot {
    let models = held.models.iter().filter_map(|name| ModelName::new(name).ok());
    let given_out = models.into_iter().find_map(|model| Some((key.read(&model, id)?, model)));
    let Some((Known { prediction, .. }, model)) = given_out else { return Cannot::Unknown(held.models.join(", ")) };
    let (version, at_unix_ms) = (prediction.version, prediction.unix_ms);
    match held.oldest_unix_ms {
        Some(oldest_unix_ms) if at_unix_ms < oldest_unix_ms => {
            Cannot::Expired { model, version, at_unix_ms, oldest_unix_ms }
        }
        _ => Cannot::NotDrawn { model, version, at_unix_ms },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_serving::Prediction;

    use super::*;

    #[test]
    fn an_id_without_a_capture_says_why_itself() {
        let (key, model) = (PredictionKey::new([3; 16]), ModelName::new("m").unwrap());
        let version = Version::new(4).unwrap();
        let id = |unix_ms| {
            let prediction =
                Prediction { version, is_random: true, experiment: None, share: 0.0, unix_ms, sequence: 1 };
            key.sign(&model, &prediction).as_str().to_owned()
        };
        let held = Held {
            n_captures: 2,
            models: vec!["a".to_owned(), "m".to_owned()],
            oldest_unix_ms: Some(2_000_000_000_000),
        };
        let code = |key: &PredictionKey, id: &str| explained(&held, key, id).code();
        assert_eq!(code(&key, &id(1_999_999_999_999)), "expired");
        assert_eq!(code(&key, &id(2_000_000_000_000)), "not_captured");
        assert_eq!(code(&PredictionKey::new([4; 16]), &id(1)), "unknown_id");
        assert_eq!(code(&key, "anything"), "unknown_id");
        let text = explained(&held, &key, &id(1_999_999_999_999)).to_string();
        assert!(text.contains("m version 4") && text.contains("2033-05-18T03:33:20"), "{text}");
    }
}
