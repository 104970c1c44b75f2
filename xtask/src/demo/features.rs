//! Turns a file into the model's input, as magika 0.6.1 and 1.0.3 document it.
//!
//! Up to 4,096 bytes are read from each end of the file. White space is stripped from the start of the first block
//! and from the end of the last one. The first 1,024 bytes of the one and the last 1,024 of the other are the input;
//! what is missing is filled up with 256, behind the first half and before the second.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Values per file: INT32 `[1, 2048]`.
pub const WIDTH: usize = 2 * HALF;

/// Bytes taken from each end, after stripping.
const HALF: usize = 1024;

/// Bytes read from each end.
const BLOCK: usize = 4096;

/// The value that stands for "no byte".
const PADDING: u16 = 256;

/// Fewer bytes than this say too little; magika does not ask the model about them.
const BYTES_MIN: usize = 8;

/// Reads a file's features; `None` when it holds too little.
pub fn of_file(path: &Path) -> io::Result<Option<Vec<u16>>> {
    let mut file = File::open(path)?;
    let mut first = Vec::with_capacity(BLOCK);
    file.by_ref().take(BLOCK as u64).read_to_end(&mut first)?;
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(size.saturating_sub(BLOCK as u64)))?;
    let mut last = Vec::with_capacity(BLOCK);
    file.take(BLOCK as u64).read_to_end(&mut last)?;
    Ok(of_blocks(&first, &last))
}

/// The features of a file's first and last block.
fn of_blocks(first: &[u8], last: &[u8]) -> Option<Vec<u16>> {
    let first = &first[first.iter().take_while(|byte| is_white(**byte)).count()..];
    let last = &last[..last.len() - last.iter().rev().take_while(|byte| is_white(**byte)).count()];
    if first.len() < BYTES_MIN {
        return None;
    }
    let head = &first[..first.len().min(HALF)];
    let tail = &last[last.len().saturating_sub(HALF)..];
    let mut values = Vec::with_capacity(WIDTH);
    values.extend(head.iter().map(|byte| u16::from(*byte)));
    values.resize(WIDTH - tail.len(), PADDING);
    values.extend(tail.iter().map(|byte| u16::from(*byte)));
    Some(values)
}

/// White space as Python strips it from bytes: vertical tabs too.
fn is_white(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests;
