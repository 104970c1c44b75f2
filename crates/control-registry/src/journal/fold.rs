//! What the rows fold to, and the copy of it that is kept so that a start need not read a million rows.
//!
//! The copy is no second truth: it is written from the rows, stands beside the chain with the number and hash of the
//! row it ends with, and an audit folds the rows again and compares. A copy that is damaged is not used.

use std::collections::BTreeMap;

use base_types::{Change, Decisions, ModelName, Residence, VersionId};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::Head;
use super::chain::{hex, row_hash};
use super::codec;
use super::entry::Entry;
use super::schema::{COLUMNS, StoredRow, Texts, read_row};

/// The copy's key in its table.
pub(super) const KEY: &str = "last";

/// Rows folded so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fold {
    /// The last of them.
    pub head: Head,
    /// What they decide.
    pub decisions: Decisions,
    /// The highest generation they name.
    pub generation_max: u64,
    /// The row that the copy on disk ends with; 0 without one.
    pub kept_seq: u64,
}

/// A fold on disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    seq: u64,
    hash: String,
    generation_max: u64,
    /// Changes that fold to the decisions, as a JSON text of their own.
    changes: String,
    /// Times of rollbacks by model: the one thing that the changes do not say.
    rollbacks: BTreeMap<String, Vec<u64>>,
}

impl Fold {
    /// Checks one more row against the chain and folds it in; the error says what is wrong with it.
    pub(super) fn row(&mut self, row: StoredRow) -> Result<(), String> {
        let seq = self.head.seq + 1;
        if u64::try_from(row.seq).ok() != Some(seq) {
            return Err("is missing".to_owned());
        }
        if row.previous_hash != self.head.hash {
            return Err("does not follow the row before it".to_owned());
        }
        let hash = row_hash(&self.head.hash, seq, &row.columns);
        if row.hash != hash {
            return Err("does not have the hash it was written with".to_owned());
        }
        let entry = codec::decode(row.columns)?;
        self.entry(&entry);
        self.head = Head { seq, hash };
        Ok(())
    }

    /// Folds in what a row that has just been written says.
    pub(super) fn entry(&mut self, entry: &Entry) {
        entry.changes.iter().for_each(|change| self.decisions.apply(change));
        self.generation_max = self.generation_max.max(entry.generation.map_or(0, |generation| generation.0));
    }

    /// The fold as it is kept.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let rollbacks = self.decisions.rollbacks.iter().map(|(model, times)| (model.to_string(), times.clone()));
        serde_json::to_string(&Kept {
            seq: self.head.seq,
            hash: hex(&self.head.hash),
            generation_max: self.generation_max,
            changes: codec::changes_json(&changes(&self.decisions))?,
            rollbacks: rollbacks.collect(),
        })
    }

    fn parse(json: &str) -> Result<(Kept, Decisions), String> {
        let kept: Kept = serde_json::from_str(json).map_err(|error| format!("is unreadable ({error})"))?;
        let mut decisions = Decisions::default();
        codec::changes(&kept.changes)?.iter().for_each(|change| decisions.apply(change));
        let times = kept.rollbacks.iter().map(|(model, times)| Ok((ModelName::new(model)?, times.clone())));
        let times: Result<_, base_types::NameError> = times.collect();
        decisions.rollbacks = times.map_err(|error| error.to_string())?;
        Ok((kept, decisions))
    }

    /// The row that a copy names.
    pub(super) fn seq_of(json: &str) -> Option<u64> {
        Self::parse(json).ok().map(|(kept, _)| kept.seq)
    }

    /// Whether a copy says what the rows up to its own fold to.
    pub(super) fn agrees(&self, json: &str) -> bool {
        // Both the long way round, so that what two writings have in common does not differ.
        let own = self.json().map_err(|error| error.to_string()).and_then(|json| Self::parse(&json));
        match (own, Self::parse(json)) {
            (Ok((own, decided)), Ok((kept, copied))) => {
                decided == copied
                    && (own.seq, own.hash, own.generation_max) == (kept.seq, kept.hash, kept.generation_max)
            }
            _ => false,
        }
    }

    /// The fold that was kept last, if it is whole and the row it ends with is the one that stands there.
    pub(super) fn kept(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let json = Texts::Folds.read(connection)?.into_iter().find(|(key, _)| key == KEY).and_then(|(_, json)| json);
        let Some((kept, decisions)) = json.and_then(|json| Self::parse(&json).ok()) else { return Ok(None) };
        let sql = format!("SELECT {COLUMNS} FROM journal WHERE seq = ?1");
        let mut statement = connection.prepare(&sql)?;
        let last = statement.query_row([kept.seq as i64], read_row).optional();
        // A column of another type than was written: the rows are to be read one by one.
        let Ok(Some(last)) = last else { return Ok(None) };
        let Ok(previous) = last.previous_hash.as_slice().try_into() else { return Ok(None) };
        let hash = row_hash(&previous, kept.seq, &last.columns);
        if last.hash != hash || hex(&hash) != kept.hash {
            return Ok(None);
        }
        let head = Head { seq: kept.seq, hash };
        Ok(Some(Self { head, decisions, generation_max: kept.generation_max, kept_seq: kept.seq }))
    }
}

/// Changes that fold to these decisions, times of rollbacks aside.
fn changes(decisions: &Decisions) -> Vec<Change> {
    // Named one by one, so that what is added to the decisions is not forgotten here.
    let Decisions { digests, stances, confirmed, quarantine, residence, rollouts, rollbacks: _, overrides } = decisions;
    let mut changes: Vec<Change> =
        digests.iter().map(|(id, digest)| Change::Registered { id: id.clone(), digest: *digest }).collect();
    let stance = |(model, stance): (&ModelName, &base_types::Stance)| Change::Stance {
        model: model.clone(),
        stance: stance.clone(),
    };
    changes.extend(stances.iter().map(stance));
    for (model, versions) in confirmed {
        let id = |version: &base_types::Version| VersionId { model: model.clone(), version: *version };
        changes.extend(versions.iter().map(|version| Change::Confirmed { id: id(version) }));
    }
    let quarantined = quarantine.iter();
    changes.extend(
        quarantined.map(|(digest, quarantine)| Change::Quarantined { digest: *digest, quarantine: quarantine.clone() }),
    );
    for (model, ordered) in residence {
        let order = |version, residence| Change::Residence { model: model.clone(), version, residence };
        changes.extend(ordered.is_unloaded.then(|| order(None, Residence::Unloaded)));
        changes.extend(ordered.versions.iter().map(|(version, residence)| order(Some(*version), *residence)));
    }
    let rollout = |(model, rollout): (&ModelName, &base_types::Rollout)| Change::Rollout {
        model: model.clone(),
        rollout: Box::new(rollout.clone()),
    };
    changes.extend(rollouts.iter().map(rollout));
    for ((model, digest), by) in overrides {
        let change = |by: &base_types::GateOverride| Change::GateOverridden {
            model: model.clone(),
            digest: *digest,
            by: by.clone(),
        };
        changes.extend(by.iter().map(change));
    }
    changes
}

#[cfg(test)]
mod tests;
