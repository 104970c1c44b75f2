use super::*;
use crate::policy::{Bins, Drift, LatencyLimit, RuleWeights, SampleRatio};

fn with_latency(on_failure: OnFailure) -> Guardrail {
    let latency = LatencyLimit { slower_than_seconds: 0.1, limit: 0.01, weight: 0.5, on_failure };
    Guardrail { weights: RuleWeights { limit: 1.0, relative: 0.5 }, latency: Some(latency), ..Guardrail::default() }
}

#[test]
fn parts_are_weights_over_their_sum() {
    assert_eq!(Guardrail::default().parts(), [(Rule::Limit, 0.5), (Rule::Relative, 0.5)]);
    let parts = with_latency(OnFailure::RollBack).parts();
    assert_eq!(parts, [(Rule::Limit, 0.5), (Rule::Relative, 0.25), (Rule::Latency, 0.25)]);
    // A rule that pauses has its part too: a false pause is paid from the same budget.
    assert_eq!(with_latency(OnFailure::Pause).part(Rule::Latency), 0.25);
}

#[test]
fn two_sided_rules_and_those_on_stable_have_an_alpha_of_their_own() {
    let guardrail = Guardrail {
        drift: Some(Drift { output: None, bins: Bins::Deciles, alpha: 0.02, on_failure: OnFailure::Alert }),
        sample_ratio: Some(SampleRatio { alpha: 0.03, on_failure: OnFailure::Pause }),
        ..Guardrail::default()
    };
    assert_eq!((guardrail.alpha_of(Rule::Drift), guardrail.part(Rule::Drift)), (0.02, 1.0));
    assert_eq!((guardrail.alpha_of(Rule::SampleRatio), guardrail.part(Rule::SampleRatio)), (0.03, 1.0));
    assert_eq!((guardrail.alpha_of(Rule::StableLimit), guardrail.part(Rule::StableLimit)), (0.001, 1.0));
    assert_eq!(guardrail.on_failure_of(Rule::Drift), OnFailure::Alert);
}

#[test]
fn only_rules_that_would_roll_back_are_summed() {
    assert!(with_latency(OnFailure::RollBack).is_summed(Rule::Latency));
    for on_failure in [OnFailure::Pause, OnFailure::Alert, OnFailure::Observe] {
        assert!(!with_latency(on_failure).is_summed(Rule::Latency));
    }
    let guardrail = Guardrail::default();
    assert!(guardrail.is_summed(Rule::Limit) && guardrail.is_summed(Rule::Relative));
    assert!(!guardrail.is_summed(Rule::StableLimit) && !guardrail.is_summed(Rule::SampleRatio));
}
