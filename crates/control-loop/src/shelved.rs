//! What the store adds to a look at the repository: which of its versions are wanted, labels, conflicts of numbers, and
//! what a journal row says of where a version came from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base_routing::ModelRoute;
use base_types::{Digest, Label, Version, VersionId, VersionState};
use control_registry::RefusalCode;
use control_registry::model_config::ModelConfig;
use serde_json::json;
use tracing::warn;

use crate::shelf::{Holdings, Pushed, ShelfModel};
use crate::source::{Seen, Sighting, Source};
use crate::state::{Entry, Model};
use crate::turn::Core;

/// The code of a version that is known and not loaded, because nobody asks for it.
pub(crate) const NOT_LOADED: &str = "not_loaded";

/// Which versions of a model are to be in memory, as far as no order says otherwise.
pub(crate) struct Wants {
    needed: BTreeSet<Version>,
    /// What the policy of config.pbtxt wants, if it has one.
    policy: Option<BTreeSet<Version>>,
    /// Versions in the store that are older than those loaded unasked.
    old: BTreeSet<Version>,
    /// How many of the store are loaded unasked.
    n_versions: usize,
}

impl Wants {
    pub(crate) fn new(
        config: Option<&ModelConfig>,
        sightings: &BTreeMap<Version, Sighting>,
        (needed, n_versions): (BTreeSet<Version>, usize),
    ) -> Self {
        let usable = sightings.iter().filter(|(_, s)| !matches!(s.seen, Seen::Refused(_)));
        let present: BTreeSet<Version> = usable.map(|(version, _)| *version).collect();
        let policy = config.and_then(|config| Some(config.version_policy.as_ref()?.select(&present)));
        let stored = sightings.iter().rev().filter(|(_, s)| matches!(s.seen, Seen::At(Source::Store(_))));
        let old = stored.skip(n_versions).map(|(version, _)| *version).collect();
        Self { needed, policy, old, n_versions }
    }

    pub(crate) fn is_wanted(&self, version: &Version) -> bool {
        let is_asked_for = self.policy.as_ref().is_none_or(|policy| policy.contains(version));
        self.needed.contains(version) || is_asked_for && !self.old.contains(version)
    }

    /// Shows that a version is left where it is because it is old. Says whether that is news.
    pub(crate) fn leave(&self, entry: &mut Entry, source: &Source, id: &VersionId) -> bool {
        entry.is_stored = matches!(source, Source::Store(_));
        let is_idle =
            entry.serving.is_none() && matches!(entry.state, VersionState::Registered | VersionState::Unloaded);
        if !self.old.contains(&id.version) || !is_idle || entry.reason.is_some() {
            return false;
        }
        let (n, VersionId { model, version }) = (self.n_versions, id);
        let text = format!(
            "older than the {n} highest versions of the store, which are loaded unasked: name it in routing.toml, or \
             give it a label (switchrail label {model} NAME {version}), to have it in memory"
        );
        (entry.state, entry.reason) = (VersionState::Registered, Some((NOT_LOADED.to_owned(), text)));
        true
    }
}

/// Takes over the labels of the store. Says whether they are others than before.
pub(crate) fn take_labels(model: &mut Model, shelf: Option<&ShelfModel>) -> bool {
    let labels = shelf.map(|shelf| &shelf.labels);
    if labels.map_or(model.shelf_labels.is_empty(), |labels| model.shelf_labels == *labels) {
        return false;
    }
    model.shelf_labels = labels.cloned().unwrap_or_default();
    true
}

/// Adds the labels of the store to a table. What routing.toml and the rollout say by the same name wins, and that is
/// told.
pub(crate) fn label(route: &mut ModelRoute, labels: &BTreeMap<Label, Version>) -> Vec<String> {
    let mut notices = Vec::new();
    for (label, version) in labels {
        match route.labels.get(label) {
            None => drop(route.labels.insert(label.clone(), *version)),
            Some(ours) if ours == version => {}
            Some(ours) => notices.push(format!(
                "label {label} is version {ours} here and version {version} in the store: routing decides, so it is {ours}"
            )),
        }
    }
    notices
}

impl Core {
    /// What the store holds; nothing without one. What is damaged is given another chance now and then: whoever pushes
    /// it again mends it.
    pub(crate) fn holdings(&self) -> Arc<Holdings> {
        let Some(shelf) = &self.shelf else { return Arc::default() };
        if shelf.is_retry_due(self.clock.now()) {
            let is_damaged = |(code, _): &(String, String)| code == RefusalCode::StoreDamaged.as_str();
            let mut state = self.lock();
            let entries = state.models.values_mut().flat_map(|model| model.versions.values_mut());
            let damaged = entries.filter(|entry| entry.reason.as_ref().is_some_and(is_damaged));
            damaged.for_each(|entry| entry.stamp = None);
        }
        shelf.holdings()
    }

    /// How many versions of a model in the store are loaded unasked.
    pub(crate) fn shelf_versions(&self) -> usize {
        self.shelf.as_ref().map_or(0, |shelf| shelf.n_versions)
    }

    /// Shows on a version that the store holds other content under its number. Says whether that is news.
    pub(crate) fn note_conflict(&self, entry: &mut Entry, id: &VersionId, conflict: Option<&str>) -> bool {
        let code = RefusalCode::ContentConflict.as_str();
        let told = entry.reason.as_ref().filter(|(known, _)| known == code).map(|(_, text)| text.as_str());
        if told == conflict || entry.serving.is_none() || entry.reason.is_some() && told.is_none() {
            return false;
        }
        if let Some(text) = conflict {
            warn!(version = %id, code, text, "the version in the store is not served");
            self.metrics.version_refused(id.model.as_str(), code);
        }
        entry.reason = conflict.map(|text| (code.to_owned(), text.to_owned()));
        true
    }

    /// Where a version came from, for the journal.
    pub(crate) fn origin_json(&self, id: &VersionId, digest: Digest) -> Option<String> {
        let state = self.lock();
        let entry = state.entry(id)?;
        let pushed = entry.pushed.as_ref().filter(|pushed| pushed.record.digest == digest)?;
        Some(json!({ "source": if entry.is_stored { "store" } else { "folder" }, "pushed": of(pushed) }).to_string())
    }
}

fn of(pushed: &Pushed) -> serde_json::Value {
    let record = &pushed.record;
    json!({
        "by": record.pushed_by,
        "at_unix_ms": record.pushed_at_unix_ms,
        "tag": record.tag,
        "lineage": record.lineage,
    })
}
