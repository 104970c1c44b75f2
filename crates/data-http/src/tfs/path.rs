//! Which route a path means. Words of the protocol are read in any case, names as they stand.

use std::borrow::Cow;

use base_types::{Label, Selector};
use data_codec::tfs::Method as ResultsMethod;
use data_edge::percent;
use data_path::{Code, Failure, target};
use http::Method;

use super::{Question, Route};
use crate::path::Target;

/// Finds the route of a request. A method that does not fit its path is as malformed as a path that leads nowhere,
/// which is how TensorFlow Serving has it.
pub(super) fn route<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, Failure> {
    by_path(method, path).map_err(|why| {
        let shown: String = path.chars().take(256).collect();
        Failure::new(Code::Malformed, format!("Malformed request: {method} {shown}: {why}"))
    })
}

fn by_path<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, Cow<'static, str>> {
    const NOWHERE: &str = "there is nothing at this path; there are /v1/models and /v1/models/{model}, the latter \
                           with /versions/{number} or /labels/{label}, with /metadata, :predict, :classify or :regress";
    let (front, question) = match path.rsplit_once(':') {
        Some((front, word)) => (front, Some(question(word).ok_or(NOWHERE)?)),
        None => (path, None),
    };
    let mut segments = front.split('/').skip(2);
    if !segments.next().is_some_and(|word| is(word, "models")) {
        return Err(NOWHERE.into());
    }
    let segments: Vec<&str> = segments.collect();
    let (segments, is_metadata) = match segments.as_slice() {
        [front @ .., last] if front.len() % 2 == 1 && is(last, "metadata") => (front, true),
        all => (all, false),
    };
    let target = match segments {
        [] => None,
        [model] => Some(Target { model: model_name(model)?, pin: None }),
        [model, word, number] if is(word, "versions") => {
            Some(Target { model: model_name(model)?, pin: Some(version(number)?) })
        }
        [model, word, name] if is(word, "labels") => {
            Some(Target { model: model_name(model)?, pin: Some(label(name)?) })
        }
        _ => return Err(NOWHERE.into()),
    };
    let (route, is_allowed) = match (target, question, is_metadata) {
        (Some(target), Some(question), false) => (Route::Ask(question, target), method == Method::POST),
        (Some(target), None, true) => (Route::Metadata(target), is_read(method)),
        (Some(target), None, false) => (Route::Status(target), is_read(method)),
        (None, None, false) => (Route::Models, is_read(method)),
        _ => return Err(NOWHERE.into()),
    };
    match (is_allowed, question) {
        (true, _) => Ok(route),
        (false, Some(_)) => Err("this path takes POST".into()),
        (false, None) => Err("this path takes GET and HEAD".into()),
    }
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whether a segment is a word of the protocol.
fn is(segment: &str, word: &str) -> bool {
    segment.eq_ignore_ascii_case(word)
}

fn question(word: &str) -> Option<Question> {
    match word {
        _ if is(word, "predict") => Some(Question::Predict),
        _ if is(word, "classify") => Some(Question::Results(ResultsMethod::Classify)),
        _ if is(word, "regress") => Some(Question::Results(ResultsMethod::Regress)),
        _ => None,
    }
}

fn model_name(segment: &str) -> Result<Cow<'_, str>, Cow<'static, str>> {
    let decoded = decoded(segment)?;
    target(&decoded, "").map_err(|failure| failure.message)?;
    Ok(decoded)
}

fn version(segment: &str) -> Result<Selector, Cow<'static, str>> {
    let number = decoded(segment)?.parse().map_err(|error: base_types::NameError| error.to_string())?;
    Ok(Selector::Version(number))
}

fn label(segment: &str) -> Result<Selector, Cow<'static, str>> {
    Ok(Selector::Label(Label::new(&decoded(segment)?).map_err(|error| error.to_string())?))
}

fn decoded(segment: &str) -> Result<Cow<'_, str>, Cow<'static, str>> {
    percent::decode(segment).ok_or_else(|| "the path is not valid percent-encoding of UTF-8 text".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]

    use super::*;

    fn target(model: &'static str, pin: Option<&str>) -> Target<'static> {
        Target { model: model.into(), pin: pin.map(|pin| pin.parse().unwrap()) }
    }

    fn check(method: Method, path: &str, expected: Route<'_>) {
        let found = route(&method, path).unwrap_or_else(|failure| panic!("{path}: {}", failure.message));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn every_route_is_found_whatever_the_case_of_its_words() {
        let (classify, regress) = (ResultsMethod::Classify, ResultsMethod::Regress);
        check(Method::GET, "/v1/models", Route::Models);
        check(Method::GET, "/V1/Models/m", Route::Status(target("m", None)));
        check(Method::HEAD, "/v1/models/M%2e1/versions/3", Route::Status(target("M.1", Some("3"))));
        check(Method::GET, "/v1/models/m/LABELS/st%61ble", Route::Status(target("m", Some("stable"))));
        check(Method::GET, "/v1/models/m/metadata", Route::Metadata(target("m", None)));
        check(Method::GET, "/v1/models/m/Versions/12/Metadata", Route::Metadata(target("m", Some("12"))));
        check(Method::GET, "/v1/models/metadata", Route::Status(target("metadata", None)));
        check(Method::GET, "/v1/models/metadata/metadata", Route::Metadata(target("metadata", None)));
        check(Method::GET, "/v1/models/m/labels/metadata", Route::Status(target("m", Some("metadata"))));
        check(Method::POST, "/v1/models/m:predict", Route::Ask(Question::Predict, target("m", None)));
        check(Method::POST, "/v1/models/m:PREDICT", Route::Ask(Question::Predict, target("m", None)));
        let asked = target("m", Some("2"));
        check(Method::POST, "/v1/models/m/versions/2:Classify", Route::Ask(Question::Results(classify), asked));
        let asked = target("m", Some("canary"));
        check(Method::POST, "/v1/models/m/labels/canary:regress", Route::Ask(Question::Results(regress), asked));
    }

    #[test]
    fn everything_else_is_malformed_and_says_why() {
        let check = |method: Method, path: &str, part: &str| {
            let failure = route(&method, path).expect_err(path);
            assert_eq!(failure.code, Code::Malformed, "{path}");
            assert!(failure.message.starts_with(&format!("Malformed request: {method} {path}: ")), "{failure:?}");
            assert!(failure.message.contains(part), "{failure:?}");
        };
        for path in ["/v1", "/v1/", "/v1/model", "/v1/models/m/more", "/v1/models/m/versions", "/v1/models/m/"] {
            check(Method::GET, path, "nothing at this path");
        }
        for path in ["/v1/models:predict", "/v1/models/m:sing", "/v1/models/m/metadata:predict", "/v1/models/a:b:c"] {
            check(Method::POST, path, "nothing at this path");
        }
        check(Method::GET, "/v1/models/", "no name of a model");
        check(Method::GET, "/v1/models/a%2fb", "no name of a model");
        check(Method::GET, "/v1/models/%ff", "percent-encoding");
        for version in ["latest", "0", "01", "-1", "99999999999999999999999", ""] {
            check(Method::POST, &format!("/v1/models/m/versions/{version}:predict"), "a version is a positive integer");
        }
        check(Method::GET, "/v1/models/m/labels/1", "a label may not be all digits");
        check(Method::GET, "/v1/models/m:predict", "takes POST");
        check(Method::POST, "/v1/models/m", "takes GET");
        check(Method::DELETE, "/v1/models", "takes GET");
    }
}
