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
use crate::problem::{CODES, Problem};
use crate::{AdminOptions, explain, order, read, wish};

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
    Status,
    Model,
    History,
    Quarantine,
    Config,
    Check,
    Diff,
    Explain,
    Canary,
    Promote,
    Rollback,
    Release,
}

/// Every route.
pub const ROUTES: &[Route] = &[
    route(Method::Get, "/v1/health", Role::Open, Endpoint::Health, "Says that the listener answers.", ""),
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
        "`model`, `since_unix_ms`, `before` (a `seq`), `limit` (100; at most 1000)",
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
        Endpoint::Status => get(read::status),
        Endpoint::Model => get(read::model),
        Endpoint::History => get(read::history),
        Endpoint::Quarantine => get(read::quarantine),
        Endpoint::Config => get(read::config),
        Endpoint::Check => post(wish::check),
        Endpoint::Diff => post(wish::diff),
        Endpoint::Explain => post(explain::handle),
        Endpoint::Canary => post(order::canary),
        Endpoint::Promote => post(order::promote),
        Endpoint::Rollback => post(order::rollback),
        Endpoint::Release => post(order::release),
    }
}
