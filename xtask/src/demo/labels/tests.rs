#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;

fn labels() -> Labels {
    let config = json!({ "medium_confidence_threshold": 0.5, "thresholds": { "markdown": 0.75 },
        "overwrite_map": { "randomtxt": "txt" }, "target_labels_space": ["elf", "markdown", "randomtxt"] });
    let types = json!({ "elf": { "description": "ELF executable", "is_text": false },
        "markdown": { "description": "Markdown document", "is_text": true },
        "txt": { "description": "Generic text document", "is_text": true } });
    Labels { rows: rows(&config, &types).unwrap() }
}

fn check(scores: [f32; 3], label: &str, description: &str) {
    let guess = labels().guess(&scores).unwrap();
    assert_eq!((guess.label.as_str(), guess.description.as_str()), (label, description));
}

#[test]
fn the_best_score_names_the_type() {
    check([0.9, 0.05, 0.05], "elf", "ELF executable");
    check([0.1, 0.8, 0.1], "markdown", "Markdown document");
    check([0.1, 0.1, 0.8], "txt", "Generic text document");
}

#[test]
fn a_score_below_its_threshold_is_not_trusted() {
    check([0.45, 0.3, 0.25], "unknown", "unknown, perhaps ELF executable");
    check([0.1, 0.7, 0.2], "txt", "txt, perhaps Markdown document");
}

#[test]
fn a_table_without_its_keys_is_refused() {
    assert!(rows(&json!({}), &json!({})).is_none());
}
