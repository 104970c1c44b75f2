//! What the rest of the program may ask about rollouts and experiments.

use base_types::ModelName;
use control_registry::journal::{Action, HistoryQuery, Row};
use serde_json::Value;

use crate::control::Control;
use crate::order::Refused;
use crate::{view, watching};

/// Rows of the journal that a report is made from.
const LIFE_ROWS_MAX: usize = 1_000;

impl Control {
    /// The last rollout of a model, under way or over.
    pub fn rollout(&self, model: &ModelName) -> Option<view::rollout::RolloutStatus> {
        view::rollout::of(&self.core.lock(), model, self.core.clock.unix_ms())
    }

    /// The report of a rollout that is over, `None` for the last one, and what the journal says of its life, oldest
    /// first. Blocks.
    pub fn rollout_report(&self, model: &ModelName, number: Option<u32>) -> Result<(Value, Vec<Row>), Refused> {
        let missing = || Refused { code: "no_report", message: format!("{model} has no such rollout that is over") };
        let number = number.or_else(|| self.core.lock().decisions.rollouts.get(model).map(|r| r.number));
        let number = number.ok_or_else(missing)?;
        let rows = self.life(model)?;
        let report = |row: &Row| {
            // One that an order took out of traffic ends with the row of its rollback.
            let is_end = matches!(row.entry.action, Action::RolloutEnded | Action::RolledBack);
            let json = row.entry.evidence_json.as_deref().filter(|_| is_end)?;
            let report: Value = serde_json::from_str(json).ok()?;
            (report["rollout"]["number"] == number).then_some((row.seq, report))
        };
        let (last, report) = rows.iter().rev().find_map(report).ok_or_else(missing)?;
        let began = report["rollout"]["started_unix_ms"].as_u64().unwrap_or_default();
        // What ends it is recorded a moment after it is in force.
        let is_of_it = |row: &Row| row.entry.at_unix_ms >= began && row.seq <= last;
        let life = rows.into_iter().filter(is_of_it).collect();
        Ok((report, life))
    }

    /// What the journal says of a model, oldest first, as far back as its bound goes.
    fn life(&self, model: &ModelName) -> Result<Vec<Row>, Refused> {
        let query = HistoryQuery { model: Some(model.clone()), limit: Some(LIFE_ROWS_MAX), ..HistoryQuery::default() };
        let rows = self.core.recorder.history(query);
        let mut rows = rows.map_err(|error| Refused { code: "journal", message: error.to_string() })?;
        rows.reverse();
        Ok(rows)
    }

    /// Examples of requests that the shadowed candidate of a model answered otherwise than stable, oldest first; once its
    /// trial is over, until another candidate is tried.
    pub fn disagreements(&self, model: &ModelName) -> Vec<Value> {
        let examples = self.core.lock().models.get(model).map(watching::examples).unwrap_or_default();
        examples.iter().map(view::example::of).collect()
    }

    /// Every experiment under way, with what its numbers say.
    pub fn experiments(&self) -> Vec<Value> {
        let state = self.core.lock();
        let of_model = |(name, model): (&ModelName, &crate::state::Model)| {
            model.experiments.iter().map(|(key, running)| running.shown(key, name)).collect::<Vec<_>>()
        };
        let shown: Vec<_> = state.models.iter().flat_map(of_model).collect();
        drop(state);
        shown.iter().map(view::experiment::of).collect()
    }

    /// Requests of a model in a second, lately.
    pub fn requests_per_second(&self, model: &ModelName) -> Option<f64> {
        crate::rollout::requests_per_second(self.core.lock().models.get(model)?)
    }
}
