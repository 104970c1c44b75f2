//! Dry runs of routing.toml: is it valid, and what would it change.

use std::path::Path;

use axum::Json;
use axum::extract::{Request, State};
use control_config::{diff as compare, parse_routing};
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::routes::App;
use crate::{body, show};

/// How diagnostics name a text that came without a file.
const FILE: &str = "routing.toml";

type Answer = Result<Json<Value>, Problem>;

pub(crate) async fn check(State(app): State<App>, request: Request) -> Answer {
    let text = body::bytes(&app, request).await?;
    let (is_valid, remarks) = match parse_routing(Path::new(FILE), &text) {
        Ok(parsed) => (true, parsed.warnings),
        Err(invalid) => (false, invalid.diagnostics),
    };
    Ok(Json(json!({ "valid": is_valid, "diagnostics": show::diagnostics(&remarks) })))
}

pub(crate) async fn diff(State(app): State<App>, request: Request) -> Answer {
    let text = body::bytes(&app, request).await?;
    let parsed = parse_routing(Path::new(FILE), &text).map_err(|invalid| {
        let message = "the text is no valid routing.toml: mend what diagnostics name";
        let details = vec![("diagnostics", show::diagnostics(&invalid.diagnostics).into())];
        Problem { details, ..Problem::new("config_invalid", message) }
    })?;
    let differences = compare(&app.control.routing(), &parsed.value);
    Ok(Json(json!({
        "differences": differences.iter().map(show::difference).collect::<Vec<_>>(),
        "diagnostics": show::diagnostics(&parsed.warnings),
    })))
}
