//! The repository: its index, and the bodies of what is asked about it.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::{DocumentError, json, read};

/// Parameters of a load or unload, at most.
const PARAMETERS_MAX: usize = 64;

/// A line of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexLine<'a> {
    /// The model.
    pub name: &'a str,
    /// The version, where one is known.
    pub version: Option<u64>,
    /// What it does.
    pub state: &'a str,
    /// Why it does not answer; empty where there is nothing to say.
    pub reason: &'a str,
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    state: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

#[derive(Deserialize, Default)]
struct IndexRequest {
    ready: Option<bool>,
}

#[derive(Deserialize, Default)]
struct ChangeRequest {
    /// The values may be files as text: they are passed over, not kept.
    parameters: Option<BTreeMap<String, IgnoredAny>>,
}

/// The answer of the index. A model without a known version is its name alone.
pub fn repository_index(lines: &[IndexLine<'_>]) -> Vec<u8> {
    json(&lines.iter().map(line).collect::<Vec<_>>())
}

fn line<'a>(line: &IndexLine<'a>) -> Line<'a> {
    match line.version {
        Some(version) => {
            Line { name: line.name, version: Some(version.to_string()), state: line.state, reason: line.reason }
        }
        None => Line { name: line.name, version: None, state: "", reason: "" },
    }
}

/// Whether only what is ready is asked for. An empty body asks for everything.
///
/// # Errors
/// The body is no request of this kind.
pub fn decode_index(body: &[u8]) -> Result<bool, DocumentError> {
    Ok(read::<IndexRequest>(body)?.ready.unwrap_or(false))
}

/// The names of the parameters of a load or unload.
///
/// # Errors
/// The body is no request of this kind.
pub fn decode_change(body: &[u8]) -> Result<Vec<String>, DocumentError> {
    let parameters = read::<ChangeRequest>(body)?.parameters.unwrap_or_default();
    if parameters.len() > PARAMETERS_MAX {
        return Err(DocumentError(format!("more than {PARAMETERS_MAX} parameters")));
    }
    Ok(parameters.into_keys().collect())
}
