//! TensorFlow Serving over gRPC: Predict, and what is told about models.
//!
//! Reading order: `predict` (a request read), `answer` (its answer written), `inform` (metadata and status).

use data_edge::{Call, ReplyBody, mistaken};
use data_path::{Answer, Failure, in_words_of_tfs};
use http::Response;
use hyper::body::Incoming;

use crate::ask::{Asking, Encoded, after, ask_as, finish};
use crate::edge::{Grpc, refused};
use crate::reply::packing;

mod answer;
mod inform;
mod predict;

pub(crate) use inform::tfs_route;
pub(crate) use predict::decode;
pub use predict::{PredictMessage, decode_predict_request};

impl Grpc {
    /// Answers a request to a model and counts it once.
    pub(crate) async fn predict(&self, call: &Call<'_>, body: Incoming) -> Response<ReplyBody> {
        let message = match self.arrived(call, body).await {
            Ok(message) => message,
            Err(failure) => return refused(call, &failure),
        };
        let decoded = decode(message.frames, &self.0.edge.options.codec).map_err(|error| mistaken(&error));
        let asking = match decoded.and_then(|decoded| self.asking(call, decoded)) {
            Ok(asking) => asking,
            Err(failure) => return refused(call, &failure),
        };
        let (model, pin) = (asking.model.clone(), asking.pin.clone());
        let mut gone = call.watch(&model);
        let packing = packing(&call.parts.headers, message.was_packed);
        let result = async {
            let write = |Answer { served, reason, outputs, prediction, .. }: Answer| {
                let writer = answer::writer(&served, &outputs);
                writer.check_size().map_err(|failure| after((&served, reason), failure))?;
                Ok((writer, served, reason, prediction))
            };
            let (writer, served, reason, prediction) = ask_as(call, asking, write).await?;
            let pieces = writer.finish(packing).await.map_err(|failure| after((&served, reason), failure))?;
            Ok(Encoded { pieces, packing, served, reason, prediction })
        };
        let result = result.await.map_err(|failure| in_words_of_tfs(failure, &model, pin.as_ref()));
        gone.is_over = true;
        finish(call, &model, result)
    }

    fn asking(&self, call: &Call<'_>, decoded: PredictMessage) -> Result<Asking, Failure> {
        let PredictMessage { spec, inputs, outputs } = decoded;
        let (model, pin) = spec.target().inspect_err(|failure| call.count_refused_of(&spec.model, failure.class))?;
        Ok(Asking { model, pin, inputs, outputs, classified: Vec::new(), parameters: Default::default() })
    }
}
