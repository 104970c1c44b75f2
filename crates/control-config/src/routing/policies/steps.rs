//! The steps of a policy, one table each: what is done, and what must hold before the next one.

use std::time::Duration;

use control_rollout::{ProofOf, STEPS_MAX, Step, StepKind};

use super::super::places::Places;
use super::time;
use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section, put};

/// What a step may do; each step does one of these.
const KINDS: [&str; 6] = ["gate", "warm_up", "shadow", "weight", "pause", "promote"];
/// How long a promotion is watched where the file does not say.
const BAKE: Duration = Duration::from_secs(3_600);
/// Longest name of who is to approve, in bytes.
const APPROVAL_BYTES_MAX: usize = 128;
const REQUESTS_MAX: u64 = 1_000_000_000_000;
const HINT: &str = "a step does one thing: { gate = true }, { warm_up = 20 }, { shadow = 0.1 }, { weight = 0.05 }, \
    { pause = \"who\" } or { promote = true }";

/// Reads steps; also says whether each one could be read.
pub(super) fn steps<'a>(item: &Item<'a>, places: &mut Places<'a>, report: &mut Report<'_>) -> (Vec<Step>, bool) {
    let Some(items) = item.numbered(report) else { return (Vec::new(), false) };
    // One more than allowed is enough for the policy to object.
    let n_read = items.len().min(STEPS_MAX + 1);
    let mut steps = Vec::new();
    for item in &items[..n_read] {
        let at = format!("steps[{}]", steps.len());
        steps.extend(step(item, &at, places, report));
    }
    let has_all = steps.len() == n_read;
    (steps, has_all)
}

fn step<'a>(item: &Item<'a>, at: &str, places: &mut Places<'a>, report: &mut Report<'_>) -> Option<Step> {
    let mut section = item.section(report)?;
    places.note(at, item.clone());
    let kind = kind(&mut section, at, places, report);
    let mut step = Step {
        kind: StepKind::Gate,
        min: Duration::ZERO,
        max: None,
        proofs: Vec::new(),
        min_requests: 0,
        min_feedback: 0,
    };
    put(&mut step.min, time(&mut section, ("min", &format!("{at}.min")), places, report));
    step.max = time(&mut section, ("max", &format!("{at}.max")), places, report);
    let proofs = section.take("proofs").map(|item| proofs(&item, at, places, report));
    for (key, place) in [("min_requests", &mut step.min_requests), ("min_feedback", &mut step.min_feedback)] {
        put(place, section.take(key).and_then(|item| item.count(0..=REQUESTS_MAX, report)));
    }
    section.finish(report);
    step.kind = kind?;
    // A share of the traffic grows on proof, unless the file says otherwise.
    let is_weight = matches!(step.kind, StepKind::Weight { .. });
    step.proofs = proofs.unwrap_or_else(|| if is_weight { vec![ProofOf::Errors] } else { Vec::new() });
    Some(step)
}

fn kind<'a>(section: &mut Section<'a>, at: &str, places: &mut Places<'a>, report: &mut Report<'_>) -> Option<StepKind> {
    let found = KINDS.map(|key| (key, section.take(key)));
    let mut found = found.into_iter().filter_map(|(key, item)| Some((key, item?)));
    let bake = time(section, ("bake", &format!("{at}.bake")), places, report);
    let Some((key, item)) = found.next() else {
        section.flaw(Code::MissingKey, format!("{} does not say what it does", section.path), HINT, report);
        return None;
    };
    if let Some((other, item)) = found.next() {
        item.flaw(Code::Conflict, format!("{} has both {key} and {other}", section.path), HINT.to_owned(), report);
        return None;
    }
    if key != "promote" && places.has(&format!("{at}.bake")) {
        let hint = "only a promotion bakes; min says how long another step lasts at least";
        section.flaw(Code::Conflict, format!("{} has bake without promote", section.path), hint, report);
    }
    let kind = match key {
        "gate" => is_true(&item, report).map(|()| StepKind::Gate),
        "warm_up" => item.count(0..=u64::from(u32::MAX), report).map(|runs| StepKind::WarmUp { runs: runs as u32 }),
        "shadow" => item.number(report).map(|share| StepKind::Shadow { share }),
        "weight" => item.number(report).map(|share| StepKind::Weight { share }),
        "pause" => approval(&item, report).map(|approval| StepKind::Pause { approval }),
        _ => is_true(&item, report).map(|()| StepKind::Promote { bake: bake.unwrap_or(BAKE) }),
    };
    let field = if matches!(key, "shadow" | "weight") { "share" } else { key };
    places.note(format!("{at}.{field}"), item);
    kind
}

fn is_true(item: &Item<'_>, report: &mut Report<'_>) -> Option<()> {
    if item.flag(report)? {
        return Some(());
    }
    let message = format!("{} is false", item.path);
    item.flaw(Code::Conflict, message, "take the step out instead".to_owned(), report);
    None
}

fn approval(item: &Item<'_>, report: &mut Report<'_>) -> Option<Box<str>> {
    let text = item.text(report)?;
    if text.len() <= APPROVAL_BYTES_MAX && !text.chars().any(char::is_control) {
        return Some(text.into());
    }
    let message = format!("{} has at most {APPROVAL_BYTES_MAX} bytes and no control characters", item.path);
    item.flaw(Code::BadName, message, None, report);
    None
}

fn proofs<'a>(item: &Item<'a>, at: &str, places: &mut Places<'a>, report: &mut Report<'_>) -> Vec<ProofOf> {
    let words = ProofOf::ALL.map(|of| (of.as_str(), of));
    let mut proofs = Vec::new();
    places.note(format!("{at}.proofs"), item.clone());
    // Beyond a few the policy objects to what stands twice.
    for item in item.one_or_many().into_iter().take(2 * ProofOf::ALL.len()) {
        places.note(format!("{at}.proofs[{}]", proofs.len()), item.clone());
        proofs.extend(item.one_of(&words, report));
    }
    proofs
}
