//! Figures and evidence as people read them.

use super::answers::{Evidence, Problem, Rule, Verdict};

/// A share or a rate: `25 %`, `0.14 %`.
pub(super) fn percent(share: f64) -> String {
    // An empty sum of shares is minus zero.
    let value = share * 100.0 + 0.0;
    let n_digits = match value.abs() {
        v if v >= 99.95 || v == 0.0 => 0,
        v if v >= 1.0 => 1,
        v if v >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{value:.n_digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} %")
}

/// A count: `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Memory: `12.3 MiB`.
pub(super) fn bytes(n: u64) -> String {
    let (value, unit) = match n {
        n if n >= 1 << 30 => (n as f64 / (1u64 << 30) as f64, "GiB"),
        n if n >= 1 << 20 => (n as f64 / (1u64 << 20) as f64, "MiB"),
        n => (n as f64 / 1024.0, "KiB"),
    };
    format!("{value:.1} {unit}")
}

/// How long a load took: `5 ms`, `1.2 s`.
pub(super) fn seconds(s: f64) -> String {
    match s {
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 10.0 => format!("{s:.1} s"),
        s => format!("{s:.0} s"),
    }
}

/// A remark on a file as compilers write it.
pub(super) fn problem(problem: &Problem) -> String {
    let Problem { file, line, column, severity, code, message, hint } = problem;
    let hint = hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    format!("{file}:{line}:{column}: {severity}[{code}]: {message}{hint}\n")
}

/// A trial in three lines: what was counted, how far it is from a rollback, how far from the proof for promotion.
pub(super) fn trial(evidence: &Evidence) -> [String; 3] {
    [faults(evidence), suspicion(evidence), proof(evidence)]
}

/// The evidence of a journal row in one line; `None` when there is none.
pub(super) fn one_line(evidence: &Evidence) -> Option<String> {
    let counted = rule(evidence, "limit").map(|_| faults(evidence));
    let why = evidence.verdict.as_ref().and_then(|verdict| grounds(evidence, verdict));
    let crashes = &evidence.crashes;
    let crashed = (crashes.exits > 0)
        .then(|| format!("{} unclean exits with {} of its requests in flight", crashes.exits, crashes.requests));
    let standing = match (&evidence.verdict, &counted) {
        (None, Some(_)) => Some(proof(evidence)),
        _ => None,
    };
    let parts: Vec<String> = [why, counted, crashed, standing].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn faults(evidence: &Evidence) -> String {
    let arm = |name: &str, version: Option<u64>, (low, high): (Option<f64>, Option<f64>)| {
        let counts = rule(evidence, name).map(|r| (r.faults, r.faults + r.others));
        let (n_faults, n_requests) = counts.unwrap_or_default();
        let version = version.map(|v| format!(" on version {v}")).unwrap_or_default();
        let range = match (low, high) {
            (Some(low), Some(high)) if n_requests > 0 => {
                format!(" (true rate {} to {})", percent(low), percent(high))
            }
            _ => String::new(),
        };
        format!("{} of {} requests{version}{range}", count(n_faults), count(n_requests))
    };
    let rates = &evidence.fault_rate;
    let candidate = arm("limit", evidence.candidate, (rates.candidate.low, rates.candidate.high));
    let stable = arm("stable_limit", evidence.stable, (rates.stable.low, rates.stable.high));
    format!("faults: {candidate}; {stable}")
}

fn suspicion(evidence: &Evidence) -> String {
    let (log_e, threshold) = (evidence.all_rules.log_e, evidence.all_rules.threshold);
    let is_over = matches!((log_e, threshold), (Some(e), Some(t)) if e >= t);
    let state = if is_over { "due" } else { "not due" };
    format!("rollback: {state}; the evidence of harm is {}, the verdict comes at {}", figure(log_e), figure(threshold))
}

fn proof(evidence: &Evidence) -> String {
    let promotion = &evidence.promotion;
    let figures = format!("the proof is {} of {}", figure(promotion.log_e), figure(promotion.threshold));
    if promotion.proven {
        return format!("promotion: proven; {figures}");
    }
    let needed = count(promotion.clean_requests_needed);
    format!("promotion: not proven; {figures}, {needed} more requests without a fault would complete it")
}

fn grounds(evidence: &Evidence, verdict: &Verdict) -> Option<String> {
    let name = verdict.rule.as_deref()?;
    if let (Some(value), Some(bound)) = (verdict.value, verdict.bound) {
        let window = verdict.window_seconds.map(|s| format!(" over {s} s")).unwrap_or_default();
        let requests = verdict.requests.map(|n| format!(" in {} requests", count(n))).unwrap_or_default();
        return Some(format!("rule {name}: {value:.4} over its bound {bound}{requests}{window}"));
    }
    let rule = rule(evidence, name)?;
    Some(format!("rule {name}: evidence {} of {}", figure(rule.log_e), figure(rule.threshold)))
}

fn rule<'a>(evidence: &'a Evidence, name: &str) -> Option<&'a Rule> {
    evidence.rules.iter().find(|rule| rule.rule == name)
}

/// A logarithm to two places; that of nothing is minus infinity, which JSON cannot say.
fn figure(value: Option<f64>) -> String {
    value.map_or("none".to_owned(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests;
