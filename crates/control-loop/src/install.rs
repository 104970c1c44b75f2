//! What the loader brings back: versions to make addressable, content that has changed, refusals.

use std::sync::Arc;
use std::time::Duration;

use base_serving::ServingVersion;
use base_types::{Change, Digest, Signature, TensorSpec, VersionId, VersionState};
use control_registry::RefusalCode;
use control_registry::journal::{Action, Entry as JournalEntry, JournalError};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::effect::Effect;
use crate::load::{LoadResult, Shown};
use crate::reconcile::refuse;
use crate::recorder::Job;
use crate::source::Source;
use crate::state::load_crash_key;
use crate::turn::Core;

impl Core {
    /// Takes the loader's answer.
    pub(crate) fn loaded(&self, id: &VersionId, stamp: Source, result: LoadResult) {
        self.is_back(id);
        match result {
            LoadResult::Loaded { version, shown, took } => self.install((id, stamp), version, shown, took),
            LoadResult::Same(digest) => self.same(id, stamp, digest),
            LoadResult::Changed(digest) => self.content_changed(id, stamp, digest),
            LoadResult::Refused { code, text, digest, is_transient } => {
                let mut effects = Vec::new();
                let mut state = self.lock();
                let is_news = state.entry_mut(id).is_some_and(|entry| {
                    entry.digest = entry.digest.or(digest);
                    refuse(entry, &code, &text, (!is_transient).then_some(stamp))
                });
                if is_news {
                    self.publish_model(&mut state, &id.model, &mut effects);
                }
                drop(state);
                if !is_news {
                    return self.choose_stables();
                }
                warn!(version = %id, code, text, "version refused");
                self.metrics.version_refused(id.model.as_str(), &code);
                let entry = JournalEntry {
                    reason: Some(format!("{code}: {text}")),
                    digest,
                    ..self.entry_about("gateway", Action::LoadRefused, id)
                };
                effects.push(Effect::Record(Box::new(entry)));
                self.perform(effects);
            }
        }
        self.show_state(id);
        self.choose_stables();
    }

    /// Makes a loaded version addressable: its number is bound to its content first.
    fn install(&self, (id, stamp): (&VersionId, Source), version: Arc<ServingVersion>, shown: Shown, took: Duration) {
        let digest = version.digest;
        let shape = shown.as_deref().unwrap_or(&version.signature);
        if let Err(error) = self.register((id, digest), Action::Loaded, Some(shape)) {
            let mut state = self.lock();
            if let Some(entry) = state.entry_mut(id) {
                refuse(entry, "journal", &format!("could not be recorded: {error}"), None);
            }
            drop(state);
            self.free(vec![version]);
            return;
        }
        let mut effects = Vec::new();
        let mut state = self.lock();
        if let Some(entry) = state.entry_mut(id) {
            entry.state = VersionState::Ready;
            entry.reason = None;
            entry.digest = Some(digest);
            entry.stamp = Some(stamp);
            entry.load = Some(took);
            entry.serving = Some(version.clone());
            entry.shown = shown;
        }
        let was_suspect = state.load_crashes.remove(&digest).is_some();
        self.publish_model(&mut state, &id.model, &mut effects);
        drop(state);
        self.perform(effects);
        if was_suspect {
            self.recorder.later(Job::Checkpoint { key: load_crash_key(digest), json: None });
        }
        version.metrics.set_memory(version.runner.memory());
        self.note_memory(&version);
        self.metrics.set_load_seconds(&id.model, id.version, took.as_secs_f64());
        info!(version = %id, digest = digest.short(), took_ms = took.as_millis() as u64, "version ready");
    }

    /// Binds a number to content, durably, if it is not bound yet.
    fn register(
        &self,
        (id, digest): (&VersionId, Digest),
        action: Action,
        shape: Option<&Signature>,
    ) -> Result<(), JournalError> {
        let is_known = self.lock().decisions.digests.contains_key(id);
        let change = Change::Registered { id: id.clone(), digest };
        let evidence_json = with_shape(self.origin_json(id, digest), shape);
        let mut entry = JournalEntry { digest: Some(digest), evidence_json, ..self.entry_about("gateway", action, id) };
        if is_known {
            self.perform(vec![Effect::Record(Box::new(entry))]);
            return Ok(());
        }
        entry.changes.push(change.clone());
        self.recorder.now(vec![entry], None)?;
        self.lock().decisions.apply(&change);
        Ok(())
    }

    fn same(&self, id: &VersionId, stamp: Source, digest: Digest) {
        let is_known = self.lock().decisions.digests.contains_key(id);
        if let Some(error) = (!is_known).then(|| self.register((id, digest), Action::Registered, None).err()).flatten()
        {
            warn!(version = %id, %error, "could not be recorded");
        }
        let mut effects = Vec::new();
        let mut state = self.lock();
        let is_barred = state.decisions.quarantine.contains_key(&digest);
        if let Some(entry) = state.entry_mut(id) {
            entry.stamp = Some(stamp);
            entry.digest = Some(digest);
            if entry.reason.as_ref().is_some_and(|(code, _)| code == "content_changed") {
                entry.reason = None;
            }
            if entry.serving.is_none() && is_barred {
                entry.state = VersionState::Quarantined;
            } else if entry.serving.is_none() {
                // Released while it was being read: the next look loads it.
                (entry.state, entry.stamp) = (VersionState::Registered, None);
            }
        }
        self.publish_model(&mut state, &id.model, &mut effects);
        drop(state);
        self.perform(effects);
    }

    /// Other content under a known number: refused. What is loaded goes on serving.
    fn content_changed(&self, id: &VersionId, stamp: Source, digest: Digest) {
        let (code, text) = match &stamp {
            Source::Folder(_) => (
                "content_changed",
                format!(
                    "the folder now holds other content ({}) than this version number stands for; publish it under a new number",
                    digest.short()
                ),
            ),
            Source::Store(_) => (
                RefusalCode::ContentConflict.as_str(),
                format!("the store holds other content ({}) than this version number stands for", digest.short()),
            ),
        };
        let mut effects = Vec::new();
        let mut state = self.lock();
        if let Some(entry) = state.entry_mut(id) {
            entry.other_folder = stamp.folder().cloned();
            entry.stamp = Some(stamp);
            if entry.serving.is_some() {
                entry.reason = Some((code.to_owned(), text.clone()));
            } else {
                entry.fail(code, text.clone());
            }
        }
        self.publish_model(&mut state, &id.model, &mut effects);
        drop(state);
        warn!(version = %id, code, text, "content changed");
        self.metrics.version_refused(id.model.as_str(), code);
        let entry = JournalEntry { reason: Some(text), ..self.entry_about("gateway", Action::ContentChanged, id) };
        effects.push(Effect::Record(Box::new(entry)));
        self.perform(effects);
    }

    pub(crate) fn show_state(&self, id: &VersionId) {
        let state = self.lock().entry(id).map(|e| e.state);
        if let Some(state) = state {
            self.metrics.set_version_state(&id.model, id.version, state);
        }
    }
}

/// What is recorded of a load: where the version came from, and what it takes and gives, so that a change log can tell
/// versions apart when they are gone.
fn with_shape(origin: Option<String>, shape: Option<&Signature>) -> Option<String> {
    let Some(shape) = shape else { return origin };
    let texts = |specs: &[TensorSpec]| specs.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut evidence = origin.and_then(|json| serde_json::from_str::<Value>(&json).ok()).unwrap_or_else(|| json!({}));
    evidence["signature"] = json!({ "inputs": texts(&shape.inputs), "outputs": texts(&shape.outputs) });
    Some(evidence.to_string())
}
