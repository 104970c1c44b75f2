//! A model repository in a bucket: its mirror, as the settings want it.

use std::path::PathBuf;
use std::sync::Arc;

use base_metrics::Metrics;
use base_types::Clock;
use control_bucket::{Address, Bounds, Connections, Mirror, MirrorError, MirrorOptions};
use control_config::GatewayConfig;
use control_registry::Limits;

use crate::settings::ServeSettings;

/// In the state directory: what was fetched from the bucket, and the view that is served.
const CACHE_FOLDER: &str = "cache";

/// What models and versions may hold.
pub fn limits(config: &GatewayConfig) -> Limits {
    let repository = &config.repository;
    Limits {
        models: repository.models,
        versions_per_model: repository.versions_per_model,
        model_file_bytes: repository.model_file_bytes,
        version_bytes: repository.version_bytes,
        ..Limits::default()
    }
}

/// What a mirror may hold.
pub fn bounds(config: &GatewayConfig) -> Bounds {
    Bounds {
        objects: config.bucket.objects,
        models: config.repository.models,
        versions_per_model: config.repository.versions_per_model,
        version_bytes: config.repository.version_bytes,
        cache_bytes: config.bucket.cache_bytes,
        settle_ms: config.repository.settle.as_millis() as u64,
    }
}

/// Where the model repository is, as a folder, if there is one; and the mirror that keeps it, if it lies in a bucket.
/// Waits for the first look at a bucket of which nothing is cached.
pub fn repository(
    settings: &ServeSettings,
    metrics: &Metrics,
    clock: &Arc<dyn Clock>,
) -> Result<(Option<PathBuf>, Option<Mirror>), MirrorError> {
    let Some(address) = settings.bucket.clone() else { return Ok((settings.repository.clone(), None)) };
    let mirror = mirror(
        address,
        settings,
        Connections { metrics: metrics.clone(), clock: clock.clone(), step_back: engine_onnx::lower_priority },
    )?;
    Ok((Some(mirror.view().to_owned()), Some(mirror)))
}

fn mirror(address: Address, settings: &ServeSettings, connections: Connections) -> Result<Mirror, MirrorError> {
    let options = MirrorOptions {
        address,
        folder: settings.state_dir.join(CACHE_FOLDER),
        poll: settings.config.bucket.poll,
        bounds: bounds(&settings.config),
    };
    Mirror::start(options, connections)
}
