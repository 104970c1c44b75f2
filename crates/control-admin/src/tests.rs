#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod answers;
mod guard;
mod rollouts;
mod support;

use crate::{CODES, ROUTES, routes_page};

#[test]
fn the_reference_is_in_step_with_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/admin-api.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.contains(&routes_page()), "docs/admin-api.md is to contain:\n\n{}", routes_page());
}

#[test]
fn routes_and_codes_stand_once() {
    for (index, route) in ROUTES.iter().enumerate() {
        let others = &ROUTES[index + 1..];
        assert!(others.iter().all(|o| (o.method, o.path) != (route.method, route.path)), "{}", route.path);
    }
    for (index, row) in CODES.iter().enumerate() {
        assert!(CODES[index + 1..].iter().all(|o| o.code != row.code), "{}", row.code);
    }
}
