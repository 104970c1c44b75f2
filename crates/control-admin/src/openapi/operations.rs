//! What each route takes and answers. A new route gets its row here.

use control_loop::view::ModelStatus;
use control_loop::view::gates::GatesStatus;
use control_loop::view::rollout::RolloutStatus;
use serde_json::{Value, json};

use super::schemas::{Schemas, reference};
use crate::explain::ExplainBody;
use crate::gate::OverrideBody;
use crate::order::{CanaryBody, PromoteBody, ReleaseBody, RollbackBody};
use crate::past::{AtParameters, AuditParameters, ChangelogParameters, RestoreBody};
use crate::plan::PlanQuestion;
use crate::power::PowerParameters;
use crate::read::HistoryParameters;
use crate::rollout::{self, AbortBody, PlainBody, ReportParameters, StartBody};
use crate::routes::Route;

/// An operation without what the table of routes says.
pub(super) struct Operation {
    /// The name under which generated clients call it.
    pub(super) id: String,
    /// An object whose fields are the parameters of the query.
    pub(super) query: Option<Value>,
    /// The JSON it takes.
    pub(super) body: Option<Value>,
    /// Whether it takes the text of a file instead.
    pub(super) is_text_taken: bool,
    /// What it answers.
    pub(super) answer: Value,
    /// The media type of a page for people, where it gives one too.
    pub(super) page: Option<&'static str>,
}

impl Operation {
    /// A route that nobody has described yet.
    pub(super) fn unknown(route: &Route) -> Self {
        let words = route.path.split('/').map(|part| part.trim_matches(['{', '}'])).filter(|part| !part.is_empty());
        let id = format!("{}_{}", route.method.as_str().to_lowercase(), words.collect::<Vec<_>>().join("_"));
        answering(&id, json!({ "type": "object" }))
    }

    fn with_query(self, fields: Value) -> Self {
        Self { query: Some(fields), ..self }
    }

    fn with_body(self, schema: Value) -> Self {
        Self { body: Some(schema), ..self }
    }

    fn with_text(self) -> Self {
        Self { is_text_taken: true, ..self }
    }

    fn with_page(self, media_type: &'static str) -> Self {
        Self { page: Some(media_type), ..self }
    }
}

fn answering(id: &str, answer: Value) -> Operation {
    Operation { id: id.to_owned(), query: None, body: None, is_text_taken: false, answer, page: None }
}

/// An operation whose answer is described by hand.
fn shown(id: &str, shape: &str) -> Operation {
    answering(id, reference(shape))
}

fn order(id: &str, body: Value) -> Operation {
    shown(id, "Done").with_body(body)
}

/// What a route takes and answers; `None` for one that has no row yet.
pub(super) fn describe(route: &Route, schemas: &mut Schemas) -> Option<Operation> {
    let path = route.path.strip_prefix("/v1/")?;
    match path.strip_prefix("models/{model}/rollout/") {
        Some(word) => of_rollout(word, schemas),
        None => of_state(path, schemas).or_else(|| of_model(path.strip_prefix("models/{model}")?, schemas)),
    }
}

fn of_state(path: &str, schemas: &mut Schemas) -> Option<Operation> {
    Some(match path {
        "health" => shown("get_health", "Health"),
        "openapi.json" => answering("get_openapi", json!({ "type": "object", "additionalProperties": true })),
        "status" => shown("get_status", "Status"),
        "history" => shown("get_history", "History").with_query(schemas.fields::<HistoryParameters>()),
        "at" => shown("get_at", "Moment").with_query(schemas.fields::<AtParameters>()),
        "restore" => shown("restore", "Restored").with_body(schemas.taken::<RestoreBody>()),
        "audit" => shown("get_audit", "Audit").with_query(schemas.fields::<AuditParameters>()),
        "quarantine" => shown("get_quarantine", "Quarantine"),
        "config" => shown("get_config", "Config"),
        "config/check" => shown("check_config", "ConfigCheck").with_text(),
        "config/diff" => shown("diff_config", "ConfigDiff").with_text(),
        "experiments" => shown("get_experiments", "Experiments"),
        "experiments/{name}" => shown("get_experiment", "Experiment"),
        "experiments/plan" => shown("plan_experiment", "Plan").with_body(schemas.taken::<PlanQuestion>()),
        _ => return None,
    })
}

fn of_model(path: &str, schemas: &mut Schemas) -> Option<Operation> {
    Some(match path {
        "" => answering("get_model", schemas.given::<ModelStatus>()),
        "/explain" => shown("explain", "Explanation").with_body(schemas.taken::<ExplainBody>()),
        "/canary" => order("canary", schemas.taken::<CanaryBody>()),
        "/promote" => order("promote", schemas.taken::<PromoteBody>()),
        "/rollback" => order("rollback", schemas.taken::<RollbackBody>()),
        "/versions/{version}/gates" => answering("get_gates", schemas.given::<GatesStatus>()),
        "/override" => order("override_gate", schemas.taken::<OverrideBody>()),
        "/release" => order("release", schemas.taken::<ReleaseBody>()),
        "/rollout" => answering("get_rollout", schemas.given::<RolloutStatus>()),
        "/changelog" => {
            let query = schemas.fields::<ChangelogParameters>();
            shown("get_changelog", "Changelog").with_query(query).with_page("text/markdown")
        }
        "/performance" => shown("get_performance", "ModelPerformance"),
        "/versions/{version}/performance" => shown("get_version_performance", "Performance"),
        "/disagreements" => shown("get_disagreements", "Disagreements"),
        "/power" => shown("get_power", "Power").with_query(schemas.fields::<PowerParameters>()),
        _ => return None,
    })
}

fn of_rollout(word: &str, schemas: &mut Schemas) -> Option<Operation> {
    let body = match word {
        "report" => {
            let query = schemas.fields::<ReportParameters>();
            return Some(shown("get_rollout_report", "RolloutReport").with_query(query).with_page("text/markdown"));
        }
        "start" => schemas.taken::<StartBody>(),
        "abort" => schemas.taken::<AbortBody>(),
        "promote" => schemas.taken::<rollout::PromoteBody>(),
        "approve" | "pause" | "resume" | "confirm" | "retry" | "thaw" => schemas.taken::<PlainBody>(),
        _ => return None,
    };
    Some(order(&format!("rollout_{word}"), body))
}
