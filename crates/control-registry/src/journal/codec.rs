//! Entries as columns, changes as JSON. This is the one place that knows how decisions look on disk; the JSON words
//! must stay readable for every later release.

use base_types::{
    Candidate, Change, Digest, Gate, GateOverride, Generation, ModelName, Phase, Quarantine, Residence, Stance,
    Version, VersionId,
};
use serde::{Deserialize, Serialize};

use super::JournalError;
use super::entry::{Action, Entry};

mod rollout;

/// Largest entry, in bytes of text and JSON.
const ENTRY_BYTES_MAX: usize = 1 << 20;

/// The columns of a row, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Encoded {
    pub at_unix_ms: i64,
    pub actor: String,
    pub action: String,
    pub model: Option<String>,
    pub version: Option<i64>,
    pub digest: Option<String>,
    pub generation: Option<i64>,
    pub before: Option<String>,
    pub after: Option<String>,
    pub reason: Option<String>,
    pub evidence_json: Option<String>,
    pub changes_json: String,
}

/// A change on disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
enum StoredChange {
    Registered {
        model: String,
        version: u64,
        digest: String,
    },
    Stance {
        model: String,
        stable: u64,
        candidate: Option<StoredCandidate>,
        phase: String,
        meaning: Option<u64>,
        since_unix_ms: u64,
    },
    StanceCleared {
        model: String,
    },
    Confirmed {
        model: String,
        version: u64,
    },
    Unconfirmed {
        model: String,
        version: u64,
    },
    Quarantined {
        digest: String,
        model: String,
        version: u64,
        cause: String,
        since_unix_ms: u64,
    },
    Released {
        digest: String,
    },
    Residence {
        model: String,
        version: Option<u64>,
        residence: String,
    },
    Rollout {
        model: String,
        rollout: Box<rollout::StoredRollout>,
    },
    GateOverridden {
        model: String,
        digest: String,
        gate: String,
        actor: String,
        reason: String,
        since_unix_ms: u64,
    },
    Thawed {
        model: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCandidate {
    version: u64,
    share: f64,
}

/// Turns an entry into columns.
pub(super) fn encode(entry: &Entry) -> Result<Encoded, JournalError> {
    let changes: Vec<StoredChange> = entry.changes.iter().map(store).collect();
    let changes_json = serde_json::to_string(&changes).map_err(|error| {
        // The only change that JSON cannot hold is a share that is not a number.
        JournalError::Database(rusqlite::Error::ToSqlConversionFailure(error.into()))
    })?;
    let encoded = Encoded {
        at_unix_ms: number("the time of an entry", entry.at_unix_ms)?,
        actor: entry.actor.clone(),
        action: entry.action.as_str().to_owned(),
        model: entry.model.as_ref().map(ToString::to_string),
        version: entry.version.map(|version| number("a version", version.get())).transpose()?,
        digest: entry.digest.as_ref().map(ToString::to_string),
        generation: entry.generation.map(|generation| number("a generation", generation.0)).transpose()?,
        before: entry.before.clone(),
        after: entry.after.clone(),
        reason: entry.reason.clone(),
        evidence_json: entry.evidence_json.clone(),
        changes_json,
    };
    let optional = [&encoded.before, &encoded.after, &encoded.reason, &encoded.evidence_json];
    let optional: usize = optional.iter().filter_map(|text| text.as_ref()).map(String::len).sum();
    if optional + encoded.actor.len() + encoded.changes_json.len() > ENTRY_BYTES_MAX {
        return Err(JournalError::TooLarge { what: "an entry", limit: ENTRY_BYTES_MAX as u64 });
    }
    Ok(encoded)
}

/// Turns columns back into an entry; the error says which column does not make sense.
pub(super) fn decode(row: Encoded) -> Result<Entry, String> {
    let unsigned = |number: i64| u64::try_from(number).map_err(|_| "has a negative number".to_owned());
    let stored: Vec<StoredChange> =
        serde_json::from_str(&row.changes_json).map_err(|error| format!("has unreadable changes ({error})"))?;
    Ok(Entry {
        at_unix_ms: unsigned(row.at_unix_ms)?,
        action: Action::parse(&row.action).ok_or_else(|| format!("has the unknown action {:?}", row.action))?,
        actor: row.actor,
        model: row.model.as_deref().map(model).transpose()?,
        version: row.version.map(|number| unsigned(number).and_then(version)).transpose()?,
        digest: row.digest.as_deref().map(digest).transpose()?,
        generation: row.generation.map(|number| unsigned(number).map(Generation)).transpose()?,
        before: row.before,
        after: row.after,
        reason: row.reason,
        evidence_json: row.evidence_json,
        changes: stored.into_iter().map(restore).collect::<Result<_, _>>()?,
    })
}

/// Changes as JSON.
pub(super) fn changes_json<'a>(changes: impl IntoIterator<Item = &'a Change>) -> serde_json::Result<String> {
    serde_json::to_string(&changes.into_iter().map(store).collect::<Vec<_>>())
}

/// Changes back from JSON.
pub(super) fn changes(json: &str) -> Result<Vec<Change>, String> {
    let stored: Vec<StoredChange> = serde_json::from_str(json).map_err(|error| format!("is unreadable ({error})"))?;
    stored.into_iter().map(restore).collect()
}

fn store(change: &Change) -> StoredChange {
    match change {
        Change::Registered { id, digest } => StoredChange::Registered {
            model: id.model.to_string(),
            version: id.version.get(),
            digest: digest.to_string(),
        },
        Change::Stance { model, stance } => StoredChange::Stance {
            model: model.to_string(),
            stable: stance.stable.get(),
            candidate: stance.candidate.map(|c| StoredCandidate { version: c.version.get(), share: c.share }),
            phase: stance.phase.as_str().to_owned(),
            meaning: stance.meaning,
            since_unix_ms: stance.since_unix_ms,
        },
        Change::StanceCleared { model } => StoredChange::StanceCleared { model: model.to_string() },
        Change::Confirmed { id } => StoredChange::Confirmed { model: id.model.to_string(), version: id.version.get() },
        Change::Unconfirmed { id } => {
            StoredChange::Unconfirmed { model: id.model.to_string(), version: id.version.get() }
        }
        Change::Quarantined { digest, quarantine } => StoredChange::Quarantined {
            digest: digest.to_string(),
            model: quarantine.id.model.to_string(),
            version: quarantine.id.version.get(),
            cause: quarantine.cause.clone(),
            since_unix_ms: quarantine.since_unix_ms,
        },
        Change::Released { digest } => StoredChange::Released { digest: digest.to_string() },
        Change::Residence { model, version, residence } => StoredChange::Residence {
            model: model.to_string(),
            version: version.map(Version::get),
            residence: residence.as_str().to_owned(),
        },
        Change::GateOverridden { model, digest, by } => StoredChange::GateOverridden {
            model: model.to_string(),
            digest: digest.to_string(),
            gate: by.gate.as_str().to_owned(),
            actor: by.actor.clone(),
            reason: by.reason.clone(),
            since_unix_ms: by.since_unix_ms,
        },
        Change::Thawed { model } => StoredChange::Thawed { model: model.to_string() },
        Change::Rollout { model, rollout } => {
            StoredChange::Rollout { model: model.to_string(), rollout: Box::new(rollout::store(rollout)) }
        }
    }
}

fn restore(stored: StoredChange) -> Result<Change, String> {
    let id = |name: &str, number| Ok::<_, String>(VersionId { model: model(name)?, version: version(number)? });
    Ok(match stored {
        StoredChange::Registered { model, version, digest: text } => {
            Change::Registered { id: id(&model, version)?, digest: digest(&text)? }
        }
        StoredChange::Stance { model: name, stable, candidate, phase, meaning, since_unix_ms } => {
            let candidate =
                candidate.map(|c| Ok::<_, String>(Candidate { version: version(c.version)?, share: c.share }));
            let stance = Stance {
                stable: version(stable)?,
                candidate: candidate.transpose()?,
                phase: Phase::parse(&phase).ok_or_else(|| format!("has the unknown phase {phase:?}"))?,
                meaning,
                since_unix_ms,
            };
            Change::Stance { model: model(&name)?, stance }
        }
        StoredChange::StanceCleared { model: name } => Change::StanceCleared { model: model(&name)? },
        StoredChange::Unconfirmed { model, version } => Change::Unconfirmed { id: id(&model, version)? },
        StoredChange::Confirmed { model, version } => Change::Confirmed { id: id(&model, version)? },
        StoredChange::Quarantined { digest: text, model, version, cause, since_unix_ms } => Change::Quarantined {
            digest: digest(&text)?,
            quarantine: Quarantine { id: id(&model, version)?, cause, since_unix_ms },
        },
        StoredChange::Released { digest: text } => Change::Released { digest: digest(&text)? },
        StoredChange::Residence { model: name, version: number, residence } => Change::Residence {
            model: model(&name)?,
            version: number.map(version).transpose()?,
            residence: Residence::parse(&residence)
                .ok_or_else(|| format!("has the unknown residence {residence:?}"))?,
        },
        StoredChange::GateOverridden { model: name, digest: text, gate, actor, reason, since_unix_ms } => {
            let gate = Gate::parse(&gate).ok_or_else(|| format!("has the unknown gate {gate:?}"))?;
            let by = GateOverride { gate, actor, reason, since_unix_ms };
            Change::GateOverridden { model: model(&name)?, digest: digest(&text)?, by }
        }
        StoredChange::Thawed { model: name } => Change::Thawed { model: model(&name)? },
        StoredChange::Rollout { model: name, rollout } => {
            Change::Rollout { model: model(&name)?, rollout: Box::new(rollout::restore(*rollout)?) }
        }
    })
}

fn number(what: &'static str, number: u64) -> Result<i64, JournalError> {
    i64::try_from(number).map_err(|_| JournalError::TooLarge { what, limit: i64::MAX as u64 })
}

fn model(text: &str) -> Result<ModelName, String> {
    ModelName::new(text).map_err(|error| format!("has a bad model name ({error})"))
}

fn version(number: u64) -> Result<Version, String> {
    Version::new(number).ok_or_else(|| "has the version 0".to_owned())
}

fn digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|_| "has a bad digest".to_owned())
}
