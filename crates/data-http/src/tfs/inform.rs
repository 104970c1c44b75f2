//! The routes that tell about models. They read one snapshot and ask nobody.

use data_codec::model_list;
use data_codec::tfs::{VersionStatus, metadata, model_status};
use data_edge::{Call, ReplyBody};
use data_path::{Code, Failure, StateOfVersion, find, in_words_of_tfs, no_such_model, version_states};
use http::{Response, StatusCode};

use super::Route;
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
        result.map_err(|failure| in_words_of_tfs(failure, &target.model, target.pin.as_ref()))
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
        let versions: Vec<_> = version_states(model, target.pin.as_ref())?.into_iter().map(status_of).collect();
        let status = match target.pin {
            None if !is_ready => self.0.options.model_unready,
            _ => StatusCode::OK,
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

fn status_of(known: StateOfVersion<'_>) -> VersionStatus {
    VersionStatus { version: known.version.get(), state: known.state, reason: known.reason.to_owned() }
}
