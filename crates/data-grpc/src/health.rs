//! Health checks: ready is the process, not its models, as on the REST edge.

use std::time::Duration;

use data_edge::{Call, Phase, ReplyBody};
use data_path::{Code, Failure};
use http::Response;
use hyper::body::Incoming;
use tokio::time::sleep;

use crate::edge::{Grpc, refused};
use crate::inform::read;
use crate::message::Messages;
use crate::proto::health::health_check_response::ServingStatus;
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::reply::{self, Writer};
use crate::steps::{Step, Stepping, Steps};

/// Services whose health can be asked for. The empty name is the whole server.
const SERVICES: [&str; 4] =
    ["", "inference.GRPCInferenceService", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"];
/// How often those who watch are looked after.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Somebody who watches a service.
struct Watching {
    grpc: Grpc,
    is_known: bool,
    told: Option<ServingStatus>,
}

impl Grpc {
    fn serving(&self) -> ServingStatus {
        match self.0.edge.options.readiness.phase() {
            Phase::Ready => ServingStatus::Serving,
            Phase::Starting | Phase::Draining => ServingStatus::NotServing,
        }
    }

    /// `Check`: how a service is now.
    pub(crate) fn check(&self, request: &HealthCheckRequest) -> Result<HealthCheckResponse, Failure> {
        if !SERVICES.contains(&request.service.as_str()) {
            return Err(Failure::new(Code::ServiceUnknown, format!("there is no service {:?}", request.service)));
        }
        Ok(HealthCheckResponse { status: self.serving().into() })
    }

    /// `Watch`: how a service is now and whenever that changes, until the process stops.
    pub(crate) async fn watch(&self, call: &Call<'_>, body: Incoming) -> Response<ReplyBody> {
        let mut messages = Messages::new(body, &call.parts.headers);
        let message = messages.only(&self.0.small).await;
        let request = match message.and_then(|message| read::<HealthCheckRequest>(message.frames)) {
            Ok(request) => request,
            Err(failure) => return refused(call, &failure),
        };
        let watching =
            Watching { grpc: self.clone(), is_known: SERVICES.contains(&request.service.as_str()), told: None };
        let steps = Steps::new(Box::new(watching), step);
        reply::answer(ReplyBody::stream(Box::pin(steps)), None)
    }
}

fn step(mut watching: Box<Watching>) -> Stepping<Box<Watching>> {
    Box::pin(async move {
        let step = watching.step().await;
        (watching, step)
    })
}

impl Watching {
    async fn step(&mut self) -> Step {
        loop {
            let status = if self.is_known { self.grpc.serving() } else { ServingStatus::ServiceUnknown };
            if self.told.replace(status) != Some(status) {
                let message = HealthCheckResponse { status: status.into() };
                return match Writer::from(&message).finish(None).await {
                    Ok(pieces) => Step::Message(pieces),
                    Err(failure) => Step::End(reply::trailers(&failure)),
                };
            }
            if self.grpc.0.edge.options.readiness.phase() == Phase::Draining {
                return Step::End(reply::good());
            }
            sleep(WATCH_INTERVAL).await;
        }
    }
}
