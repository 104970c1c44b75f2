//! The calls that tell about the server and its models, and those that are absent on purpose: one small message in, one
//! out.

use std::time::Duration;

use base_serving::{ChangeKind, ServingModel, ServingVersion};
use base_types::{Selector, Version};
use data_edge::{Call, EXTENSIONS, Ending, Phase, ReplyBody, SERVER};
use data_path::{Code, Failure, IndexState, ModelStatistics, PLATFORM, WireTensor, find, index, wire_signature};
use http::Response;
use hyper::body::Incoming;

use crate::ask::named;
use crate::edge::{Grpc, refused};
use crate::frames::Frames;
use crate::message::Messages;
use crate::model_config::model_config;
use crate::proto::inference as oip;
use crate::proto::inference::model_metadata_response::TensorMetadata;
use crate::proto::inference::repository_index_response::ModelIndex;
use crate::reply::{self, Writer, packing};
use crate::tfs::tfs_route;

/// The messages read here are small.
pub(crate) const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// The service of the Open Inference Protocol, in paths.
const OIP: &str = "/inference.GRPCInferenceService/";

/// Reads a message of generated code.
pub(crate) fn read<M: prost::Message + Default>(frames: Frames) -> Result<M, Failure> {
    M::decode(frames).map_err(|error| Failure::new(Code::Malformed, format!("the message cannot be read: {error}")))
}

/// Reads a request, answers it, writes the answer.
pub(crate) fn told<Q, A>(frames: Frames, tell: impl FnOnce(Q) -> Result<A, Failure>) -> Result<Writer, Failure>
where
    Q: prost::Message + Default,
    A: prost::Message,
{
    read(frames).and_then(tell).map(|answer| Writer::from(&answer))
}

/// What answers a call once its message has been read.
pub(crate) enum Route {
    /// Something is told, or set.
    Tell(fn(&Grpc, Frames) -> Result<Writer, Failure>),
    /// A model is loaded or unloaded.
    Change(ChangeKind),
}

/// A part of the protocols that is left out on purpose.
pub(crate) fn absent(text: &str) -> Result<Route, Failure> {
    Err(Failure::new(Code::NotImplemented, text))
}

/// What answers a path. Known before any of the message is read, so that nobody sends much to be told that there is
/// nothing.
///
/// # Errors
/// Nothing is there, by mistake or on purpose.
fn route(path: &str) -> Result<Route, Failure> {
    let found = match path.strip_prefix(OIP) {
        Some(name) => oip_route(name),
        None if path == "/grpc.health.v1.Health/Check" => {
            Some(Ok(Route::Tell(|grpc, frames| told(frames, |asked| grpc.check(&asked)))))
        }
        None => tfs_route(path),
    };
    found.unwrap_or_else(|| {
        let text = format!("there is no call {path:?} here; reflection lists those there are");
        Err(Failure::new(Code::NoSuchRoute, text))
    })
}

/// What answers a call of the Open Inference Protocol, by its name; `None` where it is not one of these.
fn oip_route(name: &str) -> Option<Result<Route, Failure>> {
    Some(Ok(match name {
        "ServerLive" => Route::Tell(|_, frames| {
            told(frames, |_: oip::ServerLiveRequest| Ok(oip::ServerLiveResponse { live: true }))
        }),
        "ServerReady" => Route::Tell(|grpc, frames| told(frames, |_: oip::ServerReadyRequest| Ok(grpc.server_ready()))),
        "ServerMetadata" => {
            Route::Tell(|grpc, frames| told(frames, |_: oip::ServerMetadataRequest| Ok(grpc.server_metadata())))
        }
        "ModelReady" => Route::Tell(|grpc, frames| told(frames, |asked| grpc.model_ready(&asked))),
        "ModelMetadata" => Route::Tell(|grpc, frames| told(frames, |asked| grpc.model_metadata(&asked))),
        "ModelConfig" => Route::Tell(|grpc, frames| told(frames, |asked| grpc.model_config(&asked))),
        "ModelStatistics" => Route::Tell(|grpc, frames| told(frames, |asked| grpc.statistics(&asked))),
        "RepositoryIndex" => Route::Tell(|grpc, frames| told(frames, |asked| grpc.index(&asked))),
        "RepositoryModelLoad" => Route::Change(ChangeKind::Load),
        "RepositoryModelUnload" => Route::Change(ChangeKind::Unload),
        "LogSettings" => Route::Tell(Grpc::log_settings),
        "TraceSetting" => Route::Tell(Grpc::trace_settings),
        "SystemSharedMemoryStatus" => Route::Tell(|_, frames| {
            let none = oip::SystemSharedMemoryStatusResponse::default;
            told(frames, |_: oip::SystemSharedMemoryStatusRequest| Ok(none()))
        }),
        "CudaSharedMemoryStatus" => Route::Tell(|_, frames| {
            let none = oip::CudaSharedMemoryStatusResponse::default;
            told(frames, |_: oip::CudaSharedMemoryStatusRequest| Ok(none()))
        }),
        "SystemSharedMemoryRegister"
        | "SystemSharedMemoryUnregister"
        | "CudaSharedMemoryRegister"
        | "CudaSharedMemoryUnregister" => {
            return Some(absent("there is no shared memory here: send the tensors in the request"));
        }
        _ => return None,
    }))
}

impl Grpc {
    /// Answers a call that asks no model.
    pub(crate) async fn inform(&self, call: &Call<'_>, body: Incoming) -> Response<ReplyBody> {
        let result = match route(call.parts.uri.path()) {
            Ok(route) => self.informed(call, route, body).await,
            Err(failure) if failure.code == Code::NoSuchRoute => return refused(call, &failure),
            Err(failure) => Err(failure),
        };
        call.log(&Ending { model: "", served: None, reason: None, failure: result.as_ref().err() });
        result.unwrap_or_else(|failure| reply::failed(&failure))
    }

    async fn informed(&self, call: &Call<'_>, route: Route, body: Incoming) -> Result<Response<ReplyBody>, Failure> {
        let mut messages = Messages::new(body, &call.parts.headers);
        let message = match messages.only(&self.0.small).await {
            Ok(message) => message,
            Err(failure) => {
                messages.discard(&self.0.small).await;
                return Err(failure);
            }
        };
        let writer = match route {
            Route::Tell(tell) => tell(self, message.frames)?,
            Route::Change(kind) => self.change(kind, message.frames).await?,
        };
        let packing = packing(&call.parts.headers, message.was_packed);
        Ok(reply::one(writer.finish(packing).await?, packing))
    }

    fn model_metadata(&self, asked: &oip::ModelMetadataRequest) -> Result<oip::ModelMetadataResponse, Failure> {
        self.with_version((&asked.name, &asked.version), metadata)
    }

    fn model_config(&self, asked: &oip::ModelConfigRequest) -> Result<oip::ModelConfigResponse, Failure> {
        let config =
            |model: &ServingModel, version: &ServingVersion, _: Option<&Selector>| model_config(model, version);
        let config = self.with_version((&asked.name, &asked.version), config)?;
        Ok(oip::ModelConfigResponse { config: Some(config) })
    }

    fn server_ready(&self) -> oip::ServerReadyResponse {
        oip::ServerReadyResponse { ready: self.0.edge.options.readiness.phase() == Phase::Ready }
    }

    fn server_metadata(&self) -> oip::ServerMetadataResponse {
        oip::ServerMetadataResponse {
            name: SERVER.to_owned(),
            version: self.0.edge.options.server_version.clone(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
        }
    }

    /// A model that is known and not ready is no error here, one that is unknown is.
    fn model_ready(&self, asked: &oip::ModelReadyRequest) -> Result<oip::ModelReadyResponse, Failure> {
        let ready = match self.with_version((&asked.name, &asked.version), |_, _, _| ()) {
            Ok(()) => true,
            Err(failure) => match failure.code {
                Code::ModelNotReady | Code::VersionNotReady | Code::VersionQuarantined => false,
                _ => return Err(failure),
            },
        };
        Ok(oip::ModelReadyResponse { ready })
    }

    /// Tells about a version: the one that is named, or the stable one.
    pub(crate) fn with_version<T>(
        &self,
        (model, version): (&str, &str),
        tell: impl FnOnce(&ServingModel, &ServingVersion, Option<&Selector>) -> T,
    ) -> Result<T, Failure> {
        let (name, pin) = named(model, version)?;
        let snapshot = self.0.edge.gateway.snapshot();
        let model = snapshot.models.get(name.as_str()).ok_or_else(|| self.no_model(&name))?;
        find(model, pin.as_ref()).map(|version| tell(model, version, pin.as_ref()))
    }

    /// Why there is no model of that name.
    pub(crate) fn no_model(&self, name: &str) -> Failure {
        self.0.edge.absent(name)
    }

    fn statistics(&self, asked: &oip::ModelStatisticsRequest) -> Result<oip::ModelStatisticsResponse, Failure> {
        let (model, pin) = match asked.name.as_str() {
            "" => (None, None),
            name => named(name, &asked.version).map(|(name, pin)| (Some(name), pin))?,
        };
        let snapshot = self.0.edge.gateway.snapshot();
        if let Some(unknown) = model.as_deref().filter(|name| !snapshot.models.contains_key(*name)) {
            return Err(self.no_model(unknown));
        }
        let figures = data_path::statistics(&snapshot, model.as_deref(), pin.as_ref())?;
        Ok(oip::ModelStatisticsResponse { model_stats: figures.iter().map(figures_of).collect() })
    }

    fn index(&self, asked: &oip::RepositoryIndexRequest) -> Result<oip::RepositoryIndexResponse, Failure> {
        if !asked.repository_name.is_empty() {
            return Err(Failure::new(Code::NotImplemented, "there is one model repository, and it has no name"));
        }
        let entries = index(&self.0.edge.gateway.snapshot()).into_iter();
        let wanted = entries.filter(|entry| !asked.ready || entry.state == IndexState::Ready);
        let models = wanted.map(|entry| ModelIndex {
            version: entry.version.map(|version| version.to_string()).unwrap_or_default(),
            // A model without a known version is its name alone.
            state: entry.version.map(|_| entry.state.as_str().to_owned()).unwrap_or_default(),
            name: entry.name,
            reason: entry.reason,
        });
        Ok(oip::RepositoryIndexResponse { models: models.collect() })
    }
}

fn metadata(model: &ServingModel, version: &ServingVersion, pin: Option<&Selector>) -> oip::ModelMetadataResponse {
    let signature = wire_signature(model, version);
    let tensor = |tensor: &WireTensor<'_>| TensorMetadata {
        name: tensor.name.to_owned(),
        datatype: tensor.datatype.as_str().to_owned(),
        shape: tensor.shape.clone(),
    };
    oip::ModelMetadataResponse {
        name: model.name.as_str().to_owned(),
        // Where a version is named, the metadata are that version's alone.
        versions: match pin {
            Some(_) => vec![version.id.version.to_string()],
            None => model.versions.keys().map(Version::to_string).collect(),
        },
        platform: PLATFORM.to_owned(),
        inputs: signature.inputs.iter().map(tensor).collect(),
        outputs: signature.outputs.iter().map(tensor).collect(),
        ..oip::ModelMetadataResponse::default()
    }
}

fn figures_of(of: &ModelStatistics) -> oip::ModelStatistics {
    let stats = &of.stats;
    let duration = |count: u64, time: Duration| {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Some(oip::StatisticDuration { count, ns })
    };
    let nothing = || duration(0, Duration::ZERO);
    let batches = stats.batches.iter().map(|(n_rows, sum)| oip::InferBatchStatistics {
        batch_size: *n_rows as u64,
        compute_input: duration(sum.count, Duration::ZERO),
        compute_infer: duration(sum.count, sum.time),
        compute_output: duration(sum.count, Duration::ZERO),
    });
    oip::ModelStatistics {
        name: of.name.clone(),
        version: of.version.to_string(),
        last_inference: stats.last_unix_ms,
        inference_count: stats.n_rows,
        execution_count: stats.n_runs,
        inference_stats: Some(oip::InferStatistics {
            success: duration(stats.success.count, stats.success.time),
            fail: duration(stats.fail.count, stats.fail.time),
            queue: duration(stats.queue.count, stats.queue.time),
            compute_input: duration(stats.input.count, stats.input.time),
            compute_infer: duration(stats.infer.count, stats.infer.time),
            // Time after the run is a part of the time around it; the count is asked to be the others'.
            compute_output: duration(stats.success.count, Duration::ZERO),
            cache_hit: nothing(),
            cache_miss: nothing(),
        }),
        batch_stats: batches.collect(),
        memory_usage: Vec::new(),
    }
}
