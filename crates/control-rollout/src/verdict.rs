//! T5: what the evidence means (a verdict), and what we do about it (a decision).
//!
//! A verdict is the same whatever the guardrail's mode; only the decision asks for it. Both are levels, not edges:
//! while a state lasts, every further fault says so again, and whoever acts compares with what is already done.

use std::fmt;

use crate::evidence::{Findings, Rule, RuleEvidence};
use crate::policy::{Guardrail, Mode, OnSharedIncident};
use crate::relative::ShareTally;
use crate::window::Breach;

/// What the evidence says.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing, which includes no data.
    None,
    /// The candidate is worse.
    RollBack(Cause),
    /// Both versions are over the limit and the candidate is not shown to be the worse one.
    SharedIncident(Grounds),
    /// The stable version is over the limit, the candidate is not.
    StableIll(Grounds),
}

/// What we do.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing.
    None,
    /// The candidate's traffic goes to the stable version, and its content is quarantined.
    RollBack(Cause),
    /// The same was due, but the guardrail only observes.
    WouldRollBack(Cause),
    /// Shares stand still and a person is called; the rules stay armed.
    Hold(Grounds),
    /// A person is told; the guardrail only observes.
    Alert(Grounds),
}

/// Why a candidate is rolled back.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// The sequential rules.
    Evidence(Grounds),
    /// A shared incident, where the guardrail wants a rollback for that too.
    SharedIncident(Grounds),
    /// A classic window.
    Window(Breach),
    /// The process exited uncleanly, again, with the candidate's requests in flight.
    CrashLoop(CrashCounts),
}

/// The numbers of a verdict. `findings` holds counts, statistics and thresholds, `shares` what the relative rule
/// was computed from: `limit_log_e` and `relative_log_e` give the plain parts of the statistics again.
#[derive(Debug, Clone, PartialEq)]
pub struct Grounds {
    /// The rule that decided.
    pub rule: Rule,
    /// The candidate's share when the deciding request was routed; `None` when the deciding event was a crash.
    pub share: Option<f64>,
    /// What every rule said.
    pub findings: Findings,
    /// The faults of both arms by the share they fell under.
    pub shares: Vec<ShareTally>,
}

/// Unclean exits of the process while the candidate had requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CrashCounts {
    /// How many such exits.
    pub exits: u64,
    /// How many of the candidate's requests were lost in them.
    pub requests: u64,
}

/// Turns a verdict into what is to be done under this guardrail.
pub fn decide(verdict: Verdict, guardrail: &Guardrail) -> Decision {
    let wants_rollback = guardrail.on_shared_incident == OnSharedIncident::RollBack;
    match (guardrail.mode, verdict) {
        (Mode::Off, _) | (_, Verdict::None) => Decision::None,
        (mode, Verdict::RollBack(cause)) => roll_back(mode, cause),
        (mode, Verdict::SharedIncident(grounds)) if wants_rollback => roll_back(mode, Cause::SharedIncident(grounds)),
        (Mode::Enforce, Verdict::SharedIncident(grounds) | Verdict::StableIll(grounds)) => Decision::Hold(grounds),
        (Mode::Observe, Verdict::SharedIncident(grounds) | Verdict::StableIll(grounds)) => Decision::Alert(grounds),
    }
}

fn roll_back(mode: Mode, cause: Cause) -> Decision {
    if mode == Mode::Enforce { Decision::RollBack(cause) } else { Decision::WouldRollBack(cause) }
}

/// Which rules are tripped, and so which row of the table applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// No rule is.
    Nothing,
    /// The candidate is to blame.
    RollBack,
    /// Nobody is to blame.
    SharedIncident,
    /// The stable version is to blame.
    StableIll,
}

/// The table: the relative rule convicts by itself; the limit rule only if the stable version keeps the limit.
pub(crate) fn classify(is_limit_tripped: bool, is_relative_tripped: bool, is_stable_tripped: bool) -> Row {
    match (is_limit_tripped, is_relative_tripped, is_stable_tripped) {
        (_, true, _) | (true, false, false) => Row::RollBack,
        (true, false, true) => Row::SharedIncident,
        (false, false, true) => Row::StableIll,
        (false, false, false) => Row::Nothing,
    }
}

impl Verdict {
    /// The word used in metrics, logs and the journal.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::RollBack(_) => "roll_back",
            Self::SharedIncident(_) => "shared_incident",
            Self::StableIll(_) => "stable_ill",
        }
    }
}

impl Decision {
    /// The word used in metrics, logs and the journal.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::RollBack(_) => "roll_back",
            Self::WouldRollBack(_) => "would_roll_back",
            Self::Hold(_) => "hold",
            Self::Alert(_) => "alert",
        }
    }
}

impl Cause {
    /// The word used in metrics, logs and the journal.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Evidence(grounds) => grounds.rule.as_str(),
            Self::SharedIncident(_) => "shared_incident",
            Self::Window(breach) => breach.rule.as_str(),
            Self::CrashLoop(_) => "crash_loop",
        }
    }
}

impl Grounds {
    /// What the deciding rule said.
    pub fn deciding(&self) -> &RuleEvidence {
        let findings = &self.findings;
        match self.rule {
            Rule::Relative => &findings.relative,
            Rule::StableLimit => &findings.stable_limit,
            Rule::Limit | Rule::WindowErrorRate | Rule::WindowLatency => &findings.limit,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evidence(grounds) => grounds.fmt(f),
            Self::SharedIncident(grounds) => write!(f, "shared incident: {grounds}"),
            Self::Window(Breach { rule, totals, value, bound, window }) => {
                let (seconds, faults, requests) = (window.seconds, totals.faults, totals.requests);
                write!(
                    f,
                    "{}: {value:.4} over {bound} ({faults} faults in {requests} requests of {seconds} s)",
                    rule.as_str()
                )
            }
            Self::CrashLoop(CrashCounts { exits, requests }) => {
                write!(f, "crash_loop: {exits} unclean exits lost {requests} requests of this version")
            }
        }
    }
}

impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RuleEvidence { rule, faults, others, log_e, threshold, .. } = self.deciding();
        match rule {
            Rule::Relative => write!(f, "relative: {faults} faults against {others} of stable")?,
            rule => write!(f, "{}: {faults} faults and {others} successes", rule.as_str())?,
        }
        write!(f, ", log_e {log_e:.3} (alone {threshold:.3})")?;
        write!(f, ", all rules {:.3} of {:.3}", self.findings.log_e, self.findings.threshold)
    }
}

#[cfg(test)]
mod tests;
