//! Evidence as JSON: for the journal, the log, webhooks and the API. Everything a person needs to compute a verdict
//! again is in it.

use std::sync::Arc;

use base_types::Version;
use control_rollout::{
    ArmTotals, Basis, Cause, CrashCounts, Evidence, Grounds, Interval, Rule, RuleEvidence, ShareTally, ShareTotals,
    SteadyEvidence, Successes, Trial,
};
use serde_json::{Value, json};

use crate::state::OpenTrial;

/// What is shown of a trial beside its rules.
const SUMS: [&str; 2] = ["all", "promotion"];

/// The words under which a trial's evidence may stand in metrics.
pub(crate) fn rule_words() -> impl Iterator<Item = &'static str> {
    Rule::ALL.into_iter().map(Rule::as_str).chain(SUMS)
}

/// `(rule, log_e, threshold)` of everything a trial shows.
pub(crate) fn rules(evidence: &Evidence) -> Vec<(&'static str, f64, f64)> {
    let findings = &evidence.findings;
    let mut rules: Vec<_> = findings.all().map(|rule| (rule.rule.as_str(), rule.log_e, rule.threshold)).collect();
    rules.push((SUMS[0], findings.log_e, findings.threshold));
    rules.push((SUMS[1], evidence.proof.log_e, evidence.proof.threshold));
    rules
}

/// What there is to show of a version that leaves the traffic.
pub(crate) enum Shown {
    /// As JSON.
    Written(Value),
    /// Of its trial: put aside under the lock and written after it, because that takes longer than the swap, and a
    /// verdict is to be in force first.
    OfTrial(Box<Exhibit>),
}

/// A trial as it stood at one moment.
pub(crate) struct Exhibit {
    trial: Trial,
    successes: Successes,
    candidate: Version,
    stable: Version,
    cause: Option<Arc<Cause>>,
}

impl Shown {
    /// A trial as it stands; with the cause, when there was a verdict.
    pub(crate) fn of_trial(open: &OpenTrial, cause: Option<Arc<Cause>>) -> Self {
        Self::OfTrial(Box::new(Exhibit {
            trial: open.trial.clone(),
            successes: open.successes(),
            candidate: open.candidate.id.version,
            stable: open.stable.id.version,
            cause,
        }))
    }

    /// As JSON.
    pub(crate) fn write(self) -> Value {
        match self {
            Self::Written(value) => value,
            Self::OfTrial(exhibit) => exhibit.write(),
        }
    }
}

impl Exhibit {
    fn write(&self) -> Value {
        let mut value = of_evidence(&self.trial.evidence(self.successes));
        if let Some(fields) = value.as_object_mut() {
            fields.insert("candidate".into(), self.candidate.get().into());
            fields.insert("stable".into(), self.stable.get().into());
            if let Some(cause) = &self.cause {
                fields.insert("cause".into(), cause.as_str().into());
                fields.insert("verdict".into(), of_cause(cause));
            }
        }
        value
    }
}

/// A trial's evidence as it stands.
pub(crate) fn of_trial(open: &OpenTrial) -> Value {
    Shown::of_trial(open, None).write()
}

fn of_evidence(evidence: &Evidence) -> Value {
    let proofs = evidence.proofs.iter().map(|(of, proof)| {
        json!({ "of": of.as_str(), "log_e": proof.log_e, "threshold": proof.threshold, "proven": proof.is_proven,
            "clean_requests_needed": proof.clean_requests_needed })
    });
    json!({
        "rules": evidence.findings.all().map(of_rule).collect::<Vec<_>>(),
        "all_rules": { "log_e": evidence.findings.log_e, "threshold": evidence.findings.threshold,
            "tripped": evidence.findings.is_tripped },
        "shares": evidence.shares.iter().map(of_share).collect::<Vec<_>>(),
        "promotion": { "log_e": evidence.proof.log_e, "threshold": evidence.proof.threshold,
            "proven": evidence.proof.is_proven, "clean_requests_needed": evidence.proof.clean_requests_needed },
        "fault_rate": { "candidate": interval(&evidence.candidate_interval),
            "stable": interval(&evidence.stable_interval) },
        "proofs": proofs.collect::<Vec<_>>(),
        "counts": of_basis(&evidence.basis),
        "drift": evidence.drift.map(|d| json!({ "psi": d.psi, "jensen_shannon": d.jensen_shannon,
            "kolmogorov_smirnov": d.kolmogorov_smirnov })),
        "crashes": { "exits": evidence.crashes.exits, "requests": evidence.crashes.requests },
    })
}

fn interval(interval: &Interval) -> Value {
    json!({ "low": interval.low, "high": interval.high, "alpha": interval.alpha })
}

fn of_rule(rule: &RuleEvidence) -> Value {
    let (bad, good) = rule.rule.counts();
    json!({ "rule": rule.rule.as_str(), "weight": rule.weight, "faults": rule.faults, "others": rule.others,
        "counts": format!("{} {bad}, {} {good}", rule.faults, rule.others),
        "log_plain": rule.log_plain, "log_restart": rule.log_restart, "horizon": rule.horizon,
        "stage_budget": rule.stage_budget, "log_e": rule.log_e, "threshold": rule.threshold,
        "tripped": rule.is_tripped, "on_failure": rule.on_failure.as_str(),
        "interval": rule.interval.as_ref().map(interval) })
}

fn of_share(tally: &ShareTally) -> Value {
    json!({ "share": tally.share, "candidate_faults": tally.candidate_faults, "stable_faults": tally.stable_faults })
}

/// The counts behind the rules that are judged from totals.
fn of_basis(basis: &Basis) -> Value {
    let loss = basis.loss.as_ref().map(|loss| {
        json!({ "mean_difference": loss.mean_difference, "stakes": loss.stakes, "log_capital": loss.log_capital })
    });
    json!({
        "by_share": basis.shares.iter().map(of_totals).collect::<Vec<_>>(),
        "over": { "totals": of_totals(&basis.over.totals), "drift_log_e": basis.over.drift_log_e,
            "sample_ratio_log_e": basis.over.sample_ratio_log_e },
        "shadow": { "compared": basis.shadow.compared, "disagreed": basis.shadow.disagreed,
            "faults": basis.shadow.faults },
        "frozen": { "latency_quantiles": basis.frozen.latency_quantiles,
            "latency_seconds": basis.frozen.latency_seconds, "decile_edges": basis.frozen.decile_edges },
        "loss": loss,
    })
}

fn of_totals(totals: &ShareTotals) -> Value {
    json!({ "share": totals.share, "candidate": of_arm(&totals.candidate), "stable": of_arm(&totals.stable) })
}

fn of_arm(arm: &ArmTotals) -> Value {
    let n_bins = arm.bins.iter().rposition(|n| *n > 0).map_or(0, |last| last + 1);
    json!({ "assigned": arm.assigned, "ok": arm.ok, "faults": arm.faults, "timed": arm.timed, "slow": arm.slow,
        "slow_at": arm.slow_at, "bins": arm.bins[..n_bins], "labels": arm.labels, "mistakes": arm.mistakes })
}

fn of_cause(cause: &Cause) -> Value {
    match cause {
        Cause::Evidence(grounds) | Cause::SharedIncident(grounds) => of_grounds(grounds),
        Cause::Window(breach) => json!({
            "rule": breach.rule.as_str(), "value": breach.value, "bound": breach.bound,
            "requests": breach.totals.requests, "faults": breach.totals.faults,
            "latency_seconds": breach.totals.latency_seconds, "window_seconds": breach.window.seconds }),
        Cause::CrashLoop(CrashCounts { exits, requests }) => json!({ "exits": exits, "requests": requests }),
        Cause::SteadyState(evidence) => of_steady(evidence),
    }
}

fn of_grounds(grounds: &Grounds) -> Value {
    json!({
        "rule": grounds.rule.as_str(), "share": grounds.share,
        "rules": grounds.findings.all().map(of_rule).collect::<Vec<_>>(),
        "log_e": grounds.findings.log_e, "threshold": grounds.findings.threshold,
        "shares": grounds.shares.iter().map(of_share).collect::<Vec<_>>(),
        "counts": of_basis(&grounds.basis) })
}

/// What the watch over a promoted version says.
pub(crate) fn of_steady(evidence: &SteadyEvidence) -> Value {
    json!({ "rule": "steady_state", "limit": evidence.limit, "faults": evidence.faults,
        "successes": evidence.successes, "log_restart": evidence.log_restart, "threshold": evidence.threshold,
        "tripped": evidence.is_tripped, "on_failure": evidence.on_failure.as_str(),
        "interval": interval(&evidence.interval) })
}
