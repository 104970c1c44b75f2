//! The list of metrics. docs/metrics.md is generated from it; `family` builds from it.

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The name, with unit.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The label names.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn entry(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Entry {
    Entry { name, kind, labels, help }
}

use Kind::{Counter, Gauge, Histogram};

pub(crate) const REQUESTS: Entry = entry(
    "switchrail_requests_total",
    Counter,
    &["model", "version", "protocol", "outcome", "reason"],
    "Requests, each once, by the version that answered last, protocol, outcome class and reason of the assignment.",
);
pub(crate) const ATTEMPTS: Entry = entry(
    "switchrail_attempts_total",
    Counter,
    &["model", "version", "outcome", "reason"],
    "Attempts at a version: a request that fell back to stable counts once for each of the two.",
);
pub(crate) const FAULTS: Entry = entry(
    "switchrail_version_faults_total",
    Counter,
    &["model", "version", "kind"],
    "Attempts that were the version's fault, by kind.",
);
pub(crate) const FALLBACKS: Entry = entry(
    "switchrail_fallbacks_total",
    Counter,
    &["model", "version", "result"],
    "Faults of a version that were, or could not be, answered by stable instead.",
);
pub(crate) const QUEUE_SECONDS: Entry =
    entry("switchrail_queue_seconds", Histogram, &["model", "version"], "Time an attempt waited for a runner.");
pub(crate) const RUN_SECONDS: Entry =
    entry("switchrail_run_seconds", Histogram, &["model", "version"], "Time an attempt spent in the runtime.");
pub(crate) const REQUEST_SECONDS: Entry = entry(
    "switchrail_request_seconds",
    Histogram,
    &["model", "version"],
    "Time from decoded to answered, by the version that answered.",
);
pub(crate) const BATCH_ROWS: Entry = entry(
    "switchrail_batch_rows",
    Histogram,
    &["model", "version"],
    "Rows of one run of a version whose requests are put together.",
);
pub(crate) const BATCHES: Entry = entry(
    "switchrail_batches_total",
    Counter,
    &["model", "version", "reason"],
    "Runs of such a version by why they began when they did: full, preferred, delay, idle, sparse.",
);
pub(crate) const BATCH_RERUNS: Entry = entry(
    "switchrail_batch_reruns_total",
    Counter,
    &["model", "version", "cause"],
    "Requests run again by themselves, because their batch failed, took too long or gave outputs that are not theirs.",
);
pub(crate) const IN_FLIGHT: Entry =
    entry("switchrail_in_flight", Gauge, &["model", "version"], "Attempts under way at a version, queued or running.");
pub(crate) const QUEUE_DEPTH: Entry =
    entry("switchrail_queue_depth", Gauge, &["model", "version"], "Attempts waiting in a version's queue.");
pub(crate) const SHARE_WANTED: Entry = entry(
    "switchrail_traffic_share_wanted",
    Gauge,
    &["model", "version"],
    "Share of the unpinned traffic by config and decisions, 0 to 1.",
);
pub(crate) const SHARE_ACTUAL: Entry = entry(
    "switchrail_traffic_share_actual",
    Gauge,
    &["model", "version"],
    "Share of the unpinned traffic measured over the last ten seconds with traffic, 0 to 1.",
);
pub(crate) const MEMORY: Entry = entry(
    "switchrail_version_memory_bytes",
    Gauge,
    &["model", "version", "part"],
    "Memory of a loaded version: runtime arena in use, its peak, and the share of file mappings.",
);
pub(crate) const LOAD_SECONDS: Entry = entry(
    "switchrail_version_load_seconds",
    Gauge,
    &["model", "version"],
    "Time the last load took, warm-up included.",
);
pub(crate) const VERSION_STATE: Entry = entry(
    "switchrail_version_state",
    Gauge,
    &["model", "version", "state"],
    "1 for the state a version is in, else 0.",
);
pub(crate) const VERSIONS_REFUSED: Entry = entry(
    "switchrail_versions_refused_total",
    Counter,
    &["model", "code"],
    "Versions that were not taken up, by reason code.",
);
pub(crate) const GATES: Entry = entry(
    "switchrail_gates_total",
    Counter,
    &["model", "gate", "verdict"],
    "Gates that versions were asked at before traffic, by verdict: passed, failed, or skipped.",
);
pub(crate) const GATE_SECONDS: Entry =
    entry("switchrail_gate_seconds", Histogram, &["model"], "Time one gate of one version took.");
pub(crate) const ROLLOUT_STATE: Entry =
    entry("switchrail_rollout_state", Gauge, &["model", "state"], "1 for the phase a model's rollout is in, else 0.");
pub(crate) const ROLLOUT_STEP: Entry = entry(
    "switchrail_rollout_step",
    Gauge,
    &["model"],
    "Position of the step a model's rollout is in, counted from 1; 0 without a rollout.",
);
pub(crate) const SHADOWS: Entry = entry(
    "switchrail_shadow_requests_total",
    Counter,
    &["model", "version", "result"],
    "Copies of stable's requests for a candidate: agreed, disagreed, fault, timeout, or shed for want of room.",
);
pub(crate) const SHADOW_SHARE: Entry = entry(
    "switchrail_shadow_share",
    Gauge,
    &["model", "version"],
    "Share of stable's requests that a candidate gets copies of, 0 to 1.",
);
pub(crate) const FEEDBACK: Entry = entry(
    "switchrail_feedback_total",
    Counter,
    &["model", "version", "result"],
    "Feedback on answers: accepted, unknown, late or duplicate; without a version where its id is unknown or it is gone.",
);
pub(crate) const FEEDBACK_SCORE: Entry = entry(
    "switchrail_feedback_score",
    Histogram,
    &["model", "version"],
    "What accepted feedback says of answers, from 0 (as bad as can be) to 1; a right answer is 1, a wrong one 0.",
);
pub(crate) const EXPERIMENTS: Entry = entry(
    "switchrail_experiment_requests_total",
    Counter,
    &["experiment", "arm", "figure"],
    "Requests of an experiment by arm: assigned, ok, version_fault; without an arm where units are held out.",
);
pub(crate) const EXPOSURES: Entry = entry(
    "switchrail_exposures_total",
    Counter,
    &["result"],
    "Lines of the exposure log: written, or dropped because they came faster than they can be written.",
);
pub(crate) const CAPTURES: Entry = entry(
    "switchrail_captures_total",
    Counter,
    &["result"],
    "Requests drawn to be captured: written, dropped because they came faster than they can be written, too_large, or failed because the disk did not take them.",
);
pub(crate) const RULE_LOG_E: Entry = entry(
    "switchrail_rule_log_e",
    Gauge,
    &["model", "version", "rule"],
    "Evidence of a rule as natural logarithm of its e-value; the rule trips at the threshold.",
);
pub(crate) const RULE_THRESHOLD: Entry = entry(
    "switchrail_rule_threshold",
    Gauge,
    &["model", "version", "rule"],
    "Natural logarithm of the e-value at which a rule trips.",
);
pub(crate) const ROLLBACKS: Entry =
    entry("switchrail_rollbacks_total", Counter, &["model", "cause"], "Versions taken out of traffic, by cause.");
pub(crate) const VERDICTS: Entry = entry(
    "switchrail_verdicts_total",
    Counter,
    &["model", "verdict"],
    "Verdicts that moved no traffic: shared incident, stable ill, observed only.",
);
pub(crate) const GENERATION: Entry =
    entry("switchrail_generation", Gauge, &[], "Generation of the routing snapshot in force.");
pub(crate) const CONFIG_READS: Entry =
    entry("switchrail_config_reads_total", Counter, &["result"], "Readings of routing.toml by result.");
pub(crate) const CONFIG_PROBLEMS: Entry =
    entry("switchrail_config_problems", Gauge, &[], "Problems in routing.toml as last read; 0 when it is in force.");
pub(crate) const CONFIG_SUCCESS: Entry = entry(
    "switchrail_config_last_success_timestamp_seconds",
    Gauge,
    &[],
    "When routing.toml was last read without problems.",
);
pub(crate) const JOURNAL_ERRORS: Entry =
    entry("switchrail_journal_errors_total", Counter, &[], "Journal writes that failed; they are tried again.");
pub(crate) const JOURNAL_PENDING: Entry =
    entry("switchrail_journal_pending", Gauge, &[], "Journal entries not yet on disk.");
pub(crate) const JOURNAL_ROWS: Entry =
    entry("switchrail_journal_rows", Gauge, &[], "Number of the journal's last row, with `switchrail_journal_head`.");
pub(crate) const JOURNAL_HEAD: Entry = entry(
    "switchrail_journal_head",
    Gauge,
    &[],
    "The first six bytes of the hash of the journal's last row, as a number: kept outside, it is an anchor to `switchrail audit verify`.",
);
pub(crate) const WEBHOOKS: Entry = entry("switchrail_webhooks_total", Counter, &["result"], "Webhook calls by result.");
pub(crate) const CONNECTIONS: Entry =
    entry("switchrail_connections", Gauge, &[], "Open connections of the data listener.");
pub(crate) const BUCKET_LOOKS: Entry = entry(
    "switchrail_bucket_looks_total",
    Counter,
    &["result"],
    "Looks at the bucket of the model repository: ok, or failed where anything could not be listed or fetched.",
);
pub(crate) const BUCKET_SUCCESS: Entry = entry(
    "switchrail_bucket_last_success_timestamp_seconds",
    Gauge,
    &[],
    "When the view was last all that the bucket has; 0 without a bucket.",
);
pub(crate) const BUCKET_FETCHED: Entry =
    entry("switchrail_bucket_fetched_bytes_total", Counter, &[], "Bytes fetched from the bucket.");
pub(crate) const BUCKET_REFUSED: Entry = entry(
    "switchrail_bucket_refused",
    Gauge,
    &[],
    "Keys and versions of the bucket that are not taken; the log names them.",
);
pub(crate) const BUCKET_CACHE: Entry =
    entry("switchrail_bucket_cache_bytes", Gauge, &[], "Bytes of the bucket's cache on disk.");
pub(crate) const CONFIG_COMMIT: Entry = entry(
    "switchrail_config_commit_info",
    Gauge,
    &["commit", "dirty"],
    "Always 1; names the commit routing.toml is of, where it lies in a Git working tree. One series at a time.",
);
pub(crate) const BUILD_INFO: Entry =
    entry("switchrail_build_info", Gauge, &["version", "runtime"], "Always 1; names the versions in its labels.");

/// Every metric, in the order of the reference page.
pub fn catalog() -> Vec<Entry> {
    vec![
        REQUESTS,
        ATTEMPTS,
        FAULTS,
        FALLBACKS,
        QUEUE_SECONDS,
        RUN_SECONDS,
        REQUEST_SECONDS,
        BATCH_ROWS,
        BATCHES,
        BATCH_RERUNS,
        IN_FLIGHT,
        QUEUE_DEPTH,
        SHARE_WANTED,
        SHARE_ACTUAL,
        MEMORY,
        LOAD_SECONDS,
        VERSION_STATE,
        VERSIONS_REFUSED,
        GATES,
        GATE_SECONDS,
        ROLLOUT_STATE,
        ROLLOUT_STEP,
        SHADOWS,
        SHADOW_SHARE,
        FEEDBACK,
        FEEDBACK_SCORE,
        EXPERIMENTS,
        EXPOSURES,
        CAPTURES,
        RULE_LOG_E,
        RULE_THRESHOLD,
        ROLLBACKS,
        VERDICTS,
        GENERATION,
        CONFIG_READS,
        CONFIG_PROBLEMS,
        CONFIG_SUCCESS,
        CONFIG_COMMIT,
        JOURNAL_ERRORS,
        JOURNAL_PENDING,
        JOURNAL_ROWS,
        JOURNAL_HEAD,
        WEBHOOKS,
        CONNECTIONS,
        BUCKET_LOOKS,
        BUCKET_SUCCESS,
        BUCKET_FETCHED,
        BUCKET_REFUSED,
        BUCKET_CACHE,
        BUILD_INFO,
    ]
}
