//! What every known version of a model does, and what is not there in the words of TensorFlow Serving.

use base_serving::ServingModel;
use base_types::{Selector, Version, VersionState};

use crate::{Code, Failure, find};

/// A version as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateOfVersion<'a> {
    /// Its number.
    pub version: Version,
    /// What it does. A version that answers is ready, whatever else is known of it.
    pub state: VersionState,
    /// Why it does not answer; empty where there is nothing to say.
    pub reason: &'a str,
}

/// The one version that is meant, or every known one, the newest first. One that is known and does not answer has a
/// state too.
///
/// # Errors
/// No such version or label.
pub fn version_states<'a>(model: &'a ServingModel, pin: Option<&Selector>) -> Result<Vec<StateOfVersion<'a>>, Failure> {
    if let Some(pin) = pin {
        return pinned(model, pin).map(|version| vec![state_of(model, version)]);
    }
    let mut numbers: Vec<Version> = model.versions.keys().chain(model.unready.keys()).copied().collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.dedup();
    Ok(numbers.into_iter().map(|version| state_of(model, version)).collect())
}

fn pinned(model: &ServingModel, pin: &Selector) -> Result<Version, Failure> {
    let meant = match pin {
        Selector::Version(version) => Some(*version),
        Selector::Label(label) => model.route.as_ref().and_then(|route| route.labels.get(label).copied()),
    };
    let known = meant.filter(|version| model.unready.contains_key(version));
    known.map_or_else(|| find(model, Some(pin)).map(|version| version.id.version), Ok)
}

fn state_of(model: &ServingModel, version: Version) -> StateOfVersion<'_> {
    let unready = model.unready.get(&version).filter(|_| !model.versions.contains_key(&version));
    StateOfVersion {
        version,
        state: unready.map_or(VersionState::Ready, |unready| unready.state),
        reason: unready.map_or("", |unready| &unready.reason),
    }
}

/// Says what is not there in the words of TensorFlow Serving too, because some callers look for them.
pub fn in_words_of_tfs(failure: Failure, model: &str, pin: Option<&Selector>) -> Failure {
    if !matches!(failure.code, Code::ModelUnknown | Code::VersionUnknown | Code::LabelUnknown) {
        return failure;
    }
    let servable = match pin {
        None => format!("Latest({model})"),
        Some(Selector::Version(version)) => format!("Specific({model}, {version})"),
        Some(Selector::Label(label)) => format!("Labelled({model}, {label})"),
    };
    let message = format!("Servable not found for request: {servable}: {}", failure.message);
    Failure { message, ..failure }
}
