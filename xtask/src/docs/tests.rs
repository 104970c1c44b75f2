#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;

const PAGE: &str = "before\n<!-- begin keys -->\n| old |\n\n<!-- end keys -->\nafter\n";

fn text(section: Option<&str>) -> Text {
    Text { page: "page.md".to_owned(), section: section.map(ToOwned::to_owned), text: "| new |\n".to_owned() }
}

#[test]
fn a_section_is_replaced_between_its_markers() {
    let after = placed(&text(Some("keys")), PAGE).unwrap();
    assert_eq!(after, "before\n<!-- begin keys -->\n| new |\n\n<!-- end keys -->\nafter\n");
    assert_eq!(placed(&text(Some("keys")), &after).unwrap(), after);
    assert_eq!(section(PAGE, "keys"), Some("| old |\n"));
}

#[test]
fn a_page_without_the_section_has_no_place() {
    assert_eq!(placed(&text(Some("other")), PAGE), None);
}

#[test]
fn a_whole_page_is_the_text() {
    assert_eq!(placed(&text(None), PAGE).unwrap(), "| new |\n");
}
