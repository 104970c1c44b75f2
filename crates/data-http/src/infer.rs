//! The route that asks a model.

use std::time::Duration;

use base_types::{DataType, Reason};
use data_codec::{AnswerHead, DecodedInfer, decode_infer, encode_answer};
use data_edge::{
    Call, Collected, Ending, ReplyBody, RequestFacts, collect, discard, mistaken, name_version, number_header,
    timeout_header, timeout_parameter,
};
use data_path::{Answer, Code, Failure, InferRequest, Served};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;

use crate::edge::{Rest, finished};
use crate::path::Target;
use crate::respond::{self, json};

/// Types that JSON does not carry, as Triton has it.
const UNCARRIED: [DataType; 2] = [DataType::Fp16, DataType::Bf16];
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

impl Rest {
    /// Answers a request to a model and counts it once: here what never reaches data-path, there everything else.
    pub(crate) async fn infer(&self, call: &Call<'_>, target: &Target<'_>, mut body: Incoming) -> Response<ReplyBody> {
        let mut gone = call.watch(&target.model);
        let result = match self.read(call, target, &mut body).await {
            Ok(read) => self.ask(call, target, read).await,
            Err(failure) => {
                call.count_refused_of(&target.model, failure.class);
                Err(failure)
            }
        };
        gone.is_over = true;
        let ending = Ending { model: &target.model, served: None, reason: None, failure: None };
        match result {
            Ok(Encoded { body, served, reason }) => {
                call.log(&Ending { served: Some(&served), reason: Some(reason), ..ending });
                let mut response = json(StatusCode::OK, body);
                name_version(response.headers_mut(), &served, Some(reason));
                response
            }
            Err(failure) => {
                let (served, reason) = (failure.served.as_ref(), failure.reason);
                call.log(&Ending { served, reason, failure: Some(&failure), ..ending });
                let is_clean = discard(&mut body, &self.0.options.limits).await;
                finished(call.parts, is_clean, respond::failure(&failure))
            }
        }
    }

    /// Everything that can be refused without asking a model; what needs no body comes first.
    async fn read(&self, call: &Call<'_>, target: &Target<'_>, body: &mut Incoming) -> Result<Read, Failure> {
        let headers = &call.parts.headers;
        call.check_started(&target.model)?;
        check_encoding(headers)?;
        let timeout = timeout_header(headers)?;
        let json_bytes = number_header(headers, JSON_BYTES_HEADER)?;
        let body = collect(body, &self.0.options.limits, &self.0.budget).await?;
        let request = decode_infer(&body.bytes, json_bytes, &self.0.options.codec).map_err(|e| mistaken(&e))?;
        let timeout = match timeout {
            Some(timeout) => Some(timeout),
            None => timeout_parameter(&request.parameters)?,
        };
        Ok(Read { request, timeout, _body: body })
    }

    async fn ask(&self, call: &Call<'_>, target: &Target<'_>, read: Read) -> Result<Encoded, Failure> {
        let Read { request, timeout, _body } = read;
        let facts = RequestFacts {
            headers: &call.parts.headers,
            query: call.parts.uri.query(),
            parameters: &request.parameters,
        };
        let asked = InferRequest {
            protocol: call.protocol,
            model: target.model.clone().into_owned(),
            pin: target.pin.clone(),
            inputs: request.inputs,
            outputs: request.outputs.into_iter().map(|output| output.name).collect(),
            uncarried: &UNCARRIED,
            timeout,
        };
        call.hand_over();
        let Answer { served, reason, outputs } = self.0.gateway.infer(asked, &facts).await?;
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
