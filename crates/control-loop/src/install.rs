//! What the loader brings back: versions to make addressable, content that has changed, refusals.

use std::sync::Arc;
use std::time::Duration;

use base_serving::ServingVersion;
use base_types::{Change, Digest, VersionId, VersionState};
use control_registry::journal::{Action, Entry as JournalEntry, JournalError};
use control_registry::repository::Stamp;
use tracing::{info, warn};

use crate::effect::Effect;
use crate::load::{LoadResult, Shown};
use crate::reconcile::refuse;
use crate::recorder::Job;
use crate::state::load_crash_key;
use crate::turn::Core;

impl Core {
    /// Takes the loader's answer.
    pub(crate) fn loaded(&self, id: &VersionId, stamp: Stamp, result: LoadResult) {
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
    fn install(&self, (id, stamp): (&VersionId, Stamp), version: Arc<ServingVersion>, shown: Shown, took: Duration) {
        let digest = version.digest;
        if let Err(error) = self.register(id, digest, Action::Loaded) {
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
        self.metrics.set_load_seconds(&id.model, id.version, took.as_secs_f64());
        info!(version = %id, digest = digest.short(), took_ms = took.as_millis() as u64, "version ready");
    }

    /// Binds a number to content, durably, if it is not bound yet.
    fn register(&self, id: &VersionId, digest: Digest, action: Action) -> Result<(), JournalError> {
        let is_known = self.lock().decisions.digests.contains_key(id);
        let change = Change::Registered { id: id.clone(), digest };
        let mut entry = JournalEntry { digest: Some(digest), ..self.entry_about("gateway", action, id) };
        if is_known {
            self.perform(vec![Effect::Record(Box::new(entry))]);
            return Ok(());
        }
        entry.changes.push(change.clone());
        self.recorder.now(vec![entry], None)?;
        self.lock().decisions.apply(&change);
        Ok(())
    }

    fn same(&self, id: &VersionId, stamp: Stamp, digest: Digest) {
        let is_known = self.lock().decisions.digests.contains_key(id);
        if let Some(error) = (!is_known).then(|| self.register(id, digest, Action::Registered).err()).flatten() {
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
    fn content_changed(&self, id: &VersionId, stamp: Stamp, digest: Digest) {
        let text = format!(
            "the folder now holds other content ({}) than this version number stands for; publish it under a new number",
            digest.short()
        );
        let mut effects = Vec::new();
        let mut state = self.lock();
        if let Some(entry) = state.entry_mut(id) {
            entry.stamp = Some(stamp);
            if entry.serving.is_some() {
                entry.reason = Some(("content_changed".to_owned(), text.clone()));
            } else {
                entry.fail("content_changed", text.clone());
            }
        }
        self.publish_model(&mut state, &id.model, &mut effects);
        drop(state);
        warn!(version = %id, text, "content changed");
        self.metrics.version_refused(id.model.as_str(), "content_changed");
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
