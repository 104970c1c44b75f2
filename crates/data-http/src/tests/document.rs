//! The OpenAPI document says what the edge does: every route is in it, and nothing else.

use std::collections::BTreeSet;

use base_types::{Label, ModelName, Selector, Version};
use http::Method;
use proptest::strategy::{Strategy, ValueTree};
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::world::World;
use crate::path::{Absent, Route, route};

const METHODS: [(&str, Method); 4] =
    [("get", Method::GET), ("post", Method::POST), ("put", Method::PUT), ("delete", Method::DELETE)];

fn document() -> Value {
    serde_json::from_str(crate::inform::OPENAPI).unwrap()
}

/// A path as a caller would write it.
fn concrete(template: &str) -> String {
    [("{model}", "m"), ("{version}", "3"), ("{label}", "champion"), ("{repository}", "main"), ("{region}", "r")]
        .iter()
        .fold(template.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// A name for each kind of route. A new variant does not compile until it has one here.
fn kind(route: &Route<'_>) -> &'static str {
    match route {
        Route::Alive => "alive",
        Route::Server => "server",
        Route::OpenApi => "openapi",
        Route::Live => "live",
        Route::Ready => "ready",
        Route::Models => "models",
        Route::Model(_) => "model",
        Route::ModelReady(_) => "model ready",
        Route::Config(_) => "config",
        Route::Statistics(None) => "all statistics",
        Route::Statistics(Some(_)) => "statistics",
        Route::Infer(_) => "infer",
        Route::Feedback(_) => "feedback",
        Route::Index => "index",
        Route::Change(base_serving::ChangeKind::Load, _) => "load",
        Route::Change(base_serving::ChangeKind::Unload, _) => "unload",
        Route::Logging => "logging",
        Route::Trace(None) => "trace",
        Route::Trace(Some(_)) => "model trace",
        Route::NoRegions => "no regions",
        Route::Absent(Absent::SharedMemory) => "shared memory",
        Route::Absent(Absent::RegionStatus) => "region status",
        Route::Absent(Absent::Generate) => "generate",
        Route::Absent(Absent::NamedRepository) => "named repository",
    }
}

const KINDS: usize = 23;

#[test]
fn every_route_is_in_the_document_and_every_path_of_it_is_a_route() {
    let document = document();
    let mut kinds = BTreeSet::new();
    for (template, operations) in document["paths"].as_object().unwrap() {
        if !template.starts_with("/v2") {
            continue;
        }
        let path = concrete(template);
        for (name, method) in METHODS {
            let found = route(&method, &path);
            let is_told = operations.get(name).is_some();
            match &found {
                Ok(found) => {
                    assert!(is_told, "{method} {template} is not in the document");
                    kinds.insert(kind(found));
                }
                Err(none) => assert!(!is_told, "{method} {template}: {:?}", none.failure),
            }
        }
    }
    assert_eq!(kinds.len(), KINDS, "a kind of route is not in the document: {kinds:?}");
}

#[test]
fn every_reference_of_the_document_leads_somewhere_and_names_are_unique() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (template, operations) in document["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            let parameters = operation.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
            let names: BTreeSet<String> = parameters
                .iter()
                .map(|p| document.pointer(&p["$ref"].as_str().unwrap()[1..]).unwrap())
                .filter(|p| p["in"] == "path")
                .map(|p| format!("{{{}}}", p["name"].as_str().unwrap()))
                .collect();
            let expected = template.split(['/', ':']).filter(|s| s.starts_with('{')).map(str::to_owned).collect();
            assert_eq!(names, expected, "{template}");
        }
    }
    let text = crate::inform::OPENAPI;
    for part in text.split("\"$ref\": \"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn what_is_left_out_says_so_to_its_own_methods_and_no_other() {
    let world = World::new().await;
    let mut client = world.client().await;
    let mut n_paths = 0;
    for (template, operations) in document()["paths"].as_object().unwrap() {
        let operations = operations.as_object().unwrap();
        if !operations.values().all(|operation| operation["responses"].get("200").is_none()) {
            continue;
        }
        n_paths += 1;
        let path = concrete(template);
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let name = if method == "HEAD" { "get" } else { &*method.to_lowercase() };
            client.send(format!("{method} {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n")).await;
            let reply = client.reply_to(method).await;
            let is_told = operations.contains_key(name);
            assert_eq!(reply.status, if is_told { 501 } else { 405 }, "{method} {path}");
            if method != "HEAD" {
                let code = if is_told { "not_implemented" } else { "method_not_allowed" };
                reply.check_error(reply.status, code, "client");
            }
            let allowed = reply.header("allow").to_lowercase();
            let expected: Vec<&str> = operations.keys().map(String::as_str).collect();
            assert!(
                is_told || allowed.replace("get, head", "get") == expected.join(", "),
                "{method} {path}: {allowed}"
            );
        }
    }
    assert!(n_paths >= 10, "{n_paths}");
}

#[test]
fn names_in_paths_are_those_that_the_edge_takes() {
    let document = document();
    let mut runner = TestRunner::deterministic();
    let mut check = |parameter: &str, is_taken: fn(&str) -> bool| {
        let schema = &document["components"]["parameters"][parameter]["schema"];
        let length = schema["maxLength"].as_u64().unwrap_or(u64::MAX) as usize;
        // What is generated is a whole name anyway.
        let pattern = schema["pattern"].as_str().unwrap().trim_start_matches('^').trim_end_matches('$');
        let names = string_regex(pattern).unwrap();
        for _ in 0..2000 {
            let name = names.new_tree(&mut runner).unwrap().current();
            assert!(name.len() > length || is_taken(&name), "{parameter}: {name:?}");
        }
    };
    check("model", |name| ModelName::new(name).is_ok());
    check("version", |name| name.parse::<Selector>().is_ok());
    check("number", |name| name.parse::<Version>().is_ok());
    check("label", |name| Label::new(name).is_ok());
}

#[tokio::test]
async fn the_document_is_served_and_bodies_have_the_members_it_requires() {
    let world = World::new().await;
    let mut client = world.client().await;
    assert_eq!(client.get("/v2/openapi.json").await.json(), document());
    let schemas = document()["components"]["schemas"].clone();
    for (path, schema) in [
        ("/", "Alive"),
        ("/v2", "ServerMetadata"),
        ("/v2/health/live", "Live"),
        ("/v2/health/ready", "Ready"),
        ("/v2/models", "ModelList"),
        ("/v2/models/m", "ModelMetadata"),
        ("/v2/models/m/ready", "ModelReady"),
        ("/v2/models/m/config", "ModelConfig"),
        ("/v2/models/m/stats", "Statistics"),
        ("/v2/trace/setting", "TraceSettings"),
        ("/v2/models/none", "Error"),
    ] {
        let body = client.get(path).await.json();
        check(&schemas, &schemas[schema], &body, path);
    }
}

/// Checks types, required members and, where the schema says what there may be, the absence of others.
fn check(schemas: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        return check(schemas, &schemas[name], value, at);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let object = value.as_object().unwrap_or_else(|| panic!("{at} is no object: {value}"));
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(object.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
            }
            for (name, part) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(value) = object.get(name) {
                    check(schemas, part, value, &format!("{at}/{name}"));
                }
            }
        }
        Some("array") => {
            for item in value.as_array().unwrap_or_else(|| panic!("{at} is no array: {value}")) {
                check(schemas, &schema["items"], item, at);
            }
        }
        Some("string") => {
            let text = value.as_str().unwrap_or_else(|| panic!("{at} is no text: {value}"));
            let words = schema["enum"].as_array();
            assert!(words.is_none_or(|words| words.contains(&text.into())), "{at}: {text}");
        }
        Some("integer") => assert!(value.is_i64() || value.is_u64(), "{at}: {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{at}: {value}"),
        _ => {}
    }
}
