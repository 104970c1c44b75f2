//! From files to a checked, compiled routing table.
//!
//! Two files: gateway.toml is read once at start, routing.toml is live. Both are read the same way: everything
//! that is wrong is reported at once, each [`Diagnostic`] with its place and a hint, and a file with an error
//! yields nothing, so that what was read before stays in force. [`compile`] joins what routing.toml wishes with
//! what was decided and with what can answer at the moment; it is pure, and so are [`diff`] and [`explain`].
//! Nothing here loads a model or changes live state.
//!
//! Reading order: `diagnostic`, `document` and `reader` (how files are read), `routing` (routing.toml),
//! `compile`, `difference`, `explain`, `gateway` (gateway.toml), `watch` (noticing edits), `working_tree` (of which commit), `reference`.

mod diagnostic;
mod document;
mod reader;
mod suggest;

mod routing;

mod compile;
mod difference;
mod explain;

mod gateway;

mod watch;

mod working_tree;

mod reference;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod samples;

pub use compile::{Availability, Compiled, Unroutable, compile, versions_wanted};
pub use diagnostic::{Code, Diagnostic, Invalid, Parsed, Severity};
pub use difference::{Aspect, Difference, diff};
pub use document::FILE_BYTES_MAX;
pub use explain::{
    ArmShare, ConditionCheck, ExperimentCheck, ExperimentOutcome, Explanation, RuleCheck, RuleOutcome, explain,
};
pub use gateway::{
    AddressError, AdminSettings, BucketSettings, EdgeLimits, GatewayConfig, LogFormat, LogLevel, LogSettings,
    MemorySettings, MetricsAlias, RecordSettings, RepositorySettings, RuntimeSettings, SettingError, StoreSettings,
    WebhookSettings, is_bucket, parse_address, parse_gateway,
};

pub use reference::{File, Row, markdown, reference};
pub use routing::{
    Allocation, BUILTIN_POLICIES, Contract, DEFAULT_POLICY, Defaults, EXPERIMENTS_IN_FILE_MAX, ExperimentBlock,
    GateRules, KEY_PREFIX, MODELS_MAX, ModelBlock, NameMap, Names, OnEqual, POLICIES_MAX, ReplayRule, RoutingConfig,
    builtin_policy, key_text, parse_key, parse_policy, parse_routing, policy_text,
};
pub use watch::{FileEvent, FileProblem, WatchError, WatchOptions, Watched, Watcher};
pub use working_tree::{TreeState, working_tree};
