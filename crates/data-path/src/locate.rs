//! Which version a request means, and why there may be none: the same answers for inference and metadata.

use std::sync::Arc;

use base_routing::{Assignment, Facts, NoSuchLabel, assign};
use base_serving::{ServingModel, ServingVersion, Unready};
use base_types::{Label, Selector, Version, VersionState};

use crate::{Code, Failure};

/// A version and on what grounds it was chosen.
pub(crate) struct Chosen<'a> {
    pub(crate) version: &'a Arc<ServingVersion>,
    pub(crate) assignment: Assignment,
}

/// Routes, and looks the version up in the same snapshot.
pub(crate) fn choose<'a>(
    model: &'a ServingModel,
    pin: Option<&Selector>,
    facts: &dyn Facts,
) -> Result<Chosen<'a>, Failure> {
    let assignment = match (&model.route, pin) {
        (Some(route), _) => {
            let draw = fastrand::u64(..);
            assign(route, pin, facts, draw).map_err(|NoSuchLabel(label)| no_such_label(model, &label))?
        }
        // A model without a route still answers those who name a version that is ready.
        (None, Some(Selector::Version(version))) => Assignment::pinned(*version),
        (None, _) => return Err(no_route(model)),
    };
    Ok(Chosen { version: ready(model, assignment.version)?, assignment })
}

/// The version a selector means, for metadata and readiness; without one, the stable version.
pub fn find<'a>(model: &'a ServingModel, pin: Option<&Selector>) -> Result<&'a Arc<ServingVersion>, Failure> {
    let version = match (pin, &model.route) {
        (Some(Selector::Version(version)), _) => *version,
        (Some(Selector::Label(label)), Some(route)) => {
            *route.labels.get(label).ok_or_else(|| no_such_label(model, label))?
        }
        (None, Some(route)) => route.stable,
        (_, None) => return Err(no_route(model)),
    };
    ready(model, version)
}

/// There is no model of that name.
pub fn no_such_model(name: &str) -> Failure {
    Failure::new(Code::ModelUnknown, format!("there is no model {name:?}"))
}

fn ready(model: &ServingModel, version: Version) -> Result<&Arc<ServingVersion>, Failure> {
    model.versions.get(&version).ok_or_else(|| {
        let of = format!("version {version} of model {:?}", model.name.as_str());
        match model.unready.get(&version) {
            None => Failure::new(Code::VersionUnknown, format!("there is no {of}")),
            Some(Unready { state: VersionState::Quarantined, .. }) => {
                Failure::new(Code::VersionQuarantined, format!("{of} is quarantined"))
            }
            Some(Unready { state, .. }) => {
                Failure::new(Code::VersionNotReady, format!("{of} is not ready: {}", state.as_str()))
            }
        }
    })
}

fn no_route(model: &ServingModel) -> Failure {
    let text = format!("no version of model {:?} can take traffic yet", model.name.as_str());
    Failure::new(Code::ModelNotReady, text)
}

fn no_such_label(model: &ServingModel, label: &Label) -> Failure {
    let text = format!("model {:?} has no label {:?}", model.name.as_str(), label.as_str());
    Failure::new(Code::LabelUnknown, text)
}
