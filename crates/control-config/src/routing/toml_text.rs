//! Values as TOML: what is written here is read again as the same.

use std::fmt::Write;

/// A text in quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // Writing to a String cannot fail.
            c if c.is_control() => write!(quoted, "\\u{:04X}", u32::from(c)).unwrap_or_default(),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A number: plain where that is short, with an exponent where it is not.
pub(crate) fn number_text(number: f64) -> String {
    let is_short = number == 0.0 || (1e-6..1e9).contains(&number.abs());
    if is_short { number.to_string() } else { format!("{number:?}") }
}

/// Seconds as milliseconds: the number that gives the same seconds when it is divided again, if there is one.
pub(crate) fn ms_text(seconds: f64) -> String {
    let near = seconds * 1e3;
    let (above, below) = (near.next_up(), near.next_down());
    let exact = [near, above, below, above.next_up(), below.next_down()].into_iter().find(|ms| ms / 1e3 == seconds);
    number_text(exact.unwrap_or(near))
}

/// A list of numbers.
pub(crate) fn numbers_text(numbers: &[f64]) -> String {
    format!("[{}]", numbers.iter().map(|n| number_text(*n)).collect::<Vec<_>>().join(", "))
}
