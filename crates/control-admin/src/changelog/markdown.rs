//! The change log as people read it.

use std::time::Duration;

use control_registry::journal::Performance;

use super::fold::percent;
use super::{Changelog, Event, VersionLog};
use crate::time::{rfc3339, span};

/// Stretches shown of a version; the JSON has more.
const STRETCHES_SHOWN: usize = 20;

/// Writes the change log, newest version first.
pub fn markdown(log: &Changelog) -> String {
    let mut text = format!("# Change log of {}\n", plain(&log.model));
    if log.versions.is_empty() {
        text.push_str("\nNothing is recorded about it.\n");
    }
    for (version, about) in log.versions.iter().rev() {
        text.push_str(&section(*version, about));
    }
    if log.is_cut {
        text.push_str("\nOlder rows of the journal are left out.\n");
    }
    text
}

fn section(version: u64, about: &VersionLog) -> String {
    let tag = about.tag.as_ref().map(|tag| format!(" ({})", plain(tag))).unwrap_or_default();
    let mut text = format!("\n## Version {version}{tag}: {}\n\n", plain(&about.fate));
    let content = about.digest.as_ref().map(|digest| format!("content `{}`", digest.get(..16).unwrap_or(digest)));
    let seen = about.registered.as_ref().map(|(at, by)| format!("first seen {} by {}", rfc3339(*at), plain(by)));
    let pushed = about.pushed.as_ref().and_then(|pushed| pushed["by"].as_str());
    let pushed = pushed.map(|by| format!("pushed by {}", plain(by)));
    let facts: Vec<String> = [content, seen, pushed].into_iter().flatten().collect();
    if !facts.is_empty() {
        text.push_str(&format!("{}.\n", facts.join(", ")));
    }
    if !about.changed.is_empty() {
        text.push_str("\n**What changed**\n\n");
        about.changed.iter().for_each(|change| text.push_str(&format!("- {}\n", plain(change))));
    }
    if !about.events.is_empty() {
        text.push_str("\n**What was done, and why**\n\n");
        about.events.iter().for_each(|event| text.push_str(&line(event)));
    }
    if let Some(sums) = &about.performance {
        text.push_str(&format!("\n**How it did**\n\n{}\n", did(sums)));
    }
    text.push_str(&served(about));
    text
}

fn line(event: &Event) -> String {
    let shares = match (&event.before, &event.after) {
        (Some(before), Some(after)) if before != after => format!(" ({before} → {after})"),
        (None, Some(after)) => format!(" (→ {after})"),
        _ => String::new(),
    };
    let why = event.reason.as_ref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
    let action = event.action.replace('_', " ");
    format!("- {} {action} by {}{}{why}\n", rfc3339(event.at_unix_ms), plain(&event.actor), plain(&shares))
}

fn did(sums: &Performance) -> String {
    let mut parts = vec![format!("{} requests", sums.requests)];
    parts.extend(sums.error_rate().map(|rate| format!("{} faults", percent(rate))));
    let ms = |q: f64| sums.latency.quantile(q).map(|seconds| format!("{:.1} ms", seconds * 1000.0));
    if let (Some(p50), Some(p99)) = (ms(0.5), ms(0.99)) {
        parts.push(format!("half of them within {p50}, 99 % within {p99}"));
    }
    if sums.feedback.n > 0 {
        let score = sums.feedback.score_sum / sums.feedback.n as f64;
        parts.push(format!("a mean score of {score:.4} by {} pieces of feedback", sums.feedback.n));
    }
    format!("{}.", parts.join(", "))
}

fn served(about: &VersionLog) -> String {
    if about.served.is_empty() {
        return String::new();
    }
    let total = span(Duration::from_millis(about.served_ms));
    let mut text = format!("\n**When it served** (in all {total})\n\n| from | until | share |\n|---|---|---|\n");
    for stretch in about.served.iter().rev().take(STRETCHES_SHOWN) {
        let until = stretch.until_unix_ms.map_or_else(|| "now".to_owned(), rfc3339);
        text.push_str(&format!("| {} | {until} | {} |\n", rfc3339(stretch.from_unix_ms), percent(stretch.share)));
    }
    if about.served.len() > STRETCHES_SHOWN {
        text.push_str(&format!("\n{} earlier stretches are left out.\n", about.served.len() - STRETCHES_SHOWN));
    }
    text
}

/// One line of text that means nothing to Markdown or HTML: it was written by people and models.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '`' | '*' | '|' | '[' | ']' | '\\' | '#' => plain.extend(['\\', c]),
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}
