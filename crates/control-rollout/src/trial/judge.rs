//! T5: from what the rules say to what it means.
//!
//! A limit that stable is over too blames nobody; only a comparison then convicts the candidate. That holds for
//! errors and for latency, each by itself.

use super::Trial;
use crate::evidence::{ErrorTests, Findings};
use crate::policy::OnFailure;
use crate::rule::Rule;
use crate::verdict::{Blame, Cause, Grounds, Row, Verdict, classify};

/// What the rules say, and which of their limits stable is over as well.
pub(super) struct Judged {
    findings: Findings,
    is_stable_ill: bool,
    is_stable_slow: bool,
}

impl Trial {
    /// What every rule says now.
    pub(super) fn findings(&self) -> Findings {
        let tests = ErrorTests { candidate: &self.candidate, stable: &self.stable, relative: &self.relative };
        Findings::weigh(&self.guardrail, &tests, self.further.clone())
    }

    /// Reads the rules, and notes whether an incident of both arms is under way.
    pub(super) fn judge(&mut self) -> Judged {
        let findings = self.findings();
        let is_tripped = |rule: Rule| findings.get(rule).is_some_and(|evidence| evidence.is_tripped);
        let is_stable_ill = is_tripped(Rule::StableLimit) || (self.is_shared_incident && is_tripped(Rule::Limit));
        let is_stable_slow = is_tripped(Rule::StableLatency) || (self.is_latency_incident && is_tripped(Rule::Latency));
        self.is_shared_incident = is_stable_ill && is_tripped(Rule::Limit) && !is_tripped(Rule::Relative);
        self.is_latency_incident = is_stable_slow && is_tripped(Rule::Latency);
        Judged { findings, is_stable_ill, is_stable_slow }
    }

    /// Whether stable is over a limit whose rule could have stopped the rollout.
    pub(super) fn is_held(&self) -> bool {
        let findings = self.findings();
        let is_over = |rule: Rule, is_both_over: bool| {
            let is_stopping = matches!(self.guardrail.on_failure_of(rule), OnFailure::RollBack | OnFailure::Pause);
            is_stopping && (is_both_over || findings.get(rule).is_some_and(|evidence| evidence.is_tripped))
        };
        is_over(Rule::StableLimit, self.is_shared_incident) || is_over(Rule::StableLatency, self.is_latency_incident)
    }

    /// What the sum of the rules says, and the rules on errors.
    pub(super) fn verdict_on_errors(&self, judged: &Judged, share: Option<f64>) -> Verdict {
        let Judged { findings, is_stable_ill, is_stable_slow } = judged;
        let grounds = |rule, blame| Grounds { share, ..self.grounds(judged, rule, blame) };
        let is_forgiven = |rule| (rule == Rule::Limit && *is_stable_ill) || (rule == Rule::Latency && *is_stable_slow);
        let sum = findings.sum(|rule| self.guardrail.is_summed(rule) && !is_forgiven(rule));
        if sum.log_excess >= 0.0 {
            return Verdict::RollBack(Cause::Evidence(grounds(sum.blamed, Blame::Candidate)));
        }
        let on_failure = self.guardrail.on_failure;
        let is_relative = findings.relative.is_tripped && on_failure != OnFailure::RollBack;
        match classify(findings.limit.is_tripped, is_relative, *is_stable_ill) {
            Row::Nothing => Verdict::None,
            Row::RollBack => {
                let rule = if is_relative { Rule::Relative } else { Rule::Limit };
                convict(on_failure, grounds(rule, Blame::Candidate))
            }
            Row::SharedIncident => hold(on_failure, Verdict::SharedIncident(grounds(Rule::Limit, Blame::Nobody))),
            Row::StableIll => hold(on_failure, Verdict::StableIll(grounds(Rule::StableLimit, Blame::Stable))),
        }
    }

    /// What each rule judged from totals says that stands outside the sum, and the table for latency.
    pub(super) fn verdicts_on_totals(&self, judged: &Judged) -> Vec<Verdict> {
        let Judged { findings, is_stable_slow, .. } = judged;
        let of_rule = |rule: Rule| {
            let evidence = findings.get(rule).filter(|evidence| evidence.is_tripped)?;
            let on_failure = evidence.on_failure;
            let is_latency_tripped = findings.get(Rule::Latency).is_some_and(|latency| latency.is_tripped);
            let grounds = |blame| self.grounds(judged, rule, blame);
            let verdict = match rule {
                Rule::Latency if *is_stable_slow => hold(on_failure, Verdict::SharedIncident(grounds(Blame::Nobody))),
                Rule::StableLatency if is_latency_tripped => Verdict::None,
                Rule::StableLatency => hold(on_failure, Verdict::StableIll(grounds(Blame::Stable))),
                Rule::Drift | Rule::SampleRatio if on_failure == OnFailure::RollBack => {
                    Verdict::RollBack(Cause::Evidence(grounds(Blame::Candidate)))
                }
                _ => convict(on_failure, grounds(Blame::Candidate)),
            };
            (verdict != Verdict::None).then_some(verdict)
        };
        findings.further.iter().filter_map(|evidence| of_rule(evidence.rule)).collect()
    }

    fn grounds(&self, judged: &Judged, rule: Rule, blame: Blame) -> Grounds {
        let (findings, shares) = (judged.findings.clone(), self.relative.shares().to_vec());
        Grounds { rule, blame, share: None, findings, shares, basis: self.totals.basis() }
    }
}

/// What a rule outside the sum leads to. Those inside have been heard with it.
fn convict(on_failure: OnFailure, grounds: Grounds) -> Verdict {
    match on_failure {
        OnFailure::RollBack => Verdict::None,
        OnFailure::Pause => Verdict::Pause(grounds),
        OnFailure::Alert => Verdict::Alert(grounds),
        OnFailure::Observe => Verdict::Observe(grounds),
    }
}

/// What nobody is blamed for stops a rollout only where the rule could have stopped it.
fn hold(on_failure: OnFailure, verdict: Verdict) -> Verdict {
    match (on_failure, verdict) {
        (OnFailure::Alert, Verdict::SharedIncident(grounds) | Verdict::StableIll(grounds)) => Verdict::Alert(grounds),
        (OnFailure::Observe, Verdict::SharedIncident(grounds) | Verdict::StableIll(grounds)) => {
            Verdict::Observe(grounds)
        }
        (_, verdict) => verdict,
    }
}
