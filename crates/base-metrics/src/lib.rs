//! Every metric: name, type, unit, labels. Names and labels are decided here and nowhere else; nothing is
//! decided *by* them. Handles are resolved once per version, so a request increments atomics and looks up nothing.

mod alias;
mod batch;
mod capture;
mod catalog;
mod family;
mod gate;
mod rollout;
mod version;

use std::sync::{Arc, OnceLock};

use alias::Aliases;
pub use alias::{Alias, AliasFigures, AliasSource};
pub use batch::{BatchMetrics, BatchReason, RerunCause};
pub use capture::CaptureResult;
pub use catalog::{Entry, Kind, catalog};
use family::Families;
pub use rollout::{ArmFigure, FeedbackResult, ShadowResult};
pub use version::{Figures, HistogramFigures, VersionMetrics};

use base_types::{ModelName, OutcomeClass, Protocol, Version, VersionState};
use prometheus::{Encoder, TextEncoder};

/// All metrics of the process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    families: Arc<Families>,
    aliases: Arc<OnceLock<Aliases>>,
}

/// The registry refused a metric: two of the same name, or an invalid one. A defect of the catalogue.
pub type MetricsError = prometheus::Error;

/// How a fallback to stable ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackResult {
    /// Stable answered.
    Answered,
    /// Stable failed on the same input.
    Failed,
    /// The retry budget was spent.
    NoBudget,
    /// The deadline left no time.
    NoTime,
}

impl FallbackResult {
    /// Every result.
    pub const ALL: [Self; 4] = [Self::Answered, Self::Failed, Self::NoBudget, Self::NoTime];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::NoBudget => "no_budget",
            Self::NoTime => "no_time",
        }
    }
}

/// How reading a config ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadResult {
    /// It was put in force.
    Applied,
    /// It means what was in force already.
    Unchanged,
    /// It has problems; nothing changed.
    Rejected,
}

impl ReloadResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
        }
    }
}

impl Metrics {
    /// Builds the registry.
    pub fn new(build_version: &str, runtime_version: &str) -> Result<Self, MetricsError> {
        let families = Families::new()?;
        families.build_info.with_label_values(&[build_version, runtime_version]).set(1);
        Ok(Self { families: Arc::new(families), aliases: Arc::default() })
    }

    /// Resolves the handles of one version.
    pub fn version(&self, model: &ModelName, version: Version) -> VersionMetrics {
        VersionMetrics::new(self.families.clone(), model, version)
    }

    /// Removes every series of a version that is gone.
    pub fn retire(&self, model: &ModelName, version: Version) {
        version::retire(&self.families, model, version);
    }

    /// Counts a request that ended before a version was chosen. `model` only when it is a known one.
    pub fn refused(&self, protocol: Protocol, model: Option<&ModelName>, class: OutcomeClass) {
        let model = model.map_or("", ModelName::as_str);
        self.families.requests.with_label_values(&[model, "", protocol.as_str(), class.as_str(), ""]).inc();
    }

    /// Sets the share of the unpinned traffic a version should have, by config and decisions.
    pub fn set_share_wanted(&self, model: &ModelName, version: Version, share: f64) {
        self.families.share_wanted.with_label_values(&[model.as_str(), &version.to_string()]).set(share);
    }

    /// Sets the share it had lately.
    pub fn set_share_actual(&self, model: &ModelName, version: Version, share: f64) {
        self.families.share_actual.with_label_values(&[model.as_str(), &version.to_string()]).set(share);
    }

    /// Sets the one state a version is in.
    pub fn set_version_state(&self, model: &ModelName, version: Version, state: VersionState) {
        let version = version.to_string();
        for each in VersionState::ALL {
            let gauge = self.families.version_state.with_label_values(&[model.as_str(), &version, each.as_str()]);
            gauge.set(i64::from(each == state));
        }
    }

    /// Sets how long a version took to load and warm.
    pub fn set_load_seconds(&self, model: &ModelName, version: Version, seconds: f64) {
        self.families.load_seconds.with_label_values(&[model.as_str(), &version.to_string()]).set(seconds);
    }

    /// Sets the one phase a model's rollout is in, out of `phases`.
    pub fn set_rollout_state(&self, model: &ModelName, phases: &[&str], phase: &str) {
        for each in phases {
            self.families.rollout_state.with_label_values(&[model.as_str(), each]).set(i64::from(*each == phase));
        }
    }

    /// Sets the evidence of one rule on one candidate, both as natural logarithms.
    pub fn set_rule(&self, model: &ModelName, version: Version, rule: &str, log_e: f64, threshold: f64) {
        let labels = &[model.as_str(), &version.to_string(), rule];
        self.families.rule_log_e.with_label_values(labels).set(log_e);
        self.families.rule_threshold.with_label_values(labels).set(threshold);
    }

    /// Removes the evidence of a trial that is over.
    pub fn clear_rule(&self, model: &ModelName, version: Version, rule: &str) {
        let labels = &[model.as_str(), &version.to_string(), rule];
        // Absent when the rule was never shown: nothing to do.
        let _absent = self.families.rule_log_e.remove_label_values(labels);
        let _absent = self.families.rule_threshold.remove_label_values(labels);
    }

    /// Counts a rollback.
    pub fn rolled_back(&self, model: &ModelName, cause: &str) {
        self.families.rollbacks.with_label_values(&[model.as_str(), cause]).inc();
    }

    /// Counts a verdict that was not acted upon, such as a shared incident.
    pub fn verdict(&self, model: &ModelName, verdict: &str) {
        self.families.verdicts.with_label_values(&[model.as_str(), verdict]).inc();
    }

    /// Sets the generation of the published snapshot.
    pub fn set_generation(&self, generation: u64) {
        self.families.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
    }

    /// Counts a reading of routing.toml and the number of problems in it.
    pub fn config_read(&self, result: ReloadResult, n_problems: usize, unix_seconds: f64) {
        self.families.config_reads.with_label_values(&[result.as_str()]).inc();
        self.families.config_problems.set(n_problems as i64);
        if result != ReloadResult::Rejected {
            self.families.config_success.set(unix_seconds);
        }
    }

    /// Names the commit routing.toml is of, and whether it differs from it; `None` where there is no such thing.
    pub fn set_config_commit(&self, commit: Option<(&str, bool)>) {
        self.families.config_commit.reset();
        if let Some((commit, is_dirty)) = commit {
            self.families.config_commit.with_label_values(&[commit, if is_dirty { "true" } else { "false" }]).set(1);
        }
    }

    /// Counts a failed write to the journal.
    pub fn journal_failed(&self) {
        self.families.journal_errors.inc();
    }

    /// Sets the number of journal entries waiting to be written.
    pub fn set_journal_pending(&self, n_entries: usize) {
        self.families.journal_pending.set(n_entries as i64);
    }

    /// Sets number and hash of the journal's last row; of the hash the first six bytes, which a gauge holds exactly.
    pub fn set_journal_head(&self, seq: u64, hash_start: u64) {
        self.families.journal_rows.set(i64::try_from(seq).unwrap_or(i64::MAX));
        self.families.journal_head.set(i64::try_from(hash_start).unwrap_or(i64::MAX));
    }

    /// Counts a version that was refused, by stable code.
    pub fn version_refused(&self, model: &str, code: &str) {
        self.families.versions_refused.with_label_values(&[model, code]).inc();
    }

    /// Counts a webhook call.
    pub fn webhook(&self, is_delivered: bool) {
        let result = if is_delivered { "delivered" } else { "failed" };
        self.families.webhooks.with_label_values(&[result]).inc();
    }

    /// Counts a look at the bucket. `unix_seconds` when all it has is in the view now.
    pub fn bucket_looked(&self, unix_seconds: Option<f64>) {
        let result = if unix_seconds.is_some() { "ok" } else { "failed" };
        self.families.bucket_looks.with_label_values(&[result]).inc();
        if let Some(seconds) = unix_seconds {
            self.families.bucket_success.set(seconds);
        }
    }

    /// Counts bytes fetched from the bucket.
    pub fn bucket_fetched(&self, bytes: u64) {
        self.families.bucket_fetched.inc_by(bytes);
    }

    /// Sets how much of the bucket is not taken.
    pub fn set_bucket_refused(&self, n_refused: usize) {
        self.families.bucket_refused.set(n_refused as i64);
    }

    /// Sets the bytes of the bucket's cache.
    pub fn set_bucket_cache_bytes(&self, bytes: u64) {
        self.families.bucket_cache.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A connection of the data listener opened.
    pub fn connection_opened(&self) {
        self.families.connections.inc();
    }

    /// A connection of the data listener closed.
    pub fn connection_closed(&self) {
        self.families.connections.dec();
    }

    /// Shows figures under other servers' names too. Set once, at start; a second call changes nothing.
    pub fn set_aliases(&self, names: Vec<Alias>, source: AliasSource) {
        let _first_stays = self.aliases.set(Aliases { names, source });
    }

    /// Renders the text exposition format.
    pub fn render(&self) -> Result<Vec<u8>, MetricsError> {
        let mut text = Vec::with_capacity(64 * 1024);
        let mut shown = self.families.registry.gather();
        if let Some(aliases) = self.aliases.get() {
            shown.extend(aliases.collect(&self.families));
        }
        TextEncoder::new().encode(&shown, &mut text)?;
        Ok(text)
    }

    /// The content type of `render`.
    pub fn content_type(&self) -> &'static str {
        prometheus::TEXT_FORMAT
    }
}

#[cfg(test)]
mod tests;
