//! JSON with its own SHA-256 around it, so that a flipped bit is told from a record.
//!
//! ```text
//! {"sha256":"<64 digits>","body":<the JSON, to the last byte>}
//! ```

use std::fmt::Write;

use base_types::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::StoreError;

const HEAD: &str = "{\"sha256\":\"";
const MIDDLE: &str = "\",\"body\":";
const TAIL: &str = "}\n";
const DIGITS: usize = 64;

/// SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::new(Sha256::digest(bytes).into())
}

/// Puts a value into an envelope.
pub(crate) fn seal<T: Serialize>(key: &str, value: &T) -> Result<Vec<u8>, StoreError> {
    let body = serde_json::to_string_pretty(value).map_err(|error| StoreError::Io {
        what: "write",
        place: key.to_owned(),
        source: error.into(),
    })?;
    let mut text = String::with_capacity(body.len() + 128);
    // Writing to a String cannot fail.
    write!(text, "{HEAD}{}{MIDDLE}{body}{TAIL}", sha256(body.as_bytes())).ok();
    Ok(text.into_bytes())
}

/// Takes a value out of its envelope.
pub(crate) fn open<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let damaged = |reason: String| StoreError::Damaged { key: key.to_owned(), reason };
    let body = body(bytes).ok_or_else(|| damaged("its checksum is not that of its content".to_owned()))?;
    serde_json::from_slice(body).map_err(|error| damaged(error.to_string()))
}

fn body(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(HEAD.as_bytes())?;
    let (digits, rest) = rest.split_at_checked(DIGITS)?;
    let body = rest.strip_prefix(MIDDLE.as_bytes())?.strip_suffix(TAIL.as_bytes())?;
    (sha256(body).to_string().as_bytes() == digits).then_some(body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn every_flipped_bit_is_found() {
        let sealed = seal("x", &serde_json::json!({ "a": [1, 2.5], "b": "text" })).unwrap();
        let whole: serde_json::Value = open("x", &sealed).unwrap();
        assert_eq!(whole["b"], "text");
        let as_json: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!(as_json["body"], whole, "other programs can read it");
        for at in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(open::<serde_json::Value>("x", &flipped).is_err(), "bit {at}");
        }
        for end in 0..sealed.len() {
            assert!(open::<serde_json::Value>("x", &sealed[..end]).is_err(), "cut at {end}");
        }
    }
}
