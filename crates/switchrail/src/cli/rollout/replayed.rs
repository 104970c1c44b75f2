//! What a replay found, as text and as JSON.

use base_types::{ModelName, RolloutStatus, Version};
use control_admin::time;
use control_rollout::Decision;
use control_rollout::RuleEvidence;
use control_rollout::replay::{Act, Deed, Delays, Judged, Replay, Spread};
use serde_json::{Value, json};

use crate::cli::words::count;

/// Who was put before what.
pub(super) struct Setting<'a> {
    pub(super) model: &'a ModelName,
    pub(super) policy: &'a str,
    pub(super) candidate: Version,
    pub(super) stable: Version,
}

/// For people.
pub(super) fn text(setting: &Setting<'_>, replay: &Replay, delays: Option<&Delays>) -> String {
    let Setting { model, policy, candidate, stable } = setting;
    let span = replay.span_unix_ms.map_or_else(String::new, |(first, last)| {
        format!(", from {} to {}", time::rfc3339(first), time::rfc3339(last))
    });
    let judged = |judged: Judged| format!("{} faults in {} requests", count(judged.faults), count(judged.requests));
    let mut text = format!(
        "{model}: version {candidate} against version {stable}, policy {policy}\n\
         {} outcomes{span}; {} count for nobody\n\
         version {candidate}: {}; version {stable}: {}\n\n",
        count(replay.n_records),
        count(replay.n_not_judged),
        judged(replay.candidate),
        judged(replay.stable),
    );
    for Act { unix_ms, candidate: by_then, deed } in &replay.acts {
        let by_then = format!("after {}", judged(*by_then));
        text.push_str(&format!("{}  {by_then}\n    {}\n", time::rfc3339(*unix_ms), deed_text(deed)));
    }
    let end = match (replay.is_rolled_back, replay.rollout) {
        (true, _) => format!("version {candidate} would have been rolled back"),
        (false, Some(status)) => {
            format!("version {candidate} would not have been rolled back; its rollout would be {}", status.as_str())
        }
        (false, None) => format!("version {candidate} would not have been rolled back"),
    };
    text.push_str(&format!("{end}\n\nevidence at the end\n"));
    text.extend(replay.evidence.findings.all().map(rule_line));
    if let Some(delays) = delays {
        text.push_str(&delays_text(delays));
    }
    text
}

fn rule_line(rule: &RuleEvidence) -> String {
    let (bad, good) = rule.rule.counts();
    let RuleEvidence { faults, others, log_e, threshold, .. } = rule;
    let tripped = if rule.is_tripped { "; tripped" } else { "" };
    let (faults, others) = (count(*faults), count(*others));
    format!("  {:<18} {log_e:>9.3} of {threshold:.3}  {faults} {bad}, {others} {good}{tripped}\n", rule.rule.as_str())
}

fn deed_text(deed: &Deed) -> String {
    let decision = match deed {
        Deed::Policy(text) => return format!("the policy: {text}"),
        Deed::Rules(decision) => decision,
    };
    match &**decision {
        Decision::None => String::new(),
        Decision::RollBack(cause) => format!("rolls back: {cause}"),
        Decision::WouldRollBack(cause) => format!("would roll back, were it not to observe only: {cause}"),
        Decision::Pause(grounds) => format!("pauses: {grounds}"),
        Decision::Hold(grounds) => format!("holds: {grounds}"),
        Decision::Alert(grounds) => format!("calls a person: {grounds}"),
        Decision::Observe(grounds) => format!("notes: {grounds}"),
    }
}

fn delays_text(delays: &Delays) -> String {
    let Delays { n_runs, n_found, n_before, .. } = delays;
    let mut text = format!("\n{} of {} runs found the injection", count((*n_found).into()), count((*n_runs).into()));
    if *n_before > 0 {
        text.push_str(&format!("; {} rolled back before it began", count((*n_before).into())));
    }
    text.push('\n');
    let spreads = [("requests", &delays.requests), ("faults", &delays.faults), ("seconds", &delays.seconds)];
    for (name, spread) in spreads {
        let Some(Spread { mean, p50, p95, max }) = spread else { continue };
        text.push_str(&format!(
            "  {name:<9} mean {mean:.1}, median {p50:.1}, 95 % within {p95:.1}, largest {max:.1}\n"
        ));
    }
    text
}

/// For programs.
pub(super) fn json(setting: &Setting<'_>, replay: &Replay, delays: Option<&Delays>) -> Value {
    let judged = |judged: Judged| json!({ "requests": judged.requests, "faults": judged.faults });
    let act = |act: &Act| {
        let kind = match &act.deed {
            Deed::Rules(decision) => decision.as_str(),
            Deed::Policy(_) => "policy",
        };
        json!({ "unix_ms": act.unix_ms, "candidate": judged(act.candidate), "act": kind, "text": deed_text(&act.deed) })
    };
    let rule = |rule: &RuleEvidence| {
        json!({ "rule": rule.rule.as_str(), "faults": rule.faults, "others": rule.others, "log_e": rule.log_e,
            "threshold": rule.threshold, "tripped": rule.is_tripped })
    };
    json!({
        "model": setting.model.as_str(),
        "policy": setting.policy,
        "candidate_version": setting.candidate.get(),
        "stable_version": setting.stable.get(),
        "outcomes": replay.n_records,
        "not_judged": replay.n_not_judged,
        "first_unix_ms": replay.span_unix_ms.map(|(first, _)| first),
        "last_unix_ms": replay.span_unix_ms.map(|(_, last)| last),
        "candidate": judged(replay.candidate),
        "stable": judged(replay.stable),
        "since_injection": judged(replay.since_injection),
        "acts": replay.acts.iter().map(act).collect::<Vec<_>>(),
        "rolled_back": replay.is_rolled_back,
        "rollout": replay.rollout.map(RolloutStatus::as_str),
        "rules": replay.evidence.findings.all().map(rule).collect::<Vec<_>>(),
        "delays": delays.map(delays_json),
    })
}

fn delays_json(delays: &Delays) -> Value {
    let spread =
        |spread: &Option<Spread>| spread.map(|s| json!({ "mean": s.mean, "p50": s.p50, "p95": s.p95, "max": s.max }));
    json!({ "runs": delays.n_runs, "found": delays.n_found, "before": delays.n_before,
        "requests": spread(&delays.requests), "faults": spread(&delays.faults), "seconds": spread(&delays.seconds) })
}

#[cfg(test)]
mod tests;
