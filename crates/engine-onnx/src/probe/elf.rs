//! The part of the ELF format that the dynamic linker relies on: headers, segments within the file, symbol names.

use std::fs::File;
use std::os::unix::fs::FileExt;

const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
/// Real libraries have about ten.
const SEGMENTS_MAX: usize = 128;
/// Symbol names of ONNX Runtime take 12 KB; a debug build's may take a lot more.
const NAMES_BYTES_MAX: u64 = 64 << 20;
const DYNAMIC_BYTES_MAX: u64 = 1 << 16;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

const TYPE_SHARED: u16 = 3;
const SEGMENT_LOAD: u32 = 1;
const SEGMENT_DYNAMIC: u32 = 2;
const TAG_NAMES: u64 = 5;
const TAG_NAMES_BYTES: u64 = 10;

/// One program header.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    bytes: u64,
}

/// Checks that the file is a complete shared library for this machine that defines `symbol`.
pub(super) fn check(file: &File, file_bytes: u64, symbol: &str) -> Result<(), String> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0).map_err(|_| "it is too short for a library".to_owned())?;
    if header[..4] != *b"\x7fELF" {
        return Err("it is not an ELF file".to_owned());
    }
    let is_for_us = header[4] == 2 && header[5] == 1 && u16_at(&header, 18) == MACHINE;
    if !is_for_us || u16_at(&header, 16) != TYPE_SHARED {
        return Err("it is not a shared library for this kind of machine".to_owned());
    }
    let sections_end = table_end(u64_at(&header, 40), u16_at(&header, 58), u16_at(&header, 60));
    if sections_end > file_bytes {
        return Err(format!("it is truncated: {file_bytes} of at least {sections_end} bytes are there"));
    }
    let segments = segments(file, &header)?;
    let end = segments.iter().map(|s| s.offset.saturating_add(s.bytes)).max().unwrap_or(0);
    if end > file_bytes {
        return Err(format!("it is truncated: {file_bytes} of at least {end} bytes are there"));
    }
    let names = symbol_names(file, &segments).ok_or("its symbol table is damaged")?;
    let is_defined = names.split(|b| *b == 0).any(|name| name == symbol.as_bytes());
    if is_defined { Ok(()) } else { Err(format!("it does not define {symbol}")) }
}

fn segments(file: &File, header: &[u8]) -> Result<Vec<Segment>, String> {
    let n_segments = usize::from(u16_at(header, 56));
    if usize::from(u16_at(header, 54)) != SEGMENT_BYTES || !(1..=SEGMENTS_MAX).contains(&n_segments) {
        return Err("its program headers are damaged".to_owned());
    }
    let mut table = vec![0; n_segments * SEGMENT_BYTES];
    file.read_exact_at(&mut table, u64_at(header, 32)).map_err(|_| "it is truncated".to_owned())?;
    let segment =
        |s: &[u8]| Segment { kind: u32_at(s, 0), offset: u64_at(s, 8), address: u64_at(s, 16), bytes: u64_at(s, 32) };
    Ok(table.chunks_exact(SEGMENT_BYTES).map(segment).collect())
}

/// The names of the symbols, as the dynamic section describes where they are.
fn symbol_names(file: &File, segments: &[Segment]) -> Option<Vec<u8>> {
    let read = |offset: u64, bytes: u64| {
        let mut content = vec![0; usize::try_from(bytes).ok()?];
        file.read_exact_at(&mut content, offset).ok().map(|()| content)
    };
    let dynamic = segments.iter().find(|s| s.kind == SEGMENT_DYNAMIC && s.bytes <= DYNAMIC_BYTES_MAX)?;
    let entries = read(dynamic.offset, dynamic.bytes)?;
    let value_of = |tag| entries.chunks_exact(16).find(|e| u64_at(e, 0) == tag).map(|e| u64_at(e, 8));
    let (address, bytes) = (value_of(TAG_NAMES)?, value_of(TAG_NAMES_BYTES)?);
    let within = |s: &&Segment| {
        let start = address.checked_sub(s.address);
        s.kind == SEGMENT_LOAD && start.and_then(|start| start.checked_add(bytes)).is_some_and(|end| end <= s.bytes)
    };
    let segment = segments.iter().find(within).filter(|_| bytes <= NAMES_BYTES_MAX)?;
    read(segment.offset.checked_add(address - segment.address)?, bytes)
}

fn table_end(offset: u64, entry_bytes: u16, n_entries: u16) -> u64 {
    offset.saturating_add(u64::from(entry_bytes) * u64::from(n_entries))
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}
