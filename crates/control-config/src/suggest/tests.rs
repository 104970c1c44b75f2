use super::*;

#[test]
fn near_words_are_suggested_and_far_ones_are_not() {
    let known = ["stable", "split", "sticky", "labels", "deadline_ms"];
    let check = |written, expected: Option<&str>| {
        let expected = expected.map(|word| format!("did you mean {word:?}?"));
        assert_eq!(did_you_mean(written, known), expected, "{written}");
    };
    check("stabel", Some("stable"));
    check("Stable", Some("stable"));
    check("label", Some("labels"));
    check("deadlinems", Some("deadline_ms"));
    check("weights", None);
    check("", None);
    check(&"s".repeat(10_000), None);
}
