//! Who is let in, decided before a route is looked up.
//!
//! Three dangers: a web page that reaches a loopback listener under its own name (DNS rebinding; shown by `Host`), a
//! web page that posts blindly (shown by `Origin`, and by a content type that a form cannot send: see `body`), and
//! anyone who reaches an open address (stopped by the token). More requests than can be answered are refused, and
//! none is answered for longer than the limit.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::problem::Problem;
use crate::routes::{App, is_open};

/// Where a request came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// The caller's address.
    pub(crate) remote: SocketAddr,
    /// Our own address on that connection.
    pub(crate) local: SocketAddr,
}

/// Lets a request through or answers it.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    if let Err(problem) = check(&app, &request) {
        return problem.into_response();
    }
    let Ok(_permit) = app.permits.try_acquire() else {
        return Problem::new("busy", "too many requests are being answered: try again in a second").into_response();
    };
    let limit = app.options.limits.request_timeout;
    match timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            "timeout",
            format!(
                "no answer within {} s; an order may still be carried out: GET /v1/status and /v1/history tell",
                limit.as_secs()
            ),
        )
        .into_response(),
    }
}

fn check(app: &App, request: &Request) -> Result<(), Problem> {
    let Some(peer) = request.extensions().get::<Peer>() else {
        return Err(Problem::new("host", "the connection has no address"));
    };
    let host = host(request)?;
    if !is_our_name(app, peer, host.host()) {
        let message =
            format!("this listener is not {:?}: use a loopback address or the address it listens on", host.host());
        return Err(Problem::new("host_unknown", message));
    }
    check_token(app, request)?;
    if request.method() != Method::GET && request.method() != Method::HEAD {
        check_origin(request.headers(), &host)?;
    }
    Ok(())
}

/// The host the caller means. It may stand in the request line, in the header, or in both.
fn host(request: &Request) -> Result<Authority, Problem> {
    let problem = |text: &str| Problem::new("host", text);
    let header = single(request.headers(), header::HOST).map_err(|()| problem("there is more than one host header"))?;
    let header = header.map(|text| text.parse::<Authority>()).transpose();
    let header = header.map_err(|_| problem("the host header is no host"))?;
    match (request.uri().authority(), header) {
        (None, None) => Err(problem("a request needs a host header")),
        (None, Some(header)) if header.as_str().contains('@') => Err(problem("the host header is no host")),
        (None, Some(header)) => Ok(header),
        (Some(line), header) if header.as_ref().is_none_or(|h| h == line) && !line.as_str().contains('@') => {
            Ok(line.clone())
        }
        (Some(_), _) => Err(problem("the request line and the host header name different hosts")),
    }
}

fn is_our_name(app: &App, peer: &Peer, host: &str) -> bool {
    let bound = app.bound.ip().to_canonical();
    if !bound.is_loopback() && app.options.allowed_hosts.is_empty() {
        return true;
    }
    let literal = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = literal.parse::<IpAddr>() {
        let ip = ip.to_canonical();
        return ip.is_loopback() || ip == bound || ip == peer.local.ip().to_canonical();
    }
    host.eq_ignore_ascii_case("localhost")
        || app.options.allowed_hosts.iter().any(|name| host.eq_ignore_ascii_case(name))
}

fn check_token(app: &App, request: &Request) -> Result<(), Problem> {
    if is_open(request.uri().path()) {
        return Ok(());
    }
    let Some(token) = &app.options.token else {
        if app.bound.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        // The start of the gateway refuses this; should it be overlooked there, nobody is let in.
        return Err(Problem::new("token", "an admin address beyond loopback needs a token: set admin.token_file"));
    };
    let shown = single(request.headers(), header::AUTHORIZATION).ok().flatten();
    match shown {
        Some(shown) if token.is_shown_by(shown) => Ok(()),
        Some(_) => Err(Problem::new("token", "the token is not the right one")),
        None => {
            Err(Problem::new("token", "a token is needed: send `authorization: Bearer <token>`, or use --token-file"))
        }
    }
}

/// A page of our own may send; any other origin, `null` among them, may not.
fn check_origin(headers: &HeaderMap, host: &Authority) -> Result<(), Problem> {
    let refused = || Problem::new("origin", "a page of another origin may not send this");
    let Some(origin) = single(headers, header::ORIGIN).map_err(|()| refused())? else { return Ok(()) };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    match authority {
        Some(authority) if authority.eq_ignore_ascii_case(host.as_str()) => Ok(()),
        _ => Err(refused()),
    }
}

/// The value of a header that may stand at most once. Text that is none counts as empty.
fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(()),
        (value, None) => Ok(value.map(|v| v.to_str().unwrap_or_default())),
    }
}
