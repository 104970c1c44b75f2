//! What further versions with the same weights cost, beside a gateway where each has its own; and what a load takes while
//! it lasts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testkit::onnx::derive::annotated;
use testkit::onnx::{affine4, large};

use super::{MIB, ask};
use crate::gateway::{Gateway, House, Tempo, version_of};
use crate::process::{memory as memory_of, peak_bytes, reset_peak};
use crate::report::Report;
use crate::{BenchError, Settings};

/// The versions with the same weights; version 1 is another model.
const VERSIONS: [u64; 5] = [2, 3, 4, 5, 6];
/// The first version's cost is compared with that of each other one.
const AIM_PERCENT: f64 = 10.0;
/// What a load took for a while has gone back to the system by then, from a thread that gives way to all others.
const SETTLE: Duration = Duration::from_secs(2);

/// One version more.
struct Step {
    version: u64,
    added_bytes: i64,
    peak_bytes: i64,
    load_seconds: f64,
}

/// Measures with sharing and without.
pub(super) fn sharing(settings: &Settings, report: &mut Report) -> Result<(), BenchError> {
    let model_mib = settings.pick(100, 20);
    report.say(&format!("versions with the same {model_mib} MB of weights, one after another:"));
    let model: Arc<[u8]> = large(model_mib * MIB, 1).into();
    let mut rows = Vec::new();
    for is_shared in [true, false] {
        let steps = steps(settings, &model, is_shared)?;
        let first = steps.first().map_or(1, |step| step.added_bytes.max(1));
        for step in &steps {
            let percent = step.added_bytes as f64 / first as f64 * 100.0;
            report.line(
                "sharing",
                json!({ "is_shared": is_shared, "version": step.version, "added_bytes": step.added_bytes,
                    "percent_of_first": percent, "peak_bytes": step.peak_bytes, "load_seconds": step.load_seconds }),
            )?;
            let mib = |bytes: i64| format!("{:.1}", bytes as f64 / MIB as f64);
            rows.push(vec![
                if is_shared { "shared" } else { "each its own" }.to_owned(),
                (step.version - 1).to_string(),
                mib(step.added_bytes),
                format!("{percent:.1}"),
                mib(step.peak_bytes),
                format!("{:.2}", step.load_seconds),
            ]);
        }
    }
    report.table(&["weights", "versions", "added MiB", "% of the first", "peak of the load MiB", "load s"], &rows);
    report.say(&format!("aim: a second version with the same weights at most {AIM_PERCENT} % of the first."));
    Ok(())
}

fn steps(settings: &Settings, model: &[u8], is_shared: bool) -> Result<Vec<Step>, BenchError> {
    let house = House::new()?;
    house.publish(1, &affine4(2.0, 1.0))?;
    let config = format!("[memory]\nshare_weights = {is_shared}\n");
    let gateway = Gateway::start_with(settings, &house, Tempo::Brisk, &config)?;
    let resident = |gateway: &Gateway| -> Result<i64, BenchError> {
        std::thread::sleep(SETTLE);
        Ok(memory_of(gateway.pid())?.resident_bytes as i64)
    };
    let mut steps = Vec::new();
    for version in VERSIONS {
        let before = resident(&gateway)?;
        reset_peak(gateway.pid())?;
        let note = format!("version {version}");
        let copy = annotated(model, &note).map_err(|e| BenchError::Incorrect(e.to_string()))?;
        house.publish(version, &copy)?;
        gateway.wait_state(version, "ready")?;
        ask(&gateway, version)?;
        let peak_bytes = peak_bytes(gateway.pid())? as i64 - before;
        let seen = gateway.wait("the load is told", |model| version_of(model, version).is_some())?;
        let load_seconds = version_of(&seen, version).and_then(|v| v["load_seconds"].as_f64()).unwrap_or(0.0);
        steps.push(Step { version, added_bytes: resident(&gateway)? - before, peak_bytes, load_seconds });
    }
    Ok(steps)
}
