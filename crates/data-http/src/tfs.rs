//! TensorFlow Serving's REST API in front of the same models: every path under `/v1`.
//!
//! Reading order: `path` (which route), `ask` (predict, classify, regress), `inform` (status, metadata, the list of
//! models).

mod ask;
mod inform;
mod path;

use std::borrow::Cow;

use base_types::Protocol;
use data_codec::tfs::Method;
use data_edge::{Call, Ending, ReplyBody, check_head, discard};
use http::Response;
use hyper::body::Incoming;

use crate::edge::{Rest, finished};
use crate::path::Target;
use crate::respond;
use path::route;

/// A route of this protocol.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{model}[/versions/{version}|/labels/{label}]`
    Status(Target<'a>),
    /// `GET /v1/models/{model}[/versions/{version}|/labels/{label}]/metadata`
    Metadata(Target<'a>),
    /// `POST /v1/models/{model}[/versions/{version}|/labels/{label}]:{question}`
    Ask(Question, Target<'a>),
}

/// What a model is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// `:predict`
    Predict,
    /// `:classify` and `:regress`
    Results(Method),
}

/// What a request speaks, by its path.
pub(crate) fn protocol_of(path: &str) -> Protocol {
    match path.as_bytes() {
        [b'/', b'v' | b'V', b'1'] | [b'/', b'v' | b'V', b'1', b'/', ..] => Protocol::TfsRest,
        _ => Protocol::OipRest,
    }
}

impl Rest {
    /// Answers a request of this protocol.
    pub(crate) async fn tfs(&self, call: &Call<'_>, mut body: Incoming) -> Response<ReplyBody> {
        let parts = call.parts;
        let found = check_head(parts, &self.0.options.limits).and_then(|()| route(&parts.method, parts.uri.path()));
        let (model, result) = match found {
            Ok(Route::Ask(question, target)) => return self.tfs_ask(call, (question, &target), body).await,
            Ok(route) => {
                let result = self.tfs_inform(call, &route);
                (route.into_model(), result)
            }
            Err(failure) => {
                call.count_refused(None, failure.class);
                (Cow::Borrowed(""), Err(failure))
            }
        };
        call.log(&Ending { model: &model, served: None, reason: None, failure: result.as_ref().err() });
        let is_clean = discard(&mut body, &self.0.options.limits).await;
        finished(parts, is_clean, result.unwrap_or_else(|failure| respond::failure(&failure)))
    }
}

impl<'a> Route<'a> {
    /// The model the path names.
    fn into_model(self) -> Cow<'a, str> {
        match self {
            Self::Models => Cow::Borrowed(""),
            Self::Status(target) | Self::Metadata(target) | Self::Ask(_, target) => target.model,
        }
    }
}
