//! A policy written out, complete: the journal keeps it for the rollout that began with it.

use control_rollout::{Policy, Step, StepKind};

use super::super::duration::duration_text;
use super::super::guardrail::guardrail_lines;
use super::super::toml_text::{number_text, quoted};

/// A policy as TOML, every key of it, in the form of routing.toml. `parse_policy` reads it again as the same; of
/// durations what is below a millisecond is lost.
pub fn policy_text(policy: &Policy) -> String {
    let mut text = String::from("steps = [\n");
    for step in &policy.steps {
        text.push_str(&format!("    {},\n", step_text(step)));
    }
    text.push_str("]\n");
    for (key, value) in common_lines(policy) {
        text.push_str(&format!("{key} = {value}\n"));
    }
    if let Some(guardrail) = &policy.guardrail {
        text.push_str("\n[guardrail]\n");
        for (key, value) in guardrail_lines(guardrail) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text
}

/// Every key of a policy with its value as TOML, for comparisons.
pub(crate) fn policy_lines(policy: &Policy) -> Vec<(String, String)> {
    let steps: Vec<String> = policy.steps.iter().map(step_text).collect();
    let mut lines = vec![("steps".to_owned(), format!("[{}]", steps.join(", ")))];
    lines.extend(common_lines(policy).into_iter().map(|(key, value)| (key.to_owned(), value)));
    if let Some(guardrail) = &policy.guardrail {
        lines.extend(guardrail_lines(guardrail).into_iter().map(|(key, value)| (format!("guardrail.{key}"), value)));
    }
    lines
}

fn common_lines(policy: &Policy) -> Vec<(&'static str, String)> {
    let freeze_after = &policy.freeze_after;
    let within = quoted(&duration_text(freeze_after.within));
    vec![
        ("max_duration", quoted(&duration_text(policy.max_duration))),
        ("on_inconclusive", quoted(policy.on_inconclusive.as_str())),
        ("progress_deadline", quoted(&duration_text(policy.progress_deadline))),
        ("rollback_window", policy.rollback_window.to_string()),
        ("cooldown", quoted(&duration_text(policy.cooldown))),
        ("retries", policy.retries.to_string()),
        ("freeze_after", format!("{{ rollbacks = {}, within = {within} }}", freeze_after.rollbacks)),
        ("on_new_candidate", quoted(policy.on_new_candidate.as_str())),
    ]
}

fn step_text(step: &Step) -> String {
    let mut parts = vec![match &step.kind {
        StepKind::Gate => "gate = true".to_owned(),
        StepKind::WarmUp { runs } => format!("warm_up = {runs}"),
        StepKind::Shadow { share } => format!("shadow = {}", number_text(*share)),
        StepKind::Weight { share } => format!("weight = {}", number_text(*share)),
        StepKind::Pause { approval } => format!("pause = {}", quoted(approval)),
        StepKind::Promote { bake } => format!("promote = true, bake = {}", quoted(&duration_text(*bake))),
    }];
    parts.push(format!("min = {}", quoted(&duration_text(step.min))));
    parts.extend(step.max.map(|max| format!("max = {}", quoted(&duration_text(max)))));
    let proofs: Vec<String> = step.proofs.iter().map(|of| quoted(of.as_str())).collect();
    parts.push(format!("proofs = [{}]", proofs.join(", ")));
    parts.push(format!("min_requests = {}", step.min_requests));
    parts.push(format!("min_feedback = {}", step.min_feedback));
    format!("{{ {} }}", parts.join(", "))
}
