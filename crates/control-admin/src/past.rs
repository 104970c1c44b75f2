//! What was: what served at a moment, a model's change log, how versions did, whether the journal is as it was written; and
//! the order to bring the split of an earlier moment back.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base_types::{Clock, ModelName, SystemClock, Version};
use control_loop::{Restore, Restored};
use control_registry::journal::{
    AnchorFinding, Audit, JournalError, Moment, Performance, PerformanceKey, Served, Standing,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{self, model_name};
use crate::changelog::{self, performance};
use crate::guard::Peer;
use crate::order::{Who, actor, reason};
use crate::problem::Problem;
use crate::routes::App;
use crate::show;
use crate::time::{parse_rfc3339, rfc3339};

type Answer = Result<Json<Value>, Problem>;

/// The parameters of a look at a moment.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AtParameters {
    at: Option<String>,
    at_unix_ms: Option<u64>,
    model: Option<String>,
}

/// The parameters of a change log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangelogParameters {
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Format {
    #[default]
    Json,
    Markdown,
}

/// The parameters of an audit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditParameters {
    anchor: Option<String>,
}

/// An order to bring an earlier moment back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreBody {
    at: Option<String>,
    at_unix_ms: Option<u64>,
    model: Option<String>,
    #[serde(default)]
    dry_run: bool,
    reason: Option<String>,
    actor: Option<String>,
}

pub(crate) async fn at(State(app): State<App>, parameters: Result<Query<AtParameters>, QueryRejection>) -> Answer {
    let Query(AtParameters { at, at_unix_ms, model }) = read(parameters)?;
    let at_unix_ms = instant(at.as_deref(), at_unix_ms)?.unwrap_or_else(|| SystemClock.unix_ms());
    let model = model.as_deref().map(model_name).transpose()?;
    let control = app.control.clone();
    let found = blocking(move || control.at(at_unix_ms, model.as_ref())).await?;
    Ok(Json(moment(&found)))
}

pub(crate) async fn changelog(
    State(app): State<App>,
    Path(model): Path<String>,
    parameters: Result<Query<ChangelogParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(ChangelogParameters { format }) = read(parameters)?;
    let model = model_name(&model)?;
    let control = app.control.clone();
    let life = blocking(move || control.model_life(&model)).await?;
    let log = changelog::changelog(&life, SystemClock.unix_ms());
    Ok(match format {
        Format::Json => Json(changelog::json(&log)).into_response(),
        Format::Markdown => {
            ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], changelog::markdown(&log)).into_response()
        }
    })
}

pub(crate) async fn performance_of_version(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
) -> Answer {
    let version: Version =
        version.parse().map_err(|error: base_types::NameError| Problem::malformed(error.to_string()))?;
    let found = kept(&app, &model, Some(version)).await?;
    let unknown =
        || Problem::new("version_unknown", format!("nothing is known of how version {version} of {model} did"));
    // Of several contents under one number the one seen last.
    let (key, sums) = found.iter().max_by_key(|(_, sums)| sums.updated_unix_ms).ok_or_else(unknown)?;
    Ok(Json(did(key, sums)))
}

pub(crate) async fn performance_of_model(State(app): State<App>, Path(model): Path<String>) -> Answer {
    let found = kept(&app, &model, None).await?;
    Ok(Json(json!({ "model": model, "versions": found.iter().map(|(key, sums)| did(key, sums)).collect::<Vec<_>>() })))
}

pub(crate) async fn audit(
    State(app): State<App>,
    parameters: Result<Query<AuditParameters>, QueryRejection>,
) -> Answer {
    let Query(AuditParameters { anchor }) = read(parameters)?;
    if let Some(text) = anchor.as_deref().filter(|text| !is_anchor(text)) {
        return Err(Problem::malformed(format!("{text:?} is no anchor: 12 to 64 hexadecimal digits of a row's hash")));
    }
    let control = app.control.clone();
    let found = blocking(move || control.audit(anchor.as_deref())).await?;
    Ok(Json(audited(&found)))
}

pub(crate) async fn restore(State(app): State<App>, Extension(peer): Extension<Peer>, request: Request) -> Answer {
    let RestoreBody { at, at_unix_ms, model, dry_run, reason: why, actor: name } = body::json(&app, request).await?;
    let needed = || Problem::malformed("say to which moment, by `at` or `at_unix_ms`");
    let at_unix_ms = instant(at.as_deref(), at_unix_ms)?.ok_or_else(needed)?;
    let model = model.as_deref().map(model_name).transpose()?;
    if let Some(model) = model.as_ref().filter(|model| !app.control.has_model(model)) {
        return Err(Problem::model_unknown(model.as_str()));
    }
    let who = Who { peer, actor: name, reason: None };
    let order = Restore { at_unix_ms, model, is_dry_run: dry_run, actor: actor(&who)?, reason: reason(why)? };
    tracing::info!(peer = %who.peer.remote, actor = order.actor, at_unix_ms, dry_run, "restore ordered");
    let done = app.control.restore(order).await?;
    let shown = restored(&done);
    if !dry_run && !done.obstacles.is_empty() {
        let texts: Vec<&str> = done.obstacles.iter().map(|obstacle| obstacle.text.as_str()).collect();
        let message = format!("nothing was changed: {}", texts.join("; "));
        let details = vec![("obstacles", shown["obstacles"].clone()), ("differences", shown["differences"].clone())];
        return Err(Problem { details, ..Problem::new("cannot_restore", message) });
    }
    Ok(Json(shown))
}

/// What served at a moment, as JSON.
pub fn moment(found: &Moment) -> Value {
    let (standing, since, text) = match &found.standing {
        Standing::Unborn => ("unborn", None, "nothing had been recorded yet".to_owned()),
        Standing::Down { since_unix_ms } => {
            let text = format!("the gateway was not running: it had stopped at {}", rfc3339(*since_unix_ms));
            ("down", Some(*since_unix_ms), text)
        }
        Standing::Up { since_unix_ms } => {
            ("up", Some(*since_unix_ms), format!("the gateway was running since {}", rfc3339(*since_unix_ms)))
        }
        Standing::Unknown { seen_unix_ms, started_unix_ms } => {
            let (seen, started) = (rfc3339(*seen_unix_ms), rfc3339(*started_unix_ms));
            let text = format!(
                "the gateway ended without saying so between {seen}, when it was seen last, and {started}, when it started \
                 again: what it served last is shown"
            );
            ("unknown", Some(*seen_unix_ms), text)
        }
    };
    json!({
        "at": rfc3339(found.at_unix_ms),
        "at_unix_ms": found.at_unix_ms,
        "standing": standing,
        "standing_since_unix_ms": since,
        "says": text,
        "models": found.models.iter().map(served).collect::<Vec<_>>(),
    })
}

fn served(served: &Served) -> Value {
    let digest = |version: u64| Version::new(version).and_then(|version| served.digest(version));
    let shares = served
        .table
        .shares()
        .into_iter()
        .map(|(version, share)| json!({ "version": version, "share": share, "digest": digest(version) }));
    json!({
        "model": served.model.as_str(),
        "generation": served.generation,
        "since": rfc3339(served.since_unix_ms),
        "since_unix_ms": served.since_unix_ms,
        "seq": served.seq,
        "stable": served.table.stable,
        "split": shares.collect::<Vec<_>>(),
        "table": served.table,
        "decided": served.decided.as_ref().map(show::row),
    })
}

/// What an audit found, as JSON.
pub fn audited(audit: &Audit) -> Value {
    let (anchor, anchored_seq) = match audit.anchor {
        AnchorFinding::NotGiven => ("not_given", None),
        AnchorFinding::Found(seq) => ("found", Some(seq)),
        AnchorFinding::Missing => ("missing", None),
    };
    let damages = audit.damages.iter().map(|damage| json!({ "seq": damage.seq, "text": damage.text }));
    json!({
        "sound": audit.is_sound(),
        "rows": audit.n_rows,
        "head_seq": audit.head.seq,
        "head": audit.head.hex(),
        "damages": damages.collect::<Vec<_>>(),
        "intact_after": audit.n_intact_after,
        "anchor": anchor,
        "anchored_seq": anchored_seq,
    })
}

/// Whether a text can be the hash of a row, or how it begins.
pub fn is_anchor(text: &str) -> bool {
    (12..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// How one version did, as JSON.
pub fn did(key: &PerformanceKey, sums: &Performance) -> Value {
    let mut shown = performance(sums);
    if let Some(fields) = shown.as_object_mut() {
        fields.insert("model".to_owned(), key.model.as_str().into());
        fields.insert("version".to_owned(), key.version.get().into());
        fields.insert("digest".to_owned(), key.digest.to_string().into());
    }
    shown
}

fn restored(done: &Restored) -> Value {
    let differences = done.differences.iter().map(
        |difference| json!({ "model": difference.model.as_str(), "now": difference.now, "then": difference.then }),
    );
    let obstacles = done
        .obstacles
        .iter()
        .map(|obstacle| json!({ "model": obstacle.model.as_str(), "code": obstacle.code, "text": obstacle.text }));
    json!({
        "done": done.is_done,
        "generation": done.generation,
        "differences": differences.collect::<Vec<_>>(),
        "obstacles": obstacles.collect::<Vec<_>>(),
        "remarks": done.remarks,
    })
}

async fn kept(app: &App, model: &str, version: Option<Version>) -> Result<Vec<(PerformanceKey, Performance)>, Problem> {
    let model: ModelName = model_name(model)?;
    let control = app.control.clone();
    blocking(move || control.performance(&model, version)).await
}

/// Reading waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|_| Problem::new("stopping", "the gateway is stopping"))?;
    done.map_err(|error| Problem::new("journal", error.to_string()))
}

fn read<T>(parameters: Result<Query<T>, QueryRejection>) -> Result<Query<T>, Problem> {
    parameters.map_err(|rejection| Problem::malformed(rejection.body_text()))
}

/// A moment in words or in milliseconds.
fn instant(text: Option<&str>, unix_ms: Option<u64>) -> Result<Option<u64>, Problem> {
    match (text, unix_ms) {
        (Some(_), Some(_)) => Err(Problem::malformed("`at` and `at_unix_ms` say the same: give one")),
        (Some(text), None) => match parse_rfc3339(text) {
            Some(ms) => Ok(Some(ms)),
            None => Err(Problem::malformed(format!("{text:?} is no moment such as 2026-01-31T08:00:00Z"))),
        },
        (None, unix_ms) => Ok(unix_ms),
    }
}
