//! Connects the request path with the log of captures, and says what answers are computed with here.

use std::io::Error;
use std::sync::Arc;

use base_metrics::{CaptureResult, Metrics};
use control_registry::LineLogLimits;
use control_registry::captures::{CaptureEnd, CaptureLimits, CaptureLog, Fingerprint};
use data_path::Gateway;
use engine_onnx::OnnxEngine;

use crate::settings::ServeSettings;

/// What answers of this process are computed with.
pub fn fingerprint(engine: &OnnxEngine, run_threads: usize) -> Fingerprint {
    Fingerprint {
        switchrail: env!("CARGO_PKG_VERSION").to_owned(),
        runtime: engine.runtime_version().to_owned(),
        machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cpu_features: engine_onnx::cpu_features(),
        provider: String::new(),
        session: engine_onnx::SESSION_OPTIONS.to_owned(),
        run_threads,
    }
}

/// Has drawn requests kept in the state directory, unless gateway.toml forbids it.
pub fn connect(
    gateway: Gateway,
    settings: &ServeSettings,
    metrics: &Metrics,
    fingerprint: Fingerprint,
) -> Result<Gateway, Error> {
    let record = &settings.config.record;
    if !record.captures {
        return Ok(gateway);
    }
    let files = LineLogLimits { file_bytes: record.file_bytes, files_kept: record.files };
    let limits = CaptureLimits { capture_bytes: record.capture_bytes, files };
    let metrics = metrics.clone();
    let told = move |end| {
        metrics.capture(match end {
            CaptureEnd::Written => CaptureResult::Written,
            CaptureEnd::Dropped => CaptureResult::Dropped,
            CaptureEnd::TooLarge => CaptureResult::TooLarge,
            CaptureEnd::Failed => CaptureResult::Failed,
        });
    };
    let log = CaptureLog::start(&settings.state_dir, limits, fingerprint, Arc::new(told))?;
    Ok(gateway.with_captures(Arc::new(log)))
}
