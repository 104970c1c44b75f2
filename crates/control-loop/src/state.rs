//! Everything the writer knows. Guarded by one lock; nothing in here does IO.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base_routing::ModelRoute;
use base_serving::watch::Example;
use base_serving::{Declaration, ModelLimits, RetryBudget, ServingVersion, Watch};
use base_types::{
    Decisions, Digest, Label, ModelName, Phase, Rollout, Signature, Stance, Version, VersionId, VersionState,
};
use control_config::{Diagnostic, RoutingConfig};
use control_registry::model_config::ModelConfig;
use control_registry::repository::Stamp;
use control_rollout::{Checkpoint, Evidence, Guardrail, Observed, Successes, Trial};

use crate::experiment::Running;
use crate::feedback::Returned;
use crate::gate::Gated;
use crate::rollout::Live;
use crate::routing_source::LiveText;
use crate::shelf::Pushed;
use crate::source::Source;
use crate::steady::Watched;

/// The writer's state.
pub(crate) struct State {
    /// The last generation published.
    pub(crate) generation: u64,
    /// Routing as wished: the last accepted routing.toml, empty without one.
    pub(crate) routing: Arc<RoutingConfig>,
    /// What the last reading of routing.toml complained about.
    pub(crate) problems: Vec<Diagnostic>,
    /// What was decided.
    pub(crate) decisions: Decisions,
    /// Every model seen.
    pub(crate) models: BTreeMap<ModelName, Model>,
    /// Evidence from before a restart, for trials that have not opened yet.
    pub(crate) checkpoints: BTreeMap<String, StoredTrial>,
    /// What watches over stable versions had learned before a restart, as stored.
    pub(crate) steady_checkpoints: BTreeMap<String, String>,
    /// Totals of experiments from before a restart, as stored.
    pub(crate) experiment_checkpoints: BTreeMap<String, String>,
    /// Unclean ends since a candidate's trial opened, by requests of it that were lost in each.
    pub(crate) crashes: BTreeMap<Digest, Vec<u64>>,
    /// Unclean ends in the middle of loading some content, since it was last loaded to the end.
    pub(crate) load_crashes: BTreeMap<Digest, u32>,
    /// Counts verdicts and rollbacks of each model: an order planned before one of them is stale.
    pub(crate) epochs: BTreeMap<ModelName, u64>,
    /// An edit of routing.toml that could not be recorded yet.
    pub(crate) unrecorded_routing: Option<(PathBuf, Vec<u8>)>,
    /// The text in force, and which commit it is of.
    pub(crate) live_text: LiveText,
    /// Versions out of the snapshot whose last requests are finishing.
    pub(crate) draining: Vec<Arc<ServingVersion>>,
    /// What the gates said of versions.
    pub(crate) gates: BTreeMap<VersionId, Gated>,
    /// What was told about folders that are no versions, so that it is told once.
    pub(crate) told_refusals: BTreeMap<String, String>,
    /// Whether every version present at start has been loaded or refused.
    pub(crate) is_started: bool,
}

/// One model.
pub(crate) struct Model {
    pub(crate) versions: BTreeMap<Version, Entry>,
    /// Why the model's config.pbtxt was refused; nothing of it is loaded then.
    pub(crate) refusal: Option<String>,
    pub(crate) config: Option<ModelConfig>,
    /// What callers are shown of the config.
    pub(crate) declared: Arc<Declaration>,
    /// The labels that the store has for it.
    pub(crate) shelf_labels: BTreeMap<Label, Version>,
    /// Whether a version is still being copied.
    pub(crate) is_settling: bool,
    pub(crate) first_seen: Instant,
    /// Since when an unconfirmed promotion has held, on the monotonic clock.
    pub(crate) provisional_since: Option<Instant>,
    /// The highest version that `--follow-latest` has put under trial.
    pub(crate) followed: Option<Version>,
    /// Whether the last thing that happened to its traffic was a rollback: an order to roll back that names no
    /// version was then meant for what is gone already.
    pub(crate) is_rolled_back: bool,
    /// What callers know of the versions whose graphs say something else.
    pub(crate) contracts: BTreeMap<Version, Arc<Signature>>,
    /// What routing.toml says about names that cannot be done, by version.
    pub(crate) flaws: BTreeMap<Version, String>,
    /// What there is of the rollout under way beside what the journal keeps.
    pub(crate) live: Option<Live>,
    /// What the publication in force counts by.
    pub(crate) watch: Option<Arc<Watch>>,
    /// The watch over its stable version, where one is asked for.
    pub(crate) steady: Option<Watched>,
    /// Open trials by candidate.
    pub(crate) trials: BTreeMap<Version, OpenTrial>,
    /// Disagreements of the trial that closed last, for whoever looks into them afterwards.
    pub(crate) examples: Vec<Example>,
    pub(crate) budget: Arc<RetryBudget>,
    pub(crate) limits: Arc<ModelLimits>,
    /// The route in force, with what to say about it.
    pub(crate) route: Option<ModelRoute>,
    pub(crate) notices: Vec<String>,
    /// Shares measured lately, by version.
    pub(crate) shares: Shares,
    /// What feedback came back.
    pub(crate) returned: Returned,
    /// Experiments under way on it, by name.
    pub(crate) experiments: BTreeMap<Arc<str>, Running>,
}

/// One version as the control plane knows it.
pub(crate) struct Entry {
    pub(crate) state: VersionState,
    /// Why it is in that state, when there is more to say: a stable code and a sentence.
    pub(crate) reason: Option<(String, String)>,
    pub(crate) digest: Option<Digest>,
    /// In memory, and in the snapshot unless quarantined.
    pub(crate) serving: Option<Arc<ServingVersion>>,
    /// Inputs and outputs with the shapes of config.pbtxt, where these are not the graph's.
    pub(crate) shown: Option<Arc<Signature>>,
    /// What it was last taken up from or refused for.
    pub(crate) stamp: Option<Source>,
    /// The folder when it was found to hold other content than the number stands for.
    pub(crate) other_folder: Option<Stamp>,
    /// The record in the store, if it is of the same content.
    pub(crate) pushed: Option<Arc<Pushed>>,
    /// Whether it is read from the store.
    pub(crate) is_stored: bool,
    /// Whether the folder is there.
    pub(crate) is_present: bool,
    /// Whether it is there and the model's policy wants it.
    pub(crate) is_wanted: bool,
    pub(crate) load: Option<Duration>,
}

/// A trial under way.
pub(crate) struct OpenTrial {
    pub(crate) trial: Trial,
    pub(crate) candidate: Arc<ServingVersion>,
    pub(crate) stable: Arc<ServingVersion>,
    /// The tallies when the trial opened, or the version was loaded again.
    base: Successes,
    pub(crate) since_unix_ms: u64,
    /// Verdicts that moved no traffic, so that each is told once.
    pub(crate) told: BTreeSet<String>,
    /// What has been counted since the trial opened, one for each publication that counts otherwise.
    pub(crate) watches: Vec<Arc<Watch>>,
    /// What watches that are let go of have counted.
    pub(crate) settled: Observed,
    /// Labels that came back, by the share of the requests they are about.
    pub(crate) labels: Vec<(f64, Labels)>,
    /// Pieces of feedback on the candidate.
    pub(crate) n_feedback: u64,
}

/// Labels of both arms under one share: how many, and how many of them say that the answer was wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Labels {
    pub(crate) candidate: (u64, u64),
    pub(crate) stable: (u64, u64),
}

/// A checkpoint and whom it compares.
pub(crate) struct StoredTrial {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) stable: Digest,
    pub(crate) since_unix_ms: u64,
}

/// Counts of the last seconds, for the measured share.
#[derive(Default)]
pub(crate) struct Shares {
    pub(crate) drawn: BTreeMap<Version, u64>,
    pub(crate) seconds: std::collections::VecDeque<BTreeMap<Version, u64>>,
    pub(crate) actual: BTreeMap<Version, f64>,
}

impl State {
    pub(crate) fn id(model: &ModelName, version: Version) -> VersionId {
        VersionId { model: model.clone(), version }
    }

    pub(crate) fn entry(&self, id: &VersionId) -> Option<&Entry> {
        self.models.get(&id.model)?.versions.get(&id.version)
    }

    pub(crate) fn entry_mut(&mut self, id: &VersionId) -> Option<&mut Entry> {
        self.models.get_mut(&id.model)?.versions.get_mut(&id.version)
    }

    /// The stance in force for a model: the one decided, unless routing.toml has come to mean something else.
    pub(crate) fn stance(&self, model: &ModelName) -> Option<&Stance> {
        self.decisions.stances.get(model).filter(|s| self.routing.upholds(model, s))
    }

    /// How many verdicts and rollbacks a model has seen.
    pub(crate) fn epoch(&self, model: &ModelName) -> u64 {
        self.epochs.get(model).copied().unwrap_or_default()
    }

    /// Notes a verdict or a rollback: orders planned before it are stale.
    pub(crate) fn end_epoch(&mut self, model: &ModelName) {
        *self.epochs.entry(model.clone()).or_default() += 1;
    }

    /// The rollout of a model that is under way.
    pub(crate) fn rollout(&self, model: &ModelName) -> Option<&Rollout> {
        self.decisions.rollouts.get(model).filter(|rollout| !rollout.status.is_over())
    }

    /// A stance for a model as of now.
    pub(crate) fn new_stance(&self, model: &ModelName, stable: Version, now_unix_ms: u64) -> Stance {
        let meaning = self.routing.meaning(model);
        Stance { stable, candidate: None, phase: Phase::Settled, meaning, since_unix_ms: now_unix_ms }
    }

    /// Whether every version of a model that can be loaded has been loaded or refused.
    pub(crate) fn is_settled(&self, model: &ModelName) -> bool {
        let is_underway = |e: &Entry| matches!(e.state, VersionState::Gating | VersionState::Loading);
        self.models.get(model).is_some_and(|m| !m.versions.values().any(is_underway))
    }
}

impl Model {
    pub(crate) fn new(first_seen: Instant) -> Self {
        let limits = ModelLimits::default();
        Self {
            versions: BTreeMap::new(),
            refusal: None,
            config: None,
            declared: Arc::default(),
            shelf_labels: BTreeMap::new(),
            is_settling: false,
            first_seen,
            provisional_since: None,
            followed: None,
            is_rolled_back: false,
            contracts: BTreeMap::new(),
            flaws: BTreeMap::new(),
            live: None,
            watch: None,
            steady: None,
            trials: BTreeMap::new(),
            examples: Vec::new(),
            budget: Arc::new(RetryBudget::new(limits.retry_ratio, limits.retry_reserve)),
            limits: Arc::new(limits),
            route: None,
            notices: Vec::new(),
            shares: Shares::default(),
            returned: Returned::default(),
            experiments: BTreeMap::new(),
        }
    }

    pub(crate) fn serving(&self, version: Version) -> Option<&Arc<ServingVersion>> {
        self.versions.get(&version)?.serving.as_ref()
    }

    /// Inputs and outputs of a version in memory as callers know them.
    pub(crate) fn signature(&self, version: Version) -> Option<&Signature> {
        let serving = self.serving(version)?;
        Some(self.contracts.get(&version).map_or(&serving.signature, Arc::as_ref))
    }
}

impl Entry {
    pub(crate) fn new() -> Self {
        Self {
            state: VersionState::Registered,
            reason: None,
            digest: None,
            serving: None,
            shown: None,
            stamp: None,
            other_folder: None,
            pushed: None,
            is_stored: false,
            is_present: true,
            is_wanted: true,
            load: None,
        }
    }

    pub(crate) fn fail(&mut self, code: &str, text: impl Into<String>) {
        self.state = VersionState::Failed;
        self.reason = Some((code.to_owned(), text.into()));
    }
}

impl OpenTrial {
    pub(crate) fn new(
        trial: Trial,
        candidate: Arc<ServingVersion>,
        stable: Arc<ServingVersion>,
        since_unix_ms: u64,
    ) -> Self {
        let base = totals(&candidate, &stable);
        let (told, watches, settled, labels) = Default::default();
        Self { trial, candidate, stable, base, since_unix_ms, told, watches, settled, labels, n_feedback: 0 }
    }

    /// What there is to show.
    pub(crate) fn evidence(&self) -> Evidence {
        self.trial.evidence(self.successes())
    }

    /// Requests that the candidate has answered, well or not.
    pub(crate) fn n_candidate_requests(&self) -> u64 {
        let limit = self.evidence().findings.limit;
        limit.faults + limit.others
    }

    /// Goes on under another guardrail, with its evidence where that still weighs the same.
    pub(crate) fn judge_by(&mut self, guardrail: &Guardrail) {
        let checkpoint = self.trial.checkpoint(self.successes());
        if let Ok(trial) = Trial::restore(guardrail.clone(), &checkpoint).or_else(|_| Trial::new(guardrail.clone())) {
            self.trial = trial;
            self.base = totals(&self.candidate, &self.stable);
            // What was counted until now is in the evidence already.
            self.trial.skip(&self.observed());
        }
    }

    /// Successes of both arms since the trial opened.
    pub(crate) fn successes(&self) -> Successes {
        let now = totals(&self.candidate, &self.stable);
        Successes {
            candidate: now.candidate.saturating_sub(self.base.candidate),
            stable: now.stable.saturating_sub(self.base.stable),
        }
    }
}

fn totals(candidate: &ServingVersion, stable: &ServingVersion) -> Successes {
    Successes { candidate: candidate.tally.successes(), stable: stable.tally.successes() }
}

/// The key a trial is checkpointed under.
pub(crate) fn checkpoint_key(model: &ModelName, candidate: Digest) -> String {
    format!("trial/{model}/{candidate}")
}

/// The key a candidate's crashes are noted under.
pub(crate) fn crash_key(candidate: Digest) -> String {
    format!("crash/{candidate}")
}

/// What the keys begin with under which crashes in loads are noted.
pub(crate) const LOAD_CRASH: &str = "load_crash/";

/// The key crashes in loads of some content are noted under.
pub(crate) fn load_crash_key(digest: Digest) -> String {
    format!("{LOAD_CRASH}{digest}")
}

/// When something is due, on the monotonic clock.
pub(crate) fn is_due(since: Instant, now: Instant, after: Duration) -> bool {
    now.saturating_duration_since(since) >= after
}
