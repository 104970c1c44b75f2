//! What can be wrong with a policy, each with the field it stands in.

use std::fmt;
use std::time::Duration;

use crate::plan::{Policy, ProofOf, STEPS_MAX, Step, StepKind};
use crate::policy::Guardrail;
use crate::words::percent;

/// Most runs of a warm-up step.
pub const WARM_UP_RUNS_MAX: u32 = 100_000;

/// The longest a policy may speak of.
pub const POLICY_TIME_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Above this share stable answers so little that comparing with it says little.
const SHARE_WELL_COMPARED_MAX: f64 = 0.5;

/// Something wrong, or doubtful, in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProblem {
    /// The field, by its path within the policy, such as `steps[2].share`.
    pub field: String,
    /// What is wrong with it.
    pub text: String,
    /// What to write instead.
    pub hint: String,
    /// Whether the policy can be used all the same.
    pub is_warning: bool,
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.field, self.text, self.hint)
    }
}

impl Policy {
    /// Everything that is wrong with it by itself; with its own guardrail where it has one. A policy without errors
    /// (there may be warnings) can be followed.
    pub fn problems(&self) -> Vec<PolicyProblem> {
        let mut found = Found::default();
        self.check_steps(&mut found);
        for (index, step) in self.steps.iter().enumerate() {
            check_step(&mut found, index, step);
        }
        self.check_order(&mut found);
        self.check_times(&mut found);
        if let Some(guardrail) = &self.guardrail {
            for problem in guardrail.problems() {
                let text = format!("is {}", problem.value);
                found.error(format!("guardrail.{}", problem.field), text, problem.allowed);
            }
            found.0.extend(self.problems_under(guardrail));
        }
        found.0
    }

    /// What is wrong with it under the guardrail that its candidates are judged by: a proof needs its rule. To be
    /// asked with the model's guardrail where the policy has none of its own.
    pub fn problems_under(&self, guardrail: &Guardrail) -> Vec<PolicyProblem> {
        let mut found = Found::default();
        for (index, step) in self.steps.iter().enumerate() {
            for (position, of) in step.proofs.iter().enumerate() {
                let table = match of {
                    ProofOf::Latency if guardrail.latency.is_none() => "latency",
                    ProofOf::Disagreement if guardrail.disagreement.is_none() => "disagreement",
                    ProofOf::Errors | ProofOf::Latency | ProofOf::Disagreement => continue,
                };
                let text = format!("the guardrail has no rule to prove {table} by");
                found.error(format!("steps[{index}].proofs[{position}]"), text, &format!("add guardrail.{table}"));
            }
        }
        found.0
    }

    fn check_steps(&self, found: &mut Found) {
        if self.steps.is_empty() {
            found.error("steps", "there are none", "write at least one, such as { promote = true }");
        }
        if self.steps.len() > STEPS_MAX {
            let text = format!("there are {}", self.steps.len());
            found.error("steps", text, &format!("at most {STEPS_MAX} are allowed"));
        }
    }

    /// What one step says about another.
    fn check_order(&self, found: &mut Found) {
        let n_steps = self.steps.len();
        let mut share_before = 0.0;
        let mut has_shadow = false;
        for (index, step) in self.steps.iter().enumerate() {
            match step.kind {
                StepKind::Promote { .. } if index + 1 < n_steps => {
                    let text = "a promotion is not the last step";
                    found.error(format!("steps[{index}].promote"), text, "move it to the end, or remove what follows");
                }
                StepKind::Weight { share } if share > 0.0 && share < share_before => {
                    let text = format!("{} after {} takes traffic away", percent(share), percent(share_before));
                    found.warning(format!("steps[{index}].share"), text, "let shares grow from step to step");
                }
                StepKind::Gate
                | StepKind::WarmUp { .. }
                | StepKind::Shadow { .. }
                | StepKind::Weight { .. }
                | StepKind::Pause { .. }
                | StepKind::Promote { .. } => {}
            }
            if let StepKind::Weight { share } = step.kind {
                share_before = share;
            }
            has_shadow |= matches!(step.kind, StepKind::Shadow { .. });
            self.check_evidence(found, index, has_shadow);
        }
    }

    /// Whether what a step asks for can ever come.
    fn check_evidence(&self, found: &mut Found, index: usize, has_shadow: bool) {
        let Some(step) = self.steps.get(index) else { return };
        let before = self.steps.iter().take(index + 1);
        let has_traffic = before.into_iter().any(|step| {
            matches!(step.kind, StepKind::Weight { .. } | StepKind::Shadow { .. } | StepKind::Promote { .. })
        });
        if !has_traffic && (step.min_requests > 0 || step.min_feedback > 0 || !step.proofs.is_empty()) {
            let text = "it asks for evidence before the candidate gets any request";
            found.error(format!("steps[{index}]"), text, "ask for it in a step with weight or shadow, or after one");
        }
        for (position, of) in step.proofs.iter().enumerate() {
            if *of == ProofOf::Disagreement && !has_shadow {
                let text = "no step up to this one shadows, so disagreement cannot be proven";
                found.error(format!("steps[{index}].proofs[{position}]"), text, "put a step with shadow before it");
            }
            if step.proofs.iter().take(position).any(|earlier| earlier == of) {
                let text = format!("{} is asked for twice", of.as_str());
                found.error(format!("steps[{index}].proofs[{position}]"), text, "name each proof once");
            }
        }
    }

    fn check_times(&self, found: &mut Found) {
        check_time(found, "max_duration", self.max_duration, true);
        check_time(found, "progress_deadline", self.progress_deadline, true);
        check_time(found, "cooldown", self.cooldown, false);
        check_time(found, "freeze_after.within", self.freeze_after.within, true);
        if self.freeze_after.rollbacks == 0 {
            found.error("freeze_after.rollbacks", "is 0", "at least 1");
        }
        let least: Duration = self.steps.iter().map(|step| step.min.min(POLICY_TIME_MAX)).sum();
        if !self.max_duration.is_zero() && least >= self.max_duration {
            let text = "the least times of the steps together leave no time for proof";
            found.warning("max_duration", text, "make it longer than the sum of every min");
        }
    }
}

fn check_step(found: &mut Found, index: usize, step: &Step) {
    let at = |field: &str| format!("steps[{index}].{field}");
    match &step.kind {
        StepKind::WarmUp { runs } if *runs == 0 || *runs > WARM_UP_RUNS_MAX => {
            found.error(at("warm_up"), format!("is {runs}"), &format!("from 1 to {WARM_UP_RUNS_MAX}"));
        }
        StepKind::Shadow { share } if !(*share > 0.0 && *share <= 1.0) => {
            found.error(at("share"), format!("is {share}"), "above 0, at most 1");
        }
        StepKind::Weight { share } if !(*share > 0.0 && *share < 1.0) => {
            found.error(at("share"), format!("is {share}"), "above 0, below 1; a step with promote gives it all");
        }
        StepKind::Weight { share } if *share > SHARE_WELL_COMPARED_MAX => {
            let text = format!("{} leaves stable too little to compare with", percent(*share));
            found.warning(at("share"), text, "at most 0.5 keeps an equal control; then promote with a bake");
        }
        StepKind::Pause { approval } if approval.trim().is_empty() => {
            found.error(at("pause"), "names nobody", "say who is to approve, such as \"ml-oncall\"");
        }
        StepKind::Promote { bake } => check_time(found, &at("bake"), *bake, false),
        StepKind::Gate
        | StepKind::WarmUp { .. }
        | StepKind::Shadow { .. }
        | StepKind::Weight { .. }
        | StepKind::Pause { .. } => {}
    }
    check_time(found, &at("min"), step.min, false);
    if let Some(max) = step.max {
        check_time(found, &at("max"), max, true);
        let bake = if let StepKind::Promote { bake } = step.kind { bake } else { Duration::ZERO };
        if max <= step.min.max(bake) {
            found.error(at("max"), "is not longer than the least time", "make it longer than min and bake");
        }
    }
}

fn check_time(found: &mut Found, field: &str, time: Duration, must_pass: bool) {
    if must_pass && time.is_zero() {
        found.error(field, "is 0", "above 0");
    }
    if time > POLICY_TIME_MAX {
        found.error(field, format!("is {} days", time.as_secs() / 86_400), "at most 366 days");
    }
}

#[derive(Default)]
struct Found(Vec<PolicyProblem>);

impl Found {
    fn error(&mut self, field: impl Into<String>, text: impl Into<String>, hint: &str) {
        self.push(field.into(), text.into(), hint, false);
    }

    fn warning(&mut self, field: impl Into<String>, text: impl Into<String>, hint: &str) {
        self.push(field.into(), text.into(), hint, true);
    }

    fn push(&mut self, field: String, text: String, hint: &str, is_warning: bool) {
        self.0.push(PolicyProblem { field, text, hint: hint.to_owned(), is_warning });
    }
}

#[cfg(test)]
mod tests;
