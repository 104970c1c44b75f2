//! Prints the texts that pages under docs/ are made of, as JSON: a list of objects with `page`, `section` (null for
//! a whole page) and `text`. `cargo xtask docs` puts them in their places.

use std::fmt::Write;

use base_metrics::{FallbackResult, Kind, catalog};
use base_types::{FaultKind, OutcomeClass, Phase, Reason, VersionState};
use control_config::{File, markdown};
use serde_json::{Value, json};

fn main() {
    let texts = [
        text("docs/metrics.md", None, metrics_page()),
        text("docs/errors.md", None, data_edge::errors_page()),
        text("docs/config.md", Some("gateway keys"), markdown(File::Gateway)),
        text("docs/config.md", Some("routing keys"), markdown(File::Routing)),
        text("docs/admin-api.md", Some("routes"), control_admin::routes_page()),
        text("docs/openapi-admin.json", None, control_admin::openapi_page()),
    ];
    println!("{}", Value::from(texts.to_vec()));
}

fn text(page: &str, section: Option<&str>, text: String) -> Value {
    json!({ "page": page, "section": section, "text": text })
}

const METRICS_HEAD: &str = "# Metrics

Prometheus text at `GET /metrics` of the metrics listener (127.0.0.1:8002 unless told otherwise). Every family the
gateway itself defines stands here; the usual `process_*` families come beside them on Linux. Units are base units and
part of the name. A version's series go when the version is gone.

Every request is counted once in `switchrail_requests_total`, by the version that answered last. Every try at a
version is counted once in `switchrail_attempts_total`: a request that a canary failed and stable answered is one
request and two attempts. An answer that cannot be had in the form asked for, such as bytes that are no text as JSON, is
an `ok` attempt and a `client` request. The judge reads the same outcomes. A request that ended before a version was chosen has an
empty `version` and `reason`, and an empty `model` when there is no such model.

| metric | type | labels | |
|---|---|---|---|
";

const METRICS_TAIL: &str = "
Rules are `limit`, `relative`, `stable_limit`, `all` (what decides) and `promotion` (the proof for a promotion);
[config.md](config.md) explains the keys of the guardrail. Causes of a rollback are `limit`, `relative`,
`window_error_rate`, `window_latency`, `shared_incident`, `crash_loop` and `operator`.

Generated from `crates/base-metrics/src/catalog.rs`: `cargo xtask docs`.
";

fn metrics_page() -> String {
    let mut page = METRICS_HEAD.to_owned();
    for entry in catalog() {
        let kind = match entry.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail, here and below.
        writeln!(page, "| `{}` | {kind} | {} | {} |", entry.name, words(entry.labels), entry.help).ok();
    }
    page.push_str("\n## Values of labels\n\nClosed sets; nothing a caller sends becomes a label.\n\n| label | values |\n|---|---|\n");
    let mut row = |label: &str, values: &[&str]| {
        writeln!(page, "| {label} | {} |", words(values)).ok();
    };
    row("`outcome`", &OutcomeClass::ALL.map(OutcomeClass::as_str));
    row("`reason`", &Reason::ALL.map(Reason::as_str));
    row("`kind` of a fault", &FaultKind::ALL.map(FaultKind::as_str));
    row("`result` of a fallback", &FallbackResult::ALL.map(FallbackResult::as_str));
    row("`state` of a version", &VersionState::ALL.map(VersionState::as_str));
    row("`state` of a rollout", &PHASES.map(Phase::as_str));
    page.push_str(METRICS_TAIL);
    page
}

const PHASES: [Phase; 4] = [Phase::Canary, Phase::Provisional, Phase::Interrupted, Phase::Settled];

fn words(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}
