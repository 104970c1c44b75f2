#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[test]
fn what_is_written_is_read_back() {
    let inner = Message::new().int(1, -1).text(2, "inner");
    let fixed = [0x15, 0, 0, 0xc0, 0x3f];
    let bytes = [
        Message::new().int(1, 300).into_bytes(),
        fixed.to_vec(),
        Message::new().text(3, "text").message(4, &inner).into_bytes(),
    ]
    .concat();
    let read = fields(&bytes).unwrap();
    assert_eq!(read[0].int(1), Some(300));
    assert_eq!(read[1].value, Value::Fixed);
    assert_eq!(read[2].bytes(3), Some(&b"text"[..]));
    let inner = fields(read[3].bytes(4).unwrap()).unwrap();
    assert_eq!(inner[0].int(1), Some(-1));
    let copied: Vec<u8> = read.iter().flat_map(|f| f.raw).copied().collect();
    assert_eq!(copied, bytes);
}

#[test]
fn every_cut_is_an_error_or_a_whole_number_of_fields() {
    let bytes = Message::new().int(1, 300).text(3, "text").into_bytes();
    let whole = [0, 3, bytes.len()];
    for cut in 0..=bytes.len() {
        assert_eq!(fields(&bytes[..cut]).is_ok(), whole.contains(&cut), "cut at {cut}");
    }
}

#[test]
fn nonsense_is_refused() {
    assert!(fields(&[0xff; 11]).is_err(), "a varint without end");
    assert!(fields(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err(), "a length beyond memory");
    assert!(fields(&[0x0b]).is_err(), "a group");
}
