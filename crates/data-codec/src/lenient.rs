//! NaN and the infinities in JSON, which has no words for them. Clients send them all the same: as tokens, which no
//! parser of JSON takes, or as strings.
//!
//! Valid JSON pays nothing for this. Where a reading fails and such a number can be the reason, a second one reads a
//! copy in which each token is a string of the same length, so that positions in errors stay true.

use bytes::Bytes;

use crate::request::Context;

/// The tokens, and the strings of the same length that stand in for them. No caller sends those by chance.
const TOKENS: [(&[u8], &[u8], f64); 3] = [
    (b"NaN", b"\"\x7f\"", f64::NAN),
    (b"Infinity", b"\"\x7f+\x7f\x7f\x7f\x7f\"", f64::INFINITY),
    (b"-Infinity", b"\"\x7f-\x7f\x7f\x7f\x7f\x7f\"", f64::NEG_INFINITY),
];

/// The JSON to be read once more, if that can help after this error.
pub(crate) fn worth_another_reading(context: &Context<'_>, error: &serde_json::Error) -> Option<Bytes> {
    let may_be_token = error.is_syntax();
    let may_be_string = context.has_failed_in_floats.get();
    if !may_be_token && !may_be_string {
        return None;
    }
    match with_stand_ins(context.body) {
        Some(json) => Some(json.into()),
        None => may_be_string.then(|| context.body.clone()),
    }
}

/// What the JSON of one element says, if that is one of the special numbers.
pub(crate) fn special(json: &str) -> Option<f64> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    let found = TOKENS.iter().find(|(token, stand_in, _)| *token == inner.as_bytes() || *stand_in == json.as_bytes());
    found.map(|(.., value)| *value)
}

/// Whether a string was put in place of a token.
pub(crate) fn is_stand_in(text: &str) -> bool {
    TOKENS.iter().any(|(_, stand_in, _)| stand_in[1..stand_in.len() - 1] == *text.as_bytes())
}

/// A copy in which strings stand for the tokens; `None` where there are none.
fn with_stand_ins(json: &[u8]) -> Option<Vec<u8>> {
    let mut copy: Option<Vec<u8>> = None;
    let mut at = 0;
    // Only items of arrays can be elements.
    let mut may_start = false;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = end_of_string(json, at),
            b'N' | b'I' | b'-' if may_start => {
                if let Some((token, stand_in)) = token_at(&json[at..]) {
                    let copy = copy.get_or_insert_with(|| json.to_vec());
                    copy[at..at + token.len()].copy_from_slice(stand_in);
                    at += token.len();
                } else {
                    at += 1;
                }
            }
            _ => at += 1,
        }
        may_start = match byte {
            b'[' | b',' => true,
            b' ' | b'\n' | b'\r' | b'\t' => may_start,
            _ => false,
        };
    }
    copy
}

fn token_at(json: &[u8]) -> Option<(&'static [u8], &'static [u8])> {
    let (token, stand_in, _) = TOKENS.into_iter().find(|(token, ..)| json.starts_with(token))?;
    let next = json[token.len()..].iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(next, Some(b',' | b']')).then_some((token, stand_in))
}

/// The position behind a string that starts here.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_between_items_are_replaced_in_place_and_nothing_else() {
        let check = |json: &str, expected: Option<&str>| {
            let copy = with_stand_ins(json.as_bytes()).map(|copy| String::from_utf8_lossy(&copy).into_owned());
            assert_eq!(copy.as_deref(), expected.map(|text| text.replace('~', "\x7f")).as_deref(), "{json}");
            assert!(copy.is_none_or(|copy| copy.len() == json.len()));
        };
        check("[NaN]", Some("[\"~\"]"));
        check("[1, NaN ,\n-Infinity,Infinity\n]", Some("[1, \"~\" ,\n\"~-~~~~~\",\"~+~~~~\"\n]"));
        check("[-1,\"NaN,\",\"\\\"[NaN]\"]", None);
        check("{\"a\":NaN}", None);
        check("[NaNs, NaN", None);
        check("[xNaN,- Infinity,+Infinity,nan]", None);
        check("[\"a\\", None);
        check("[\"a", None);
        check("[1,2,N", None);
    }
}
