use serde_json::json;

use super::*;

const ALLOWED: [&str; 4] = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC"];

#[test]
fn an_expression_holds_if_allowed_licences_satisfy_it() {
    for allowed in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0 OR MIT",
        "Unlicense/MIT",
        "(MIT OR GPL-3.0) AND ISC",
        "MIT AND (ISC OR GPL-3.0)",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        "GPL-3.0 AND ISC OR MIT",
    ] {
        assert!(is_allowed(allowed, &ALLOWED), "{allowed}");
    }
    for barred in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC) AND GPL-3.0",
        "ISC WITH LLVM-exception",
        "MIT OR",
        "(MIT",
        "MIT ISC",
        "",
    ] {
        assert!(!is_allowed(barred, &ALLOWED), "{barred}");
    }
}

#[test]
fn a_package_without_or_with_another_licence_is_found() {
    let metadata = json!({ "packages": [
        { "name": "good", "license": "MIT" },
        { "name": "bad", "license": "GPL-3.0" },
        { "name": "mute", "license": null },
    ]});
    let found: Vec<String> = compare(&metadata, &ALLOWED).into_iter().map(|f| f.text).collect();
    assert_eq!(found, ["bad is under GPL-3.0, which deny.toml does not allow", "mute names no licence"]);
}

#[test]
fn the_allow_list_is_read_without_its_comments() {
    let deny = "[licenses]\nallow = [\n    \"MIT\", # \"not this\"\n    \"ISC\",\n]\n[bans]\nmore = [\"no\"]\n";
    assert_eq!(allow_list(deny), Some(vec!["MIT", "ISC"]));
    assert_eq!(allow_list("[licenses]\n"), None);
}
