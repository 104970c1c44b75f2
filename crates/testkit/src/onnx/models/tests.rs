#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[test]
fn the_same_arguments_give_the_same_bytes() {
    assert_eq!(affine4(2.0, 1.0), affine4(2.0, 1.0));
    assert_ne!(affine4(2.0, 1.0), affine4(2.0, 1.5));
    assert_eq!(large(200_000, 7), large(200_000, 7));
    assert_ne!(large(200_000, 7), large(200_000, 8));
}

#[test]
fn large_models_are_about_as_large_as_asked() {
    for bytes in [100_000, 5_000_000, 20_000_000] {
        let actual = large(bytes, 1).len();
        assert!((bytes / 2..bytes * 3 / 2).contains(&actual), "{bytes} asked, {actual} written");
    }
}

#[test]
fn a_tag_is_read_back_and_no_part_can_be_exchanged() {
    let tag = Tag { id: 1_234_567, version: 7 };
    let row = tag.output();
    assert_eq!(Tag::read(&row), Some(tag));
    assert_eq!(Tag::read(&[row[0] + 1.0, row[1], row[2]]), None);
    assert_eq!(Tag::read(&[row[0], row[1], row[2] + 1.0]), None);
    assert_eq!(Tag::read(&[row[0], row[1] + 0.5, row[2]]), None);
    assert_eq!(Tag::read(&[f32::NAN, row[1], row[2]]), None);
    assert_eq!(Tag::read(&row[..2]), None);
}

#[test]
fn the_checksum_is_exact_for_every_id() {
    for id in (0..Tag::ID_END).step_by(9_973) {
        assert!(Tag { id, version: 1 }.output()[2] < 16_777_216.0);
    }
}
