//! T5: what the evidence means (a verdict), and what we do about it (a decision).
//!
//! A verdict is the same whatever the guardrail's mode; only the decision asks for it. Both are levels, not edges:
//! while a state lasts, every further fault says so again, and whoever acts compares with what is already done.

use std::fmt;

use crate::evidence::{Basis, Findings, RuleEvidence};
use crate::policy::{Guardrail, Mode, OnFailure, OnSharedIncident};
use crate::relative::ShareTally;
use crate::rule::Rule;
use crate::steady::SteadyEvidence;
use crate::window::Breach;

/// What the evidence says.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing, which includes no data.
    None,
    /// The candidate is worse.
    RollBack(Cause),
    /// A rule that pauses convicts.
    Pause(Grounds),
    /// A rule that alerts convicts.
    Alert(Grounds),
    /// A rule that is only observed convicts.
    Observe(Grounds),
    /// Both versions are over the same limit, on errors or on latency, and the candidate is not shown to be the worse one.
    SharedIncident(Grounds),
    /// The stable version is over a limit, the candidate is not.
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
    /// Shares stand still until a person decides; the rules stay armed.
    Pause(Grounds),
    /// Shares stand still while this lasts, and a person is called; the rules stay armed.
    Hold(Grounds),
    /// A person is told; the rule alerts, or the guardrail only observes.
    Alert(Grounds),
    /// It is counted and shown; the rule, or the guardrail, only observes.
    Observe(Grounds),
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
    /// The watch over a promoted version.
    SteadyState(SteadyEvidence),
}

/// The numbers of a verdict. `findings` holds counts, statistics and thresholds; `shares` is what the relative rule
/// was computed from, `basis` what the rules judged from totals were: `limit_log_e`, `relative_log_e_among`,
/// `bins_log_e` and `block_bet_log_e` give the plain parts of the statistics again.
#[derive(Debug, Clone, PartialEq)]
pub struct Grounds {
    /// The rule that decided.
    pub rule: Rule,
    /// Whom it speaks against.
    pub blame: Blame,
    /// The candidate's share when the deciding request was routed; `None` when no single request decided.
    pub share: Option<f64>,
    /// What every rule said.
    pub findings: Findings,
    /// The faults of both arms by the share they fell under.
    pub shares: Vec<ShareTally>,
    /// The counts behind the rules judged from totals.
    pub basis: Basis,
}

/// Whom a verdict speaks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The version under trial.
    Candidate,
    /// The version it is compared with.
    Stable,
    /// Both are over the same limit, and neither is shown to be the worse one.
    Nobody,
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
        (Mode::Enforce, Verdict::Pause(grounds)) => Decision::Pause(grounds),
        (Mode::Enforce, Verdict::Alert(grounds)) => Decision::Alert(grounds),
        (_, Verdict::Pause(grounds) | Verdict::Alert(grounds) | Verdict::Observe(grounds)) => {
            Decision::Observe(grounds)
        }
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
            Self::Pause(_) => "pause",
            Self::Alert(_) => "alert",
            Self::Observe(_) => "observe",
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
            Self::Pause(_) => "pause",
            Self::Hold(_) => "hold",
            Self::Alert(_) => "alert",
            Self::Observe(_) => "observe",
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
            Self::SteadyState(_) => "steady_state",
        }
    }
}

impl Grounds {
    /// The word used in metrics, logs and the journal: the rule, unless it does not speak against the candidate.
    pub fn as_str(&self) -> &'static str {
        match self.blame {
            Blame::Candidate => self.rule.as_str(),
            Blame::Stable => "stable_ill",
            Blame::Nobody => "shared_incident",
        }
    }

    /// What the deciding rule said.
    pub fn deciding(&self) -> &RuleEvidence {
        self.findings.get(self.rule).unwrap_or(&self.findings.limit)
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
            Self::SteadyState(evidence) => evidence.fmt(f),
        }
    }
}

impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RuleEvidence { rule, faults, others, log_e, threshold, on_failure, .. } = self.deciding();
        let (of_faults, of_others) = rule.counts();
        let joint = if of_others == "of stable" { "against" } else { "and" };
        write!(f, "{}: {faults} {of_faults} {joint} {others} {of_others}", rule.as_str())?;
        if *on_failure == OnFailure::RollBack && !matches!(rule, Rule::Drift | Rule::SampleRatio) {
            write!(f, ", log_e {log_e:.3} (alone {threshold:.3})")?;
            return write!(f, ", all rules {:.3} of {:.3}", self.findings.log_e, self.findings.threshold);
        }
        write!(f, ", log_e {log_e:.3} of {threshold:.3}")
    }
}

impl fmt::Display for SteadyEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, faults, successes, log_restart, threshold, .. } = self;
        write!(f, "steady_state: {faults} faults and {successes} successes against limit {limit}")?;
        write!(f, ", log_restart {:.3} of {threshold:.3}", log_restart.unwrap_or(f64::MIN))
    }
}

#[cfg(test)]
mod tests;
