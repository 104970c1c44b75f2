//! Policies with anything in them that may stand in a policy, whether or not a rollout could follow them.

use std::time::Duration;

use base_types::{Comparison, Match};
use control_rollout::{
    Bins, ClassicWindow, DisagreementLimit, Drift, FreezeAfter, Guardrail, LatencyBound, LatencyComparison,
    LatencyLimit, LossComparison, MistakeComparison, Mode, OnFailure, OnInconclusive, OnNewCandidate, OnSharedIncident,
    Policy, ProofOf, RuleWeights, SampleRatio, SteadyState, Step, StepKind,
};
use proptest::prelude::*;

use super::{secs, step};

fn number() -> BoxedStrategy<f64> {
    prop_oneof![0.0001f64..0.5, Just(0.01), Just(0.1), Just(1.0 / 3.0)].boxed()
}

/// A time as files give it, in milliseconds.
fn ms() -> BoxedStrategy<f64> {
    prop_oneof![(1u32..1_000_000).prop_map(|ms| f64::from(ms) / 1e3), (0.001f64..1e5).prop_map(|ms| ms / 1e3)].boxed()
}

fn duration_value() -> BoxedStrategy<Duration> {
    prop_oneof![(1u64..10_000_000).prop_map(Duration::from_millis), (1u64..300).prop_map(|d| secs(86_400 * d))].boxed()
}

fn on_failure() -> BoxedStrategy<OnFailure> {
    prop_oneof![Just(OnFailure::RollBack), Just(OnFailure::Pause), Just(OnFailure::Alert), Just(OnFailure::Observe)]
        .boxed()
}

fn one_match() -> BoxedStrategy<Match> {
    prop_oneof![
        Just(Match::Exact),
        Just(Match::Argmax),
        Just(Match::Ignore),
        (0.0f64..1e12, 0.0f64..1e-9).prop_map(|(absolute, relative)| Match::Tolerance { absolute, relative }),
        (1usize..100, number()).prop_map(|(k, overlap)| Match::TopK { k, overlap }),
    ]
    .boxed()
}

fn latency_rules() -> BoxedStrategy<(Option<LatencyLimit>, Option<LatencyComparison>)> {
    let limit =
        (ms(), number(), number(), on_failure()).prop_map(|(slower_than_seconds, limit, weight, on_failure)| {
            LatencyLimit { slower_than_seconds, limit, weight, on_failure }
        });
    let versus = (proptest::collection::vec(number(), 1..4), 100u64..1_000_000, 1.0f64..1e3, number(), on_failure());
    let versus = versus.prop_map(|(quantiles, freeze_after, tolerate_ratio, weight, on_failure)| LatencyComparison {
        quantiles,
        freeze_after,
        tolerate_ratio,
        weight,
        on_failure,
    });
    (proptest::option::of(limit), proptest::option::of(versus)).boxed()
}

fn shadow_rules() -> BoxedStrategy<(Option<DisagreementLimit>, Option<Drift>)> {
    let name = "[a-z\"\\\\\u{1}\u{e9} .]{1,12}".prop_map(Box::<str>::from);
    let outputs = proptest::collection::btree_map(name.clone(), one_match(), 0..3);
    let compare = (outputs, one_match()).prop_map(|(outputs, otherwise)| Comparison { outputs, otherwise });
    let disagreement = (number(), compare, any::<bool>(), number(), on_failure()).prop_map(
        |(limit, compare, is_redacted, weight, on_failure)| DisagreementLimit {
            limit,
            compare,
            is_redacted,
            weight,
            on_failure,
        },
    );
    let bins = prop_oneof![Just(Bins::Classes), Just(Bins::Deciles)];
    let drift = (proptest::option::of(name), bins, number(), on_failure())
        .prop_map(|(output, bins, alpha, on_failure)| Drift { output, bins, alpha, on_failure });
    (proptest::option::of(disagreement), proptest::option::of(drift)).boxed()
}

type Feedback = (Option<SampleRatio>, Option<MistakeComparison>, Option<LossComparison>, Option<SteadyState>);

fn feedback_rules() -> BoxedStrategy<Feedback> {
    let ratio = (number(), on_failure()).prop_map(|(alpha, on_failure)| SampleRatio { alpha, on_failure });
    let mistakes = (1.0f64..1e3, number(), on_failure())
        .prop_map(|(tolerate_ratio, weight, on_failure)| MistakeComparison { tolerate_ratio, weight, on_failure });
    let loss = (0.0f64..0.9, number(), on_failure()).prop_map(|(tolerate_extra, weight, on_failure)| LossComparison {
        tolerate_extra,
        weight,
        on_failure,
    });
    let steady = (1e3f64..1e15, on_failure())
        .prop_map(|(mean, on_failure)| SteadyState { mean_requests_between_false_alarms: mean, on_failure });
    use proptest::option::of;
    (of(ratio), of(mistakes), of(loss), of(steady)).boxed()
}

fn window() -> BoxedStrategy<ClassicWindow> {
    let latency = (number(), ms()).prop_map(|(quantile, max_seconds)| LatencyBound { quantile, max_seconds });
    (1u64..600, 1u64..1_000, number(), proptest::option::of(latency))
        .prop_map(|(seconds, min_requests, rate, latency)| ClassicWindow {
            seconds,
            min_requests,
            max_error_rate: Some(rate),
            latency,
        })
        .boxed()
}

fn guardrails() -> BoxedStrategy<Guardrail> {
    let mode = prop_oneof![Just(Mode::Enforce), Just(Mode::Observe), Just(Mode::Off)];
    let shared = prop_oneof![Just(OnSharedIncident::Hold), Just(OnSharedIncident::RollBack)];
    let common = (mode, shared, on_failure(), [number(), number(), number(), number(), number()], 1.0f64..1e3);
    let counts = (1..=u64::MAX, 1..=u64::MAX);
    let rules = (latency_rules(), shadow_rules(), feedback_rules(), proptest::option::of(window()));
    (common, counts, rules)
        .prop_map(|(common, (planned_requests, planned_events), rules)| {
            let (mode, on_shared_incident, on_failure, [alpha, promote_alpha, limit, one, other], tolerate_ratio) =
                common;
            let ((latency, latency_vs_stable), (disagreement, drift), feedback, window) = rules;
            let (sample_ratio, mistakes, loss, steady_state) = feedback;
            Guardrail {
                mode,
                alpha,
                promote_alpha,
                limit,
                tolerate_ratio,
                planned_requests,
                planned_events,
                weights: RuleWeights { limit: one, relative: other },
                on_failure,
                latency,
                latency_vs_stable,
                disagreement,
                drift,
                sample_ratio,
                mistakes,
                loss,
                steady_state,
                on_shared_incident,
                window,
            }
        })
        .boxed()
}

fn a_step() -> BoxedStrategy<Step> {
    let kind = prop_oneof![
        Just(StepKind::Gate),
        (1u32..1_000).prop_map(|runs| StepKind::WarmUp { runs }),
        number().prop_map(|share| StepKind::Shadow { share }),
        number().prop_map(|share| StepKind::Weight { share }),
        "[a-z \"\\\\]{0,10}x".prop_map(|text| StepKind::Pause { approval: text.into() }),
    ];
    let proofs = proptest::sample::subsequence(ProofOf::ALL.to_vec(), 0..=3);
    (kind, duration_value(), proptest::option::of(duration_value()), proofs, 0u64..1_000_000, 0u64..1_000)
        .prop_map(|(kind, min, more, proofs, min_requests, min_feedback)| Step {
            kind,
            min,
            max: more.map(|more| min + more),
            proofs,
            min_requests,
            min_feedback,
        })
        .boxed()
}

pub(super) fn a_policy() -> BoxedStrategy<Policy> {
    let bake = duration_value().prop_map(|bake| step(StepKind::Promote { bake }));
    let steps = (proptest::collection::vec(a_step(), 1..6), proptest::option::of(bake));
    let times = [duration_value(), duration_value(), duration_value(), duration_value()];
    let words = (0usize..3, 0usize..3);
    let counts = [0u32..1_000, 0u32..1_000, 1u32..1_000];
    (steps, proptest::option::of(guardrails()), times, words, counts)
        .prop_map(
            |((mut steps, last), guardrail, [max_duration, progress_deadline, cooldown, within], words, counts)| {
                steps.extend(last);
                Policy {
                    steps,
                    guardrail,
                    max_duration,
                    on_inconclusive: OnInconclusive::ALL[words.0],
                    progress_deadline,
                    rollback_window: counts[0],
                    cooldown,
                    retries: counts[1],
                    freeze_after: FreezeAfter { rollbacks: counts[2], within },
                    on_new_candidate: OnNewCandidate::ALL[words.1],
                }
            },
        )
        .boxed()
}
