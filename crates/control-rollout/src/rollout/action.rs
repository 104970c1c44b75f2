//! What a rollout wants done.

use std::fmt;

use base_types::{NextCandidate, Rollout, Version};

/// What follows from one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Advanced {
    /// The rollout from now on. What differs from before goes into the journal with the stance it implies.
    pub rollout: Rollout,
    /// What is to be done, in this order.
    pub actions: Vec<Action>,
    /// Why an order was not taken, or a new candidate refused; the rollout is then as it was.
    pub refusal: Option<Refusal>,
}

/// Something to be done. Doing it twice does no harm.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The candidate's shares are these from now on, and the stable version is the rollout's.
    SetTraffic {
        /// Of the traffic; 0 takes the candidate out of it.
        share: f64,
        /// Of stable's requests, which are copied to the candidate.
        shadow_share: f64,
    },
    /// Check whether the candidate may serve; the answer comes as `Facts::gate`. An older answer is void.
    RunGate,
    /// Run the candidate on made-up inputs; the end comes as `Facts::warm_up`. An older one is void.
    WarmUp {
        /// How often.
        runs: u32,
    },
    /// The candidate gets all traffic. Not yet confirmed.
    Promote {
        /// Whether a person said that it needs no proof.
        is_forced: bool,
    },
    /// The promotion is confirmed: the candidate is what a crash returns to.
    Confirm,
    /// The candidate goes out of traffic, and copies to it end. Stable answers.
    RollBack {
        /// Why.
        cause: OutCause,
        /// Whether its content is quarantined.
        is_quarantined: bool,
    },
    /// The quarantine of the candidate's content ends, and its evidence starts anew: it is tried again.
    Release,
    /// A person is told.
    Notify {
        /// What it is about.
        kind: NotifyKind,
        /// In words.
        text: Box<str>,
    },
    /// The rollout is over, and its report is due.
    Finish,
    /// The candidate that waited is to begin, if history allows.
    StartNext(NextCandidate),
}

/// Why a candidate goes out of traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutCause {
    /// A rule convicted it.
    Rule {
        /// Which.
        rule: Box<str>,
        /// Its numbers in words.
        text: Box<str>,
    },
    /// A person wanted it.
    Order {
        /// Who.
        by: Box<str>,
        /// Why.
        reason: Box<str>,
    },
    /// The gate or the warm-up said no.
    Check(Box<str>),
    /// It can no longer serve.
    Gone(Box<str>),
    /// Nothing was shown against it, nor for it, and the policy wants it out then.
    Inconclusive(Box<str>),
    /// The version it was judged against is no longer stable.
    StableChanged(Version),
    /// Another candidate took its place.
    Replaced(Version),
}

/// What a person is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotifyKind {
    /// The rollout has begun, or begun again.
    Started,
    /// A step is over and the next began.
    Advanced,
    /// It waits for an approval.
    AwaitingApproval,
    /// It stands still by an order or a rule.
    Paused,
    /// It goes on.
    Resumed,
    /// It stands still for want of proof or of steps.
    Held,
    /// A rule convicted that asks for no more than this.
    Alert,
    /// Both versions are ill.
    SharedIncident,
    /// They are well again.
    SharedIncidentOver,
    /// The candidate should get requests and gets none.
    NoTraffic,
    /// A restart came between a promotion and its confirmation.
    Interrupted,
    /// The candidate has all traffic and is watched.
    Promoted,
    /// The promotion is confirmed.
    Confirmed,
    /// The candidate was taken out by a rule, or for want of proof.
    RolledBack,
    /// It was taken out by a person, or could not go on.
    Aborted,
    /// Another candidate took its place.
    Replaced,
    /// Another candidate waits until this rollout is over.
    Queued,
}

/// Why an order was not taken, or a rollout not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable.
    pub code: RefusalCode,
    /// What is wrong, and how to mend it.
    pub text: Box<str>,
}

/// Why an order was not taken, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// The rollout is over.
    IsOver,
    /// The rollout is not over.
    IsUnderWay,
    /// The order does not fit the status.
    WrongStatus,
    /// It must be said who orders this.
    NameNeeded,
    /// It must be said why.
    ReasonNeeded,
    /// The proof is not there.
    NotProven,
    /// The candidate is not in memory.
    NotReady,
    /// The arms do not get their shares.
    SampleRatio,
    /// Both versions are ill.
    SharedIncident,
    /// It was tried again often enough.
    NoRetriesLeft,
    /// Too many rollbacks have frozen the rollouts of the model.
    Frozen,
    /// The last rollback is too recent.
    Cooldown,
    /// The candidate is the one under way.
    SameCandidate,
}

impl NotifyKind {
    /// The word used in webhooks and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "rollout_started",
            Self::Advanced => "rollout_advanced",
            Self::AwaitingApproval => "rollout_awaiting_approval",
            Self::Paused => "rollout_paused",
            Self::Resumed => "rollout_resumed",
            Self::Held => "rollout_held",
            Self::Alert => "rollout_alert",
            Self::SharedIncident => "shared_incident",
            Self::SharedIncidentOver => "shared_incident_over",
            Self::NoTraffic => "no_traffic",
            Self::Interrupted => "promotion_interrupted",
            Self::Promoted => "rollout_promoted",
            Self::Confirmed => "promotion_confirmed",
            Self::RolledBack => "rollout_rolled_back",
            Self::Aborted => "rollout_aborted",
            Self::Replaced => "rollout_replaced",
            Self::Queued => "rollout_queued",
        }
    }
}

impl OutCause {
    /// The word used in metrics, logs and the journal; of a rule, its name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Rule { rule, .. } => rule,
            Self::Order { .. } => "order",
            Self::Check(_) => "check",
            Self::Gone(_) => "gone",
            Self::Inconclusive(_) => "inconclusive",
            Self::StableChanged(_) => "stable_changed",
            Self::Replaced(_) => "replaced",
        }
    }
}

impl RefusalCode {
    /// The word callers of the API see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IsOver => "rollout_is_over",
            Self::IsUnderWay => "rollout_under_way",
            Self::WrongStatus => "wrong_status",
            Self::NameNeeded => "name_needed",
            Self::ReasonNeeded => "reason_needed",
            Self::NotProven => "not_proven",
            Self::NotReady => "not_ready",
            Self::SampleRatio => "sample_ratio_broken",
            Self::SharedIncident => "shared_incident",
            Self::NoRetriesLeft => "no_retries_left",
            Self::Frozen => "rollouts_frozen",
            Self::Cooldown => "cooldown",
            Self::SameCandidate => "same_candidate",
        }
    }
}

impl Refusal {
    pub(super) fn new(code: RefusalCode, text: impl Into<Box<str>>) -> Self {
        Self { code, text: text.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for OutCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule { text, .. } => f.write_str(text),
            Self::Order { by, reason } => {
                let by = if by.is_empty() { "somebody" } else { by };
                if reason.is_empty() { write!(f, "ordered by {by}") } else { write!(f, "ordered by {by}: {reason}") }
            }
            Self::Check(text) | Self::Gone(text) | Self::Inconclusive(text) => f.write_str(text),
            Self::StableChanged(version) => {
                write!(f, "version {version} became stable, and the candidate was judged against another")
            }
            Self::Replaced(version) => write!(f, "version {version} took its place"),
        }
    }
}
