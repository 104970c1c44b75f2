//! All that is recorded about one model, oldest first: what its change log is made from.

use base_types::ModelName;

use super::JournalError;
use super::entry::{Action, Row};
use super::history::{History, signed};
use super::performance::{Performance, PerformanceKey};

/// Rows of one model that a change log looks at, the newest.
const LIFE_ROWS_MAX: i64 = 50_000;
/// Starts and stops of the gateway that it looks at, the newest.
const STARTS_MAX: i64 = 10_000;

/// What is recorded about a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelLife {
    /// The model.
    pub model: ModelName,
    /// Its rows, and those of starts and stops among them, oldest first.
    pub rows: Vec<Row>,
    /// Whether there are older rows, which were left out.
    pub is_cut: bool,
    /// How its versions did.
    pub performance: Vec<(PerformanceKey, Performance)>,
}

impl History {
    /// Everything recorded about a model, as far back as its bound goes.
    pub fn life(&self, model: &ModelName) -> Result<ModelLife, JournalError> {
        let mut rows = self.rows("model = ?", [model.as_str().to_owned().into()], LIFE_ROWS_MAX)?;
        let is_cut = rows.len() as i64 == LIFE_ROWS_MAX;
        let first = rows.last().map_or(0, |row| row.seq);
        for action in [Action::Started, Action::Stopped] {
            let values = [action.as_str().to_owned().into(), signed(first).into()];
            rows.extend(self.rows("action = ? AND seq >= ?", values, STARTS_MAX)?);
        }
        rows.sort_by_key(|row| row.seq);
        let performance = self.performance(model, None)?;
        Ok(ModelLife { model: model.clone(), rows, is_cut, performance })
    }
}
