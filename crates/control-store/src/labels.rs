//! Movable names of versions.
//!
//! The labels that a version is pushed with stand in its record, so that one new file says all of a push. The labels'
//! own file says which records it has taken in; what the others say lies over it until the next change takes them in.

use std::collections::{BTreeMap, BTreeSet};

use base_types::{Label, ModelName, Version};
use serde::{Deserialize, Serialize};

use crate::store::RECORD_BYTES_MAX;
use crate::{Store, StoreError, envelope};

/// Most labels of one model.
const LABELS_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct LabelsFile {
    labels: BTreeMap<String, u64>,
    /// Versions whose records say nothing more about labels.
    taken_in: BTreeSet<u64>,
}

impl Store {
    /// Where each label of a model is.
    pub fn labels(&self, model: &ModelName) -> Result<BTreeMap<Label, Version>, StoreError> {
        let file = self.current_labels(model)?;
        let key = labels_key(model);
        let damaged = |reason: String| StoreError::Damaged { key: key.clone(), reason };
        let one = |(label, version): (&String, &u64)| {
            let label = Label::new(label).map_err(|error| damaged(error.to_string()))?;
            Ok((label, Version::new(*version).ok_or_else(|| damaged("zero is no version".to_owned()))?))
        };
        file.labels.iter().map(one).collect()
    }

    /// Moves a label to a version, or takes it away.
    pub fn set_label(&self, model: &ModelName, label: &Label, version: Option<Version>) -> Result<(), StoreError> {
        let _guard = self.objects.lock()?;
        self.set_labels_locked(model, std::slice::from_ref(label), version)
    }

    pub(crate) fn set_labels_locked(
        &self,
        model: &ModelName,
        labels: &[Label],
        version: Option<Version>,
    ) -> Result<(), StoreError> {
        let mut file = self.current_labels(model)?;
        for label in labels {
            match version {
                Some(version) if file.taken_in.contains(&version.get()) => {
                    file.labels.insert(label.to_string(), version.get());
                }
                Some(version) => return Err(StoreError::UnknownVersion { model: model.clone(), version }),
                None if file.labels.remove(label.as_str()).is_some() => {}
                None => return Err(StoreError::UnknownLabel { model: model.clone(), label: label.to_string() }),
            }
        }
        if file.labels.len() > LABELS_MAX {
            let what = format!("the number of labels of {model}");
            let remedy = "take labels away with `switchrail label MODEL NAME --remove`";
            return Err(StoreError::TooLarge { what, limit: LABELS_MAX as u64, remedy });
        }
        self.write_labels(model, &file)
    }

    /// Takes what records say into the labels' file, so that readers need not look.
    pub(crate) fn settle_labels(&self, model: &ModelName) -> Result<(), StoreError> {
        let file = self.current_labels(model)?;
        self.write_labels(model, &file)
    }

    fn write_labels(&self, model: &ModelName, file: &LabelsFile) -> Result<(), StoreError> {
        let key = labels_key(model);
        self.objects.replace(&key, &envelope::seal(&key, file)?)?;
        self.objects.sync()
    }

    /// The labels with every record taken in.
    fn current_labels(&self, model: &ModelName) -> Result<LabelsFile, StoreError> {
        let key = labels_key(model);
        // The file first: a record that appears meanwhile is only seen too much, never missed.
        let file: LabelsFile = match self.objects.get(&key, RECORD_BYTES_MAX)? {
            Some(bytes) => envelope::open(&key, &bytes)?,
            None => LabelsFile::default(),
        };
        let versions = self.versions(model)?;
        let mut new = Vec::new();
        for version in versions.iter().filter(|version| !file.taken_in.contains(&version.get())) {
            new.extend(self.record(model, *version)?);
        }
        new.sort_by_key(|record| (record.pushed_at_unix_ms, record.version));
        let mut labels = file.labels;
        for record in &new {
            labels.extend(record.labels.iter().map(|label| (label.to_string(), record.version.get())));
        }
        Ok(LabelsFile { labels, taken_in: versions.iter().map(|version| version.get()).collect() })
    }
}

pub(crate) fn labels_key(model: &ModelName) -> String {
    format!("models/{model}/labels.json")
}
