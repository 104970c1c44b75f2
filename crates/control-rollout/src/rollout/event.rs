//! What can happen to a rollout.

use base_types::{NextCandidate, Version};

use crate::policy::OnFailure;
use crate::rollout::Facts;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Time passed; this is how things stand. To be sent at least a few times a second.
    Tick(Facts),
    /// A rule convicts the candidate. May be said again while it lasts.
    Tripped(Trip),
    /// Both versions are ill and neither is to blame. Said as it is seen; `Facts::is_shared_incident` says for how
    /// long it lasts.
    SharedIncident {
        /// What the rules show.
        text: Box<str>,
    },
    /// The shared incident is over. The next tick would say so too.
    SharedIncidentOver,
    /// A person wants something.
    Ordered {
        /// What.
        order: Order,
        /// How things stand.
        facts: Facts,
    },
    /// The candidate can no longer serve: its load failed, its content was quarantined, its folder is gone.
    CandidateGone {
        /// Why.
        reason: Box<str>,
    },
    /// Another version became stable, not by this rollout's own promotion.
    StableChanged {
        /// Which.
        version: Version,
    },
    /// The process has started again, and this rollout is as the journal has it. Comes before anything else does.
    Restarted,
    /// Another candidate of the same model is to be rolled out.
    NewCandidate(NextCandidate),
    /// The candidate was rolled back by someone else: another replica, or the command `rollback`.
    RolledBackElsewhere {
        /// By whom and why.
        text: Box<str>,
    },
}

/// A rule convicts.
#[derive(Debug, Clone, PartialEq)]
pub struct Trip {
    /// The rule's name, from a closed set.
    pub rule: Box<str>,
    /// Counts, statistic and threshold, in words.
    pub text: Box<str>,
    /// What the rule asks for. A guardrail that only observes sends `Observe`.
    pub on_failure: OnFailure,
}

/// What a person wants, and who it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Who; empty when nobody said.
    pub by: Box<str>,
    /// What.
    pub kind: OrderKind,
}

/// What a person may want.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderKind {
    /// The step that waits for it is approved.
    Approve,
    /// The rollout stands still; shares stay, rules stay armed.
    Pause {
        /// Why; may be empty.
        reason: Box<str>,
    },
    /// It goes on.
    Resume,
    /// The candidate goes out of traffic at once, and the rollout is over.
    Abort {
        /// Why; may be empty.
        reason: Box<str>,
        /// Whether its content is quarantined too.
        is_quarantined: bool,
    },
    /// The candidate gets all traffic now, whatever steps are left.
    Promote {
        /// Why it needs no proof; `None`: it needs one.
        force: Option<Box<str>>,
    },
    /// A promotion is confirmed before its bake is over.
    Confirm,
    /// A rollout that was rolled back or aborted begins again.
    Retry,
}

impl OrderKind {
    /// The word used in the API, journal and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Pause { .. } => "pause",
            Self::Resume => "resume",
            Self::Abort { .. } => "abort",
            Self::Promote { .. } => "promote",
            Self::Confirm => "confirm",
            Self::Retry => "retry",
        }
    }
}
