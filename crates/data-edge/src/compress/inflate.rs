//! Unpacking one body, step by step, without waiting.

use std::io::{self, Read};

use bytes::{Buf, Bytes, buf::Reader};
use flate2::bufread::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use thiserror::Error;

use super::Encoding;
use crate::body::Aligned;

/// What a body may unpack to whatever its own size.
const RATIO_FREE_BYTES: usize = 1024 * 1024;
/// Beyond that: times its own size.
const RATIO_MAX: usize = 20;
/// Bytes unpacked between two chances for others.
const STEP_BYTES: usize = 64 * 1024;
/// Bytes unpacked at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Memory for unpacked bytes starts at this and is doubled as they come.
const FIRST_BYTES: usize = 64 * 1024;

/// Why a body cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InflateError {
    /// It is not packed as the header says, or was damaged.
    #[error("the body is no valid {0}")]
    Broken(&'static str),
    /// It ends too early.
    #[error("the {0} body ends in the middle")]
    Truncated(&'static str),
    /// There is something behind it.
    #[error("the {0} body is followed by bytes that belong to nothing")]
    Trailing(&'static str),
    /// It unpacks to more than this.
    #[error("the unpacked body has more than {max} bytes")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// It unpacks to many times its size.
    #[error("the body unpacks to more than {RATIO_MAX} times its size: send it less packed, or as it is")]
    Ratio,
}

/// A body being unpacked.
pub struct Inflate {
    state: State,
    encoding: Encoding,
    unpacked: Aligned,
    max: usize,
    is_max_by_ratio: bool,
    is_over: bool,
}

enum State {
    Gzip(Box<GzDecoder<Reader<Bytes>>>),
    Zlib { inflate: Decompress, packed: Bytes },
}

impl Inflate {
    /// Unpacks `packed` to `max_bytes` at most.
    pub fn new(encoding: Encoding, packed: Bytes, max_bytes: usize) -> Self {
        let by_ratio = packed.len().saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
        let state = match encoding {
            Encoding::Gzip => State::Gzip(Box::new(GzDecoder::new(packed.reader()))),
            Encoding::Deflate => State::Zlib { inflate: Decompress::new(true), packed },
        };
        Self {
            state,
            encoding,
            unpacked: Aligned::new(0),
            max: by_ratio.min(max_bytes),
            is_max_by_ratio: by_ratio < max_bytes,
            is_over: false,
        }
    }

    /// Lets the byte at this place of the unpacked body lie on an aligned address.
    #[must_use]
    pub fn aligned_at(self, at: usize) -> Self {
        Self { unpacked: Aligned::new(at), ..self }
    }

    /// Unpacks a bit more; says whether there is more to do.
    ///
    /// # Errors
    /// See [`InflateError`].
    pub fn step(&mut self) -> Result<bool, InflateError> {
        let until = self.unpacked.len() + STEP_BYTES;
        while !self.is_over && self.unpacked.len() < until {
            self.chunk()?;
        }
        Ok(!self.is_over)
    }

    /// Bytes unpacked so far.
    pub fn unpacked_bytes(&self) -> usize {
        self.unpacked.len()
    }

    /// Bytes of memory in use for what is unpacked.
    pub(crate) fn held_bytes(&self) -> usize {
        self.unpacked.capacity()
    }

    /// The whole body.
    ///
    /// # Errors
    /// See [`InflateError`].
    pub fn finish(mut self) -> Result<Bytes, InflateError> {
        while self.step()? {}
        Ok(self.unpacked.into_bytes())
    }

    fn chunk(&mut self) -> Result<(), InflateError> {
        let name = self.encoding.as_str();
        let mut chunk = [0; CHUNK_BYTES];
        let n_bytes = match &mut self.state {
            State::Gzip(decoder) => {
                let n_bytes = decoder.read(&mut chunk).map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => InflateError::Truncated(name),
                    _ => InflateError::Broken(name),
                })?;
                self.is_over = n_bytes == 0;
                if self.is_over && decoder.get_ref().get_ref().has_remaining() {
                    return Err(InflateError::Trailing(name));
                }
                n_bytes
            }
            State::Zlib { inflate, packed } => {
                let (n_in, n_out) = (inflate.total_in(), inflate.total_out());
                let status = inflate.decompress(packed, &mut chunk, FlushDecompress::None);
                let status = status.map_err(|_| InflateError::Broken(name))?;
                let (n_in, n_out) = (inflate.total_in() - n_in, inflate.total_out() - n_out);
                packed.advance(n_in as usize);
                self.is_over = status == Status::StreamEnd;
                if self.is_over && packed.has_remaining() {
                    return Err(InflateError::Trailing(name));
                }
                if !self.is_over && n_in == 0 && n_out == 0 {
                    return Err(InflateError::Truncated(name));
                }
                n_out as usize
            }
        };
        self.take(&chunk[..n_bytes])
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), InflateError> {
        let len = self.unpacked.len() + bytes.len();
        if len > self.max {
            return Err(if self.is_max_by_ratio {
                InflateError::Ratio
            } else {
                InflateError::TooLarge { max: self.max }
            });
        }
        if len > self.unpacked.capacity() {
            let room = (self.unpacked.capacity() * 2).max(FIRST_BYTES).max(len).min(self.max);
            self.unpacked.grow_to(room);
        }
        self.unpacked.extend(bytes);
        Ok(())
    }
}
