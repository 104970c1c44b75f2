//! A guardrail written out: for comparisons, and complete for the journal.

use control_rollout::{ClassicWindow, Guardrail, OnFailure};

use super::super::comparison::comparison_text;
use super::super::toml_text::{ms_text, number_text, numbers_text, quoted};
use super::rules::BINS;
use super::{MODES, ON_FAILURE, ON_SHARED_INCIDENT};

/// Every key of the guardrail with its value as TOML.
pub(crate) fn guardrail_lines(guardrail: &Guardrail) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("mode", word(&MODES, guardrail.mode)),
        ("alpha", number_text(guardrail.alpha)),
        ("promote_alpha", number_text(guardrail.promote_alpha)),
        ("limit", number_text(guardrail.limit)),
        ("tolerate_ratio", number_text(guardrail.tolerate_ratio)),
        ("planned_requests", guardrail.planned_requests.to_string()),
        ("planned_events", guardrail.planned_events.to_string()),
        ("weights", weights(guardrail)),
        ("on_failure", on_failure(guardrail.on_failure)),
        ("on_shared_incident", word(&ON_SHARED_INCIDENT, guardrail.on_shared_incident)),
    ];
    lines.extend(rules(guardrail).map(|(key, table)| (key, table.unwrap_or_else(|| "false".to_owned()))));
    lines
}

/// The guardrail as keys and values as people read them, for comparisons.
pub(crate) fn guardrail_rows(guardrail: &Guardrail) -> Vec<(&'static str, String)> {
    let plain = |value: String| match value.as_str() {
        "false" => "none".to_owned(),
        word if word.starts_with('"') => word.trim_matches('"').to_owned(),
        _ => value,
    };
    guardrail_lines(guardrail).into_iter().map(|(key, value)| (key, plain(value))).collect()
}

fn rules(guardrail: &Guardrail) -> [(&'static str, Option<String>); 9] {
    let rule = |parts: String, weight: f64, then: OnFailure| {
        format!("{{ {parts}, weight = {}, on_failure = {} }}", number_text(weight), on_failure(then))
    };
    let latency = guardrail.latency.as_ref().map(|r| {
        let (slow, limit) = (ms_text(r.slower_than_seconds), number_text(r.limit));
        rule(format!("slower_than_ms = {slow}, limit = {limit}"), r.weight, r.on_failure)
    });
    let latency_vs_stable = guardrail.latency_vs_stable.as_ref().map(|r| {
        let (quantiles, ratio) = (numbers_text(&r.quantiles), number_text(r.tolerate_ratio));
        let parts = format!("quantiles = {quantiles}, freeze_after = {}, tolerate_ratio = {ratio}", r.freeze_after);
        rule(parts, r.weight, r.on_failure)
    });
    let disagreement = guardrail.disagreement.as_ref().map(|r| {
        let (limit, compare) = (number_text(r.limit), comparison_text(&r.compare));
        let parts = format!("limit = {limit}, compare = {compare}, redact = {}", r.is_redacted);
        rule(parts, r.weight, r.on_failure)
    });
    let drift = guardrail.drift.as_ref().map(|r| {
        let output = r.output.as_ref().map(|name| format!("output = {}, ", quoted(name))).unwrap_or_default();
        let (bins, alpha, then) = (word(&BINS, r.bins), number_text(r.alpha), on_failure(r.on_failure));
        format!("{{ {output}bins = {bins}, alpha = {alpha}, on_failure = {then} }}")
    });
    let sample_ratio = guardrail
        .sample_ratio
        .as_ref()
        .map(|r| format!("{{ alpha = {}, on_failure = {} }}", number_text(r.alpha), on_failure(r.on_failure)));
    let mistakes = guardrail
        .mistakes
        .as_ref()
        .map(|r| rule(format!("tolerate_ratio = {}", number_text(r.tolerate_ratio)), r.weight, r.on_failure));
    let loss = guardrail
        .loss
        .as_ref()
        .map(|r| rule(format!("tolerate_extra = {}", number_text(r.tolerate_extra)), r.weight, r.on_failure));
    let steady_state = guardrail.steady_state.as_ref().map(|r| {
        let (mean, then) = (number_text(r.mean_requests_between_false_alarms), on_failure(r.on_failure));
        format!("{{ mean_requests_between_false_alarms = {mean}, on_failure = {then} }}")
    });
    [
        ("latency", latency),
        ("latency_vs_stable", latency_vs_stable),
        ("disagreement", disagreement),
        ("drift", drift),
        ("sample_ratio", sample_ratio),
        ("mistakes", mistakes),
        ("loss", loss),
        ("steady_state", steady_state),
        ("window", guardrail.window.as_ref().map(window)),
    ]
}

fn weights(guardrail: &Guardrail) -> String {
    let weights = &guardrail.weights;
    format!("{{ limit = {}, relative = {} }}", number_text(weights.limit), number_text(weights.relative))
}

fn window(window: &ClassicWindow) -> String {
    let mut parts = vec![format!("seconds = {}", window.seconds), format!("min_requests = {}", window.min_requests)];
    parts.extend(window.max_error_rate.map(|rate| format!("max_error_rate = {}", number_text(rate))));
    parts.extend(window.latency.map(|l| {
        format!("latency_quantile = {}, max_latency_ms = {}", number_text(l.quantile), ms_text(l.max_seconds))
    }));
    format!("{{ {} }}", parts.join(", "))
}

fn on_failure(then: OnFailure) -> String {
    word(&ON_FAILURE, then)
}

/// The word for a value, in quotes.
pub(in crate::routing) fn word<T: PartialEq>(words: &[(&str, T)], value: T) -> String {
    let word = words.iter().find(|(_, v)| *v == value).map_or("", |(word, _)| word);
    format!("\"{word}\"")
}
