#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;

use super::*;
use crate::ROUTES;

#[test]
fn every_route_is_described() {
    let missing = undescribed_routes();
    assert!(missing.is_empty(), "describe these in openapi/operations.rs: {missing:?}");
}

#[test]
fn the_page_is_the_document() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi-admin.json");
    assert!(std::fs::read_to_string(path).unwrap() == openapi_page(), "run cargo xtask docs");
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
    let document = document();
    let text = document.to_string();
    let found: BTreeSet<&str> =
        text.split("\"$ref\":\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let there: BTreeSet<&str> =
        document["components"]["schemas"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, there);
}

#[test]
fn names_of_operations_are_unique_and_fit_for_code() {
    let document = document();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let ids: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), ROUTES.len());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    assert!(ids.iter().all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '_')), "{ids:?}");
}

#[test]
fn what_is_read_leniently_is_not_described_strictly() {
    let document = document();
    let canary = &document["components"]["schemas"]["CanaryBody"];
    assert_eq!(canary["additionalProperties"], false, "unknown fields are refused: {canary}");
    assert_eq!(canary["required"], json!(["version", "share"]));
    let history = &document["paths"]["/v1/history"]["get"]["parameters"];
    let names: Vec<&str> = history.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert!(names.starts_with(&["model"]) && names.contains(&"before"), "{names:?}");
    assert_eq!(history[0]["schema"], json!({ "type": "string" }));
}
