//! What goes wrong, as callers see it: a status, a stable code, and a sentence with the remedy. The one table of
//! codes is [`CODES`].

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control_loop::Refused;
use serde_json::{Value, json};

/// A code, its status, and when it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRow {
    /// The code.
    pub code: &'static str,
    /// The status.
    pub status: u16,
    /// When it is given.
    pub says: &'static str,
}

const fn row(status: u16, code: &'static str, says: &'static str) -> CodeRow {
    CodeRow { code, status, says }
}

/// Every code of the admin API.
pub const CODES: &[CodeRow] = &[
    row(400, "malformed", "the body, a name, a version or a parameter is not as documented"),
    row(400, "share", "a canary's share does not lie between 0 and 1"),
    row(400, "reason_missing", "an override or a release came without a reason"),
    row(400, "reason_needed", "a promotion without proof came without a reason"),
    row(400, "name_needed", "an approval, or a promotion past one, does not say who approves"),
    row(400, "no_traffic", "the model has no requests to calculate with, and `rps` does not say how many to assume"),
    row(400, "config_invalid", "the text is no valid routing.toml; `diagnostics` tells every problem"),
    row(400, "host", "the `Host` header is missing or ambiguous"),
    row(401, "token", "the token is missing or wrong"),
    row(403, "host_unknown", "the `Host` header names another host than this listener"),
    row(403, "origin", "the request was sent by a web page of another origin"),
    row(404, "not_found", "there is no such path"),
    row(404, "model_unknown", "there is no such model"),
    row(404, "version_unknown", "the model has no such version or label"),
    row(404, "no_rollout", "the model has had no rollout"),
    row(404, "no_report", "the model has no such rollout that is over"),
    row(404, "policy_unknown", "neither routing.toml nor the program has a policy of this name"),
    row(404, "experiment_unknown", "no experiment of this name is under way"),
    row(405, "method", "the path does not take this method"),
    row(409, "model_not_ready", "the model has no stable version yet"),
    row(409, "version_not_ready", "the version is not in memory"),
    row(409, "target_not_ready", "the version to go back to is not in memory"),
    row(409, "already_stable", "the version is stable already"),
    row(409, "quarantined", "the version's content is barred until it is released"),
    row(409, "gate_not_failed", "the gate has not failed for the version's content, or is overridden already"),
    row(409, "not_quarantined", "there is nothing to release"),
    row(409, "signature", "the version's inputs or outputs do not fit the stable version's"),
    row(409, "not_proven", "the evidence does not yet prove the version good enough to be promoted"),
    row(409, "no_candidate", "no version is under trial"),
    row(409, "several_candidates", "several versions are under trial and none was named"),
    row(409, "nothing_to_confirm", "no promotion waits to be confirmed"),
    row(409, "no_target", "there is no earlier confirmed version to go back to"),
    row(409, "same_content", "the version has the same content as the stable one"),
    row(409, "rolled_back_already", "the stable version took over by a rollback just now; name the one to go back to"),
    row(409, "rollout_is_over", "the rollout is over; start another, or retry"),
    row(409, "rollout_under_way", "a rollout of the model is under way"),
    row(409, "wrong_status", "the rollout's status does not allow the order"),
    row(409, "not_ready", "the rollout's candidate is not in memory"),
    row(409, "sample_ratio_broken", "the versions do not get the shares they should, so the evidence is in doubt"),
    row(409, "shared_incident", "both versions are ill, and neither is to blame"),
    row(409, "no_retries_left", "the candidate was tried again as often as the policy allows"),
    row(409, "rollouts_frozen", "too many rollbacks; a person has to thaw the model's rollouts"),
    row(409, "cooldown", "the last rollback is too recent; wait, or force it"),
    row(409, "same_candidate", "the rollout under way is of this version already"),
    row(409, "nothing_served", "nothing, or not this model, was served at the moment to be brought back"),
    row(409, "cannot_restore", "an earlier moment cannot be brought back; `obstacles` tells every reason"),
    row(409, "superseded", "a rollback came first; nothing was changed"),
    row(413, "body_too_large", "the body is over the limit"),
    row(415, "content_type", "the body is JSON by its nature and must be sent as `application/json`"),
    row(500, "internal", "the gateway failed at this order; the status tells what is in force"),
    row(503, "busy", "too many requests are being answered; come back after `retry-after` seconds"),
    row(503, "journal", "the journal cannot be written or read; nothing was changed"),
    row(503, "stopping", "the gateway is going down"),
    row(504, "timeout", "no answer in time; an order may still be carried out, see the status"),
];

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Further fields of the answer.
    pub(crate) details: Vec<(&'static str, Value)>,
}

impl Problem {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new("malformed", message)
    }

    pub(crate) fn model_unknown(name: &str) -> Self {
        Self::new("model_unknown", format!("there is no model {name:?}; GET /v1/status lists them"))
    }

    /// A code that control-loop gave itself and this table does not know yet is still a conflict with what is.
    pub(crate) fn status(&self) -> StatusCode {
        let status = CODES.iter().find(|row| row.code == self.code).map_or(409, |row| row.status);
        StatusCode::from_u16(status).unwrap_or(StatusCode::CONFLICT)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::new(refused.code, refused.message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        tracing::debug!(status = status.as_u16(), code = self.code, error = self.message, "admin request refused");
        let mut body = json!({ "error": self.message, "code": self.code });
        if let Some(fields) = body.as_object_mut() {
            fields.extend(self.details.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        let mut response = (status, axum::Json(body)).into_response();
        let told = match self.code {
            "token" => Some((header::WWW_AUTHENTICATE, "Bearer")),
            "busy" => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        response.headers_mut().extend(told.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response
    }
}
