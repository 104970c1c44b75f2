//! Durations as people write them: a whole number and a unit, "30s", "10m", "14d".

use std::time::Duration;

use crate::Code;
use crate::document::Report;
use crate::reader::Item;

/// The units, longest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// The longest duration: ten years.
const DURATION_MS_MAX: u64 = 3_650 * 86_400_000;
const HINT: &str = "write a whole number and a unit: ms, s, m, h or d, as in \"90s\"";

/// Reads a duration; zero is one.
pub(super) fn duration(item: &Item<'_>, report: &mut Report<'_>) -> Option<Duration> {
    let text = match item.bare_number() {
        Some(digits) => {
            let message = format!("{} is {digits}, a duration has a unit", item.path);
            item.flaw(Code::BadDuration, message, format!("for seconds write \"{digits}s\"; {HINT}"), report);
            return None;
        }
        None => item.text(report)?,
    };
    let parsed = parse(text);
    if let Err((message, hint)) = &parsed {
        item.flaw(Code::BadDuration, format!("{} is {text:?}: {message}", item.path), hint.clone(), report);
    }
    parsed.ok()
}

/// A duration as it would be written: in the longest unit that needs no fraction. What is below a millisecond is lost.
pub(crate) fn duration_text(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let is_whole = |(_, size): &&(&str, u64)| ms.is_multiple_of(*size) && ms > 0;
    UNITS.iter().find(is_whole).map_or_else(|| "0s".to_owned(), |(unit, size)| format!("{}{unit}", ms / size))
}

type Flaw = (String, Option<String>);

fn parse(text: &str) -> Result<Duration, Flaw> {
    let flaw = |message: &str| (message.to_owned(), Some(HINT.to_owned()));
    let n_digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(n_digits);
    if digits.is_empty() {
        return Err(flaw("it does not begin with a whole number"));
    }
    let Some((unit, size)) = UNITS.iter().find(|(unit, _)| *unit == rest) else {
        return Err((unit_message(rest), Some(unit_hint(digits, rest))));
    };
    let ms = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(*size));
    match ms.filter(|ms| *ms <= DURATION_MS_MAX) {
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err((format!("at most {}{unit} are allowed", DURATION_MS_MAX / size), None)),
    }
}

fn unit_message(rest: &str) -> String {
    match rest {
        "" => "a duration has a unit".to_owned(),
        rest if rest.starts_with('.') => "a duration has no fraction".to_owned(),
        rest => format!("{rest:?} is no unit"),
    }
}

/// What was probably meant, where the unit is a word people use.
fn unit_hint(digits: &str, rest: &str) -> String {
    let meant = match rest.trim().to_ascii_lowercase().as_str() {
        "" | "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "day" | "days" => "d",
        "msec" | "millis" | "milliseconds" => "ms",
        "s" | "m" | "h" | "d" | "ms" => rest.trim(),
        _ => return HINT.to_owned(),
    };
    format!("did you mean \"{digits}{}\"?", meant.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
