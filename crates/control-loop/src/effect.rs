//! What has to be done outside the lock: journal, markers, webhooks, logs, frees.

use std::fmt;
use std::sync::Arc;

use base_serving::Snapshot;
use base_types::{Change, Digest, ModelName, Rollout, Version, VersionId};
use control_registry::journal::{Action as JournalAction, Entry};
use control_rollout::Cause;
use control_rollout::rollout::Action;
use serde_json::json;
use tracing::{info, warn};

use crate::evidence::Shown;
use crate::published::Published;
use crate::recorder::Job;
use crate::rollout::report;
use crate::state::{checkpoint_key, crash_key};
use crate::traffic::Traffic;
use crate::turn::Core;

/// A version that was taken out of traffic, and everything there is to say about it.
pub(crate) struct RolledBack {
    pub(crate) id: VersionId,
    pub(crate) digest: Digest,
    pub(crate) stable: Version,
    pub(crate) cause: String,
    pub(crate) reason: Why,
    pub(crate) evidence: Shown,
    /// Shares before and after.
    pub(crate) before: Traffic,
    pub(crate) after: Traffic,
    pub(crate) generation: u64,
    pub(crate) changes: Vec<Change>,
    pub(crate) actor: String,
    /// The rollout that ended with it.
    pub(crate) rollout: Option<EndedRollout>,
}

/// Why a version was taken out. A verdict is put into words once it is in force.
pub(crate) enum Why {
    /// A person's words, or a rollout's.
    Said(String),
    /// The numbers.
    Verdict(Arc<Cause>),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(text) => f.write_str(text),
            Self::Verdict(cause) => cause.fmt(f),
        }
    }
}

/// A rollout that is over, and what it has to tell.
pub(crate) struct EndedRollout {
    pub(crate) rollout: Box<Rollout>,
    pub(crate) actions: Vec<Action>,
}

/// Something to do once the lock is released.
pub(crate) enum Effect {
    /// Frees a snapshot nobody needs any more.
    Free(Arc<Snapshot>),
    /// Shows the shares of a model in its metrics.
    ShowShares(ModelName),
    /// Tells the log what a table does not do as wished.
    Notice(ModelName, String),
    /// A version came under trial.
    TrialOpened { model: ModelName, version: Version, digest: Digest, checkpoint: String },
    /// A trial is over, whatever its end.
    TrialClosed { model: ModelName, version: Version, digest: Digest },
    /// A version was taken out of traffic.
    RolledBack(Box<RolledBack>),
    /// A verdict moved no traffic.
    Verdict { model: ModelName, id: VersionId, verdict: &'static str, text: String, evidence: Shown },
    /// What is served of a model is another from now on.
    Published(Box<Published>),
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
            Effect::ShowShares(name) => self.show_shares(&name),
            Effect::Notice(model, notice) => warn!(%model, notice, "routing differs from what is wished"),
            Effect::TrialOpened { model, version, digest, checkpoint } => {
                info!(%model, %version, digest = digest.short(), "trial opened");
                let key = checkpoint_key(&model, digest);
                self.recorder.later(Job::Checkpoint { key, json: Some(checkpoint) });
                self.recorder.later(Job::MarkOpen(digest));
            }
            Effect::TrialClosed { model, version, digest } => {
                info!(%model, %version, digest = digest.short(), "trial closed");
                self.recorder.later(Job::Unmark(digest));
                for key in [checkpoint_key(&model, digest), crash_key(digest)] {
                    self.recorder.later(Job::Checkpoint { key, json: None });
                }
                for rule in crate::evidence::rule_words() {
                    self.metrics.clear_rule(&model, version, rule);
                }
            }
            Effect::RolledBack(rolled_back) => self.perform_rollback(*rolled_back),
            Effect::Verdict { model, id, verdict, text, evidence } => {
                let evidence = evidence.write();
                warn!(%model, version = %id.version, verdict, reason = text, %evidence, "verdict");
                self.metrics.verdict(&model, verdict);
                self.notify(json!({ "event": verdict, "model": model.as_str(), "version": id.version.get(),
                    "reason": text, "evidence": evidence }));
                let entry = Entry {
                    reason: Some(format!("{verdict}: {text}")),
                    evidence_json: Some(evidence.to_string()),
                    ..self.entry_about("guardrail", JournalAction::Verdict, &id)
                };
                self.recorder.later(Job::Append(Box::new(entry)));
            }
            Effect::Published(published) => self.record_published(*published),
            Effect::Record(entry) => self.recorder.later(Job::Append(entry)),
        }
    }

    fn perform_rollback(&self, rolled_back: RolledBack) {
        let RolledBack {
            id,
            digest,
            stable,
            cause,
            reason,
            evidence,
            before,
            after,
            generation,
            changes,
            actor,
            rollout,
        } = rolled_back;
        let evidence = evidence.write();
        let (reason, before, after) = (reason.to_string(), before.to_string(), after.to_string());
        self.metrics.rolled_back(&id.model, &cause);
        warn!(
            model = %id.model, version = %id.version, digest = digest.short(), %stable, cause, reason, before, after,
            generation, actor, %evidence, "rolled back"
        );
        self.notify(json!({ "event": "rolled_back", "model": id.model.as_str(), "version": id.version.get(),
            "digest": digest.to_string(), "stable": stable.get(), "cause": cause, "reason": reason,
            "before": before, "after": after, "generation": generation, "actor": actor, "evidence": evidence }));
        let entry = Entry {
            digest: Some(digest),
            generation: Some(base_types::Generation(generation)),
            before: Some(before),
            after: Some(after),
            reason: Some(reason),
            evidence_json: Some(evidence.to_string()),
            changes,
            ..self.entry_about(&actor, JournalAction::RolledBack, &id)
        };
        let is_quarantined = entry.changes.iter().any(|c| matches!(c, Change::Quarantined { .. }));
        // The marker stands for a quarantine, so a rollback without one goes without.
        let ended = rollout.as_ref().map(|ended| Entry {
            digest: Some(digest),
            reason: Some(ended.rollout.note.to_string()),
            evidence_json: Some(report::of(&ended.rollout, Some(evidence)).to_string()),
            ..self.entry_about(&actor, JournalAction::RolloutEnded, &id)
        });
        let entry = Box::new(entry);
        self.recorder.later(if is_quarantined { Job::RolledBack(digest, entry) } else { Job::Append(entry) });
        if let (Some(entry), Some(EndedRollout { rollout, actions })) = (ended, rollout) {
            self.recorder.later(Job::Append(Box::new(entry)));
            self.follow_up(&id.model, &rollout, actions, &actor);
        }
    }

    /// An entry about a version, as of now.
    pub(crate) fn entry_about(&self, actor: &str, action: JournalAction, id: &VersionId) -> Entry {
        let digest = self.lock().entry(id).and_then(|e| e.digest);
        let (model, version) = (Some(id.model.clone()), Some(id.version));
        Entry { model, version, digest, ..Entry::new(self.clock.unix_ms(), actor, action) }
    }
}
