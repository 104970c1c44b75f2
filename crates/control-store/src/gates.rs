//! What gates found out about a version: added, never changed. Of very many the newest are kept.

use base_types::{ModelName, Version};
use serde_json::Value;

use crate::objects::Listed;
use crate::store::RECORD_BYTES_MAX;
use crate::{Store, StoreError, envelope};

/// Most results that are kept of one version; beyond it the oldest go.
const RESULTS_MAX: usize = 1_000;

/// What one run of the gates found out.
#[derive(Debug, Clone, PartialEq)]
pub struct GateResult {
    /// When it was kept, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The report, as it was given.
    pub report: Value,
}

impl Store {
    /// Keeps what the gates found out about a version. The same report at the same time is kept once.
    pub fn add_gate_results(
        &self,
        model: &ModelName,
        version: Version,
        report: &Value,
        now_unix_ms: u64,
    ) -> Result<(), StoreError> {
        let _guard = self.objects.lock()?;
        if self.record(model, version)?.is_none() {
            return Err(StoreError::UnknownVersion { model: model.clone(), version });
        }
        let folder = gates_folder(model, version);
        let sealed = envelope::seal(&folder, report)?;
        if sealed.len() as u64 > RECORD_BYTES_MAX {
            let (what, remedy) = ("a report of gates".to_owned(), "keep less in it");
            return Err(StoreError::TooLarge { what, limit: RECORD_BYTES_MAX, remedy });
        }
        let name = envelope::sha256(&sealed).to_string();
        self.objects.put_if_absent(&format!("{folder}{now_unix_ms}-{}.json", &name[..8]), &sealed)?;
        // Every load of a version may add some.
        let kept = self.objects.list(&folder)?;
        for oldest in kept.iter().take(kept.len().saturating_sub(RESULTS_MAX)) {
            self.objects.delete(&oldest.key)?;
        }
        self.objects.sync()
    }

    /// What gates found out about a version, the oldest first.
    pub fn gate_results(&self, model: &ModelName, version: Version) -> Result<Vec<GateResult>, StoreError> {
        let mut results = Vec::new();
        for Listed { key, .. } in self.objects.list(&gates_folder(model, version))? {
            let damaged = || StoreError::Damaged { key: key.clone(), reason: "its name has no time".to_owned() };
            let name = key.rsplit('/').next().unwrap_or_default();
            let at_unix_ms = name.split('-').next().and_then(|at| at.parse().ok()).ok_or_else(damaged)?;
            if let Some(bytes) = self.objects.get(&key, RECORD_BYTES_MAX)? {
                results.push(GateResult { at_unix_ms, report: envelope::open(&key, &bytes)? });
            }
        }
        results.sort_by_key(|result| result.at_unix_ms);
        Ok(results)
    }
}

pub(crate) fn gates_folder(model: &ModelName, version: Version) -> String {
    format!("models/{model}/gates/{version}/")
}
