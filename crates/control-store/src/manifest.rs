//! What of `manifest.toml` concerns the store: the tag, where the version came from, and what was measured. The gates'
//! part of it is read by those who run them.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Manifest {
    pub tag: Option<String>,
    pub lineage: BTreeMap<String, String>,
    pub metrics: BTreeMap<String, f64>,
    /// Files beside the manifest that it names.
    pub files: BTreeSet<String>,
}

/// Reads a manifest; the error says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Manifest, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let mut manifest = Manifest::default();
    if let Some(tag) = table.get("tag") {
        let tag = tag.as_str().ok_or("tag is to be a text such as \"2.1.0\"")?;
        manifest.tag = Some(tag.to_owned());
    }
    for (key, value) in section(&table, "lineage")? {
        manifest.lineage.insert(key.clone(), word(value).ok_or_else(|| format!("lineage.{key} is to be a text"))?);
    }
    for (key, value) in section(&table, "metrics")? {
        let number = value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
        let number = number.filter(|number| number.is_finite());
        manifest.metrics.insert(key.clone(), number.ok_or_else(|| format!("metrics.{key} is to be a number"))?);
    }
    for golden in table.get("golden").and_then(Value::as_array).into_iter().flatten() {
        let named = ["inputs", "outputs"].iter().filter_map(|key| golden.get(key)?.as_str());
        manifest.files.extend(named.map(str::to_owned));
    }
    let labelled = table.get("quality").and_then(|quality| quality.get("labelled")?.as_str());
    manifest.files.extend(labelled.map(str::to_owned));
    Ok(manifest)
}

fn section<'t>(table: &'t Table, name: &str) -> Result<impl Iterator<Item = (&'t String, &'t Value)>, String> {
    let section = match table.get(name) {
        None => None,
        Some(Value::Table(section)) => Some(section),
        Some(_) => return Err(format!("{name} is to be a table: write [{name}]")),
    };
    Ok(section.into_iter().flatten())
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(is_so) => Some(is_so.to_string()),
        Value::Datetime(time) => Some(time.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn what_concerns_the_store_is_read_and_the_rest_passed_over() {
        let manifest = parse(
            "tag = \"2.1.0\"\n[lineage]\ndataset = \"d\"\nrun = 7\n[metrics]\naccuracy = 0.93\nn = 4\n\
             [[golden]]\ninputs = \"golden/0.json\"\noutputs = \"golden/0.out.json\"\n\
             [quality]\nlabelled = \"labelled.jsonl\"\n[budgets]\nlatency_p95_ms = 20\n",
        )
        .unwrap();
        assert_eq!(manifest.tag.as_deref(), Some("2.1.0"));
        assert_eq!(manifest.lineage["run"], "7");
        assert_eq!(manifest.metrics["n"], 4.0);
        assert_eq!(manifest.files.len(), 3);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("tag = 2", "tag"),
            ("lineage = 2", "[lineage]"),
            ("[lineage]\na = [1]", "lineage.a"),
            ("[metrics]\na = \"x\"", "metrics.a"),
            ("[metrics]\na = nan", "metrics.a"),
            ("[metrics", "line 1"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
