//! The routes that tell about models. They read one snapshot and ask nobody.

use base_serving::ServingModel;
use base_types::{Selector, Version, VersionState};
use data_codec::model_list;
use data_codec::tfs::{VersionStatus, metadata, model_status};
use data_edge::{Call, ReplyBody};
use data_path::{Code, Failure, find, no_such_model};
use http::{Response, StatusCode};

use super::{Route, in_words_of_tfs};
use crate::edge::Rest;
use crate::path::Target;
use crate::respond::json;

impl Rest {
    /// Answers a route that asks no model.
    pub(super) fn tfs_inform(&self, call: &Call<'_>, route: &Route<'_>) -> Result<Response<ReplyBody>, Failure> {
        let (target, result) = match route {
            Route::Models => return Ok(json(StatusCode::OK, self.model_names())),
            Route::Status(target) => (target, self.status(call, target)),
            Route::Metadata(target) => (target, self.tfs_metadata(call, target)),
            Route::Ask(..) => return Err(Failure::new(Code::Internal, "a question is no route that informs")),
        };
        result.map_err(|failure| in_words_of_tfs(failure, target))
    }

    fn model_names(&self) -> Vec<u8> {
        let snapshot = self.0.gateway.snapshot();
        let mut names: Vec<&str> = snapshot.models.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        model_list(&names)
    }

    /// Without a version in the path this is a probe of readiness too, and has the status that the operator chose
    /// for a model that is not ready.
    fn status(&self, call: &Call<'_>, target: &Target<'_>) -> Result<Response<ReplyBody>, Failure> {
        call.check_started(&target.model)?;
        let snapshot = self.0.gateway.snapshot();
        let model = snapshot.models.get(target.model.as_ref()).ok_or_else(|| no_such_model(&target.model))?;
        let is_ready = find(model, target.pin.as_ref()).is_ok();
        let (versions, status) = match &target.pin {
            Some(pin) => (vec![pinned(model, pin)?], StatusCode::OK),
            None if is_ready => (all(model), StatusCode::OK),
            None => (all(model), self.0.options.model_unready),
        };
        Ok(json(status, model_status(model.name.as_str(), is_ready, &versions)))
    }

    fn tfs_metadata(&self, call: &Call<'_>, target: &Target<'_>) -> Result<Response<ReplyBody>, Failure> {
        call.check_started(&target.model)?;
        let snapshot = self.0.gateway.snapshot();
        let model = snapshot.models.get(target.model.as_ref()).ok_or_else(|| no_such_model(&target.model))?;
        let version = find(model, target.pin.as_ref())?;
        let number = version.id.version.get();
        Ok(json(StatusCode::OK, metadata(model.name.as_str(), number, model.signature(version))))
    }
}

/// Every known version, the newest first.
fn all(model: &ServingModel) -> Vec<VersionStatus> {
    let mut numbers: Vec<Version> = model.versions.keys().chain(model.unready.keys()).copied().collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.dedup();
    numbers.into_iter().map(|version| status_of(model, version)).collect()
}

/// The one version that is meant.
fn pinned(model: &ServingModel, pin: &Selector) -> Result<VersionStatus, Failure> {
    let version = match (pin, &model.route) {
        (Selector::Version(version), _) => Some(*version),
        (Selector::Label(label), Some(route)) => route.labels.get(label).copied(),
        (Selector::Label(_), None) => None,
    };
    match (find(model, Some(pin)), version) {
        (Err(failure), None) => Err(failure),
        (Err(failure), _) if failure.code == Code::VersionUnknown => Err(failure),
        (Ok(found), _) => Ok(status_of(model, found.id.version)),
        (Err(_), Some(version)) => Ok(status_of(model, version)),
    }
}

/// A version that answers is available, whatever else is known of it.
fn status_of(model: &ServingModel, version: Version) -> VersionStatus {
    let unready = model.unready.get(&version).filter(|_| !model.versions.contains_key(&version));
    VersionStatus {
        version: version.get(),
        state: unready.map_or(VersionState::Ready, |unready| unready.state),
        reason: unready.map(|unready| unready.reason.clone()).unwrap_or_default(),
    }
}
