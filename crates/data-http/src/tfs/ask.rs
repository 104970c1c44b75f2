//! The routes that ask a model: predict, classify, regress.

use std::sync::Arc;
use std::time::Duration;

use base_serving::{PredictionId, ServingModel, ServingVersion};
use base_types::{DataType, Reason, Tensor};
use bytes::Bytes;
use data_codec::tfs::{
    Arrangement, Method, check_results, decode_examples, decode_predict, encode_predictions, encode_results,
};
use data_codec::{EncodeError, Parameters};
use data_edge::{
    Call, Collected, Ending, ReplyBody, RequestFacts, discard, mistaken, name_prediction, name_version, receive,
    timeout_header,
};
use data_path::{Answer, Code, Failure, InferRequest, Served, find, in_words_of_tfs, no_such_model};
use http::{Response, StatusCode};
use hyper::body::Incoming;

use super::Question;
use crate::edge::{Rest, finished};
use crate::path::Target;
use crate::respond::{self, json};

/// Types that JSON does not carry.
static UNCARRIED: [DataType; 2] = [DataType::Fp16, DataType::Bf16];

/// How the answer is to be written.
#[derive(Clone, Copy)]
enum Form {
    Predictions(Arrangement),
    Results { method: Method, n_examples: usize },
}

/// A request read whole.
struct Read {
    inputs: Vec<Tensor>,
    form: Form,
    timeout: Option<Duration>,
    /// Keeps the body's share of the budget, because tensors may share its memory.
    _body: Collected,
}

/// A good answer, encoded.
struct Encoded {
    body: Vec<u8>,
    served: Served,
    reason: Reason,
    prediction: PredictionId,
}

impl Rest {
    /// Answers a request to a model and counts it once: here what never reaches data-path, there everything else.
    pub(super) async fn tfs_ask(
        &self,
        call: &Call<'_>,
        (question, target): (Question, &Target<'_>),
        mut body: Incoming,
    ) -> Response<ReplyBody> {
        let mut gone = call.watch(&target.model);
        let result = match self.tfs_read(call, (question, target), &mut body).await {
            Ok(read) => self.tfs_infer(call, target, read).await,
            Err(failure) => {
                call.count_refused_of(&target.model, failure.class);
                Err(failure)
            }
        };
        gone.is_over = true;
        let ending = Ending { model: &target.model, served: None, reason: None, failure: None };
        match result {
            Ok(Encoded { body, served, reason, prediction }) => {
                call.log(&Ending { served: Some(&served), reason: Some(reason), ..ending });
                let mut response = json(StatusCode::OK, body);
                name_version(response.headers_mut(), &served, Some(reason));
                name_prediction(response.headers_mut(), &prediction);
                response
            }
            Err(failure) => {
                let failure = in_words_of_tfs(failure, &target.model, target.pin.as_ref());
                let (served, reason) = (failure.served.as_ref(), failure.reason);
                call.log(&Ending { served, reason, failure: Some(&failure), ..ending });
                let is_clean = discard(&mut body, &self.0.options.limits).await;
                finished(call.parts, is_clean, respond::failure(&failure))
            }
        }
    }

    /// Everything that can be refused without asking a model; what needs no body comes first.
    async fn tfs_read(
        &self,
        call: &Call<'_>,
        (question, target): (Question, &Target<'_>),
        body: &mut Incoming,
    ) -> Result<Read, Failure> {
        call.check_started(&target.model)?;
        let timeout = timeout_header(&call.parts.headers)?;
        self.meant(target)?;
        let body = receive(call, body, 0).await?;
        // The body may have been long on its way: what it means is decided now.
        let (model, version) = self.meant(target)?;
        let (inputs, form) = self.tfs_decode(&body.bytes, question, (&model, &version))?;
        Ok(Read { inputs, form, timeout, _body: body })
    }

    /// The version whose signature a body is read by. All versions that may answer an unpinned request have the
    /// same contract.
    fn meant(&self, target: &Target<'_>) -> Result<(Arc<ServingModel>, Arc<ServingVersion>), Failure> {
        let snapshot = self.0.gateway.snapshot();
        let model = snapshot.models.get(target.model.as_ref()).ok_or_else(|| no_such_model(&target.model))?;
        let any = || model.versions.values().next_back().filter(|_| target.pin.is_none());
        let version = find(model, target.pin.as_ref()).or_else(|failure| any().ok_or(failure))?;
        Ok((model.clone(), version.clone()))
    }

    fn tfs_decode(
        &self,
        body: &Bytes,
        question: Question,
        (model, version): (&ServingModel, &ServingVersion),
    ) -> Result<(Vec<Tensor>, Form), Failure> {
        let (signature, limits) = (model.signature(version), &self.0.options.codec);
        match question {
            Question::Predict => {
                let predict = decode_predict(body, signature, limits).map_err(|error| mistaken(&error))?;
                Ok((predict.inputs, Form::Predictions(predict.arrangement)))
            }
            Question::Results(method) => {
                check_results(method, signature).map_err(|error| unsupported(&error))?;
                let inputs = decode_examples(body, signature, limits).map_err(|error| mistaken(&error))?;
                let n_examples = inputs.first().and_then(|input| input.shape().first()).copied().unwrap_or_default();
                Ok((inputs, Form::Results { method, n_examples }))
            }
        }
    }

    async fn tfs_infer(&self, call: &Call<'_>, target: &Target<'_>, read: Read) -> Result<Encoded, Failure> {
        let Read { inputs, form, timeout, _body } = read;
        let parameters = Parameters::default();
        let facts =
            RequestFacts { headers: &call.parts.headers, query: call.parts.uri.query(), parameters: &parameters };
        let asked = InferRequest {
            protocol: call.protocol,
            model: target.model.clone().into_owned(),
            pin: target.pin.clone(),
            inputs,
            outputs: Vec::new(),
            uncarried: UNCARRIED[..].into(),
            timeout,
        };
        call.hand_over();
        let write = |Answer { served, reason, outputs, prediction, .. }: Answer| {
            let encoded = match form {
                Form::Predictions(arrangement) => encode_predictions(arrangement, &outputs),
                Form::Results { method, n_examples } => encode_results(method, &outputs, n_examples),
            };
            match encoded {
                Ok(body) => Ok(Encoded { body, served, reason, prediction }),
                Err(error) => Err(Failure { served: Some(served), reason: Some(reason), ..unsupported(&error) }),
            }
        };
        self.0.gateway.infer_as(asked, &facts, write).await
    }
}

fn unsupported(error: &EncodeError) -> Failure {
    Failure::new(Code::Unsupported, error.to_string())
}
