//! What the rest of the program may ask about the past. Read beside the journal's thread, so that a long answer delays no
//! row that is to be written.

use base_types::{ModelName, Version};
use control_registry::journal::{Audit, Head, History, JournalError, ModelLife, Moment, Performance, PerformanceKey};

use crate::control::Control;

impl Control {
    /// What served at a moment, in milliseconds since 1970. Blocks.
    pub fn at(&self, at_unix_ms: u64, model: Option<&ModelName>) -> Result<Moment, JournalError> {
        self.reader()?.at(at_unix_ms, model)
    }

    /// Everything recorded about a model. Blocks.
    pub fn model_life(&self, model: &ModelName) -> Result<ModelLife, JournalError> {
        self.core.note_performance(&[]);
        self.reader()?.life(model)
    }

    /// How versions of a model did, the last requests included. Blocks.
    pub fn performance(
        &self,
        model: &ModelName,
        version: Option<Version>,
    ) -> Result<Vec<(PerformanceKey, Performance)>, JournalError> {
        self.core.note_performance(&[]);
        self.reader()?.performance(model, version)
    }

    /// Verifies the whole journal. Blocks for some seconds where it is long.
    pub fn audit(&self, anchor: Option<&str>) -> Result<Audit, JournalError> {
        self.reader()?.audit(anchor)
    }

    /// Number and hash of the journal's last row.
    pub fn journal_head(&self) -> Head {
        self.core.recorder.head()
    }

    fn reader(&self) -> Result<History, JournalError> {
        self.core.recorder.reader()
    }
}
