//! `ModelStreamInfer`: one answer for each request of a stream, in their order. One request is under way at a time; the
//! caller's next ones wait in the window of the stream.

use std::sync::Arc;

use base_types::Protocol;
use bytes::Bytes;
use data_edge::{Call, Ending, ReplyBody, without_panic};
use data_path::{Code, Failure};
use http::request::Parts;
use http::{HeaderValue, Response};
use hyper::body::Incoming;

use crate::ask::{after, log_failure};
use crate::edge::{Grpc, Stopping};
use crate::message::{Message, Messages};
use crate::oip::parameter;
use crate::proto::inference::{ModelInferResponse, ModelStreamInferResponse, infer_parameter::ParameterChoice};
use crate::reply::{self, Writer, packing};
use crate::steps::{Step, Stepping, Steps};

/// Turns the failure of a request into the status of the stream, which it ends.
const STRICT_HEADER: &str = "triton_grpc_error";
/// The field of a stream's answer that holds the answer to a request.
const INFER_RESPONSE: u32 = 2;

/// A stream under way.
struct Stream {
    grpc: Grpc,
    parts: Parts,
    request_id: HeaderValue,
    messages: Messages<Incoming>,
    stopping: Stopping,
}

/// A request that failed within a stream, and what its caller may know it by.
struct Failed {
    model: String,
    id: String,
    failure: Failure,
}

impl Grpc {
    /// Answers a stream of requests. Each is counted as a request of its own.
    pub(crate) fn stream(&self, call: &Call<'_>, body: Incoming) -> Response<ReplyBody> {
        let stream = Stream {
            grpc: self.clone(),
            parts: call.parts.clone(),
            request_id: call.request_id.clone(),
            messages: Messages::new(body, &call.parts.headers),
            stopping: self.stopping(),
        };
        // How messages are packed is said before the first of them has come: as the requests say they are.
        let packing = packing(&call.parts.headers, true);
        let steps = Steps::new(Box::new(stream), step);
        reply::answer(ReplyBody::stream(Box::pin(steps)), packing)
    }
}

fn step(mut stream: Box<Stream>) -> Stepping<Box<Stream>> {
    Box::pin(async move {
        let step = stream.step().await;
        (stream, step)
    })
}

impl Stream {
    /// Takes the next request and answers it.
    async fn step(&mut self) -> Step {
        let shared = Arc::clone(&self.grpc.0);
        let (parts, request_id) = (self.parts.clone(), self.request_id.clone());
        let call = Call::new(&shared.edge, &parts, &request_id, Protocol::OipGrpc);
        let message = match self.messages.next_until(&mut self.stopping, &shared.bounds).await {
            Ok(Some(message)) => message,
            Ok(None) => return Step::End(reply::good()),
            Err(failure) => {
                call.count_refused(None, failure.class);
                log_failure(&call, "", &failure);
                return Step::End(reply::trailers(&failure));
            }
        };
        match without_panic(self.answer(&call, message)).await {
            Some(Ok(pieces)) => Step::Message(pieces),
            Some(Err(failed)) => self.failed(&call, failed).await,
            None => {
                let failure = Failure::new(Code::Internal, "the gateway failed at this request");
                call.count_refused(None, failure.class);
                log_failure(&call, "", &failure);
                Step::End(reply::trailers(&failure))
            }
        }
    }

    async fn answer(&mut self, call: &Call<'_>, message: Message) -> Result<Vec<Bytes>, Box<Failed>> {
        let failed =
            |model: &str, id: &str, failure| Box::new(Failed { model: model.to_owned(), id: id.to_owned(), failure });
        let prepared = self.grpc.prepare(call, message.frames).map_err(|failure| {
            call.count_refused(None, failure.class);
            failed("", "", failure)
        })?;
        let (model, id) = (prepared.asking.model.clone(), prepared.id.clone().unwrap_or_default());
        let mut gone = call.watch(&model);
        let answered = self.grpc.respond(call, prepared, true).await;
        gone.is_over = true;
        let (inner, answer) = answered.map_err(|failure| failed(&model, &id, failure))?;
        let mut writer = Writer::new();
        writer.put_message(INFER_RESPONSE, inner);
        let packing = packing(&call.parts.headers, true);
        let pieces = writer.finish(packing).await;
        let pieces = pieces.map_err(|failure| failed(&model, &id, after((&answer.served, answer.reason), failure)))?;
        call.log(&Ending { model: &model, served: Some(&answer.served), reason: Some(answer.reason), failure: None });
        Ok(pieces)
    }

    /// A request that failed: a message about it, or the end of the stream for those who want it so.
    async fn failed(&mut self, call: &Call<'_>, failed: Box<Failed>) -> Step {
        let Failed { model, id, failure } = *failed;
        log_failure(call, &model, &failure);
        let is_strict = self.parts.headers.get(STRICT_HEADER).is_some_and(|value| value == "true");
        if is_strict {
            return Step::End(reply::trailers(&failure));
        }
        let text = |text: &str| parameter(ParameterChoice::StringParam(text.to_owned()));
        let parameters = [
            ("switchrail_code", text(failure.code.as_str())),
            ("switchrail_fault", text(failure.class.as_str())),
            ("triton_final_response", parameter(ParameterChoice::BoolParam(true))),
        ];
        let about = ModelInferResponse {
            model_name: model,
            id,
            parameters: parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ..ModelInferResponse::default()
        };
        let message = ModelStreamInferResponse { error_message: failure.message.clone(), infer_response: Some(about) };
        let packing = packing(&call.parts.headers, true);
        match Writer::from(&message).finish(packing).await {
            Ok(pieces) => Step::Message(pieces),
            Err(failure) => Step::End(reply::trailers(&failure)),
        }
    }
}
