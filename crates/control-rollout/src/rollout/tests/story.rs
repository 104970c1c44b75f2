//! A rollout as a story: a policy, a clock and how things stand, and what was done so far.

use std::time::Duration;

use base_types::{Digest, NextCandidate, Rollout, RolloutStatus, Version};

use crate::plan::{Policy, ProofOf, Step, StepKind};
use crate::policy::OnFailure;
use crate::promotion::Proof;
use crate::rollout::{
    Action, Check, Event, Facts, NotifyKind, Order, OrderKind, Refusal, RefusalCode, Start, Trip, advance, begin,
};

pub(super) struct Story {
    pub(super) policy: Policy,
    pub(super) rollout: Rollout,
    pub(super) facts: Facts,
    pub(super) now: u64,
    /// Everything done since it was last asked.
    done: Vec<Action>,
}

pub(super) const PROVEN: Proof = Proof { log_e: 3.1, threshold: 3.0, is_proven: true, clean_requests_needed: 0 };
pub(super) const OPEN: Proof = Proof { log_e: 0.5, threshold: 3.0, is_proven: false, clean_requests_needed: 348 };

/// A candidate that comes while another one is rolled out.
pub(super) fn waiting(number: u64) -> NextCandidate {
    NextCandidate { version: version(number), policy: number.is_multiple_of(2).then(|| "cautious".into()) }
}

pub(super) fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

pub(super) fn step(kind: StepKind) -> Step {
    Step { kind, min: Duration::ZERO, max: None, proofs: vec![], min_requests: 0, min_feedback: 0 }
}

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Gate, warm-up, shadow 10 %, weight 5 % with proof for at least a minute, approval, weight 50 %, promotion with an
/// hour of bake.
pub(super) fn whole_life() -> Policy {
    let weight =
        |share: f64| Step { min: seconds(60), proofs: vec![ProofOf::Errors], ..step(StepKind::Weight { share }) };
    Policy {
        steps: vec![
            step(StepKind::Gate),
            step(StepKind::WarmUp { runs: 20 }),
            Step { proofs: vec![ProofOf::Disagreement], ..step(StepKind::Shadow { share: 0.1 }) },
            weight(0.05),
            step(StepKind::Pause { approval: "ml-oncall".into() }),
            weight(0.5),
            step(StepKind::Promote { bake: seconds(3600) }),
        ],
        ..Policy::default()
    }
}

/// One weight step with proof, then the promotion.
pub(super) fn short() -> Policy {
    let weight = Step { min: seconds(60), proofs: vec![ProofOf::Errors], ..step(StepKind::Weight { share: 0.05 }) };
    Policy { steps: vec![weight, step(StepKind::Promote { bake: seconds(3600) })], ..Policy::default() }
}

pub(super) fn start() -> Start {
    Start {
        number: 1,
        candidate: version(8),
        digest: Digest::new([7; 32]),
        stable: version(7),
        policy_name: "default".into(),
        policy_text: "steps = []".into(),
        actor: "ada".into(),
        skips_judgement: false,
    }
}

impl Story {
    /// A rollout that has just begun; the candidate is in memory, nobody has asked it anything.
    pub(super) fn of(policy: Policy) -> Self {
        let now = 1_000_000;
        let begun = begin(&policy, start(), now);
        let facts = Facts { is_candidate_ready: true, ..Facts::default() };
        Self { policy, rollout: begun.rollout, facts, now, done: begun.actions }
    }

    /// One in the weight step of `short`.
    pub(super) fn in_weight() -> Self {
        let mut story = Self::of(short());
        story.tick_after(0);
        assert_eq!(story.rollout.share, 0.05);
        story.done();
        story
    }

    /// One whose promotion is watched.
    pub(super) fn in_bake() -> Self {
        let mut story = Self::in_weight();
        story.all_goes_well();
        story.tick_after(60);
        assert_eq!(story.rollout.status, RolloutStatus::Baking);
        story.done();
        story
    }

    /// Requests come, and every proof is there.
    pub(super) fn all_goes_well(&mut self) {
        self.facts = Facts {
            is_candidate_ready: true,
            gate: Some(Check::Passed),
            warm_up: Some(Check::Passed),
            n_requests: 500,
            n_shadowed: 500,
            n_feedback: 500,
            proofs: ProofOf::ALL.into_iter().map(|of| (of, PROVEN)).collect(),
            last_request_unix_ms: Some(self.now),
            ..Facts::default()
        };
    }

    pub(super) fn take(&mut self, event: &Event) -> Option<Refusal> {
        let advanced = advance(&self.policy, &self.rollout, event, self.now);
        self.rollout = advanced.rollout;
        self.done.extend(advanced.actions);
        advanced.refusal
    }

    pub(super) fn tick_after(&mut self, n_seconds: u64) {
        self.now += n_seconds * 1000;
        self.take(&Event::Tick(self.facts.clone()));
    }

    pub(super) fn order(&mut self, kind: OrderKind) -> Result<(), RefusalCode> {
        self.order_by("ada", kind)
    }

    pub(super) fn order_by(&mut self, by: &str, kind: OrderKind) -> Result<(), RefusalCode> {
        let order = Order { by: by.into(), kind };
        let refusal = self.take(&Event::Ordered { order, facts: self.facts.clone() });
        refusal.map_or(Ok(()), |refusal| Err(refusal.code))
    }

    pub(super) fn abort(&mut self) {
        self.order(OrderKind::Abort { reason: "".into(), is_quarantined: false }).unwrap();
    }

    pub(super) fn pause(&mut self) {
        self.order(OrderKind::Pause { reason: "lunch".into() }).unwrap();
    }

    pub(super) fn trip(&mut self, rule: &str, on_failure: OnFailure) {
        let text = "5 faults in 20 requests".into();
        self.take(&Event::Tripped(Trip { rule: rule.into(), text, on_failure }));
    }

    /// What was done since this was last asked.
    pub(super) fn done(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.done)
    }

    /// What people were told since this was last asked.
    pub(super) fn told(&mut self) -> Vec<NotifyKind> {
        let told = |action: Action| if let Action::Notify { kind, .. } = action { Some(kind) } else { None };
        self.done().into_iter().filter_map(told).collect()
    }

    pub(super) fn status(&self) -> RolloutStatus {
        self.rollout.status
    }
}
