//! Compression of bodies: gzip and deflate, which on HTTP is the zlib format.
//!
//! Both directions work in steps and let other work of the thread run between them, so that a large body holds up
//! nobody. What a body may unpack to is bounded, absolutely and by its own size, and memory follows what has been
//! unpacked, never what a header claims.

mod inflate;
mod negotiate;

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use data_path::{Code, Failure};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use tokio::task::yield_now;

pub use inflate::{Inflate, InflateError};
pub use negotiate::{ACCEPTED, answer_encoding, request_encoding};

use crate::body::{BodyBudget, Collected};
use crate::options::HttpLimits;

/// Bytes packed between two chances for others.
const PACK_STEP_BYTES: usize = 64 * 1024;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, as HTTP means it.
    Deflate,
}

impl Encoding {
    /// The name in headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

/// Unpacks a whole body. Its byte `aligned_at` comes to lie on an address the runtime can take tensors from.
///
/// # Errors
/// The body is broken, not all of it was needed, or it unpacks to more than allowed.
pub async fn unpack(
    packed: Collected,
    (encoding, aligned_at): (Encoding, usize),
    limits: &HttpLimits,
    budget: &Arc<BodyBudget>,
) -> Result<Collected, Failure> {
    let mut inflate = Inflate::new(encoding, packed.bytes.clone(), limits.body_bytes).aligned_at(aligned_at);
    let mut held = Vec::new();
    while inflate.step().map_err(|error| refused(&error, limits))? {
        held.extend(budget.cover(&held, inflate.held_bytes())?);
        yield_now().await;
    }
    // The last step may have grown, too.
    held.extend(budget.cover(&held, inflate.held_bytes())?);
    let bytes = inflate.finish().map_err(|error| refused(&error, limits))?;
    Ok(Collected { bytes, _held: held })
}

fn refused(error: &InflateError, limits: &HttpLimits) -> Failure {
    let code = match error {
        InflateError::TooLarge { .. } | InflateError::Ratio => Code::BodyTooLarge,
        InflateError::Broken(_) | InflateError::Truncated(_) | InflateError::Trailing(_) => Code::Malformed,
    };
    match error {
        InflateError::TooLarge { .. } => {
            Failure::new(code, format!("the unpacked body has more than {} bytes", limits.body_bytes))
        }
        other => Failure::new(code, other.to_string()),
    }
}

/// Packs the pieces of an answer into one.
///
/// # Errors
/// None that a caller could cause: memory takes everything that is written to it.
pub async fn pack(pieces: &[Bytes], encoding: Encoding) -> io::Result<Bytes> {
    // The fastest level: tensors hardly shrink further for more work.
    let mut packer = match encoding {
        Encoding::Gzip => Packer::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
        Encoding::Deflate => Packer::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
    };
    for (index, step) in pieces.iter().flat_map(|piece| piece.chunks(PACK_STEP_BYTES)).enumerate() {
        if index > 0 {
            yield_now().await;
        }
        packer.write(step)?;
    }
    packer.finish()
}

enum Packer {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Deflate(encoder) => encoder.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
        }
        .map(Bytes::from)
    }
}

#[cfg(test)]
mod tests;
