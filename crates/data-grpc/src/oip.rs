//! `ModelInfer`: one request, one answer.

use data_codec::{DecodedInfer, RequestedOutput, classify, tensor_bytes};
use data_edge::{Call, ReplyBody, mistaken};
use data_path::{Answer, Code, Failure};
use http::Response;
use hyper::body::Incoming;

use crate::ask::{Asking, Encoded, after, ask_as, finish, named};
use crate::edge::{Grpc, refused};
use crate::frames::Frames;
use crate::infer::{InferMessage, decode};
use crate::proto::inference::model_infer_response::InferOutputTensor;
use crate::proto::inference::{InferParameter, ModelInferResponse, infer_parameter::ParameterChoice};
use crate::reply::{Writer, packing};

/// The field of an answer that holds an output's bytes.
const RAW_CONTENTS: u32 = 6;

/// A request that is about to be asked, and what its answer needs of it.
pub(crate) struct Prepared {
    pub(crate) id: Option<String>,
    outputs: Vec<RequestedOutput>,
    pub(crate) asking: Asking,
}

impl Grpc {
    /// Answers a request to a model and counts it once.
    pub(crate) async fn infer(&self, call: &Call<'_>, body: Incoming) -> Response<ReplyBody> {
        let message = match self.arrived(call, body).await {
            Ok(message) => message,
            Err(failure) => return refused(call, &failure),
        };
        let prepared = match self.prepare(call, message.frames) {
            Ok(prepared) => prepared,
            Err(failure) => return refused(call, &failure),
        };
        let model = prepared.asking.model.clone();
        let mut gone = call.watch(&model);
        let packing = packing(&call.parts.headers, message.was_packed);
        let result = async {
            let (writer, Answer { served, reason, prediction, .. }) = self.respond(call, prepared, false).await?;
            let pieces = writer.finish(packing).await.map_err(|failure| after((&served, reason), failure))?;
            Ok(Encoded { pieces, packing, served, reason, prediction })
        };
        let result = result.await;
        gone.is_over = true;
        finish(call, &model, result)
    }

    /// Reads a request. What is wrong here is counted by whoever asked.
    pub(crate) fn prepare(&self, call: &Call<'_>, message: Frames) -> Result<Prepared, Failure> {
        let decoded = decode(message, &self.0.edge.options.codec).map_err(|error| mistaken(&error));
        let InferMessage { model, version, request } = decoded?;
        let (model, pin) = named(&model, &version).inspect_err(|failure| {
            call.count_refused_of(&model, failure.class);
        })?;
        let DecodedInfer { id, parameters, inputs, outputs, .. } = request;
        let name = |output: &RequestedOutput| output.name.clone();
        let classified = outputs.iter().filter(|output| output.classes.is_some()).map(name).collect();
        let names = outputs.iter().map(name).collect();
        let asking = Asking { model, pin, inputs, outputs: names, classified, parameters };
        Ok(Prepared { id, outputs, asking })
    }

    /// Asks the model and writes its answer. `is_streamed` tells readers of a stream that nothing follows.
    pub(crate) async fn respond(
        &self,
        call: &Call<'_>,
        prepared: Prepared,
        is_streamed: bool,
    ) -> Result<(Writer, Answer), Failure> {
        let Prepared { id, outputs, asking } = prepared;
        let write = |mut answer: Answer| {
            Self::classify(&mut answer, &outputs).map_err(|failure| after((&answer.served, answer.reason), failure))?;
            let mut writer = Writer::from(&head(&answer, id, is_streamed));
            for output in &answer.outputs {
                let raw = tensor_bytes(output).map_err(|error| {
                    let failure = Failure::new(Code::Unsupported, format!("{error}: leave it out of the outputs"));
                    after((&answer.served, answer.reason), failure)
                })?;
                writer.put_key(RAW_CONTENTS, raw.len());
                writer.put_shared(raw);
            }
            writer.check_size().map_err(|failure| after((&answer.served, answer.reason), failure))?;
            Ok((writer, answer))
        };
        ask_as(call, asking, write).await
    }

    /// Puts classes where they are asked for.
    fn classify(answer: &mut Answer, wanted: &[RequestedOutput]) -> Result<(), Failure> {
        for RequestedOutput { name, classes, .. } in wanted {
            let Some(k) = *classes else { continue };
            let declared = answer.declared.clone();
            let labels = declared.labels(name);
            if let Some(output) = answer.outputs.iter_mut().find(|output| output.name() == name) {
                // A tensor of one dimension is one row.
                let classes = classify(output, k, output.shape().len() > 1, labels);
                *output = classes.map_err(|error| Failure::new(Code::Unsupported, error.to_string()))?;
            }
        }
        Ok(())
    }
}

/// Everything of an answer but the bytes of its outputs.
fn head(answer: &Answer, id: Option<String>, is_streamed: bool) -> ModelInferResponse {
    let version = &answer.served.version;
    let text = |text: &str| ParameterChoice::StringParam(text.to_owned());
    let mut parameters = vec![
        ("switchrail_digest", text(&version.digest_short)),
        ("switchrail_generation", ParameterChoice::Int64Param(answer.served.generation.0 as i64)),
        ("switchrail_reason", text(answer.reason.as_str())),
    ];
    if is_streamed {
        parameters.push(("triton_final_response", ParameterChoice::BoolParam(true)));
        // The metadata of a stream comes once, before its first answer.
        parameters.push(("switchrail_prediction_id", text(answer.prediction.as_str())));
    }
    let outputs = answer.outputs.iter().map(|output| InferOutputTensor {
        name: output.name().to_owned(),
        datatype: output.datatype().as_str().to_owned(),
        shape: output.shape().iter().map(|size| *size as i64).collect(),
        ..InferOutputTensor::default()
    });
    ModelInferResponse {
        model_name: version.id.model.as_str().to_owned(),
        model_version: version.id.version.to_string(),
        id: id.unwrap_or_default(),
        parameters: parameters.into_iter().map(|(name, choice)| (name.to_owned(), parameter(choice))).collect(),
        outputs: outputs.collect(),
        raw_output_contents: Vec::new(),
    }
}

/// A parameter of an answer.
pub(crate) fn parameter(choice: ParameterChoice) -> InferParameter {
    InferParameter { parameter_choice: Some(choice) }
}
