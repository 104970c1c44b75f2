//! What has to be done outside the lock: journal, markers, webhooks, logs, frees.

use std::sync::Arc;

use base_serving::Snapshot;
use base_types::{Change, Digest, ModelName, Version, VersionId};
use control_registry::journal::{Action, Entry};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::recorder::Job;
use crate::state::checkpoint_key;
use crate::turn::Core;

/// Something to do once the lock is released.
pub(crate) enum Effect {
    /// Frees a snapshot nobody needs any more.
    Free(Arc<Snapshot>),
    /// Tells the log what a table does not do as wished.
    Notice(ModelName, String),
    /// A version came under trial.
    TrialOpened { model: ModelName, version: Version, digest: Digest, crashes: Vec<u64> },
    /// A trial is over, whatever its end.
    TrialClosed { model: ModelName, version: Version, digest: Digest },
    /// A version was taken out of traffic.
    RolledBack {
        id: VersionId,
        digest: Digest,
        stable: Version,
        cause: String,
        reason: String,
        evidence: Value,
        /// Shares before and after.
        states: (String, String),
        generations: (u64, u64),
        changes: Vec<Change>,
        actor: String,
    },
    /// A verdict moved no traffic.
    Verdict { model: ModelName, id: VersionId, verdict: &'static str, text: String, evidence: Value },
    /// Something that happened and is recorded without being waited for.
    Record(Box<Entry>),
}

impl Core {
    /// Performs effects in order. Never call under the lock.
    pub(crate) fn perform(&self, effects: Vec<Effect>) {
        for effect in effects {
            self.perform_one(effect);
        }
    }

    fn perform_one(&self, effect: Effect) {
        match effect {
            Effect::Free(snapshot) => drop(snapshot),
            Effect::Notice(model, notice) => warn!(%model, notice, "routing differs from what is wished"),
            Effect::TrialOpened { model, version, digest, crashes } => {
                info!(%model, %version, digest = digest.short(), "trial opened");
                self.recorder.later(Job::MarkOpen(digest));
                for n_requests in crashes {
                    self.count_crash(&model, version, n_requests);
                }
            }
            Effect::TrialClosed { model, version, digest } => {
                info!(%model, %version, digest = digest.short(), "trial closed");
                self.recorder.later(Job::Unmark(digest));
                self.recorder.later(Job::Checkpoint { key: checkpoint_key(&model, digest), json: None });
                for rule in crate::evidence::RULES {
                    self.metrics.clear_rule(&model, version, rule);
                }
            }
            Effect::RolledBack { .. } => self.perform_rollback(effect),
            Effect::Verdict { model, id, verdict, text, evidence } => {
                warn!(%model, version = %id.version, verdict, reason = text, %evidence, "verdict");
                self.metrics.verdict(&model, verdict);
                self.notify(json!({ "event": verdict, "model": model.as_str(), "version": id.version.get(),
                    "reason": text, "evidence": evidence }));
                let entry = Entry {
                    reason: Some(format!("{verdict}: {text}")),
                    evidence_json: Some(evidence.to_string()),
                    ..self.entry_about("guardrail", Action::Verdict, &id)
                };
                self.recorder.later(Job::Append(Box::new(entry)));
            }
            Effect::Record(entry) => self.recorder.later(Job::Append(entry)),
        }
    }

    fn perform_rollback(&self, effect: Effect) {
        let Effect::RolledBack { id, digest, stable, cause, reason, evidence, states, generations, changes, actor } =
            effect
        else {
            return;
        };
        let (before, after) = states;
        warn!(
            model = %id.model, version = %id.version, digest = digest.short(), %stable, cause, reason, before, after,
            generation = generations.1, actor, %evidence, "rolled back"
        );
        self.notify(json!({ "event": "rolled_back", "model": id.model.as_str(), "version": id.version.get(),
            "digest": digest.to_string(), "stable": stable.get(), "cause": cause, "reason": reason,
            "before": before, "after": after, "generation": generations.1, "actor": actor, "evidence": evidence }));
        let entry = Entry {
            digest: Some(digest),
            generation: Some(base_types::Generation(generations.1)),
            before: Some(before),
            after: Some(after),
            reason: Some(reason),
            evidence_json: Some(evidence.to_string()),
            changes,
            ..self.entry_about(&actor, Action::RolledBack, &id)
        };
        let is_quarantined = entry.changes.iter().any(|c| matches!(c, Change::Quarantined { .. }));
        // The marker stands for a quarantine, so a rollback without one goes without.
        let entry = Box::new(entry);
        self.recorder.later(if is_quarantined { Job::RolledBack(digest, entry) } else { Job::Append(entry) });
    }

    /// An entry about a version, as of now.
    pub(crate) fn entry_about(&self, actor: &str, action: Action, id: &VersionId) -> Entry {
        let digest = self.lock().entry(id).and_then(|e| e.digest);
        let (model, version) = (Some(id.model.clone()), Some(id.version));
        Entry { model, version, digest, ..Entry::new(self.clock.unix_ms(), actor, action) }
    }

    /// Charges a candidate with the crash that lost its requests.
    fn count_crash(&self, model: &ModelName, version: Version, n_requests: u64) {
        let mut effects = Vec::new();
        let mut state = self.lock();
        let open = state.models.get_mut(model).and_then(|m| m.trials.get_mut(&version));
        if let Some(open) = open {
            let verdict = open.trial.on_crash(n_requests);
            let checkpoint = crate::evidence::checkpoint_json(open);
            let key = checkpoint_key(model, open.candidate.digest);
            self.recorder.later(Job::Checkpoint { key, json: Some(checkpoint) });
            self.act(&mut state, model, version, verdict, &mut effects);
        }
        drop(state);
        warn!(%model, %version, n_requests, "the process died with requests of this version in flight");
        self.perform(effects);
    }
}
