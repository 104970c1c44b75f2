//! The routes that tell about the server and its models. They read one snapshot and ask nobody.

use base_serving::{ServingModel, ServingVersion};
use base_types::Version;
use data_codec::{live, model_list, model_metadata, model_ready, ready, server_metadata};
use data_edge::{Phase, ReplyBody};
use data_path::{Code, Failure, find, no_such_model};
use http::{Response, StatusCode};

use crate::edge::Rest;
use crate::path::{Route, Target};
use crate::respond::{self, json};

/// The server's name in its metadata.
const SERVER: &str = "switchrail";
/// Extensions of the protocol, as Triton names them. Only what is true.
const EXTENSIONS: [&str; 1] = ["parameters"];

impl Rest {
    /// Answers a route other than infer.
    pub(crate) fn inform(&self, route: &Route<'_>) -> Result<Response<ReplyBody>, Failure> {
        let body = match route {
            Route::Server => server_metadata(SERVER, &self.0.options.server_version, &EXTENSIONS),
            Route::Live => live(),
            Route::Ready => return Ok(self.ready()),
            Route::Models => self.models(),
            Route::Model(target) => self.with_version(target, |model, version| {
                // With a version in the path the metadata are that version's alone.
                let versions = match &target.pin {
                    Some(_) => vec![version.id.version.to_string()],
                    None => model.versions.keys().map(Version::to_string).collect(),
                };
                model_metadata(model.name.as_str(), &versions, model.signature(version))
            })?,
            Route::ModelReady(target) => self.with_version(target, |model, _| model_ready(model.name.as_str()))?,
            Route::Infer(_) => return Err(Failure::new(Code::Internal, "infer answers nothing about itself")),
        };
        Ok(json(StatusCode::OK, body))
    }

    /// The answer where there is nothing to tell. Whether a model is ready has a status of its own choice.
    pub(crate) fn uninformed(&self, route: &Route<'_>, failure: &Failure) -> Response<ReplyBody> {
        let mut response = respond::failure(failure);
        let is_unready = matches!(failure.code, Code::ModelNotReady | Code::VersionNotReady | Code::VersionQuarantined);
        if is_unready && matches!(route, Route::ModelReady(_)) {
            *response.status_mut() = self.0.options.model_unready;
        }
        response
    }

    /// Ready is the process, not its models: the load of one more version never changes this.
    fn ready(&self) -> Response<ReplyBody> {
        let is_ready = self.0.options.readiness.phase() == Phase::Ready;
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, ready(is_ready))
    }

    fn models(&self) -> Vec<u8> {
        let snapshot = self.0.gateway.snapshot();
        let mut names: Vec<&str> = snapshot.models.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        model_list(&names)
    }

    fn with_version(
        &self,
        target: &Target<'_>,
        tell: impl FnOnce(&ServingModel, &ServingVersion) -> Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let snapshot = self.0.gateway.snapshot();
        let Some(model) = snapshot.models.get(target.model.as_ref()) else {
            return Err(self.absent(&target.model));
        };
        find(model, target.pin.as_ref()).map(|version| tell(model, version))
    }

    fn absent(&self, model: &str) -> Failure {
        match self.0.options.readiness.phase() {
            Phase::Starting => {
                Failure::new(Code::ModelNotReady, format!("the gateway is starting; model {model:?} is not there yet"))
            }
            _ => no_such_model(model),
        }
    }
}
