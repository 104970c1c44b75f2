//! The routes that tell about the server and its models. They read one snapshot and ask nobody.

use base_serving::{ServingModel, ServingVersion, Sum, WantedVersions};
use base_types::Version;
use data_codec::document::{
    BatchingView, ConfigView, CountNs, ModelView, StatisticsView, TensorView, VersionsView, model_config, statistics,
};
use data_codec::{alive, live, model_list, model_metadata, model_ready, ready, server_metadata};
use data_edge::{EXTENSIONS, Phase, ReplyBody, SERVER};
use data_path::{BACKEND, Code, Failure, MODEL_FILE, ModelStatistics, PLATFORM, WireTensor, find, wire_signature};
use http::{Response, StatusCode};

use crate::edge::Rest;
use crate::path::{Route, Target};
use crate::respond::{self, json};

/// The routes of this listener, for people and tools.
pub(crate) const OPENAPI: &str = include_str!("../../../docs/openapi.json");

impl Rest {
    /// Answers a route other than infer.
    pub(crate) fn inform(&self, route: &Route<'_>) -> Result<Response<ReplyBody>, Failure> {
        let body = match route {
            Route::Server => server_metadata(SERVER, &self.0.options.server_version, &EXTENSIONS),
            Route::OpenApi => OPENAPI.as_bytes().to_vec(),
            Route::Alive => alive(),
            Route::Live => live(),
            Route::Ready => return Ok(self.ready()),
            Route::Models => self.models(),
            Route::Model(target) => self.with_version(target, |model, version| metadata(model, version, target))?,
            Route::ModelReady(target) => self.with_version(target, |model, _| model_ready(model.name.as_str()))?,
            Route::Config(target) => self.with_version(target, config)?,
            Route::Statistics(target) => self.statistics(target.as_ref())?,
            Route::Logging => self.logging()?,
            Route::Trace(model) => self.trace(model.as_deref())?,
            Route::NoRegions => b"[]".to_vec(),
            Route::Absent(absent) => return Err(absent.failure()),
            Route::Infer(_) | Route::Feedback(_) | Route::Index | Route::Change(..) => {
                return Err(Failure::new(Code::Internal, "this route answers nothing without a body"));
            }
        };
        Ok(json(StatusCode::OK, body))
    }

    /// The answer where there is nothing to tell. Whether a model is ready has a status of its own choice.
    pub(crate) fn uninformed(&self, route: &Route<'_>, failure: &Failure) -> Response<ReplyBody> {
        let mut response = respond::failure(failure);
        let is_unready = matches!(failure.code, Code::ModelNotReady | Code::VersionNotReady | Code::VersionQuarantined);
        if is_unready && matches!(route, Route::ModelReady(_)) {
            *response.status_mut() = self.0.options.model_unready;
        }
        response
    }

    /// Ready is the process, not its models: the load of one more version never changes this.
    fn ready(&self) -> Response<ReplyBody> {
        let is_ready = self.0.options.readiness.phase() == Phase::Ready;
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, ready(is_ready))
    }

    fn models(&self) -> Vec<u8> {
        let snapshot = self.0.gateway.snapshot();
        let mut names: Vec<&str> = snapshot.models.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        model_list(&names)
    }

    fn statistics(&self, target: Option<&Target<'_>>) -> Result<Vec<u8>, Failure> {
        let (model, pin) = target.map_or((None, None), |target| (Some(target.model.as_ref()), target.pin.as_ref()));
        let snapshot = self.0.gateway.snapshot();
        if let Some(absent) = model.filter(|name| !snapshot.models.contains_key(*name)) {
            return Err(self.0.absent(absent));
        }
        let figures = data_path::statistics(&snapshot, model, pin)?;
        Ok(statistics(&figures.iter().map(figures_view).collect::<Vec<_>>()))
    }

    fn with_version(
        &self,
        target: &Target<'_>,
        tell: impl FnOnce(&ServingModel, &ServingVersion) -> Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let snapshot = self.0.gateway.snapshot();
        let Some(model) = snapshot.models.get(target.model.as_ref()) else {
            return Err(self.0.absent(&target.model));
        };
        find(model, target.pin.as_ref()).map(|version| tell(model, version))
    }
}

fn metadata(model: &ServingModel, version: &ServingVersion, target: &Target<'_>) -> Vec<u8> {
    // With a version in the path the metadata are that version's alone.
    let versions: Vec<String> = match &target.pin {
        Some(_) => vec![version.id.version.to_string()],
        None => model.versions.keys().map(Version::to_string).collect(),
    };
    let signature = wire_signature(model, version);
    model_metadata(&ModelView {
        name: model.name.as_str(),
        versions: &versions,
        platform: PLATFORM,
        inputs: signature.inputs.iter().map(|t| tensor(t, &t.shape)).collect(),
        outputs: signature.outputs.iter().map(|t| tensor(t, &t.shape)).collect(),
    })
}

fn tensor<'a>(tensor: &WireTensor<'a>, shape: &[i64]) -> TensorView<'a> {
    TensorView { name: tensor.name, datatype: tensor.datatype, shape: shape.to_vec() }
}

fn config(model: &ServingModel, version: &ServingVersion) -> Vec<u8> {
    let signature = wire_signature(model, version);
    let declared = &model.declared;
    model_config(&ConfigView {
        name: model.name.as_str(),
        platform: PLATFORM,
        backend: BACKEND,
        model_file: MODEL_FILE,
        max_batch_size: declared.max_batch_size,
        versions: match &declared.versions {
            WantedVersions::Latest(n) => VersionsView::Latest(*n),
            WantedVersions::All => VersionsView::All,
            WantedVersions::Specific(versions) => VersionsView::Specific(versions.iter().map(|v| v.get()).collect()),
        },
        inputs: signature.inputs.iter().map(|t| tensor(t, &t.dims)).collect(),
        outputs: signature.outputs.iter().map(|t| tensor(t, &t.dims)).collect(),
        batching: declared.batching.as_ref().map(|batching| BatchingView {
            preferred_sizes: batching.preferred_sizes.clone(),
            delay_us: u64::try_from(batching.delay_max.as_micros()).unwrap_or(u64::MAX),
        }),
        instances: declared.instances,
        parameters: &declared.parameters,
    })
}

fn figures_view(of: &ModelStatistics) -> StatisticsView<'_> {
    let stats = &of.stats;
    StatisticsView {
        model: &of.name,
        version: of.version.get(),
        last_unix_ms: stats.last_unix_ms,
        n_rows: stats.n_rows,
        n_runs: stats.n_runs,
        success: count_ns(&stats.success),
        fail: count_ns(&stats.fail),
        queue: count_ns(&stats.queue),
        input: count_ns(&stats.input),
        infer: count_ns(&stats.infer),
        // Time after the run is a part of the time around it; the count is asked to be the others'.
        output: CountNs { count: stats.success.count, ns: 0 },
        batches: stats.batches.iter().map(|(n_rows, sum)| (*n_rows, count_ns(sum))).collect(),
    }
}

fn count_ns(sum: &Sum) -> CountNs {
    CountNs { count: sum.count, ns: u64::try_from(sum.time.as_nanos()).unwrap_or(u64::MAX) }
}
