//! The route that asks a model.

mod reply;

use std::time::Duration;

use base_serving::PredictionId;
use base_types::Reason;
use bytes::Bytes;
use data_codec::{DecodedInfer, EncodedAnswer, decode_infer, decode_raw};
use data_edge::{
    Call, Collected, Ending, ReplyBody, RequestFacts, discard, mistaken, name_prediction, name_version, number_header,
    receive, refuse_absent, timeout_header, timeout_parameter,
};
use data_path::{Answer, Failure, InferRequest, Served, find, no_such_model};
use http::Response;
use hyper::body::Incoming;

use crate::edge::{Rest, finished};
use crate::path::Target;
use crate::respond;
use reply::Wishes;

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
    answer: EncodedAnswer,
    served: Served,
    reason: Reason,
    prediction: PredictionId,
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
            Ok(Encoded { answer, served, reason, prediction }) => {
                call.log(&Ending { served: Some(&served), reason: Some(reason), ..ending });
                let mut response = reply::respond(answer, &call.parts.headers).await;
                name_version(response.headers_mut(), &served, Some(reason));
                name_prediction(response.headers_mut(), &prediction);
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
        let timeout = timeout_header(headers)?;
        let json_bytes = number_header(headers, JSON_BYTES_HEADER)?;
        // The first binary tensor starts where the JSON ends.
        let aligned_at = json_bytes.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let body = receive(call, body, aligned_at).await?;
        let request = match json_bytes {
            Some(0) => self.decode_raw(target, &body.bytes)?,
            _ => decode_infer(&body.bytes, json_bytes, &self.0.options.codec).map_err(|e| mistaken(&e))?,
        };
        refuse_absent(&request.parameters)?;
        let timeout = match timeout {
            Some(timeout) => Some(timeout),
            None => timeout_parameter(&request.parameters)?,
        };
        Ok(Read { request, timeout, _body: body })
    }

    /// A body without JSON. What it means only the model can say.
    fn decode_raw(&self, target: &Target<'_>, body: &Bytes) -> Result<DecodedInfer, Failure> {
        let snapshot = self.0.gateway.snapshot();
        let model = snapshot.models.get(target.model.as_ref()).ok_or_else(|| no_such_model(&target.model))?;
        // One contract holds for all versions that this request can be routed to.
        let signature = model.signature(find(model, target.pin.as_ref())?);
        decode_raw(body.clone(), signature, &self.0.options.codec).map_err(|e| mistaken(&e))
    }

    async fn ask(&self, call: &Call<'_>, target: &Target<'_>, read: Read) -> Result<Encoded, Failure> {
        let Read { request, timeout, _body } = read;
        let facts = RequestFacts {
            headers: &call.parts.headers,
            query: call.parts.uri.query(),
            parameters: &request.parameters,
        };
        let wishes = Wishes::new(&request);
        let asked = InferRequest {
            protocol: call.protocol,
            model: target.model.clone().into_owned(),
            pin: target.pin.clone(),
            inputs: request.inputs,
            outputs: wishes.names(),
            uncarried: wishes.uncarried(),
            timeout,
        };
        call.hand_over();
        let write = |answer: Answer| {
            let (served, reason, prediction) = (answer.served.clone(), answer.reason, answer.prediction);
            let answer = reply::encode(answer, request.id.as_deref(), &wishes)?;
            Ok(Encoded { answer, served, reason, prediction })
        };
        self.0.gateway.infer_as(asked, &facts, write).await
    }
}
