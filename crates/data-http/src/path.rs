//! Which route a request is for. A handful of paths, matched by hand.

use std::borrow::Cow;

use base_serving::ChangeKind;
use base_types::Selector;
use data_edge::percent;
use data_path::{Code, Failure};
use http::Method;

/// A route of this edge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `GET /`, which KServe's V1 clients ask for liveness
    Alive,
    /// `GET /v2`
    Server,
    /// `GET /v2/openapi.json`
    OpenApi,
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
    /// `GET /v2/models/{model}[/versions/{version}]/config`
    Config(Target<'a>),
    /// `GET /v2/models/stats` and `GET /v2/models/{model}[/versions/{version}]/stats`
    Statistics(Option<Target<'a>>),
    /// `POST /v2/models/{model}[/versions/{version}]/infer`
    Infer(Target<'a>),
    /// `POST /v2/models/{model}/feedback`
    Feedback(Cow<'a, str>),
    /// `POST /v2/repository/index`
    Index,
    /// `POST /v2/repository[/{repository}]/models/{model}[/versions/{version}]/load` and `unload`
    Change(ChangeKind, Target<'a>),
    /// `GET` and `POST /v2/logging`
    Logging,
    /// `GET` and `POST /v2/trace/setting`, `/v2/models/{model}/trace/setting`
    Trace(Option<Cow<'a, str>>),
    /// `GET /v2/systemsharedmemory/status` and `/v2/cudasharedmemory/status`: there are no regions.
    NoRegions,
    /// A part of the protocol that is left out on purpose.
    Absent(Absent),
}

/// What is left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Tensors in memory shared with the caller.
    SharedMemory,
    /// The status of one region of it.
    RegionStatus,
    /// `generate` and `generate_stream`.
    Generate,
    /// The index of a repository by name.
    NamedRepository,
}

impl Absent {
    /// What to do instead.
    pub(crate) fn failure(self) -> Failure {
        let text = match self {
            Self::SharedMemory | Self::RegionStatus => "shared memory is not implemented: send tensors in the request",
            Self::Generate => "generate and generate_stream are not implemented: use infer",
            Self::NamedRepository => "repositories have no names here: ask /v2/repository/index",
        };
        Failure::new(Code::NotImplemented, text)
    }
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
const BOTH: &str = "GET, HEAD, POST";

/// Finds the route of a request.
pub(crate) fn route<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, NoRoute> {
    let route = by_path(path).map_err(|failure| NoRoute { failure, allow: None })?;
    let allow = match route {
        Route::Absent(Absent::RegionStatus) => READ,
        Route::Infer(_) | Route::Feedback(_) | Route::Index | Route::Change(..) | Route::Absent(_) => WRITE,
        Route::Logging | Route::Trace(_) => BOTH,
        _ => READ,
    };
    if allow.split(", ").any(|allowed| method == allowed) {
        return Ok(route);
    }
    let text = format!("{method} is not allowed here, {allow} is");
    Err(NoRoute { failure: Failure::new(Code::MethodNotAllowed, text), allow: Some(allow) })
}

fn nowhere() -> Failure {
    Failure::new(Code::NoSuchRoute, "there is nothing at this path; the protocol starts at /v2")
}

fn by_path(path: &str) -> Result<Route<'_>, Failure> {
    if path == "/" {
        return Ok(Route::Alive);
    }
    let rest = path.strip_prefix("/v2").filter(|rest| rest.is_empty() || rest.starts_with('/')).ok_or_else(nowhere)?;
    // The first segment is what stands before the first slash: nothing.
    let segments: Vec<&str> = rest.strip_suffix('/').unwrap_or(rest).split('/').skip(1).collect();
    match segments.as_slice() {
        [] => Ok(Route::Server),
        ["openapi.json"] => Ok(Route::OpenApi),
        ["health", "live"] => Ok(Route::Live),
        ["health", "ready"] => Ok(Route::Ready),
        ["models"] => Ok(Route::Models),
        ["models", "stats"] => Ok(Route::Statistics(None)),
        ["models", model, "trace", "setting"] => Ok(Route::Trace(Some(target(model, None)?.model))),
        // Whose answer it is about, the id says.
        ["models", model, "feedback"] => Ok(Route::Feedback(target(model, None)?.model)),
        ["models", model, "versions", version, action @ ..] => by_action(target(model, Some(version))?, action),
        ["models", model, action @ ..] => by_action(target(model, None)?, action),
        ["repository", rest @ ..] => repository(rest),
        ["logging"] => Ok(Route::Logging),
        ["trace", "setting"] => Ok(Route::Trace(None)),
        ["systemsharedmemory" | "cudasharedmemory", rest @ ..] => shared_memory(rest),
        _ => Err(nowhere()),
    }
}

fn by_action<'a>(target: Target<'a>, action: &[&str]) -> Result<Route<'a>, Failure> {
    match action {
        [] => Ok(Route::Model(target)),
        ["ready"] => Ok(Route::ModelReady(target)),
        ["config"] => Ok(Route::Config(target)),
        ["stats"] => Ok(Route::Statistics(Some(target))),
        ["infer"] => Ok(Route::Infer(target)),
        ["generate" | "generate_stream"] => Ok(Route::Absent(Absent::Generate)),
        _ => {
            let text = format!(
                "{:?} has nothing at {:?}: there are ready, config, stats, infer and feedback, and a model's name holds no '/'",
                target.model,
                action.join("/")
            );
            Err(Failure::new(Code::NoSuchRoute, text))
        }
    }
}

/// There is one repository; a name before `models` is passed over.
fn repository<'a>(segments: &[&'a str]) -> Result<Route<'a>, Failure> {
    let kind = |action: &str| match action {
        "load" => Ok(ChangeKind::Load),
        "unload" => Ok(ChangeKind::Unload),
        _ => Err(nowhere()),
    };
    match segments {
        ["index"] => Ok(Route::Index),
        ["models", model, action] | [_, "models", model, action] => {
            Ok(Route::Change(kind(action)?, target(model, None)?))
        }
        ["models", model, "versions", version, action] | [_, "models", model, "versions", version, action] => {
            Ok(Route::Change(kind(action)?, target(model, Some(version))?))
        }
        [_, "index"] => Ok(Route::Absent(Absent::NamedRepository)),
        _ => Err(nowhere()),
    }
}

fn shared_memory<'a>(segments: &[&str]) -> Result<Route<'a>, Failure> {
    match segments {
        ["status"] => Ok(Route::NoRegions),
        ["region", _, "status"] => Ok(Route::Absent(Absent::RegionStatus)),
        ["unregister"] | ["region", _, "register" | "unregister"] => Ok(Route::Absent(Absent::SharedMemory)),
        _ => Err(nowhere()),
    }
}

/// A model and, where the path has one, a version, both decoded and checked.
fn target<'a>(model: &'a str, version: Option<&str>) -> Result<Target<'a>, Failure> {
    let model = percent::decode(model).ok_or_else(|| broken("the model's name"))?;
    let version = match version {
        Some("") => return Err(Failure::new(Code::Malformed, "the path names no version after /versions/")),
        Some(version) => percent::decode(version).ok_or_else(|| broken("the version"))?,
        None => Cow::Borrowed(""),
    };
    let (_, pin) = data_path::target(&model, &version)?;
    Ok(Target { model, pin })
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
        check(Method::GET, "/", Route::Alive);
        check(Method::GET, "/v2", Route::Server);
        check(Method::GET, "/v2/", Route::Server);
        check(Method::HEAD, "/v2/health/live", Route::Live);
        check(Method::GET, "/v2/health/ready", Route::Ready);
        check(Method::GET, "/v2/openapi.json", Route::OpenApi);
        check(Method::GET, "/v2/models", Route::Models);
        check(Method::GET, "/v2/models/m", Route::Model(target("m", None)));
        check(Method::POST, "/v2/models/m%2Dn/feedback", Route::Feedback("m-n".into()));
        check(Method::GET, "/v2/models/m/versions/3", Route::Model(target("m", Some("3"))));
        check(
            Method::GET,
            "/v2/models/m%2e1/versions/st%61ble/ready",
            Route::ModelReady(target("m.1", Some("stable"))),
        );
        check(Method::GET, "/v2/models/m/config", Route::Config(target("m", None)));
        check(Method::GET, "/v2/models/m/versions/3/stats/", Route::Statistics(Some(target("m", Some("3")))));
        check(Method::GET, "/v2/models/stats", Route::Statistics(None));
        check(Method::POST, "/v2/models/m/infer", Route::Infer(target("m", None)));
        check(Method::POST, "/v2/models/versions/infer", Route::Infer(target("versions", None)));
        check(Method::POST, "/v2/models/m/versions/12/infer", Route::Infer(target("m", Some("12"))));
        check(Method::POST, "/v2/models/m/generate_stream", Route::Absent(Absent::Generate));
    }

    #[test]
    fn what_can_be_changed_has_its_routes() {
        use ChangeKind::{Load, Unload};
        check(Method::POST, "/v2/repository/index", Route::Index);
        check(Method::POST, "/v2/repository/main/index", Route::Absent(Absent::NamedRepository));
        check(Method::POST, "/v2/repository/models/m/load", Route::Change(Load, target("m", None)));
        check(Method::POST, "/v2/repository/r/models/m/unload", Route::Change(Unload, target("m", None)));
        check(Method::POST, "/v2/repository/models/m/versions/3/load", Route::Change(Load, target("m", Some("3"))));
        check(Method::POST, "/v2/repository/models/models/m/load", Route::Change(Load, target("m", None)));
        for method in [Method::GET, Method::POST] {
            check(method.clone(), "/v2/logging", Route::Logging);
            check(method.clone(), "/v2/trace/setting", Route::Trace(None));
            check(method, "/v2/models/m/trace/setting", Route::Trace(Some("m".into())));
        }
        check(Method::GET, "/v2/cudasharedmemory/status", Route::NoRegions);
        check(Method::GET, "/v2/cudasharedmemory/region/a/status", Route::Absent(Absent::RegionStatus));
        check(Method::POST, "/v2/systemsharedmemory/region/a/register", Route::Absent(Absent::SharedMemory));
        check(Method::POST, "/v2/systemsharedmemory/unregister", Route::Absent(Absent::SharedMemory));
    }

    #[test]
    fn everything_else_says_why() {
        for path in [
            "/v2x",
            "/v2//",
            "/v2/nothing",
            "/v2/models/a/b/ready",
            "/v2/models/m/versions",
            "/v2/models/m/versions/1/trace/setting",
            "/v2/repository/models/m/reload",
            "/v2/repository",
            "/v2/logging/x",
            "/v2/systemsharedmemory",
        ] {
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
        check_none(Method::GET, "/v2/models/m/feedback", Code::MethodNotAllowed, Some("POST"));
        check_none(Method::POST, "/v2/models/m/versions/3/feedback", Code::NoSuchRoute, None);
        check_none(Method::GET, "/v2/repository/index", Code::MethodNotAllowed, Some("POST"));
        check_none(Method::GET, "/v2/models/m/generate", Code::MethodNotAllowed, Some("POST"));
        check_none(Method::PUT, "/v2/logging", Code::MethodNotAllowed, Some("GET, HEAD, POST"));
        check_none(Method::DELETE, "/v2", Code::MethodNotAllowed, Some("GET, HEAD"));
    }
}
