//! A comparison in words and in JSON.

use std::fmt::Display;

use control_registry::difference::{Changed, ChangedTensor, Difference};
use serde_json::{Value, json};

use super::Comparison;
use super::agree::{Agreement, OutputAgreement};
use super::live::Live;
use super::place::Found;

/// Tensors that are listed one by one.
const TENSORS_SHOWN: usize = 10;
/// The figures of traffic that are shown, with how they are asked for.
const LIVE: [(&str, &str); 5] = [
    ("requests", "/requests"),
    ("error rate", "/error_rate"),
    ("latency p50 ms", "/latency_ms/p50"),
    ("latency p95 ms", "/latency_ms/p95"),
    ("latency p99 ms", "/latency_ms/p99"),
];

/// For people.
pub(super) fn text(compared: &Comparison) -> String {
    let Comparison { model, before, after, .. } = compared;
    let mut lines = vec![format!("{model}: version {} against version {}", before.version, after.version)];
    lines.extend([before, after].into_iter().filter_map(origin));
    if let Some(difference) = &compared.difference {
        lines.extend(files(difference));
    }
    if !compared.metrics.is_empty() {
        lines.push("offline metrics".to_owned());
        lines.extend(compared.metrics.iter().map(change));
    }
    if let Some(live) = &compared.live {
        lines.push("live metrics".to_owned());
        lines.extend(LIVE.iter().filter_map(|(name, pointer)| figure(name, pointer, live)));
    }
    if let Some(agreement) = &compared.agreement {
        lines.extend(answers(agreement));
    }
    if !compared.left_out.is_empty() {
        lines.push("not compared".to_owned());
        lines.extend(compared.left_out.iter().map(|why| format!("  {why}")));
    }
    lines.join("\n") + "\n"
}

/// Who made a version, where the store says so.
fn origin(found: &Found) -> Option<String> {
    let record = found.record.as_ref()?;
    let tag = record.tag.as_ref().map(|tag| format!(", tag {tag}")).unwrap_or_default();
    let git = record.lineage.git.as_ref().map(|git| {
        let short = git.commit.get(..12).unwrap_or(&git.commit);
        format!(", from commit {short}{}", if git.is_dirty { " with changes" } else { "" })
    });
    let git = git.unwrap_or_default();
    Some(format!("  {}: {}{tag}{git}, pushed by {}", found.version, record.digest.short(), record.pushed_by))
}

fn files(difference: &Difference) -> Vec<String> {
    let section = |title: &str, rows: Vec<String>| match rows.is_empty() {
        true => vec![format!("{title}: the same")],
        false => [vec![title.to_owned()], rows].concat(),
    };
    let Difference { signature, operators, opsets, weights, bytes } = difference;
    let mut lines = section("signature", signature.iter().map(change).collect());
    lines.extend(section("operators", operators.iter().map(change).collect()));
    lines.extend(section("operator sets", opsets.iter().map(change).collect()));
    let n_others = weights.reshaped.len();
    let distance = weights.distance.map(|d| format!(", {} as a whole", share(d))).unwrap_or_default();
    lines.push(format!(
        "weights: {} the same, {} changed, {n_others} new, gone or of another shape{distance}",
        weights.n_same,
        weights.changed.len()
    ));
    lines.extend(weights.changed.iter().take(TENSORS_SHOWN).map(tensor));
    lines.extend(weights.reshaped.iter().take(TENSORS_SHOWN).map(change));
    let n_left = weights.changed.len().saturating_sub(TENSORS_SHOWN) + n_others.saturating_sub(TENSORS_SHOWN);
    if n_left > 0 {
        lines.push(format!("  and {n_left} more (--json shows all)"));
    }
    lines.push(format!("size: {} bytes, {} bytes", bytes.0, bytes.1));
    lines
}

fn tensor(changed: &ChangedTensor) -> String {
    let by = match (changed.distance, changed.largest) {
        (Some(distance), Some(largest)) => format!("changed by {}, one number by up to {largest:.3e}", share(distance)),
        (None, Some(largest)) => format!("was all zeros, one number changed by up to {largest:.3e}"),
        _ => "has other values".to_owned(),
    };
    format!("  {} {} {by}", changed.name, changed.form)
}

/// A relative distance as people read it.
fn share(distance: f64) -> String {
    format!("{:.3} % (L2)", distance * 100.0)
}

fn change<T: Display>(changed: &Changed<T>) -> String {
    let shown = |side: &Option<T>| side.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    format!("  {}: {} -> {}", changed.name, shown(&changed.before), shown(&changed.after))
}

fn figure(name: &str, pointer: &str, (before, after): &(Live, Live)) -> Option<String> {
    let shown = |live: &Live| live.number(pointer).map(|n| format!("{}", (n * 1e4).round() / 1e4));
    let (before, after) = (shown(before), shown(after));
    (before.is_some() || after.is_some()).then(|| {
        let none = || "none".to_owned();
        format!("  {name}: {} -> {}", before.unwrap_or_else(none), after.unwrap_or_else(none))
    })
}

fn answers(agreement: &Agreement) -> Vec<String> {
    let Agreement { place, n_compared, n_same, .. } = agreement;
    let mut lines = vec![match n_compared {
        0 => format!("outputs ({place}): no request was answered by both"),
        _ => format!("outputs ({place}): {n_same} of {n_compared} answers are the same bit for bit"),
    }];
    lines.extend(agreement.outputs.iter().map(|(name, output)| answer(name, output, *n_compared)));
    if let Some(why) = &agreement.first_failure {
        lines.push(format!("  {} requests were not answered by both, the first because: {why}", agreement.n_failed));
    }
    lines
}

fn answer(name: &str, output: &OutputAgreement, n_compared: usize) -> String {
    let mut parts = vec![format!("{} of {n_compared} differ", output.n_differing + output.n_other_form)];
    if output.n_other_form > 0 {
        parts.push(format!("{} by type, shape or absence", output.n_other_form));
    }
    parts.extend(output.largest.map(|largest| format!("largest difference {largest:.3e}")));
    if output.n_rows > 0 {
        parts.push(format!(
            "largest element at the same place in {} of {} rows",
            output.n_rows_same_class, output.n_rows
        ));
    }
    format!("  {name}: {}", parts.join(", "))
}

/// For scripts.
pub(super) fn json(compared: &Comparison) -> Value {
    let side = |found: &Found| {
        let digest = found.record.as_ref().map(|r| r.digest).or_else(|| Some(found.files.as_ref().ok()?.digest));
        json!({ "version": found.version.get(), "digest": digest.map(|digest| digest.to_string()), "record": found.record })
    };
    json!({
        "model": compared.model.as_str(),
        "before": side(&compared.before),
        "after": side(&compared.after),
        "files": compared.difference.as_ref().map(files_json),
        "offline_metrics": changes(&compared.metrics),
        "live": compared.live.as_ref().map(|(before, after)| json!({ "before": before.0, "after": after.0 })),
        "outputs": compared.agreement.as_ref().map(agreement_json),
        "not_compared": compared.left_out,
    })
}

fn files_json(difference: &Difference) -> Value {
    let weights = &difference.weights;
    let tensors = weights.changed.iter().map(|tensor| {
        json!({ "name": tensor.name, "form": tensor.form, "elements": tensor.n_elements,
            "distance": tensor.distance, "largest": tensor.largest })
    });
    json!({
        "signature": changes(&difference.signature),
        "operators": changes(&difference.operators),
        "operator_sets": changes(&difference.opsets),
        "weights": {
            "same": weights.n_same,
            "changed": tensors.collect::<Vec<_>>(),
            "reshaped": changes(&weights.reshaped),
            "distance": weights.distance,
        },
        "bytes": { "before": difference.bytes.0, "after": difference.bytes.1 },
    })
}

fn changes<T: serde::Serialize>(all: &[Changed<T>]) -> Value {
    all.iter().map(|c| json!({ "name": c.name, "before": c.before, "after": c.after })).collect()
}

fn agreement_json(agreement: &Agreement) -> Value {
    let outputs = agreement.outputs.iter().map(|(name, output)| {
        json!({ "name": name, "differing": output.n_differing, "other_form": output.n_other_form,
            "largest": output.largest, "rows": output.n_rows, "rows_same_class": output.n_rows_same_class })
    });
    json!({
        "place": agreement.place,
        "compared": agreement.n_compared,
        "same": agreement.n_same,
        "outputs": outputs.collect::<Vec<_>>(),
        "failed": agreement.n_failed,
        "first_failure": agreement.first_failure,
    })
}
