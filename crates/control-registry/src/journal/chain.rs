//! The hash chain: each row's hash covers its fields and the hash of the row before it.

use sha2::{Digest as _, Sha256};

use super::codec::Encoded;

/// A SHA-256 sum.
pub type Hash = [u8; 32];

/// Told apart from every other use of SHA-256; raised with the encoding below.
const DOMAIN: &[u8] = b"switchrail journal row 1\0";

/// The hash of a row: SHA-256 over the domain, the previous row's hash, the row's number, and each column as a
/// presence byte (0 for none, 1 else) followed by, if present, the length as u64 big-endian and the bytes. Numbers
/// are eight bytes big-endian.
pub(super) fn row_hash(previous: &Hash, seq: u64, row: &Encoded) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update(previous);
    hasher.update(seq.to_be_bytes());
    let mut column = |bytes: Option<&[u8]>| match bytes {
        None => hasher.update([0]),
        Some(bytes) => {
            hasher.update([1]);
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        }
    };
    column(Some(&row.at_unix_ms.to_be_bytes()));
    column(Some(row.actor.as_bytes()));
    column(Some(row.action.as_bytes()));
    column(row.model.as_deref().map(str::as_bytes));
    column(row.version.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
    column(row.digest.as_deref().map(str::as_bytes));
    column(row.generation.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
    for text in [&row.before, &row.after, &row.reason, &row.evidence_json] {
        column(text.as_deref().map(str::as_bytes));
    }
    column(Some(row.changes_json.as_bytes()));
    hasher.finalize().into()
}

/// The sum of a text stored under a key.
pub(super) fn text_sum(key: &str, value: &str) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update((key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize().into()
}

/// A hash as hexadecimal digits.
pub(super) fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
