//! Everything that can be asked, in one table: the router and the reference in docs/admin-api.md are made from it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use control_loop::Control;
use tokio::sync::Semaphore;

use crate::guard::guard;
use crate::past;
use crate::problem::{CODES, Problem};
use crate::rollout::Word;
use crate::{AdminOptions, experiment, explain, gate, openapi, order, power, read, rollout, wish};

/// What all handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) control: Arc<Control>,
    pub(crate) options: Arc<AdminOptions>,
    /// The address the listener is bound to.
    pub(crate) bound: SocketAddr,
    /// One for each request being answered.
    pub(crate) permits: Arc<Semaphore>,
}

/// One thing that can be asked.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; `{model}` stands for a model's name.
    pub path: &'static str,
    /// Who may ask.
    pub role: Role,
    /// What it does.
    pub says: &'static str,
    /// What it takes, in the query or as JSON in the body.
    pub takes: &'static str,
    endpoint: Endpoint,
}

/// The methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Sends a body.
    Post,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Anyone who reaches the listener.
    Open,
    /// Shows what is; needs the token where one is set.
    Read,
    /// Changes what is; needs the token where one is set, and JSON in the body.
    Write,
}

#[derive(Debug, Clone, Copy)]
enum Endpoint {
    Health,
    OpenApi,
    Status,
    Model,
    History,
    At,
    Changelog,
    Performance,
    PerformanceOfVersion,
    Audit,
    Restore,
    Quarantine,
    Config,
    Check,
    Diff,
    Explain,
    Canary,
    Promote,
    Rollback,
    Release,
    Gates,
    Override,
    Rollout,
    RolloutReport,
    RolloutOrder(Word),
    Disagreements,
    Power,
    Experiments,
    Experiment,
    ExperimentPlan,
}

/// Every route.
pub const ROUTES: &[Route] = &[
    route(Method::Get, "/v1/health", Role::Open, Endpoint::Health, "Says that the listener answers.", ""),
    route(
        Method::Get,
        "/v1/openapi.json",
        Role::Read,
        Endpoint::OpenApi,
        "This API as an OpenAPI document, for generators of clients.",
        "",
    ),
    route(
        Method::Get,
        "/v1/status",
        Role::Read,
        Endpoint::Status,
        "Everything in force: generation, models with versions, split, trials and evidence, quarantine, problems of routing.toml.",
        "",
    ),
    route(Method::Get, "/v1/models/{model}", Role::Read, Endpoint::Model, "The same for one model.", ""),
    route(
        Method::Get,
        "/v1/history",
        Role::Read,
        Endpoint::History,
        "The journal, newest first: who changed what, when, from what to what, on what evidence.",
        "`model`, `version`, `action` (all but `published`), `since_unix_ms`, `until_unix_ms`, `before` (a `seq`), `limit` (100; at most 1000)",
    ),
    route(
        Method::Get,
        "/v1/at",
        Role::Read,
        Endpoint::At,
        "Exactly what served at a moment: versions, contents, shares, rules, labels, and who had changed it last.",
        "`at` (2026-01-31T08:00:00Z) or `at_unix_ms` (now), `model`",
    ),
    route(
        Method::Post,
        "/v1/restore",
        Role::Write,
        Endpoint::Restore,
        "Brings the split of one or all models back as it was at a moment: all in one transaction, or none with every obstacle.",
        "`at` or `at_unix_ms`, `model` (all), `dry_run` (false), `reason` (needed), `actor`",
    ),
    route(
        Method::Get,
        "/v1/audit",
        Role::Read,
        Endpoint::Audit,
        "Verifies every row of the journal and the sums of what stands beside it; takes seconds where it is long.",
        "`anchor` (a row's hash that was kept elsewhere)",
    ),
    route(
        Method::Get,
        "/v1/models/{model}/changelog",
        Role::Read,
        Endpoint::Changelog,
        "By version: what changed, why, how it did, what became of it, and when it served with what share.",
        "`format` (`json`, or `markdown`)",
    ),
    route(
        Method::Get,
        "/v1/models/{model}/performance",
        Role::Read,
        Endpoint::Performance,
        "How every version of the model did, those that are gone included.",
        "",
    ),
    route(
        Method::Get,
        "/v1/models/{model}/versions/{version}/performance",
        Role::Read,
        Endpoint::PerformanceOfVersion,
        "How one version did, over all its lives in memory.",
        "",
    ),
    route(Method::Get, "/v1/quarantine", Role::Read, Endpoint::Quarantine, "The barred digests.", ""),
    route(
        Method::Get,
        "/v1/config",
        Role::Read,
        Endpoint::Config,
        "What routing.toml asks for, the table in force for each model, and the problems of the last reading.",
        "",
    ),
    route(
        Method::Post,
        "/v1/config/check",
        Role::Read,
        Endpoint::Check,
        "Checks a routing.toml and changes nothing. `valid`, and a diagnostic for each problem.",
        "the text of the file",
    ),
    route(
        Method::Post,
        "/v1/config/diff",
        Role::Read,
        Endpoint::Diff,
        "Says what a routing.toml would change against the one in force, and changes nothing.",
        "the text of the file",
    ),
    route(
        Method::Post,
        "/v1/models/{model}/explain",
        Role::Read,
        Endpoint::Explain,
        "Says which version a request would get, and why.",
        "`pin`, `headers`, `cookies`, `query`, `parameters` (each name to text), `key`, `draw`",
    ),
    route(
        Method::Post,
        "/v1/models/{model}/canary",
        Role::Write,
        Endpoint::Canary,
        "Gives a version a share of the traffic, judged against stable.",
        "`version`, `share` (0 to 1, both excluded), `reason`, `actor`",
    ),
    route(
        Method::Post,
        "/v1/models/{model}/promote",
        Role::Write,
        Endpoint::Promote,
        "Gives a version all traffic; the stable one stays ready until that is confirmed. Needs proof, or `force` and a reason.",
        "`version`, `confirm`, `force`, `reason`, `actor`",
    ),
    route(
        Method::Post,
        "/v1/models/{model}/rollback",
        Role::Write,
        Endpoint::Rollback,
        "Takes candidates out, or returns to the version confirmed before; quarantines what is left unless told otherwise.",
        "`to`, `quarantine` (true), `reason`, `actor`",
    ),
    route(
        Method::Post,
        "/v1/models/{model}/release",
        Role::Write,
        Endpoint::Release,
        "Lets a quarantined version back; it takes traffic only by a further decision.",
        "`version`, `reason` (needed), `actor`",
    ),
    route(
        Method::Get,
        "/v1/models/{model}/versions/{version}/gates",
        Role::Read,
        Endpoint::Gates,
        "What the gates said of a version before it might take traffic: what was measured, what was wanted, who overrode it.",
        "",
    ),
    route(
        Method::Post,
        "/v1/models/{model}/override",
        Role::Write,
        Endpoint::Override,
        "Says that a failed gate does not matter for a version's content. It takes traffic only by a further decision.",
        "`version`, `gate`, `reason` (needed), `actor`",
    ),
    route(
        Method::Get,
        "/v1/models/{model}/rollout",
        Role::Read,
        Endpoint::Rollout,
        "The model's last rollout: step, shares, each rule against its threshold, what it waits for and for how long.",
        "",
    ),
    rollout_order(
        "/v1/models/{model}/rollout/start",
        Word::Start,
        "Brings a version into the traffic by a policy. While a rollout is under way, the policy says what becomes of it.",
        "`version`, `policy` (the model's), `force` (although the last rollback is recent), `reason`, `actor`",
    ),
    rollout_order(
        "/v1/models/{model}/rollout/approve",
        Word::Approve,
        "Approves the step that waits for a person, who has to be named.",
        "`actor` (needed), `reason`",
    ),
    rollout_order(
        "/v1/models/{model}/rollout/pause",
        Word::Pause,
        "Has the rollout stand still: shares stay, rules stay armed.",
        "`reason`, `actor`",
    ),
    rollout_order("/v1/models/{model}/rollout/resume", Word::Resume, "Lets it go on.", "`reason`, `actor`"),
    rollout_order(
        "/v1/models/{model}/rollout/abort",
        Word::Abort,
        "Takes the candidate out of the traffic at once and ends the rollout.",
        "`quarantine` (false), `reason`, `actor`",
    ),
    rollout_order(
        "/v1/models/{model}/rollout/promote",
        Word::Promote,
        "Gives the candidate all traffic, whatever steps are left. Needs every proof, or `force` and a reason.",
        "`force`, `reason`, `actor`",
    ),
    rollout_order(
        "/v1/models/{model}/rollout/confirm",
        Word::Confirm,
        "Makes a promotion final before its bake is over.",
        "`reason`, `actor`",
    ),
    rollout_order(
        "/v1/models/{model}/rollout/retry",
        Word::Retry,
        "Begins a rollout again that was rolled back or aborted, and lifts the quarantine of its candidate.",
        "`reason`, `actor`",
    ),
    rollout_order(
        "/v1/models/{model}/rollout/thaw",
        Word::Thaw,
        "Lets rollouts of the model begin again after too many rollbacks.",
        "`reason` (needed), `actor`",
    ),
    route(
        Method::Get,
        "/v1/models/{model}/rollout/report",
        Role::Read,
        Endpoint::RolloutReport,
        "What a rollout that is over leaves behind: what was done, and the evidence to compute it again.",
        "`number` (the last), `format` (`json`, or `markdown`)",
    ),
    route(
        Method::Get,
        "/v1/models/{model}/disagreements",
        Role::Read,
        Endpoint::Disagreements,
        "Examples of requests that a shadowed candidate answered otherwise than stable, oldest first.",
        "",
    ),
    route(
        Method::Get,
        "/v1/models/{model}/power",
        Role::Read,
        Endpoint::Power,
        "What a rollout by a policy would find, and when, and how long it takes.",
        "`policy` (the model's), `rps` (today's), `stable_error_rate` (0), `latency_p50_ms` and `latency_p99_ms` of stable",
    ),
    route(
        Method::Get,
        "/v1/experiments",
        Role::Read,
        Endpoint::Experiments,
        "Every experiment with what its numbers say.",
        "",
    ),
    route(Method::Get, "/v1/experiments/{name}", Role::Read, Endpoint::Experiment, "One experiment.", ""),
    route(
        Method::Post,
        "/v1/experiments/plan",
        Role::Read,
        Endpoint::ExperimentPlan,
        "How many requests and how long an experiment needs.",
        "`outcomes_per_second`, `shares` (stable's first), `measure` (`errors`, `latency`, `mistakes` or `loss`), `baseline`, `deviation` (of a loss), `effect` or `relative_effect`, `alpha` (0.05), `power` (0.8), `days_max` (60)",
    ),
];

const fn route(
    method: Method,
    path: &'static str,
    role: Role,
    endpoint: Endpoint,
    says: &'static str,
    takes: &'static str,
) -> Route {
    Route { method, path, role, says, takes, endpoint }
}

const fn rollout_order(path: &'static str, word: Word, says: &'static str, takes: &'static str) -> Route {
    route(Method::Post, path, Role::Write, Endpoint::RolloutOrder(word), says, takes)
}

impl Method {
    /// The method as it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

impl Role {
    /// The word used in the reference.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Routes and codes as Markdown: the generated part of docs/admin-api.md.
pub fn routes_page() -> String {
    let mut text = "| route | role | takes | |\n|---|---|---|---|\n".to_owned();
    for Route { method, path, role, says, takes, .. } in ROUTES {
        let takes = if takes.is_empty() { "–" } else { takes };
        // Writing to a String cannot fail.
        writeln!(text, "| `{} {path}` | {} | {takes} | {says} |", method.as_str(), role.as_str()).ok();
    }
    text.push_str("\n| status | code | given when |\n|---|---|---|\n");
    for row in CODES {
        writeln!(text, "| {} | `{}` | {} |", row.status, row.code, row.says).ok();
    }
    text
}

/// Whether a path may be asked without a token.
pub(crate) fn is_open(path: &str) -> bool {
    ROUTES.iter().any(|route| route.role == Role::Open && route.path == path)
}

/// The router over the table.
pub(crate) fn router(app: App) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, route| {
        let handler = handler(route.endpoint);
        router.route(route.path, handler)
    });
    routes
        .fallback(async || Problem::new("not_found", "there is no such path; docs/admin-api.md lists them"))
        .method_not_allowed_fallback(async || Problem::new("method", "the path does not take this method"))
        .layer(from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

fn handler(endpoint: Endpoint) -> MethodRouter<App> {
    match endpoint {
        Endpoint::Health => get(read::health),
        Endpoint::OpenApi => get(openapi::handle),
        Endpoint::Status => get(read::status),
        Endpoint::Model => get(read::model),
        Endpoint::History => get(read::history),
        Endpoint::At => get(past::at),
        Endpoint::Restore => post(past::restore),
        Endpoint::Audit => get(past::audit),
        Endpoint::Changelog => get(past::changelog),
        Endpoint::Performance => get(past::performance_of_model),
        Endpoint::PerformanceOfVersion => get(past::performance_of_version),
        Endpoint::Quarantine => get(read::quarantine),
        Endpoint::Config => get(read::config),
        Endpoint::Check => post(wish::check),
        Endpoint::Diff => post(wish::diff),
        Endpoint::Explain => post(explain::handle),
        Endpoint::Canary => post(order::canary),
        Endpoint::Promote => post(order::promote),
        Endpoint::Rollback => post(order::rollback),
        Endpoint::Release => post(order::release),
        Endpoint::Gates => get(gate::gates),
        Endpoint::Override => post(gate::override_gate),
        Endpoint::Rollout => get(rollout::status),
        Endpoint::RolloutReport => get(rollout::report),
        Endpoint::RolloutOrder(word) => {
            post(move |app, model, peer, request| rollout::order(word, app, model, peer, request))
        }
        Endpoint::Disagreements => get(rollout::disagreements),
        Endpoint::Power => get(power::handle),
        Endpoint::Experiments => get(experiment::list),
        Endpoint::Experiment => get(experiment::one),
        // The path stands before that of an experiment of this name.
        Endpoint::ExperimentPlan => post(experiment::plan).get(experiment::named_plan),
    }
}
