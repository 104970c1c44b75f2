//! What the calls that ask a model have in common.

use std::time::Duration;

use base_serving::PredictionId;
use base_types::{OutcomeClass, Reason, Selector, Tensor};
use bytes::Bytes;
use data_codec::Parameters;
use data_edge::compress::Encoding;
use data_edge::{
    Call, Ending, ReplyBody, RequestFacts, TIMEOUT_MAX, name_prediction, name_version, refuse_absent, timeout_header,
    timeout_parameter,
};
use data_path::{Answer, Code, Failure, InferRequest, Served, Uncarried, target};
use http::{HeaderMap, Response};

use crate::reply;

/// The protocol's own deadline.
const TIMEOUT_HEADER: &str = "grpc-timeout";

/// A request to a model, read.
pub(crate) struct Asking {
    /// The model, as the caller names it.
    pub(crate) model: String,
    /// The version or label, if one is named.
    pub(crate) pin: Option<Selector>,
    /// The inputs.
    pub(crate) inputs: Vec<Tensor>,
    /// Names of the wanted outputs; empty means all.
    pub(crate) outputs: Vec<String>,
    /// Names of the outputs that are wanted as classes.
    pub(crate) classified: Vec<String>,
    /// Parameters of the request.
    pub(crate) parameters: Parameters,
}

/// A good answer, encoded.
pub(crate) struct Encoded {
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) packing: Option<Encoding>,
    pub(crate) served: Served,
    pub(crate) reason: Reason,
    pub(crate) prediction: PredictionId,
}

/// Names the model and, where it is not empty, the version or label.
pub(crate) fn named(model: &str, version: &str) -> Result<(String, Option<Selector>), Failure> {
    target(model, version).map(|(model, pin)| (model.to_owned(), pin))
}

/// Asks the model for an answer in the form that `write` gives it, which it may be impossible to have. Counts what never
/// reaches data-path; that counts everything else.
pub(crate) async fn ask_as<T>(
    call: &Call<'_>,
    asking: Asking,
    write: impl FnOnce(Answer) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let headers = &call.parts.headers;
    let checked = call.check_started(&asking.model).and_then(|()| refuse_absent(&asking.parameters));
    let timeout = checked.and_then(|()| timeout(headers, &asking.parameters)).inspect_err(|failure| {
        call.count_refused_of(&asking.model, failure.class);
    })?;
    let facts = RequestFacts { headers, query: None, parameters: &asking.parameters };
    let request = InferRequest {
        protocol: call.protocol,
        model: asking.model,
        pin: asking.pin,
        inputs: asking.inputs,
        outputs: asking.outputs,
        uncarried: Uncarried { classified: asking.classified, ..Uncarried::default() },
        timeout,
    };
    call.hand_over();
    call.edge.gateway.infer_as(request, &facts, write).await
}

/// The answer to a call that asked a model, and its line in the log.
pub(crate) fn finish(call: &Call<'_>, model: &str, result: Result<Encoded, Failure>) -> Response<ReplyBody> {
    match result {
        Ok(Encoded { pieces, packing, served, reason, prediction }) => {
            call.log(&Ending { model, served: Some(&served), reason: Some(reason), failure: None });
            let mut response = reply::one(pieces, packing);
            name_version(response.headers_mut(), &served, Some(reason));
            name_prediction(response.headers_mut(), &prediction);
            response
        }
        Err(failure) => {
            log_failure(call, model, &failure);
            reply::failed(&failure)
        }
    }
}

/// The line in the log of a request that failed.
pub(crate) fn log_failure(call: &Call<'_>, model: &str, failure: &Failure) {
    let (served, reason) = (failure.served.as_ref(), failure.reason);
    call.log(&Ending { model, served, reason, failure: Some(failure) });
}

/// A failure after a version answered.
pub(crate) fn after(answered: (&Served, Reason), failure: Failure) -> Failure {
    Failure { served: Some(answered.0.clone()), reason: Some(answered.1), ..failure }
}

/// The shortest of the deadlines a caller gives.
fn timeout(headers: &HeaderMap, parameters: &Parameters) -> Result<Option<Duration>, Failure> {
    let given = [protocol_timeout(headers)?, timeout_header(headers)?, timeout_parameter(parameters)?];
    Ok(given.into_iter().flatten().min())
}

/// `grpc-timeout`: up to eight digits and a unit. It may be there twice only if it says the same.
fn protocol_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let mut found = None;
    for value in headers.get_all(TIMEOUT_HEADER) {
        let duration = value.to_str().ok().and_then(parse_timeout).ok_or_else(|| {
            let text =
                format!("the metadata {TIMEOUT_HEADER} is up to 8 digits and one of H, M, S, m, u, n: {value:?}");
            Failure::new(Code::Malformed, text)
        })?;
        if found.replace(duration).is_some_and(|other| other != duration) {
            let text = format!("the metadata {TIMEOUT_HEADER} is there more than once, with different times");
            return Err(Failure::new(Code::Malformed, text));
        }
    }
    if found.is_some_and(|duration| duration.is_zero()) {
        // Nothing here was too slow for it: it is the caller's own doing.
        let none = Failure::new(Code::DeadlineInQueue, format!("{TIMEOUT_HEADER} leaves no time at all"));
        return Err(Failure { class: OutcomeClass::CallerDeadline, ..none });
    }
    Ok(found.map(|duration| duration.min(TIMEOUT_MAX)))
}

fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use data_codec::Parameter;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_shortest_deadline_counts_and_broken_ones_are_told() {
        let check = |grpc: Option<&'static str>, own: Option<&'static str>, parameter: Option<u64>| {
            let mut headers = HeaderMap::new();
            grpc.map(|value| headers.insert(TIMEOUT_HEADER, HeaderValue::from_static(value)));
            own.map(|value| headers.insert("switchrail-timeout-ms", HeaderValue::from_static(value)));
            let mut parameters = Parameters::default();
            if let Some(value) = parameter {
                parameters.push("timeout".to_owned(), Parameter::Unsigned(value));
            }
            timeout(&headers, &parameters).map_err(|failure| failure.code)
        };
        let ms = |n| Ok(Some(Duration::from_millis(n)));
        assert_eq!(check(None, None, None), Ok(None));
        assert_eq!(check(Some("3S"), None, None), ms(3000));
        assert_eq!(check(Some("3S"), Some("20"), None), ms(20));
        assert_eq!(check(Some("3S"), Some("20"), Some(7000)), ms(7));
        assert_eq!(check(Some("5m"), Some("20"), Some(7000)), ms(5));
        assert_eq!(check(Some("2M"), None, Some(0)), ms(120_000));
        assert_eq!(check(Some("99999999H"), None, None), Ok(Some(TIMEOUT_MAX)));
        assert_eq!(check(Some("1500000n"), None, None), Ok(Some(Duration::from_nanos(1_500_000))));
        for broken in ["", "5", "S", "-1S", "+1S", "123456789S", "1s", "1 S"] {
            assert_eq!(check(Some(broken), None, None), Err(Code::Malformed), "{broken}");
        }
        assert_eq!(check(Some("0n"), None, None), Err(Code::DeadlineInQueue));
    }

    #[test]
    fn a_deadline_of_nothing_is_the_callers_own_and_two_deadlines_are_none() {
        let given = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TIMEOUT_HEADER, HeaderValue::from_static(value));
            }
            timeout(&headers, &Parameters::default()).map_err(|failure| (failure.code, failure.class))
        };
        assert_eq!(given(&["0n"]), Err((Code::DeadlineInQueue, OutcomeClass::CallerDeadline)));
        assert_eq!(given(&["1S", "1S"]), Ok(Some(Duration::from_secs(1))));
        assert_eq!(given(&["1S", "1000m"]), Ok(Some(Duration::from_secs(1))));
        assert_eq!(given(&["1S", "2S"]), Err((Code::Malformed, OutcomeClass::Client)));
    }
}
