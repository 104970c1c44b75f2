#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use super::*;

fn check(content: &[u8], expected: impl FnOnce(&mut [u16])) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, content).unwrap();
    let mut values = vec![PADDING; WIDTH];
    expected(&mut values);
    assert_eq!(of_file(&path).unwrap().unwrap(), values);
}

fn put(values: &mut [u16], at: usize, bytes: &[u8]) {
    for (value, byte) in values[at..].iter_mut().zip(bytes) {
        *value = u16::from(*byte);
    }
}

#[test]
fn a_short_file_is_padded_behind_its_start_and_before_its_end() {
    check(b"#!/bin/sh\necho hello\n", |values| {
        // Stripped only at the far side: the line feed stays in the first half.
        put(values, 0, b"#!/bin/sh\necho hello\n");
        put(values, WIDTH - 20, b"#!/bin/sh\necho hello");
    });
}

#[test]
fn white_space_is_stripped_as_python_does() {
    check(b" \t\r\n\x0b\x0cabcdefgh\x0c\x0b \n", |values| {
        put(values, 0, b"abcdefgh\x0c\x0b \n");
        put(values, WIDTH - 14, b" \t\r\n\x0b\x0cabcdefgh");
    });
}

#[test]
fn a_long_file_gives_its_two_ends() {
    let content: Vec<u8> = (0..10_000_u32).map(|i| (i % 251) as u8 | 0x80).collect();
    check(&content, |values| {
        put(values, 0, &content[..HALF]);
        put(values, HALF, &content[content.len() - HALF..]);
    });
}

#[test]
fn only_one_block_is_looked_at_for_bytes_behind_white_space() {
    let mut content = vec![b' '; BLOCK - 10];
    content.extend(vec![b'x'; 2_000]);
    check(&content, |values| {
        put(values, 0, &[b'x'; 10]);
        put(values, HALF, &[b'x'; HALF]);
    });
}

#[test]
fn a_file_with_too_little_in_it_gives_nothing() {
    assert_eq!(of_blocks(b"", b""), None);
    assert_eq!(of_blocks(b"1234567", b"1234567"), None);
    assert!(of_blocks(b"12345678", b"12345678").is_some());
}
