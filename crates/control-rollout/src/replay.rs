//! Recorded outcomes, put before a guardrail and a policy once more: when would they have acted, and on what?
//!
//! The record says what the traffic was; a policy that would have given the candidate another share gets the share it
//! was given. The rules are judged as they are live, errors at once and everything else once a second of recorded
//! time; the steps of a policy are taken as soon as the record holds what they ask for, approvals included. Faults and
//! slowness can be injected into the candidate's outcomes, to see how soon they would be found.
//!
//! Records come as a stream, in the order of time; memory does not grow with them. Classic windows, drift, shadow and
//! feedback are not part of a record and are not replayed.

mod counts;
mod course;
mod delays;

use base_types::{OutcomeClass, Reason, RolloutStatus, Version};

use crate::chance::Uniform;
use crate::error::RolloutError;
use crate::evidence::Evidence;
use crate::plan::Policy;
use crate::policy::Guardrail;
use crate::trial::{Arm, Count, FaultEvent, Trial};
use crate::verdict::{Decision, Verdict, decide};

pub use delays::{DELAY_RUNS_MAX, Delays, Spread, delays};

use counts::Counts;
use course::Course;

/// Most acts of one replay that are kept; it goes on beyond, but for the list.
pub const ACTS_MAX: usize = 256;
/// How often everything but errors is judged, in milliseconds of recorded time.
const TICK_MS: u64 = 1000;

/// One attempt, as it was recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorded {
    /// When it ended, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The version that was asked.
    pub version: Version,
    /// How it ended.
    pub class: OutcomeClass,
    /// Why that version was asked.
    pub reason: Reason,
    /// How long it took, in seconds.
    pub latency_seconds: f64,
    /// Hash of the sticky key, if there was one.
    pub key: Option<u64>,
    /// The version that shared the traffic with stable when it was routed, where it was one alone.
    pub candidate: Option<Version>,
    /// That version's share of the random traffic then.
    pub share: f64,
    /// For a fault: what stable made of the same input.
    pub rerun: Rerun,
}

/// What stable made of an input that another version faulted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rerun {
    /// It was not asked.
    NotAsked,
    /// It answered: the fault is the version's own.
    Answered,
    /// It faulted too: the input is to blame.
    Faulted,
}

/// What a record is put before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplayRequest<'a> {
    /// The guardrail.
    pub guardrail: &'a Guardrail,
    /// The policy whose steps are taken; `None`: the rules alone.
    pub policy: Option<&'a Policy>,
    /// The version on trial.
    pub candidate: Version,
    /// The version it is compared with.
    pub stable: Version,
    /// What is made worse than it was.
    pub injection: Option<Injection>,
}

/// What is made worse than it was, from one moment on. Only what the candidate answered well is touched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Injection {
    /// Probability with which a good answer becomes a fault that stable would have answered.
    pub fault_probability: f64,
    /// What latencies are multiplied by; 1 leaves them.
    pub latency_factor: f64,
    /// From when on, in milliseconds since 1970.
    pub from_unix_ms: u64,
}

/// What would have happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Records that were read.
    pub n_records: u64,
    /// Records that count for nobody: other versions, pins, mistakes of callers and so on.
    pub n_not_judged: u64,
    /// Time of the first and the last record read, in milliseconds since 1970.
    pub span_unix_ms: Option<(u64, u64)>,
    /// The candidate's requests and faults, both as judged.
    pub candidate: Judged,
    /// Stable's.
    pub stable: Judged,
    /// The candidate's requests and faults since the injection began.
    pub since_injection: Judged,
    /// What would have been done, in order; at most [`ACTS_MAX`].
    pub acts: Vec<Act>,
    /// Whether the candidate would have been rolled back; the replay ends there.
    pub is_rolled_back: bool,
    /// How far the policy would have come; `None` without one.
    pub rollout: Option<RolloutStatus>,
    /// The evidence at the end.
    pub evidence: Evidence,
}

/// Requests that were judged, and the faults among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judged {
    /// All.
    pub requests: u64,
    /// Faults.
    pub faults: u64,
}

/// Something that would have been done.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// When.
    pub unix_ms: u64,
    /// The candidate's requests and faults by then.
    pub candidate: Judged,
    /// What.
    pub deed: Deed,
}

/// What would have been done.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// What the rules ask for, with its evidence.
    Rules(Box<Decision>),
    /// What the policy did then or by itself, in words.
    Policy(String),
}

/// Puts a record before a guardrail and a policy; `draw` gives numbers in [0, 1), for the injection alone. Stops at a
/// rollback.
pub fn replay(
    request: &ReplayRequest<'_>,
    records: impl IntoIterator<Item = Recorded>,
    draw: &mut Uniform<'_>,
) -> Result<Replay, RolloutError> {
    let mut run = Run::new(request)?;
    for record in records {
        run.take(&request.injected(record, draw));
        if run.is_rolled_back {
            break;
        }
    }
    Ok(run.done())
}

/// A replay under way.
struct Run<'a> {
    request: &'a ReplayRequest<'a>,
    trial: Trial,
    counts: Counts,
    course: Option<Course<'a>>,
    next_tick_unix_ms: u64,
    span_unix_ms: Option<(u64, u64)>,
    n_records: u64,
    n_not_judged: u64,
    since_injection: Judged,
    acts: Vec<Act>,
    is_rolled_back: bool,
}

impl<'a> Run<'a> {
    fn new(request: &'a ReplayRequest<'a>) -> Result<Self, RolloutError> {
        Ok(Self {
            request,
            trial: Trial::new(request.guardrail.clone())?,
            counts: Counts::new(request.guardrail),
            course: request.policy.map(|policy| Course::new(policy, request)),
            next_tick_unix_ms: 0,
            span_unix_ms: None,
            n_records: 0,
            n_not_judged: 0,
            since_injection: Judged::default(),
            acts: Vec::new(),
            is_rolled_back: false,
        })
    }

    fn take(&mut self, record: &Recorded) {
        self.n_records += 1;
        // A record that is out of order must not turn time back.
        let now = self.span_unix_ms.map_or(record.unix_ms, |(_, last)| last.max(record.unix_ms));
        self.span_unix_ms = Some((self.span_unix_ms.map_or(now, |(first, _)| first), now));
        match self.request.arm_of(record) {
            Some(arm) => self.judge(arm, record, now),
            None => self.n_not_judged += 1,
        }
        if now >= self.next_tick_unix_ms && !self.is_rolled_back {
            self.next_tick_unix_ms = now.saturating_add(TICK_MS);
            self.tick(now);
        }
    }

    fn judge(&mut self, arm: Arm, record: &Recorded, now: u64) {
        let count = count_of(record);
        if count == Count::Nothing && record.class == OutcomeClass::VersionFault {
            self.n_not_judged += 1;
            return;
        }
        let is_fault = record.class == OutcomeClass::VersionFault;
        self.counts.take(arm, record);
        let is_injected = self.request.injection.is_some_and(|injection| record.unix_ms >= injection.from_unix_ms);
        if is_injected && arm == Arm::Candidate && self.counts.is_outcome(record) {
            self.since_injection.requests += 1;
            self.since_injection.faults += u64::from(is_fault);
        }
        if is_fault {
            // A fault whose input stable answered counts always; others once for each key.
            let key = record.key.filter(|_| record.rerun == Rerun::NotAsked);
            let event = FaultEvent { arm, share: record.share, successes: self.counts.successes(), count, key };
            let verdict = self.trial.on_fault(event);
            self.act(verdict, now);
        }
    }

    fn tick(&mut self, now: u64) {
        self.counts.freeze_into(&mut self.trial);
        let verdicts = self.trial.observe(self.counts.observed());
        let is_shared_incident = verdicts.iter().any(|verdict| matches!(verdict, Verdict::SharedIncident(_)));
        for verdict in verdicts {
            self.act(verdict, now);
        }
        let candidate = self.counts.judged(Arm::Candidate);
        let evidence = self.course.is_some().then(|| self.trial.evidence(self.counts.successes()));
        if let (Some(course), Some(evidence)) = (&mut self.course, evidence) {
            let deeds = course.tick(&evidence, candidate, is_shared_incident, now);
            deeds.into_iter().for_each(|deed| self.note(deed, now));
        }
    }

    /// Does what a verdict asks for. A verdict is said again while it lasts; an act is noted once.
    fn act(&mut self, verdict: Verdict, now: u64) {
        let decision = decide(verdict, self.request.guardrail);
        if self.is_rolled_back || decision == Decision::None {
            return;
        }
        self.is_rolled_back = matches!(decision, Decision::RollBack(_));
        let deeds = self.course.as_mut().map_or_else(Vec::new, |course| course.on_decision(&decision, now));
        if !self.is_known(&decision) {
            self.note(Deed::Rules(Box::new(decision)), now);
        }
        deeds.into_iter().for_each(|deed| self.note(deed, now));
    }

    /// Whether the same rule has asked for the same before.
    fn is_known(&self, decision: &Decision) -> bool {
        let same = |deed: &Deed| match deed {
            Deed::Rules(before) => before.as_str() == decision.as_str() && rule_of(before) == rule_of(decision),
            Deed::Policy(_) => false,
        };
        self.acts.iter().any(|act| same(&act.deed))
    }

    fn note(&mut self, deed: Deed, now: u64) {
        // The rollback, which comes last, must be in the list.
        if self.acts.len() < ACTS_MAX - 1 || self.is_rolled_back {
            self.acts.truncate(ACTS_MAX - 1);
            self.acts.push(Act { unix_ms: now, candidate: self.counts.judged(Arm::Candidate), deed });
        }
    }

    fn done(self) -> Replay {
        Replay {
            n_records: self.n_records,
            n_not_judged: self.n_not_judged,
            span_unix_ms: self.span_unix_ms,
            candidate: self.counts.judged(Arm::Candidate),
            stable: self.counts.judged(Arm::Stable),
            since_injection: self.since_injection,
            is_rolled_back: self.is_rolled_back,
            rollout: self.course.as_ref().map(Course::status),
            evidence: self.trial.evidence(self.counts.successes()),
            acts: self.acts,
        }
    }
}

impl ReplayRequest<'_> {
    /// Whose outcome it is; `None` when it is nobody's evidence.
    fn arm_of(&self, record: &Recorded) -> Option<Arm> {
        let arm = match record.version {
            version if version == self.candidate => Arm::Candidate,
            version if version == self.stable => Arm::Stable,
            _ => return None,
        };
        let is_judged = match record.class {
            OutcomeClass::Ok | OutcomeClass::VersionFault | OutcomeClass::Cancelled => true,
            OutcomeClass::Saturation
            | OutcomeClass::Client
            | OutcomeClass::CallerDeadline
            | OutcomeClass::Overload
            | OutcomeClass::Unavailable
            | OutcomeClass::Internal => false,
        };
        // Beside another candidate, as in an experiment, a request of stable's says nothing about this one.
        let is_beside_other = record.candidate.is_some_and(|version| version != self.candidate);
        (is_judged && !is_beside_other && record.reason.is_evidence()).then_some(arm)
    }

    /// The record as the injection leaves it.
    fn injected(&self, record: Recorded, draw: &mut Uniform<'_>) -> Recorded {
        let is_candidate = record.version == self.candidate;
        let injection = self.injection.filter(|injection| is_candidate && record.unix_ms >= injection.from_unix_ms);
        let Some(Injection { fault_probability, latency_factor, .. }) = injection else { return record };
        let latency_seconds = record.latency_seconds * latency_factor;
        if record.class == OutcomeClass::Ok && draw() < fault_probability {
            let (class, rerun) = (OutcomeClass::VersionFault, Rerun::Answered);
            return Recorded { class, rerun, latency_seconds, ..record };
        }
        Recorded { latency_seconds, ..record }
    }
}

fn count_of(record: &Recorded) -> Count {
    match record.rerun {
        Rerun::Faulted => Count::Nothing,
        _ if record.reason.is_random() => Count::All,
        _ if record.reason.is_evidence() => Count::LimitOnly,
        _ => Count::Nothing,
    }
}

/// The rule behind a decision, as a word.
pub(crate) fn rule_of(decision: &Decision) -> &'static str {
    match decision {
        Decision::None => "",
        Decision::RollBack(cause) | Decision::WouldRollBack(cause) => cause.as_str(),
        Decision::Pause(grounds) | Decision::Hold(grounds) | Decision::Alert(grounds) | Decision::Observe(grounds) => {
            grounds.rule.as_str()
        }
    }
}

#[cfg(test)]
mod tests;
