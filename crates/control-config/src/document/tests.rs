#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::parse_routing;

fn problems(bytes: &[u8]) -> Vec<(usize, usize, Code)> {
    let invalid = parse_routing(Path::new("routing.toml"), bytes).unwrap_err();
    invalid.diagnostics.iter().map(|d| (d.line, d.column, d.code)).collect()
}

#[test]
fn bounds_hold_before_anything_is_parsed() {
    assert_eq!(problems(&vec![b'#'; FILE_BYTES_MAX + 1]), [(1, 1, Code::TooLarge)]);
    assert!(parse_routing(Path::new("r"), &vec![b'#'; FILE_BYTES_MAX]).is_ok());
    assert_eq!(problems(b"# fine\nx = \"\xff\""), [(2, 6, Code::NotUtf8)]);
    let dotted = format!("x = 1\n{}a = 1", "a.".repeat(400_000));
    assert_eq!(problems(dotted.as_bytes())[0].2, Code::TooDeep);
    let header = format!("[{}a]", "a.".repeat(400_000));
    assert_eq!(problems(header.as_bytes())[0].2, Code::TooDeep);
    let inline = format!("x = {}1{}", "{a=".repeat(100_000), "}".repeat(100_000));
    assert!(problems(inline.as_bytes()).iter().any(|p| p.2 == Code::Syntax));
    let list = "x = ".to_owned() + &"[".repeat(500_000);
    assert!(problems(list.as_bytes()).iter().any(|p| p.2 == Code::Syntax));
}

#[test]
fn a_ruler_of_dots_in_a_comment_is_no_key() {
    let text = format!("  # {}\nx = \"1.2.3.4, 1.2.3.4\"", ".".repeat(200));
    assert_eq!(problems(text.as_bytes()), [(2, 1, Code::UnknownKey)]);
}

#[test]
fn an_empty_file_and_a_byte_order_mark_are_fine() {
    for bytes in [&b""[..], b"\n# nothing\n", b"\xef\xbb\xbf[models.a]\nstable = 1\n"] {
        assert!(parse_routing(Path::new("routing.toml"), bytes).unwrap().warnings.is_empty());
    }
}

#[test]
fn columns_count_characters_and_lines_end_with_either_ending() {
    let text = "[models.a]\r\nlabels = { \"\u{fc}\u{fc}\" = 1 }\r\nstble = 1\r\n";
    assert_eq!(problems(text.as_bytes()), [(2, 12, Code::BadName), (3, 1, Code::UnknownKey)]);
}

#[test]
fn a_syntax_error_keeps_what_is_sure_and_hides_what_is_a_guess() {
    let text = "[models.a]\nstble = 7\n[models.b]\nsplit = { 7 = 1, 8 = 1\nstable = ?\nbogus = 1\n";
    let found = problems(text.as_bytes());
    assert_eq!(found[0], (2, 1, Code::UnknownKey));
    assert!(found[1..].iter().all(|p| p.2 == Code::Syntax), "{found:?}");
    assert!(found.len() >= 2);
}

#[test]
fn all_syntax_errors_are_reported() {
    let found = problems(b"a = \n\nb = 1 2\nc = 3\nc = 4\n");
    let lines: Vec<_> = found.iter().map(|p| p.0).collect();
    assert_eq!(lines, [1, 3, 5], "{found:?}");
}

#[test]
fn remarks_are_bounded() {
    let text: String = (0..1_000).map(|i| format!("k{i} = 1\n")).collect();
    let invalid = parse_routing(Path::new("routing.toml"), text.as_bytes()).unwrap_err();
    assert_eq!(invalid.diagnostics.len(), DIAGNOSTICS_MAX + 1);
    assert_eq!(invalid.diagnostics[DIAGNOSTICS_MAX].message, "800 more problems are not shown");
}

/// A megabyte of mistakes must not cost more than the file is worth.
#[test]
fn a_file_of_nothing_but_mistakes_is_refused_in_time() {
    for line in ["=\n", "a\n", "[a]\n", "[[a]]\n[a]\n", "a = 1\n", "x = [\n", "\"\n", "a.b.c = {\n", "]]]]"] {
        let text = line.repeat(FILE_BYTES_MAX / line.len());
        let start = std::time::Instant::now();
        assert!(!problems(text.as_bytes()).is_empty());
        assert!(start.elapsed().as_secs() < 20, "{line:?} took {:?}", start.elapsed());
    }
}
