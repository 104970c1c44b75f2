//! Unpacking one body, step by step, without waiting.

use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes};
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
/// Packed bytes read between two chances for others: what they unpack to may be nothing, and still is work.
const STEP_PACKED_BYTES: usize = 16 * 1024;
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
    Gzip(Box<GzDecoder<Metered>>),
    Zlib { inflate: Decompress, packed: Metered },
}

/// Packed bytes, of which a step may read so many. Wanting more is [`io::ErrorKind::WouldBlock`].
struct Metered {
    packed: Bytes,
    n_allowed: usize,
}

impl BufRead for Metered {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.packed.len().min(self.n_allowed) {
            0 if self.packed.has_remaining() => Err(io::ErrorKind::WouldBlock.into()),
            n_bytes => Ok(&self.packed[..n_bytes]),
        }
    }

    fn consume(&mut self, n_bytes: usize) {
        self.packed.advance(n_bytes);
        self.n_allowed -= n_bytes;
    }
}

impl Read for Metered {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.fill_buf()?.read(into)?;
        self.consume(n_bytes);
        Ok(n_bytes)
    }
}

impl Inflate {
    /// Unpacks `packed` to `max_bytes` at most.
    pub fn new(encoding: Encoding, packed: Bytes, max_bytes: usize) -> Self {
        let by_ratio = packed.len().saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
        let packed = Metered { packed, n_allowed: STEP_PACKED_BYTES };
        let state = match encoding {
            Encoding::Gzip => State::Gzip(Box::new(GzDecoder::new(packed))),
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
        self.packed().n_allowed = STEP_PACKED_BYTES;
        while !self.is_over && self.unpacked.len() < until {
            if !self.chunk()? {
                break;
            }
        }
        Ok(!self.is_over)
    }

    fn packed(&mut self) -> &mut Metered {
        match &mut self.state {
            State::Gzip(decoder) => decoder.get_mut(),
            State::Zlib { packed, .. } => packed,
        }
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

    /// Unpacks a bit; `false` where this step may read no more.
    fn chunk(&mut self) -> Result<bool, InflateError> {
        let name = self.encoding.as_str();
        let mut chunk = [0; CHUNK_BYTES];
        let n_bytes = match &mut self.state {
            State::Gzip(decoder) => match decoder.read(&mut chunk) {
                Ok(n_bytes) => {
                    self.is_over = n_bytes == 0;
                    n_bytes
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(false),
                    io::ErrorKind::UnexpectedEof => return Err(InflateError::Truncated(name)),
                    _ => return Err(InflateError::Broken(name)),
                },
            },
            State::Zlib { inflate, packed } => {
                let Ok(input) = packed.fill_buf() else { return Ok(false) };
                let (n_in, n_out) = (inflate.total_in(), inflate.total_out());
                let status = inflate.decompress(input, &mut chunk, FlushDecompress::None);
                let status = status.map_err(|_| InflateError::Broken(name))?;
                let (n_in, n_out) = (inflate.total_in() - n_in, inflate.total_out() - n_out);
                packed.consume(n_in as usize);
                self.is_over = status == Status::StreamEnd;
                if !self.is_over && n_in == 0 && n_out == 0 {
                    return Err(InflateError::Truncated(name));
                }
                n_out as usize
            }
        };
        if self.is_over && self.packed().packed.has_remaining() {
            return Err(InflateError::Trailing(name));
        }
        self.take(&chunk[..n_bytes])?;
        Ok(true)
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
