use super::*;
use crate::walls::source::sort_out;

fn page(crates: &str, homes: &str, invariants: &str) -> String {
    format!(
        "{crates}\n<!-- begin homes -->\n{homes}\n<!-- end homes -->\n<!-- begin invariants -->\n{invariants}\n<!-- end invariants -->\n"
    )
}

fn check_page(page: &str) -> Vec<String> {
    let member = |name: &str| Member { name: name.to_owned(), folder: String::new(), dependencies: Vec::new() };
    let test = ("crates/base-types/src/name/tests.rs".to_owned(), "#[test]\nfn names_are_short() {}".to_owned());
    let members = [member("base-types"), member("xtask")];
    check(&members, &sort_out(vec![test]), page).into_iter().map(|f| f.text).collect()
}

const ROW: &str = "| `base-types` | the words | – |";

#[test]
fn a_page_that_agrees_is_fine() {
    let invariants = "1. Names are short. *Guard:* `base-types::names_are_short`, `cargo xtask walls`.\n";
    assert_eq!(check_page(&page(ROW, &homes_table(), invariants)), [""; 0]);
}

#[test]
fn what_is_missing_is_found() {
    let found = check_page(&page("", &homes_table(), ""));
    assert_eq!(found, ["the crate base-types has no row: say in a sentence what it is for"]);
    let found = check_page(&page(ROW, "| package |\n", ""));
    assert_eq!(found, ["the table of homes is not the declared one: run cargo xtask docs"]);
    let found = check_page(&format!("{ROW}\n<!-- begin homes -->\n{}\n<!-- end homes -->\n", homes_table()));
    assert_eq!(found, ["the invariants stand between no markers"]);
}

#[test]
fn a_guard_must_exist() {
    let invariants =
        "1. One. *Guard:* `base-types::names_are_long`.\n\n2. Two.\n\n3. Three. *Guard:* `names_are_short`.\n";
    let found = check_page(&page(ROW, &homes_table(), invariants));
    assert_eq!(
        found,
        [
            "the guard base-types::names_are_long of invariant 1 is no test of that package",
            "invariant 2 names no guard",
            "the guard names_are_short of invariant 3 is no test of that package",
        ]
    );
}

#[test]
fn a_link_leads_somewhere() {
    let text = "[a](there.md) [b](gone.md#part) [c](https://example.org/x) [d](#here) [e](../README.md)";
    let found = links(&[("docs/page.md".to_owned(), text.to_owned())], |path| path != "docs/gone.md");
    let found: Vec<String> = found.into_iter().map(|f| f.text).collect();
    assert_eq!(found, ["docs/page.md leads to gone.md, which is not there"]);
}
