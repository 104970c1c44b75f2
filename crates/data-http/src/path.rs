//! Which route a request is for. A handful of paths, matched by hand.

use std::borrow::Cow;

use base_types::Selector;
use data_edge::percent;
use data_path::{Code, Failure};
use http::Method;

/// A route of this edge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `GET /v2`
    Server,
    /// `GET /v2/health/live`
    Live,
    /// `GET /v2/health/ready`
    Ready,
    /// `GET /v2/models`
    Models,
    /// `GET /v2/models/{model}[/versions/{version}]`
    Model(Target<'a>),
    /// `GET /v2/models/{model}[/versions/{version}]/ready`
    ModelReady(Target<'a>),
    /// `POST /v2/models/{model}[/versions/{version}]/infer`
    Infer(Target<'a>),
}

/// A model as the path names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// The model; not yet known to exist.
    pub(crate) model: Cow<'a, str>,
    /// The version or label, if the path names one.
    pub(crate) pin: Option<Selector>,
}

/// Why there is no route, and which methods the path would have allowed.
#[derive(Debug)]
pub(crate) struct NoRoute {
    pub(crate) failure: Failure,
    pub(crate) allow: Option<&'static str>,
}

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";

/// Finds the route of a request.
pub(crate) fn route<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, NoRoute> {
    let route = by_path(path).map_err(|failure| NoRoute { failure, allow: None })?;
    let (is_allowed, allow) = match route {
        Route::Infer(_) => (method == Method::POST, WRITE),
        _ => (method == Method::GET || method == Method::HEAD, READ),
    };
    if is_allowed {
        return Ok(route);
    }
    let text = format!("{method} is not allowed here, {allow} is");
    Err(NoRoute { failure: Failure::new(Code::MethodNotAllowed, text), allow: Some(allow) })
}

fn by_path(path: &str) -> Result<Route<'_>, Failure> {
    let nowhere = || Failure::new(Code::NoSuchRoute, "there is nothing at this path; the protocol starts at /v2");
    let rest = path.strip_prefix("/v2").ok_or_else(nowhere)?;
    match rest.strip_suffix('/').unwrap_or(rest) {
        "" => return Ok(Route::Server),
        "/health/live" => return Ok(Route::Live),
        "/health/ready" => return Ok(Route::Ready),
        "/models" => return Ok(Route::Models),
        _ => {}
    }
    let rest = rest.strip_prefix("/models/").ok_or_else(nowhere)?;
    let (model, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let (pin, action) = match rest.strip_prefix("versions/") {
        Some(rest) => {
            let (version, action) = rest.split_once('/').unwrap_or((rest, ""));
            (Some(selector(version)?), action)
        }
        None => (None, rest),
    };
    let target = Target { model: name(model)?, pin };
    match action {
        "" => Ok(Route::Model(target)),
        "ready" => Ok(Route::ModelReady(target)),
        "infer" => Ok(Route::Infer(target)),
        _ => {
            let text = format!(
                "{:?} has nothing at {action:?}: there are ready and infer, and a model's name holds no '/'",
                target.model
            );
            Err(Failure::new(Code::NoSuchRoute, text))
        }
    }
}

fn name(segment: &str) -> Result<Cow<'_, str>, Failure> {
    let decoded = percent::decode(segment).ok_or_else(|| broken("the model's name"))?;
    if decoded.is_empty() || decoded.contains('/') {
        return Err(Failure::new(Code::Malformed, format!("{decoded:?} is no name of a model: it holds no '/'")));
    }
    Ok(decoded)
}

/// Digits are a version, everything else is a label.
fn selector(segment: &str) -> Result<Selector, Failure> {
    let decoded = percent::decode(segment).ok_or_else(|| broken("the version"))?;
    decoded.parse().map_err(|error: base_types::NameError| Failure::new(Code::Malformed, error.to_string()))
}

fn broken(what: &str) -> Failure {
    Failure::new(Code::Malformed, format!("{what} in the path is not valid percent-encoding of UTF-8 text"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

    use super::*;

    fn target(model: &str, pin: Option<&str>) -> Target<'static> {
        Target { model: model.to_owned().into(), pin: pin.map(|p| p.parse().unwrap()) }
    }

    fn check(method: Method, path: &str, expected: Route<'_>) {
        let found = route(&method, path).unwrap_or_else(|e| panic!("{path}: {e:?}"));
        assert_eq!(found, expected, "{path}");
    }

    fn check_none(method: Method, path: &str, code: Code, allow: Option<&str>) {
        let none = route(&method, path).expect_err(path);
        assert_eq!((none.failure.code, none.allow), (code, allow), "{path}");
    }

    #[test]
    fn every_route_is_found() {
        check(Method::GET, "/v2", Route::Server);
        check(Method::GET, "/v2/", Route::Server);
        check(Method::HEAD, "/v2/health/live", Route::Live);
        check(Method::GET, "/v2/health/ready", Route::Ready);
        check(Method::GET, "/v2/models", Route::Models);
        check(Method::GET, "/v2/models/m", Route::Model(target("m", None)));
        check(Method::GET, "/v2/models/m/versions/3", Route::Model(target("m", Some("3"))));
        check(
            Method::GET,
            "/v2/models/m%2e1/versions/st%61ble/ready",
            Route::ModelReady(target("m.1", Some("stable"))),
        );
        check(Method::POST, "/v2/models/m/infer", Route::Infer(target("m", None)));
        check(Method::POST, "/v2/models/versions/infer", Route::Infer(target("versions", None)));
        check(Method::POST, "/v2/models/m/versions/12/infer", Route::Infer(target("m", Some("12"))));
    }

    #[test]
    fn everything_else_says_why() {
        for path in ["/", "/v1/models", "/v2x", "/v2/nothing", "/v2/models/a/b/ready", "/v2/models/m/config"] {
            check_none(Method::GET, path, Code::NoSuchRoute, None);
        }
        for version in ["0", "01", "", "-1", "99999999999999999999999"] {
            check_none(Method::POST, &format!("/v2/models/m/versions/{version}/infer"), Code::Malformed, None);
        }
        for path in ["/v2/models/a%2Fb", "/v2/models/%ff", "/v2/models//infer"] {
            check_none(Method::GET, path, Code::Malformed, None);
        }
        check_none(Method::POST, "/v2/models/m", Code::MethodNotAllowed, Some("GET, HEAD"));
        check_none(Method::GET, "/v2/models/m/infer", Code::MethodNotAllowed, Some("POST"));
        check_none(Method::DELETE, "/v2", Code::MethodNotAllowed, Some("GET, HEAD"));
    }
}
