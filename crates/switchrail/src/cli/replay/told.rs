//! What came of a replay, in words and in JSON.

use std::fmt::Write;

use control_admin::time::rfc3339;
use serde_json::{Value, json};

use super::Replay;
use super::cannot::Cannot;
use super::difference::{Difference, Elements, What};

/// In words.
pub(super) fn text(replay: &Replay) -> String {
    let Replay { capture, again, differences, changed } = replay;
    let mut text = String::new();
    let at = rfc3339(capture.at_unix_ms);
    let stood_in = if capture.is_fallback() { ", in place of another version" } else { "" };
    let _told = writeln!(
        text,
        "{} version {} ({}) answered at {at}, generation {}{stood_in}",
        capture.model,
        capture.version,
        capture.digest.short(),
        capture.generation
    );
    let short = again.digest.get(..16).unwrap_or(&again.digest);
    let _told = writeln!(text, "run again {}: version {} ({short})", again.place, again.version);
    if differences.is_empty() {
        text.push_str("the answer is the same, bit for bit\n");
    } else {
        text.push_str("the answer is another one\n");
        differences.iter().for_each(|difference| text.push_str(&line(difference)));
    }
    let heading = match (differences.is_empty(), changed.is_empty()) {
        (_, true) => "",
        (true, false) => "although not everything is as it was:\n",
        (false, false) => "what is not as it was:\n",
    };
    text.push_str(heading);
    changed.iter().for_each(|change| text.push_str(&format!("    {change}\n")));
    if !differences.is_empty() && changed.is_empty() {
        text.push_str(
            "version, runtime, processor and options are the same: the model itself is not deterministic, or something \
             here is broken\n",
        );
    }
    let redacted = capture.redacted();
    if !redacted.is_empty() {
        let _told = writeln!(text, "not compared, because their values were left out: {}", redacted.join(", "));
    }
    text
}

fn line(Difference { output, what }: &Difference) -> String {
    match what {
        What::Missing => format!("    {output}: there is no such output\n"),
        What::Form(then, now) => format!("    {output}: was {then}, is {now}\n"),
        What::Elements(elements) => format!("    {output}: {}\n", in_words(elements)),
    }
}

fn in_words(elements: &Elements) -> String {
    let Elements { n_differing, n_elements, first, largest, n_special, classes } = elements;
    let mut text = format!("{n_differing} of {n_elements} elements differ, the first at position {first}");
    match largest {
        Some((absolute, relative)) if *absolute > 0.0 => {
            let _told = write!(text, "; by {absolute:e} at most, {relative:.1e} of the value");
        }
        Some(_) if *n_special == 0 => text.push_str("; their values are equal"),
        _ => {}
    }
    if *n_special > 0 {
        let _told = write!(text, "; NaN or infinite: {n_special}");
    }
    if let Some((n_changed, n_rows)) = classes {
        let _told = write!(text, "; largest element elsewhere in {n_changed} of {n_rows} rows");
    }
    text
}

/// In JSON.
pub(super) fn json(replay: &Replay) -> Value {
    let Replay { capture, again, differences, changed } = replay;
    json!({
        "result": if differences.is_empty() { "same" } else { "differs" },
        "prediction_id": capture.prediction_id,
        "model": capture.model.as_str(),
        "captured": {
            "version": capture.version.get(),
            "digest": capture.digest.to_string(),
            "at": rfc3339(capture.at_unix_ms),
            "generation": capture.generation,
            "reason": capture.reason,
            "trace_id": capture.trace_id,
            "fingerprint": capture.fingerprint,
        },
        "again": {
            "version": again.version.get(),
            "digest": again.digest,
            "place": again.place,
            "fingerprint": again.fingerprint,
        },
        "differences": differences.iter().map(difference).collect::<Vec<_>>(),
        "changed": changed,
        "not_compared": capture.redacted(),
    })
}

/// That it cannot be run again, in JSON.
pub(super) fn cannot(prediction_id: &str, cannot: &Cannot) -> Value {
    let reason = crate::cli::with_causes(cannot);
    json!({ "result": "cannot", "prediction_id": prediction_id, "code": cannot.code(), "reason": reason })
}

fn difference(Difference { output, what }: &Difference) -> Value {
    match what {
        What::Missing => json!({ "output": output, "kind": "missing" }),
        What::Form(then, now) => json!({ "output": output, "kind": "form", "was": then, "is": now }),
        What::Elements(elements) => json!({
            "output": output,
            "kind": "elements",
            "n_differing": elements.n_differing,
            "n_elements": elements.n_elements,
            "first": elements.first,
            "largest_absolute": elements.largest.map(|(absolute, _)| absolute),
            "largest_relative": elements.largest.map(|(_, relative)| relative),
            "n_special": elements.n_special,
            "n_rows_of_another_class": elements.classes.map(|(n_changed, _)| n_changed),
            "n_rows": elements.classes.map(|(_, n_rows)| n_rows),
        }),
    }
}
