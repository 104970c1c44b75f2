#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;

use base_types::ModelName;
use control_config::{Availability, compile, parse_routing};

use super::*;

fn route(text: &str) -> ModelRoute {
    let config = parse_routing(Path::new("routing.toml"), text.as_bytes()).unwrap().value;
    compile(&config, &ModelName::new("m").unwrap(), None, &|_| Availability::Ready).unwrap().route
}

const TEXT: &str = r#"
[models.m]
stable = 1
split = { 1 = 50, 2 = 50 }
sticky = [{ cookie = "uid" }, { query = "user" }]
[[models.m.rules]]
name = "partners"
when = { header = "x-tenant", in = ["acme"] }
use = 2
"#;

#[test]
fn every_place_of_a_request_is_looked_at() {
    let route = route(TEXT);
    let text = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let explain = |request: DescribedRequest| explained(&route, &request).unwrap();
    let rule = explain(DescribedRequest { headers: text("X-Tenant", "acme"), ..DescribedRequest::default() });
    assert_eq!((&rule["version"], &rule["rule"], &rule["by_chance"]), (&json!(2), &json!("partners"), &json!(false)));
    assert_eq!(rule["rules"][0]["outcome"], "matched");
    let cookie = explain(DescribedRequest { cookies: text("uid", "7"), ..DescribedRequest::default() });
    assert_eq!(cookie["sticky"], json!({ "from": "cookie uid", "key": "7" }));
    let query = explain(DescribedRequest { query: text("user", "7"), ..DescribedRequest::default() });
    assert_eq!((&query["sticky"]["from"], &query["version"]), (&json!("query user"), &cookie["version"]));
    let key = explain(DescribedRequest { key: Some("7".to_owned()), ..DescribedRequest::default() });
    assert_eq!(key["sticky"], cookie["sticky"], "the key is put where the model looks first");
}

#[test]
fn a_key_nobody_looks_for_is_said_to_play_no_part() {
    let route = route("[models.m]\nstable = 1\nsplit = { 1 = 50, 2 = 50 }\n");
    let request = DescribedRequest { key: Some("7".to_owned()), ..DescribedRequest::default() };
    let explained = explained(&route, &request).unwrap();
    assert_eq!(explained["by_chance"], true);
    assert!(explained["sentences"].to_string().contains("plays no part"), "{explained}");
}

#[test]
fn chance_is_named_and_can_be_repeated() {
    let route = route(TEXT);
    let request = DescribedRequest::default();
    let drawn: Vec<Value> = (0..64).map(|_| explained(&route, &request).unwrap()).collect();
    assert!(drawn.iter().all(|e| e["by_chance"] == true));
    assert!(drawn.iter().any(|e| e["version"] == 1) && drawn.iter().any(|e| e["version"] == 2));
    for first in drawn.iter().take(8) {
        let request = DescribedRequest { draw: first["draw"].as_u64(), ..DescribedRequest::default() };
        assert_eq!(explained(&route, &request).unwrap()["version"], first["version"]);
    }
}

#[test]
fn a_label_nobody_has_is_said() {
    let route = route(TEXT);
    let request = DescribedRequest { pin: Some("champion".to_owned()), ..DescribedRequest::default() };
    let explained = explained(&route, &request).unwrap();
    assert_eq!(explained["version"], Value::Null);
    assert!(explained["sentences"].to_string().contains("champion"), "{explained}");
}

#[test]
fn experiments_are_shown_with_what_became_of_them() {
    let text = "[models.m]\nstable = 1\nsticky = { header = \"k\" }\n\
        [experiments.e]\nmodel = \"m\"\nlayer = \"page\"\nshare = 1\narms = { 1 = 1, 2 = 1 }\n";
    let route = route(text);
    let with_key = DescribedRequest { key: Some("7".to_owned()), ..DescribedRequest::default() };
    let inside = explained(&route, &with_key).unwrap();
    assert_eq!(inside["experiments"], json!([{ "name": "e", "layer": "page", "outcome": "inside" }]));
    assert_eq!(inside["arms"].as_array().unwrap().len(), 2);
    let without = explained(&route, &DescribedRequest::default()).unwrap();
    assert_eq!((&without["experiments"][0]["outcome"], &without["version"]), (&json!("no_key"), &json!(1)));
}
