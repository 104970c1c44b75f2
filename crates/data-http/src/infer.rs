//! The route that asks a model.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base_types::{DataType, Reason};
use data_codec::{AnswerHead, DecodedInfer, Mistake, Parameter, decode_infer, encode_answer};
use data_path::{Answer, Code, Failure, InferRequest, Served};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;

use crate::access::{self, Ending};
use crate::body::{Collected, collect, discard};
use crate::edge::{Call, Edge, finished};
use crate::facts::HttpFacts;
use crate::options::Phase;
use crate::path::Target;
use crate::reply::{ReplyBody, json};
use crate::respond;

/// Types that JSON does not carry, as Triton has it.
const UNCARRIED: [DataType; 2] = [DataType::Fp16, DataType::Bf16];
/// The caller's own deadline, in milliseconds. Wins over the protocol's parameter.
const TIMEOUT_HEADER: &str = "switchrail-timeout-ms";
/// The protocol's own way to set a deadline, in microseconds; 0 means none.
const TIMEOUT_PARAMETER: &str = "timeout";
/// No caller needs more; it also keeps sums of time from overflowing.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The length of the JSON part of a body that goes on in binary.
const JSON_BYTES_HEADER: &str = "inference-header-content-length";

/// A request read whole.
struct Read {
    request: DecodedInfer,
    timeout: Option<Duration>,
    /// Keeps the body's share of the budget, because tensors may share its memory.
    _body: Collected,
}

/// A good answer, encoded.
struct Encoded {
    body: Vec<u8>,
    served: Served,
    reason: Reason,
}

impl Edge {
    /// Answers a request to a model and counts it once: here what never reaches data-path, there everything else.
    pub(crate) async fn infer(&self, call: &Call<'_>, target: &Target<'_>, mut body: Incoming) -> Response<ReplyBody> {
        let mut gone = LogIfGone { call, model: &target.model, is_over: false };
        let result = match self.read(call, target, &mut body).await {
            Ok(read) => self.ask(call, target, read).await,
            Err(failure) => {
                let snapshot = self.gateway.snapshot();
                let known = snapshot.models.get(target.model.as_ref()).map(|m| &m.name);
                call.count_refused(known, failure.class);
                Err(failure)
            }
        };
        gone.is_over = true;
        let ending = Ending { model: &target.model, served: None, reason: None, failure: None };
        match result {
            Ok(Encoded { body, served, reason }) => {
                access::log(call, &Ending { served: Some(&served), reason: Some(reason), ..ending });
                let mut response = json(StatusCode::OK, body);
                respond::name_version(response.headers_mut(), &served, Some(reason));
                response
            }
            Err(failure) => {
                let (served, reason) = (failure.served.as_ref(), failure.reason);
                access::log(call, &Ending { served, reason, failure: Some(&failure), ..ending });
                let is_clean = discard(&mut body, &self.options.limits).await;
                finished(call.parts, is_clean, respond::failure(&failure))
            }
        }
    }

    /// Everything that can be refused without asking a model; what needs no body comes first.
    async fn read(&self, call: &Call<'_>, target: &Target<'_>, body: &mut Incoming) -> Result<Read, Failure> {
        let headers = &call.parts.headers;
        if self.options.readiness.phase() == Phase::Starting {
            self.check_started(&target.model)?;
        }
        check_encoding(headers)?;
        let timeout = timeout_header(headers)?;
        let json_bytes = number(headers, JSON_BYTES_HEADER)?;
        let body = collect(body, &self.options.limits, &self.budget).await?;
        let request = decode_infer(&body.bytes, json_bytes, &self.options.codec).map_err(|error| {
            let code = match error.mistake() {
                Mistake::Malformed => Code::Malformed,
                Mistake::Mismatch => Code::InputMismatch,
                Mistake::Unsupported => Code::Unsupported,
            };
            Failure::new(code, error.to_string())
        })?;
        let timeout = match timeout {
            Some(timeout) => Some(timeout),
            None => timeout_parameter(&request)?,
        };
        Ok(Read { request, timeout, _body: body })
    }

    /// While the versions wanted at start are being loaded, an absent model may be one of theirs.
    fn check_started(&self, model: &str) -> Result<(), Failure> {
        if self.gateway.snapshot().models.contains_key(model) {
            return Ok(());
        }
        Err(Failure::new(Code::ModelNotReady, format!("the gateway is starting; model {model:?} is not there yet")))
    }

    async fn ask(&self, call: &Call<'_>, target: &Target<'_>, read: Read) -> Result<Encoded, Failure> {
        let Read { request, timeout, _body } = read;
        let facts =
            HttpFacts { headers: &call.parts.headers, query: call.parts.uri.query(), parameters: &request.parameters };
        let asked = InferRequest {
            model: target.model.clone().into_owned(),
            pin: target.pin.clone(),
            inputs: request.inputs,
            outputs: request.outputs.into_iter().map(|output| output.name).collect(),
            uncarried: &UNCARRIED,
            timeout,
        };
        call.is_counted.store(true, Ordering::Relaxed);
        let Answer { served, reason, outputs } = self.gateway.infer(asked, &facts).await?;
        let version = &served.version;
        let head = AnswerHead {
            model: version.id.model.as_str(),
            version: version.id.version.get(),
            id: request.id.as_deref(),
            digest: &version.digest_short,
            generation: served.generation.0,
            reason: reason.as_str(),
        };
        match encode_answer(&head, &outputs) {
            Ok(body) => Ok(Encoded { body, served, reason }),
            Err(error) => Err(Failure {
                served: Some(served),
                reason: Some(reason),
                ..Failure::new(Code::Unsupported, format!("{error}: leave it out with `outputs`"))
            }),
        }
    }
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            let text = format!("the content encoding {encoding:?} is not accepted, only identity is");
            Err(Failure::new(Code::UnsupportedEncoding, text))
        }
        _ => Ok(()),
    }
}

fn timeout_header(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    match number(headers, TIMEOUT_HEADER)? {
        Some(0) => Err(Failure::new(Code::Malformed, format!("the header {TIMEOUT_HEADER} leaves no time at all"))),
        milliseconds => Ok(milliseconds.map(|ms| Duration::from_millis(ms).min(TIMEOUT_MAX))),
    }
}

fn timeout_parameter(request: &DecodedInfer) -> Result<Option<Duration>, Failure> {
    match request.parameters.get(TIMEOUT_PARAMETER) {
        None | Some(Parameter::Unsigned(0)) => Ok(None),
        Some(Parameter::Unsigned(microseconds)) => Ok(Some(Duration::from_micros(*microseconds).min(TIMEOUT_MAX))),
        Some(_) => {
            let text = format!("the parameter {TIMEOUT_PARAMETER:?} is a positive number of microseconds");
            Err(Failure::new(Code::Malformed, text))
        }
    }
}

/// A header that holds a number.
fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let is_digits = !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    match value.to_str().ok().filter(|_| is_digits).and_then(|text| text.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(Failure::new(Code::Malformed, format!("the header {name} is no number: {value:?}"))),
    }
}

/// Logs a caller who left before the answer; data-path counts it.
struct LogIfGone<'a> {
    call: &'a Call<'a>,
    model: &'a str,
    is_over: bool,
}

impl Drop for LogIfGone<'_> {
    fn drop(&mut self) {
        if self.is_over || std::thread::panicking() {
            return;
        }
        let failure = Failure::new(Code::CallerGone, "the caller closed the connection");
        access::log(self.call, &Ending { model: self.model, served: None, reason: None, failure: Some(&failure) });
    }
}
