//! The admin API as an OpenAPI document, made from the table of routes and from the types that are read and written,
//! so that it cannot say something else than what is done. Answers that are put together by hand are described by hand
//! in `shapes`; a test with the real program holds every answer against the document.
//!
//! The document is served, and it is docs/openapi-admin.json. Schemas are those of JSON Schema 2020-12, as OpenAPI 3.1
//! wants them, so that any validator reads them.

mod operations;
mod past;
mod schemas;
mod shapes;

use std::sync::LazyLock;

use axum::Json;
use serde_json::{Map, Value, json};

use crate::routes::{ROUTES, Role, Route};
use operations::{Operation, describe};
use schemas::{Schemas, drop_formats};

/// What a body is sent as, where it is the text of a routing.toml. Any type is taken; this one generators know.
const TEXT_TYPE: &str = "application/octet-stream";

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// The document as it stands in docs/openapi-admin.json.
pub fn openapi_page() -> String {
    format!("{:#}\n", *DOCUMENT)
}

/// Routes that are in the table but not described: a test demands that there are none.
pub fn undescribed_routes() -> Vec<&'static str> {
    let mut schemas = Schemas::new();
    ROUTES.iter().filter(|route| describe(route, &mut schemas).is_none()).map(|route| route.path).collect()
}

pub(crate) async fn handle() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for route in ROUTES {
        let operation = operation(route, &mut schemas);
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_lowercase()] = operation;
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Switchrail admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What operators and their tools ask of a gateway: what is, what was, what would be, and the orders. docs/admin-api.md explains it.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The admin listener" }],
        // A token is asked for only where one is set.
        "security": [{ "token": [] }, {}],
        "tags": (["state", "orders", "rollouts", "experiments", "config"]).map(|name| json!({ "name": name })),
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": { "Problem": {
                "description": "It was not done, and why. The code is stable; the sentence has the remedy.",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            } },
            "schemas": schemas.finish(),
        },
    });
    drop_formats(&mut document);
    document
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let described = describe(route, schemas).unwrap_or_else(|| Operation::unknown(route));
    let mut value = json!({ "operationId": described.id, "summary": route.says, "tags": [tag(route)] });
    let mut parameters: Vec<Value> = in_path(route.path).map(path_parameter).collect();
    parameters.extend(described.query.iter().flat_map(query_parameters));
    if !parameters.is_empty() {
        value["parameters"] = parameters.into();
    }
    if let Some(schema) = described.body {
        value["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    if described.is_text_taken {
        let text = json!({ "schema": { "type": "string", "format": "binary" } });
        value["requestBody"] = json!({ "required": true, "content": { TEXT_TYPE: text } });
    }
    let mut content = json!({ "application/json": { "schema": described.answer } });
    if let Some(page) = described.page {
        content[page] = json!({ "schema": { "type": "string" } });
    }
    value["responses"] = json!({
        "200": { "description": "It is so, or it is done.", "content": content },
        "default": { "$ref": "#/components/responses/Problem" },
    });
    if route.role == Role::Open {
        value["security"] = json!([]);
    }
    value
}

fn tag(route: &Route) -> &'static str {
    let parts: Vec<&str> = route.path.split('/').collect();
    match (parts.get(2), parts.get(4)) {
        (Some(&"experiments"), _) => "experiments",
        (Some(&"config"), _) => "config",
        (_, Some(&("rollout" | "power" | "disagreements"))) => "rollouts",
        _ if route.role == Role::Write => "orders",
        _ => "state",
    }
}

/// The names between braces.
fn in_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "model" => json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" }),
        _ => json!({ "type": "string" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// The fields of an object as parameters of the query.
fn query_parameters(object: &Value) -> Vec<Value> {
    let required = object["required"].as_array().cloned().unwrap_or_default();
    let properties = object["properties"].as_object().cloned().unwrap_or_default();
    let parameter = |(name, mut schema): (String, Value)| {
        let description = schema.as_object_mut().and_then(|fields| fields.shift_remove("description"));
        let is_required = required.contains(&Value::from(name.as_str()));
        let mut parameter = json!({ "name": name, "in": "query", "required": is_required });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter["schema"] = without_null(schema);
        parameter
    };
    properties.into_iter().map(parameter).collect()
}

/// A parameter that is not there is not sent, and never null.
fn without_null(mut schema: Value) -> Value {
    if let Some(types) = schema["type"].as_array() {
        let mut types: Vec<Value> = types.iter().filter(|name| *name != "null").cloned().collect();
        if let (1, Some(only)) = (types.len(), types.pop()) {
            schema["type"] = only;
        }
    }
    schema
}

#[cfg(test)]
mod tests;
