#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;

use super::*;

fn token(text: &str) -> Result<Token, TokenError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, text).unwrap();
    Token::read(&path)
}

#[test]
fn white_space_around_the_token_is_not_part_of_it() {
    let token = token("  0123456789abcdef\r\n").ok().unwrap();
    assert_eq!(token.authorization(), "Bearer 0123456789abcdef");
}

#[test]
fn only_the_whole_token_is_accepted() {
    let token = token("0123456789abcdef").ok().unwrap();
    let check = |shown: &str, expected: bool| assert_eq!(token.is_shown_by(shown), expected, "{shown:?}");
    check("Bearer 0123456789abcdef", true);
    check("bearer  0123456789abcdef", true);
    check("Bearer 0123456789abcdeF", false);
    check("Bearer 0123456789abcde", false);
    check("Bearer 0123456789abcdef0123456789abcdef", false);
    check("Bearer ", false);
    check("Bearer", false);
    check("", false);
    check("0123456789abcdef", false);
    check("Basic 0123456789abcdef", false);
}

#[test]
fn a_bad_file_is_refused_without_showing_what_is_in_it() {
    let check = |text: &str, expected: &str| {
        let message = token(text).err().unwrap().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(text.trim().is_empty() || !message.contains(text.trim()), "{message}");
    };
    check("", "16 to 1024");
    check("short-secret", "has 12 bytes");
    check(&"x".repeat(1_025), "has 1025 bytes");
    check("0123456789 abcdef", "visible ASCII");
    check("0123456789abcdéf", "visible ASCII");
    let missing = Token::read(Path::new("/nowhere/token")).err().unwrap().to_string();
    assert_eq!(missing, "cannot read the token file /nowhere/token");
}
