//! Policies, facts and events of every kind.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::super::story::*;
use crate::plan::{OnInconclusive, OnNewCandidate, Policy, ProofOf, Step, StepKind};
use crate::policy::OnFailure;
use crate::promotion::Proof;
use crate::rollout::{Check, Event, Facts, Order, OrderKind, Trip};

/// Policies without errors, with up to six steps before an optional promotion. Times are a few seconds, so that lives
/// of a minute meet all of them; longest times are hundreds.
pub(super) fn policy() -> impl Strategy<Value = Policy> {
    let promotion = option::weighted(0.9, (0_u64..15).prop_map(|bake| StepKind::Promote { bake: seconds(bake) }));
    let steps = (vec(step_before_promotion(), 1..6), promotion).prop_map(|(mut steps, promotion)| {
        steps.extend(promotion.map(step));
        steps
    });
    let on_inconclusive = prop::sample::select(OnInconclusive::ALL.to_vec());
    let on_new_candidate = prop::sample::select(OnNewCandidate::ALL.to_vec());
    (steps, on_inconclusive, on_new_candidate, 0_u32..3, 5_000_u64..6_000).prop_map(
        |(steps, on_inconclusive, on_new_candidate, retries, max)| Policy {
            steps,
            on_inconclusive,
            on_new_candidate,
            retries,
            max_duration: seconds(max),
            ..Policy::default()
        },
    )
}

fn step_before_promotion() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        Just(StepKind::Gate),
        Just(StepKind::WarmUp { runs: 5 }),
        (0.01..1.0_f64).prop_map(|share| StepKind::Shadow { share }),
        (0.01..0.6_f64).prop_map(|share| StepKind::Weight { share }),
        (0.01..0.6_f64).prop_map(|share| StepKind::Weight { share }),
        Just(StepKind::Pause { approval: "ml-oncall".into() }),
    ];
    let proofs = vec(proof_of(), 0..2);
    (kind, 0_u64..15, option::of(400_u64..900), proofs, 0_u64..50, 0_u64..20).prop_map(
        |(kind, min, max, proofs, min_requests, min_feedback)| Step {
            kind,
            min: seconds(min),
            max: max.map(seconds),
            proofs,
            min_requests,
            min_feedback,
        },
    )
}

/// An event, and how many milliseconds pass before it.
pub(super) fn happening() -> impl Strategy<Value = (Event, u64)> {
    let pause_ms = prop_oneof![6 => 0_u64..30_000, 1 => 0_u64..8_000_000];
    (event(), pause_ms)
}

fn event() -> impl Strategy<Value = Event> {
    let on_failure = prop::sample::select(vec![OnFailure::Pause, OnFailure::Alert, OnFailure::Observe]);
    let trip = |rule: &'static str, on_failure| Trip { rule: rule.into(), text: "".into(), on_failure };
    let rule = prop::sample::select(vec!["latency", "drift", "sample_ratio"]);
    prop_oneof![
        60 => facts().prop_map(Event::Tick),
        20 => (who(), order_kind(), facts())
            .prop_map(|(by, kind, facts)| Event::Ordered { order: Order { by: by.into(), kind }, facts }),
        4 => (rule, on_failure).prop_map(move |(rule, on_failure)| Event::Tripped(trip(rule, on_failure))),
        1 => Just(Event::Tripped(trip("limit", OnFailure::RollBack))),
        2 => Just(Event::SharedIncident { text: "".into() }),
        2 => Just(Event::SharedIncidentOver),
        4 => Just(Event::Restarted),
        3 => (8_u64..12).prop_map(|number| Event::NewCandidate(waiting(number))),
        1 => (6_u64..9).prop_map(|number| Event::StableChanged { version: version(number) }),
        1 => Just(Event::CandidateGone { reason: "".into() }),
        1 => Just(Event::RolledBackElsewhere { text: "".into() }),
    ]
}

fn order_kind() -> impl Strategy<Value = OrderKind> {
    prop_oneof![
        6 => Just(OrderKind::Approve),
        3 => Just(OrderKind::Pause { reason: "".into() }),
        6 => Just(OrderKind::Resume),
        1 => Just(OrderKind::Abort { reason: "".into(), is_quarantined: false }),
        2 => Just(OrderKind::Promote { force: None }),
        1 => Just(OrderKind::Promote { force: Some("it must".into()) }),
        1 => Just(OrderKind::Confirm),
        3 => Just(OrderKind::Retry),
    ]
}

fn who() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("ada"), 1 => Just("")]
}

/// Mostly good, sometimes silent, sometimes anything.
fn facts() -> impl Strategy<Value = Facts> {
    let mut good = Story::of(short());
    good.all_goes_well();
    prop_oneof![
        4 => Just(good.facts),
        1 => Just(Facts { is_candidate_ready: true, ..Facts::default() }),
        3 => any_facts(),
    ]
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let checks = (check(), check());
    let counts = (0_u64..60, 0_u64..60, 0_u64..30);
    let doubts = (prop::bool::weighted(0.8), prop::bool::weighted(0.2), prop::bool::weighted(0.2), any::<bool>());
    let proofs = btree_map(proof_of(), proof(), 0..4);
    (checks, counts, doubts, proofs, option::of(0_u64..10_000_000), option::of(0.0..100.0_f64)).prop_map(
        |((gate, warm_up), (n_requests, n_shadowed, n_feedback), doubts, proofs, last_request_unix_ms, rate)| Facts {
            is_candidate_ready: doubts.0,
            gate,
            warm_up,
            n_requests,
            n_shadowed,
            n_feedback,
            proofs,
            is_sample_ratio_broken: doubts.1,
            is_shared_incident: doubts.2,
            last_request_unix_ms,
            is_frozen: doubts.3,
            requests_per_second: rate,
        },
    )
}

fn check() -> impl Strategy<Value = Option<Check>> {
    prop_oneof![4 => Just(Some(Check::Passed)), 4 => Just(None), 1 => Just(Some(Check::Failed("".into())))]
}

fn proof_of() -> impl Strategy<Value = ProofOf> {
    prop::sample::select(ProofOf::ALL.to_vec())
}

fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![3 => Just(PROVEN), 1 => Just(OPEN)]
}
