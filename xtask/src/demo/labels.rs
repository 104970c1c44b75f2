//! Reads the model's answer as a person would: the name of the content type, from the wheel's own tables.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::magika::Release;

/// Scores per file: FP32 `[1, 214]`.
pub const N_SCORES: usize = 214;

/// Below its threshold magika does not trust a score, and says only whether the content is text.
const TEXT: &str = "txt";
const UNKNOWN: &str = "unknown";

/// The tables of one release.
#[derive(Debug)]
pub struct Labels {
    rows: Vec<Row>,
}

/// One output of the model.
#[derive(Debug)]
struct Row {
    label: String,
    description: String,
    threshold: f64,
    /// What is said when the score is below the threshold.
    generic: &'static str,
}

/// What the model says about a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// The label, generic when the score is below its threshold.
    pub label: String,
    /// The label in words.
    pub description: String,
    /// The score of the best output.
    pub score: f32,
}

/// Why the tables could not be read.
#[derive(Debug, Error)]
pub enum LabelsError {
    /// The file cannot be read.
    #[error("could not read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not say what is expected.
    #[error("{path} is not the table of magika that is expected: remove its folder to fetch it again")]
    Content {
        /// The file.
        path: PathBuf,
    },
}

impl Labels {
    /// Reads a release's tables.
    pub fn read(release: &Release) -> Result<Self, LabelsError> {
        let (config_path, types_path) = (release.config(), release.content_types());
        let config = json(&config_path)?;
        let types = json(&types_path)?;
        match rows(&config, &types) {
            Some(rows) if rows.len() == N_SCORES => Ok(Self { rows }),
            _ => Err(LabelsError::Content { path: config_path }),
        }
    }

    /// The content type by the scores of an answer.
    pub fn guess(&self, scores: &[f32]) -> Option<Guess> {
        let (row, score) = self.rows.iter().zip(scores).max_by(|a, b| a.1.total_cmp(b.1))?;
        if f64::from(*score) < row.threshold {
            let description = format!("{}, perhaps {}", row.generic, row.description);
            return Some(Guess { label: row.generic.to_owned(), description, score: *score });
        }
        Some(Guess { label: row.label.clone(), description: row.description.clone(), score: *score })
    }
}

fn json(path: &Path) -> Result<Value, LabelsError> {
    let bytes = fs::read(path).map_err(|source| LabelsError::Io { path: path.to_path_buf(), source })?;
    serde_json::from_slice(&bytes).map_err(|_| LabelsError::Content { path: path.to_path_buf() })
}

fn rows(config: &Value, types: &Value) -> Option<Vec<Row>> {
    let threshold_of_others = config["medium_confidence_threshold"].as_f64()?;
    let row = |name: &Value| {
        let name = name.as_str()?;
        let label = config["overwrite_map"][name].as_str().unwrap_or(name);
        let kind = &types[label];
        Some(Row {
            label: label.to_owned(),
            description: kind["description"].as_str().unwrap_or(label).to_owned(),
            threshold: config["thresholds"][name].as_f64().unwrap_or(threshold_of_others),
            generic: if kind["is_text"].as_bool()? { TEXT } else { UNKNOWN },
        })
    };
    config["target_labels_space"].as_array()?.iter().map(row).collect()
}

#[cfg(test)]
mod tests;
