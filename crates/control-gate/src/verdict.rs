//! What follows from the reports of a version.

use base_types::{Gate, GateOverride, VersionId};
use control_config::GateRules;
use sha2::{Digest as _, Sha256};

use crate::beside::Beside;
use crate::report::GateReport;

/// Failed gates that nobody overrode: with `is_required` only those that keep the version out.
pub fn failing<'a>(
    reports: &'a [GateReport],
    overrides: &'a [GateOverride],
    is_required: bool,
) -> impl Iterator<Item = &'a GateReport> {
    let is_overridden = |report: &GateReport| overrides.iter().any(|by| Some(by.gate) == report.gate());
    reports
        .iter()
        .filter(move |report| report.is_failed() && (report.is_required || !is_required) && !is_overridden(report))
}

/// Why a version is kept out, in a sentence with the remedy; `None` when it is not.
pub fn refusal(id: &VersionId, reports: &[GateReport], overrides: &[GateOverride]) -> Option<String> {
    let failing: Vec<&GateReport> = failing(reports, overrides, true).collect();
    let first = failing.first()?;
    let told: Vec<String> = failing.iter().map(|report| format!("gate {}: {}", report.gate, report.text)).collect();
    let VersionId { model, version } = id;
    Some(format!(
        "{}. Mend it and publish it under a new number; or, if that does not matter: switchrail override {model} {version} --gate {} --reason WHY",
        told.join(". "),
        first.gate
    ))
}

/// What reports depend on beside the content: whoever passed under the same is not asked again.
pub fn fingerprint(beside: &Beside, rules: &GateRules) -> String {
    let mut hasher = Sha256::new();
    let mut add = |part: &[u8]| {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    };
    add(&beside.text);
    add(beside.signature.as_deref().unwrap_or_default().as_bytes());
    for (path, content) in &beside.files {
        add(path.as_bytes());
        add(content);
    }
    let required: Vec<&str> = rules.required.iter().flatten().map(|gate: &Gate| gate.as_str()).collect();
    let replay = rules.replay.map(|rule| (rule.captures, rule.agreement_at_least.to_bits()));
    add(format!("{:?} {required:?} {replay:?} {:?}", rules.required.is_some(), rules.keys).as_bytes());
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
