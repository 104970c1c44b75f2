//! What served at a moment: which tables were in force then, whether the gateway ran at all, and who had a hand in it.
//!
//! A life of the gateway begins with a row that it started, and whenever what it serves of a model becomes another the
//! new table is a row. So what served at a moment is: of the life that was under way the last table of each model.
//! Rows of one moment may be written in another order than they came into force; generations say which was later.

use base_types::{ModelName, Version};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params, params_from_iter};

use super::entry::{Action, Row};
use super::history::{History, decode, signed};
use super::schema::{COLUMNS, read_row};
use super::table::Table;
use super::{JournalError, blocks};

/// Rows around a table's own among which the row of the decision that led to it is looked for.
const NEAR_ROWS: i64 = 64;
/// Last tables of a model among which the highest generation is looked for: threads that publish at the same time are few.
const NEAR_TABLES: i64 = 16;

/// Actions that move traffic.
const MOVERS: [Action; 17] = [
    Action::ConfigAccepted,
    Action::StableChosen,
    Action::CanaryStarted,
    Action::CanaryResized,
    Action::Promoted,
    Action::Confirmed,
    Action::Interrupted,
    Action::RolledBack,
    Action::RolledBackTo,
    Action::StanceSuperseded,
    Action::RolloutStarted,
    Action::RolloutAdvanced,
    Action::RolloutOrdered,
    Action::RolloutEnded,
    Action::ExperimentStarted,
    Action::ExperimentReallocated,
    Action::Restored,
];

/// What the gateway was doing at a moment.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Nothing had been recorded yet.
    Unborn,
    /// It had stopped in order, and had not started again.
    Down {
        /// When it stopped, in milliseconds since 1970.
        since_unix_ms: u64,
    },
    /// It ran.
    Up {
        /// When it had started, in milliseconds since 1970.
        since_unix_ms: u64,
    },
    /// It had ended without saying so some time between when it was last seen and when it started again; whether it still
    /// ran at the moment asked for cannot be known.
    Unknown {
        /// When it was last seen.
        seen_unix_ms: u64,
        /// When it started again.
        started_unix_ms: u64,
    },
}

/// One model at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// The model.
    pub model: ModelName,
    /// The table that was in force.
    pub table: Table,
    /// The generation it came into force with.
    pub generation: u64,
    /// Since when, in milliseconds since 1970.
    pub since_unix_ms: u64,
    /// The row that says so.
    pub seq: u64,
    /// The last decision about its traffic before or with it: who, what and why.
    pub decided: Option<Row>,
}

/// Everything that served at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The moment, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// What the gateway was doing.
    pub standing: Standing,
    /// The models it served, in order of their names; none unless it ran, or may have run.
    pub models: Vec<Served>,
}

impl History {
    /// What served at a moment: of one model, or of all.
    pub fn at(&self, at_unix_ms: u64, model: Option<&ModelName>) -> Result<Moment, JournalError> {
        let at = signed(at_unix_ms);
        let nobody = |standing| Moment { at_unix_ms, standing, models: Vec::new() };
        let Some(span) = blocks::span(&self.connection, (None, Some(at)))? else { return Ok(nobody(Standing::Unborn)) };
        let bounds = (at, span.last);
        let started = self.newest(Action::Started, bounds)?;
        let stopped = self.newest(Action::Stopped, bounds)?;
        let Some(started) = started else { return Ok(nobody(Standing::Unborn)) };
        if let Some(stopped) = stopped.filter(|stopped| stopped.seq > started.seq) {
            return Ok(nobody(Standing::Down { since_unix_ms: stopped.entry.at_unix_ms }));
        }
        let names = match model {
            Some(model) => vec![model.clone()],
            None => self.models_published()?,
        };
        let first = signed(started.seq);
        let models = names.iter().map(|name| self.served(name, first, bounds));
        let models = models.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        let standing = match self.seen_before_end(started.seq)? {
            Some((seen_unix_ms, started_unix_ms)) if at_unix_ms > seen_unix_ms => {
                Standing::Unknown { seen_unix_ms, started_unix_ms }
            }
            _ => Standing::Up { since_unix_ms: started.entry.at_unix_ms },
        };
        Ok(Moment { at_unix_ms, standing, models })
    }

    /// The newest row of an action that was written by then.
    fn newest(&self, action: Action, (at, last): (i64, i64)) -> Result<Option<Row>, JournalError> {
        let condition = "action = ? AND seq <= ? AND at_unix_ms <= ?";
        let values = [Value::from(action.as_str().to_owned()), Value::from(last), Value::from(at)];
        Ok(self.rows(condition, values, 1)?.pop())
    }

    /// Where a life that began with a row ended without saying so: when it was last seen, and when the next one began.
    fn seen_before_end(&self, started: u64) -> Result<Option<(u64, u64)>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM journal WHERE action IN ('started', 'stopped') AND seq > ?1 ORDER BY seq LIMIT 1"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let next = statement.query_row([signed(started)], read_row).optional()?;
        let Some(next) = next.map(|row| decode(&self.connection, row)).transpose()? else { return Ok(None) };
        if next.entry.action == Action::Stopped {
            return Ok(None);
        }
        // The rows of the life show that it was alive, too.
        let sql = "SELECT max(at_unix_ms) FROM journal WHERE seq >= ?1 AND seq >= ?2 AND seq < ?3";
        let near = signed(next.seq).saturating_sub(NEAR_ROWS);
        let rows = params![signed(started), near, signed(next.seq)];
        let written: Option<i64> = self.connection.prepare_cached(sql)?.query_row(rows, |row| row.get(0))?;
        let noted = next.entry.evidence_json.as_deref().and_then(last_seen);
        let written = written.and_then(|ms| u64::try_from(ms).ok());
        Ok(written.max(noted).map(|seen| (seen, next.entry.at_unix_ms)))
    }

    /// Every model that was ever served.
    fn models_published(&self) -> Result<Vec<ModelName>, JournalError> {
        // Asks for the next greater name each time: the rows between are never read.
        let sql = "
            WITH RECURSIVE names (name) AS (
                SELECT min(model) FROM journal WHERE model > ''
                UNION ALL
                SELECT (SELECT min(model) FROM journal WHERE model > names.name) FROM names WHERE names.name IS NOT NULL)
            SELECT name FROM names WHERE name IS NOT NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(names.iter().filter_map(|name| ModelName::new(name).ok()).collect())
    }

    /// What was in force of a model: the highest generation among the last tables of the life.
    fn served(&self, model: &ModelName, first: i64, (at, last): (i64, i64)) -> Result<Option<Served>, JournalError> {
        let condition = "model = ? AND action = ? AND seq > ? AND seq <= ? AND at_unix_ms <= ?";
        let (name, action) = (model.as_str().to_owned(), Action::Published.as_str().to_owned());
        let values = [Value::from(name), Value::from(action), Value::from(first), Value::from(last), Value::from(at)];
        let rows = self.rows(condition, values, NEAR_TABLES)?;
        let generation = |row: &Row| row.entry.generation.map_or(0, |generation| generation.0);
        let Some(row) = rows.into_iter().max_by_key(|row| (generation(row), row.seq)) else { return Ok(None) };
        // One that is gone serves nothing.
        let Some(table) = Table::of_row(&row).flatten() else { return Ok(None) };
        let decided = self.decided(model, &row)?;
        Ok(Some(Served {
            model: model.clone(),
            table,
            generation: generation(&row),
            since_unix_ms: row.entry.at_unix_ms,
            seq: row.seq,
            decided,
        }))
    }

    /// The decision that led to a table: the one with its generation, else the last one before it.
    fn decided(&self, model: &ModelName, table: &Row) -> Result<Option<Row>, JournalError> {
        let words = MOVERS.map(|action| format!("'{}'", action.as_str())).join(", ");
        let (name, seq) = (Value::from(model.as_str().to_owned()), signed(table.seq));
        if let Some(generation) = table.entry.generation {
            // The signs keep SQLite from the indexes: the few rows nearby are found by their numbers.
            let condition = format!(
                "(+model = ? OR +model IS NULL) AND generation = ? AND seq BETWEEN ? AND ? AND +action IN ({words})"
            );
            let near = [Value::from(seq - NEAR_ROWS), Value::from(seq + NEAR_ROWS)];
            let [from, to] = near;
            let values = [name.clone(), Value::from(signed(generation.0)), from, to];
            if let Some(row) = self.rows(&condition, values, 1)?.pop() {
                return Ok(Some(row));
            }
        }
        let mut newest: Option<Row> = None;
        for action in MOVERS {
            let action = Value::from(action.as_str().to_owned());
            let found =
                self.rows("model = ? AND action = ? AND seq < ?", [name.clone(), action, Value::from(seq)], 1)?;
            newest = newest.into_iter().chain(found).max_by_key(|row| row.seq);
        }
        Ok(newest)
    }

    /// Rows that meet a condition, newest first.
    pub(super) fn rows(
        &self,
        condition: &str,
        values: impl IntoIterator<Item = Value>,
        limit: i64,
    ) -> Result<Vec<Row>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM journal WHERE {condition} ORDER BY seq DESC LIMIT ?");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let values = values.into_iter().chain([Value::from(limit)]);
        let rows = statement.query_map(params_from_iter(values), read_row)?;
        rows.map(|row| decode(&self.connection, row?)).collect()
    }
}

/// What a row that the gateway started says about the life before.
fn last_seen(json: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(json).ok()?["last_seen_unix_ms"].as_u64()
}

impl Served {
    /// The content of a version that served.
    pub fn digest(&self, version: Version) -> Option<&str> {
        self.table.versions.get(&version.get()).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
