//! Versions of a store as people read them.

use std::fmt::Write;
use std::time::Duration;

use base_types::Label;
use control_admin::time::{rfc3339, span};
use control_registry::journal::Performance;
use control_store::{GateResult, GitLineage, Record, ValueRecord};
use serde_json::Value;

use crate::cli::words;

/// Digits of a commit that are shown in a list.
const COMMIT_DIGITS: usize = 10;

/// One line for each version.
pub(super) fn table(rows: &[(Vec<Label>, Record)]) -> String {
    if rows.is_empty() {
        return "there are no versions\n".to_owned();
    }
    let head = ["model", "version", "tag", "labels", "digest", "size", "pushed", "by", "commit"].map(str::to_owned);
    let lines: Vec<[String; 9]> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let mut widths = [0; 9];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let cells: Vec<String> = cells.collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cells((labels, record): &(Vec<Label>, Record)) -> [String; 9] {
    let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let commit = record.lineage.git.as_ref().map(|git| {
        let digits: String = git.commit.chars().take(COMMIT_DIGITS).collect();
        digits + if git.is_dirty { "+" } else { "" }
    });
    [
        record.model.to_string(),
        record.version.to_string(),
        dash(record.tag.as_deref().unwrap_or_default()),
        dash(&names(labels)),
        record.digest.short(),
        words::bytes(record.bytes()),
        rfc3339(record.pushed_at_unix_ms),
        dash(&record.pushed_by),
        dash(commit.as_deref().unwrap_or_default()),
    ]
}

/// One version with what is known of it beside its record.
pub(super) struct Shown<'a> {
    pub(super) record: &'a Record,
    pub(super) labels: &'a [Label],
    /// The oldest first.
    pub(super) gates: &'a [GateResult],
    /// How it did in a gateway, where one was named that knows it.
    pub(super) served: Option<&'a Performance>,
}

/// Everything about one version.
pub(super) fn version(shown: &Shown<'_>) -> String {
    let Shown { record, labels, gates, served } = shown;
    let mut text = format!("{} version {}\n", record.model, record.version);
    let mut line = |what: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            writeln!(text, "  {what:<12}{value}").ok();
        }
    };
    line("digest", &record.digest.to_string());
    line("tag", record.tag.as_deref().unwrap_or_default());
    line("labels", &names(labels));
    let by = if record.pushed_by.is_empty() { String::new() } else { format!(" by {}", record.pushed_by) };
    line("pushed", &format!("{}{by} with {}", rfc3339(record.pushed_at_unix_ms), record.tool));
    if let Some(origin) = &record.origin {
        let at = rfc3339(origin.pushed_at_unix_ms);
        line("origin", &format!("{} version {}, {at} by {}", origin.model, origin.version, origin.pushed_by));
    }
    line("git", &record.lineage.git.as_ref().map(git).unwrap_or_default());
    for (key, value) in &record.lineage.set {
        line("lineage", &format!("{key} = {value}"));
    }
    for (key, value) in &record.lineage.metrics {
        line("metric", &format!("{key} = {value}"));
    }
    let onnx = &record.onnx;
    let opsets: Vec<String> = onnx.opsets.iter().map(|opset| opset_name(&opset.domain, opset.version)).collect();
    let writer = format!("{} {}", onnx.producer, onnx.producer_version);
    line("onnx", &format!("IR {}, {}, written by {}", onnx.ir, opsets.join(", "), writer.trim()));
    for (key, value) in &onnx.metadata {
        line("metadata", &format!("{key} = {value}"));
    }
    record.signature.inputs.iter().for_each(|input| line("input", &value(input)));
    record.signature.outputs.iter().for_each(|output| line("output", &value(output)));
    for file in record.all_files() {
        line("file", &format!("{}, {}, parts: {}", file.path, words::bytes(file.size), file.parts.len()));
    }
    let has = |what: &Option<String>, name| what.as_ref().map(|_| name);
    let texts = [has(&record.config_pbtxt, "config.pbtxt"), has(&record.manifest_toml, "manifest.toml")];
    line("with", &texts.into_iter().flatten().collect::<Vec<_>>().join(", "));
    if let Some(newest) = gates.last() {
        line("gates", &format!("runs: {}, the newest {}", gates.len(), rfc3339(newest.at_unix_ms)));
        gate_lines(&newest.report).iter().for_each(|gate| line("", gate));
    }
    line("served", &served.map(served_line).unwrap_or_default());
    text
}

/// Each gate of a run in a sentence. A report of another shape is told as it is.
fn gate_lines(report: &Value) -> Vec<String> {
    let Some(gates) = report.as_array() else { return vec![report.to_string()] };
    let word = |gate: &Value, key: &str| gate[key].as_str().unwrap_or("?").to_owned();
    gates
        .iter()
        .map(|gate| format!("{} {}: {}", word(gate, "gate"), word(gate, "verdict"), word(gate, "text")))
        .collect()
}

/// How a version did, in a line.
fn served_line(sums: &Performance) -> String {
    let rate = sums.error_rate().map(|rate| format!(", {} of them faults", words::percent(rate))).unwrap_or_default();
    let quantile =
        |q: f64| sums.latency.quantile(q).map(|seconds| format!("p{:.0} {:.1} ms", q * 100.0, seconds * 1e3));
    let quantiles: Vec<String> = [0.5, 0.95, 0.99].into_iter().filter_map(quantile).collect();
    let quantiles = if quantiles.is_empty() { String::new() } else { format!("; {}", quantiles.join(", ")) };
    let traffic = span(Duration::from_millis(sums.traffic_ms));
    format!("{} requests{rate}{quantiles}; in the traffic for {traffic}", words::count(sums.requests))
}

fn git(git: &GitLineage) -> String {
    let branch = git.branch.as_ref().map(|branch| format!(" on {branch}")).unwrap_or_default();
    let dirty = if git.is_dirty { ", with changes that are not committed" } else { "" };
    let remote = git.remote.as_ref().map(|remote| format!(", {remote}")).unwrap_or_default();
    format!("{}{branch}{dirty}{remote}", git.commit)
}

fn opset_name(domain: &str, version: i64) -> String {
    let domain = if domain.is_empty() { "ai.onnx" } else { domain };
    format!("{domain} {version}")
}

fn value(value: &ValueRecord) -> String {
    let shape = match &value.shape {
        None => "any shape".to_owned(),
        Some(dims) => {
            let dims = dims.iter().map(|dim| if *dim < 0 { "?".to_owned() } else { dim.to_string() });
            format!("[{}]", dims.collect::<Vec<_>>().join(", "))
        }
    };
    format!("{} {} {shape}", value.name, value.datatype)
}

fn names(labels: &[Label]) -> String {
    labels.iter().map(Label::as_str).collect::<Vec<_>>().join(", ")
}
