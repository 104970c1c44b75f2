//! JSON without its long texts.
//!
//! The parser repeats a text that stands where none belongs in its error, each byte as up to six, before anybody can
//! shorten it. So a request with a long text is read without it first: what is in the wrong place is found there, and
//! cheap to say.

use std::io::BufRead;

/// Longer texts are left out. Shorter ones cost less than any request may.
const TEXT_BYTES: usize = 32 * 1024;

/// A copy of the same length in which short texts and blanks stand for the long ones; `None` where there are none.
pub(crate) fn of(json: &[u8]) -> Option<Vec<u8>> {
    let mut copy: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(start) = next_quote(json, at) {
        let Some(end) = end_of_text(json, start + 1) else { break };
        if end - start > TEXT_BYTES {
            let copy = copy.get_or_insert_with(|| json.to_vec());
            let stand_in = format!("\"(a text of {} bytes)\"", end - start - 1);
            copy[start..=end].fill(b' ');
            copy[start..][..stand_in.len()].copy_from_slice(stand_in.as_bytes());
        }
        at = end + 1;
    }
    copy
}

fn next_quote(json: &[u8], from: usize) -> Option<usize> {
    let mut rest = json.get(from..)?;
    // A slice never fails to be read. Skipping looks at many bytes at once, and most bodies are numbers.
    let n_skipped = rest.skip_until(b'"').unwrap_or(0);
    let last = (from + n_skipped).checked_sub(1)?;
    (n_skipped > 0 && json[last] == b'"').then_some(last)
}

/// The position of the quote that ends a text; `None` for one without an end, which no parser takes for a text.
fn end_of_text(json: &[u8], start: usize) -> Option<usize> {
    let mut from = start;
    loop {
        let quote = next_quote(json, from)?;
        let n_escapes = json[start..quote].iter().rev().take_while(|byte| **byte == b'\\').count();
        if n_escapes % 2 == 0 {
            return Some(quote);
        }
        from = quote + 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn only_long_texts_are_left_out_and_nothing_moves() {
        let long = "x".repeat(TEXT_BYTES);
        let json = format!(r#"{{"a":"short","b\"":["{long}\\","\"{long}\"",1],"c":"{long}"}}"#);
        let copy = String::from_utf8(of(json.as_bytes()).unwrap()).unwrap();
        assert_eq!(copy.len(), json.len());
        assert_eq!(copy.find("\"c\""), json.find("\"c\""));
        let value: serde_json::Value = serde_json::from_str(&copy).unwrap();
        assert_eq!(value["a"], "short");
        assert_eq!(value["b\""][0], format!("(a text of {} bytes)", TEXT_BYTES + 2));
        assert_eq!(value["b\""][2], 1);
        assert_eq!(value["c"], format!("(a text of {TEXT_BYTES} bytes)"));
    }

    #[test]
    fn without_long_texts_that_end_nothing_is_copied() {
        for json in ["", "\"", "{}", "{\"a\":\"\\\"\"}", "\"\\", "[1,2,3]", "\"a\" \"b"] {
            assert_eq!(of(json.as_bytes()), None, "{json}");
        }
        let (whole, open) = (format!("\"{}\"", "x".repeat(TEXT_BYTES)), "\"y");
        assert!(of(format!("[{whole},{open}").as_bytes()).is_some_and(|copy| copy.ends_with(open.as_bytes())));
        assert_eq!(of(format!("\"{}", "x".repeat(TEXT_BYTES * 2)).as_bytes()), None);
        assert_eq!(of(format!("\"{}\"", "x".repeat(TEXT_BYTES - 1)).as_bytes()), None);
    }
}
