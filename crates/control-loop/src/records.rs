//! What is written down for later analysis, line by line as JSON: who was shown what in experiments, and how attempts
//! ended. Called on the request path, so nothing here waits or touches the disk.

use std::sync::atomic::{AtomicU64, Ordering};

use base_metrics::Metrics;
use base_serving::{Attempt, Exposure, ExposureSink, OutcomeSink, Rerun};
use base_types::{Outcome, Reason};
use control_registry::LineLog;
use serde_json::json;

/// Units whose exposure is remembered, so that each is written once: places in a table, of which two units may meet in
/// one and push each other out.
const UNITS: usize = 1 << 16;

/// The log of exposures: each unit of each experiment, as it is first seen.
pub struct Exposures {
    log: LineLog,
    metrics: Metrics,
    /// Stands for the unit seen last in each place.
    seen: Box<[AtomicU64]>,
}

impl Exposures {
    /// A log that writes to these lines.
    pub fn new(log: LineLog, metrics: Metrics) -> Self {
        Self { log, metrics, seen: (0..UNITS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether the unit was not the last one seen in its place.
    fn is_first(&self, exposure: &Exposure) -> bool {
        let experiment = u64::from(base_serving::experiment_tag(&exposure.experiment));
        // Units of one experiment in another arm, after an edit, are exposed anew.
        let mark = exposure.key ^ experiment.rotate_left(32) ^ exposure.version.get().rotate_left(17);
        let place = &self.seen[(mark % UNITS as u64) as usize];
        place.swap(mark | 1, Ordering::Relaxed) != mark | 1
    }
}

impl ExposureSink for Exposures {
    fn exposed(&self, exposure: Exposure) {
        if !self.is_first(&exposure) {
            return;
        }
        let Exposure { experiment, arm, key, unix_ms, model, version } = &exposure;
        let line = json!({ "unix_ms": unix_ms, "experiment": &**experiment, "arm": arm.as_deref(),
            "unit": format!("{key:016x}"), "model": model.as_str(), "version": version.get() });
        let is_written = self.log.append(line.to_string().into_bytes());
        self.metrics.exposure(is_written);
    }
}

/// The log of outcomes, for replaying a policy against them.
pub struct Outcomes {
    log: LineLog,
}

impl Outcomes {
    /// A log that writes to these lines.
    pub fn new(log: LineLog) -> Self {
        Self { log }
    }
}

impl OutcomeSink for Outcomes {
    fn ended(&self, attempt: &Attempt<'_>, outcome: &Outcome, unix_ms: u64) {
        let Attempt { model, version, assignment, rerun } = attempt;
        let pair = model.route.as_ref().zip(assignment.split).and_then(|(route, split)| {
            let split = route.split(split);
            let candidate = split.only_candidate(route.stable)?;
            Some((candidate.get(), split.pair_share(candidate, route.stable)))
        });
        let (candidate, share) = pair.unzip();
        let rerun = match rerun {
            Rerun::None => None,
            Rerun::Answered => Some("answered"),
            Rerun::Failed => Some("faulted"),
        };
        let line = json!({
            "unix_ms": unix_ms, "model": model.name.as_str(), "version": version.id.version.get(),
            "class": outcome.class.as_str(), "reason": Reason::as_str(outcome.reason),
            "seconds": (outcome.queue + outcome.run).as_secs_f64(),
            "key": assignment.key.map(|key| format!("{key:016x}")), "candidate": candidate, "share": share.unwrap_or(0.0), "rerun": rerun,
        });
        self.log.append(line.to_string().into_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_types::{ModelName, Version};
    use control_registry::LineLogLimits;

    use super::*;

    #[test]
    fn each_unit_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let log = LineLog::open(folder.path(), "exposures", LineLogLimits::default()).unwrap();
        let exposures = Exposures::new(log, Metrics::new("0", "0").unwrap());
        let exposure = |key| Exposure {
            experiment: "ranker".into(),
            arm: Some("8".into()),
            key,
            unix_ms: 1,
            model: ModelName::new("m").unwrap(),
            version: Version::new(8).unwrap(),
        };
        for _ in 0..3 {
            exposures.exposed(exposure(7));
        }
        exposures.exposed(exposure(8 << 20));
        drop(exposures);
        let path = folder.path().join("exposures.jsonl");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let lines = || std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
        while lines().len() < 2 && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let lines = lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains(r#""unit":"0000000000000007""#), "{lines:?}");
    }
}
