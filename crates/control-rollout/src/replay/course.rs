//! The steps of a policy, taken on recorded time.

use std::sync::Arc;

use base_types::{Digest, Rollout, RolloutStatus};

use crate::evidence::Evidence;
use crate::plan::Policy;
use crate::policy::OnFailure;
use crate::replay::{Deed, Judged, ReplayRequest, rule_of};
use crate::rollout::{Action, Check, Event, Facts, Order, OrderKind, Start, Trip, advance, begin};
use crate::rule::Rule;
use crate::verdict::Decision;

/// A policy on its way.
pub(super) struct Course<'a> {
    policy: &'a Policy,
    start: Start,
    rollout: Option<Rollout>,
    /// The candidate's requests when the step began.
    step: (usize, u64),
    last_request_unix_ms: Option<u64>,
    last_requests: u64,
    is_sample_ratio_broken: bool,
}

impl<'a> Course<'a> {
    pub(super) fn new(policy: &'a Policy, request: &ReplayRequest<'_>) -> Self {
        let start = Start {
            number: 1,
            candidate: request.candidate,
            // A record knows versions by their numbers only; nothing here looks at contents.
            digest: Digest::new([0; 32]),
            stable: request.stable,
            policy_name: Arc::from("replay"),
            policy_text: Arc::from(""),
            actor: "replay".into(),
            skips_judgement: false,
        };
        Self {
            policy,
            start,
            rollout: None,
            step: (0, 0),
            last_request_unix_ms: None,
            last_requests: 0,
            is_sample_ratio_broken: false,
        }
    }

    pub(super) fn status(&self) -> RolloutStatus {
        self.rollout.as_ref().map_or(RolloutStatus::Running, |rollout| rollout.status)
    }

    /// Takes how things stand, and what follows from it.
    pub(super) fn tick(&mut self, evidence: &Evidence, candidate: Judged, is_incident: bool, now: u64) -> Vec<Deed> {
        if candidate.requests > self.last_requests {
            (self.last_requests, self.last_request_unix_ms) = (candidate.requests, Some(now));
        }
        let facts = Facts {
            is_candidate_ready: true,
            gate: Some(Check::Passed),
            warm_up: Some(Check::Passed),
            n_requests: candidate.requests - self.step.1,
            proofs: evidence.proofs.iter().copied().collect(),
            is_sample_ratio_broken: self.is_sample_ratio_broken,
            is_shared_incident: is_incident,
            last_request_unix_ms: self.last_request_unix_ms,
            ..Facts::default()
        };
        let mut deeds = self.take(&Event::Tick(facts.clone()), now);
        if self.status() == RolloutStatus::AwaitingApproval {
            let order = Order { by: "replay".into(), kind: OrderKind::Approve };
            deeds.extend(self.take(&Event::Ordered { order, facts }, now));
        }
        if let Some(step) = self.rollout.as_ref().map(|rollout| rollout.step).filter(|step| *step != self.step.0) {
            self.step = (step, candidate.requests);
        }
        deeds
    }

    /// Takes what the rules ask for.
    pub(super) fn on_decision(&mut self, decision: &Decision, now: u64) -> Vec<Deed> {
        let (on_failure, text) = match decision {
            Decision::RollBack(cause) => (OnFailure::RollBack, cause.to_string()),
            Decision::Pause(grounds) => (OnFailure::Pause, grounds.to_string()),
            Decision::Alert(grounds) => (OnFailure::Alert, grounds.to_string()),
            Decision::Hold(grounds) => {
                return self.take(&Event::SharedIncident { text: grounds.to_string().into() }, now);
            }
            Decision::None | Decision::WouldRollBack(_) | Decision::Observe(_) => return Vec::new(),
        };
        let rule = rule_of(decision);
        self.is_sample_ratio_broken |= rule == Rule::SampleRatio.as_str();
        self.take(&Event::Tripped(Trip { rule: rule.into(), text: text.into(), on_failure }), now)
    }

    fn take(&mut self, event: &Event, now: u64) -> Vec<Deed> {
        let mut actions = Vec::new();
        let before = self.rollout.take().unwrap_or_else(|| {
            let begun = begin(self.policy, self.start.clone(), now);
            actions = begun.actions;
            begun.rollout
        });
        let advanced = advance(self.policy, &before, event, now);
        self.rollout = Some(advanced.rollout);
        actions.extend(advanced.actions);
        actions.into_iter().filter_map(deed).collect()
    }
}

/// What of the actions people want to read: a machine's own are named by the notices that go with them.
fn deed(action: Action) -> Option<Deed> {
    match action {
        Action::Notify { text, .. } => Some(Deed::Policy(text.into())),
        _ => None,
    }
}
