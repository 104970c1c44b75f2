use super::*;

const PLAIN: Screen =
    Screen { is_live: false, has_colour: false, n_panel_lines: 0, last_plain: None, unwritten: String::new() };

#[test]
fn counts_are_grouped() {
    for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(count(number), expected);
    }
}

#[test]
fn long_sentences_are_broken_between_words() {
    let text = "word ".repeat(40);
    let wrapped = wrap(text.trim(), " ✓ ", "   ", 3);
    assert!(wrapped.lines().all(|line| line.chars().count() <= COLUMNS));
    assert!(wrapped.starts_with(" ✓ word") && wrapped.contains("\n   word"));
    assert_eq!(wrapped.matches("word").count(), 40);
}

#[test]
fn without_colours_there_are_no_escapes() {
    assert_eq!(PLAIN.ink(Ink::Red, "text"), "text");
    assert_eq!(PLAIN.bar(Ink::Blue, 0.5), format!("{}{}", "█".repeat(11), "·".repeat(11)));
    let coloured = Screen { has_colour: true, ..PLAIN };
    assert_eq!(coloured.ink(Ink::Red, "text"), "\x1b[31mtext\x1b[0m");
}

#[test]
fn bars_stay_within_their_cells() {
    for share in [-1.0, 0.0, 0.3, 1.0, 7.0, f64::NAN] {
        assert_eq!(PLAIN.bar(Ink::Blue, share).chars().count(), BAR_CELLS, "{share}");
    }
}

#[test]
fn long_paths_keep_their_end() {
    assert_eq!(tail("short", 8), "short");
    assert_eq!(tail("/usr/share/doc", 8), "…are/doc");
}
