#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use super::*;
use crate::policy::{
    Bins, Drift, LatencyLimit, LossComparison, MistakeComparison, Mode, OnFailure, RuleWeights, SampleRatio,
    SteadyState,
};

fn fields(guardrail: &Guardrail) -> Vec<&'static str> {
    guardrail.problems().iter().map(|p| p.field).collect()
}

fn with_window(window: ClassicWindow) -> Guardrail {
    Guardrail { window: Some(window), ..Guardrail::default() }
}

const WINDOW: ClassicWindow = ClassicWindow {
    seconds: 60,
    min_requests: 100,
    max_error_rate: Some(0.05),
    latency: Some(LatencyBound { quantile: 0.99, max_seconds: 0.08 }),
};

#[test]
fn the_default_is_allowed_and_says_what_the_documentation_says() {
    let default = Guardrail::default();
    assert_eq!(fields(&default), [""; 0]);
    assert_eq!((default.alpha, default.promote_alpha, default.limit), (0.001, 0.05, 0.01));
    assert_eq!((default.tolerate_ratio, default.mode), (2.0, Mode::Enforce));
    assert_eq!((default.planned_requests, default.planned_events), (1_000_000, 100_000));
    assert_eq!(fields(&with_window(WINDOW)), [""; 0]);
}

#[test]
fn each_value_out_of_range_is_named() {
    let base = Guardrail::default();
    let weights = |limit, relative| Guardrail { weights: RuleWeights { limit, relative }, ..base.clone() };
    let cases = [
        (Guardrail { alpha: 0.0, ..base.clone() }, "alpha"),
        (Guardrail { alpha: f64::NAN, ..base.clone() }, "alpha"),
        (Guardrail { promote_alpha: 0.6, ..base.clone() }, "promote_alpha"),
        (Guardrail { limit: 0.0, ..base.clone() }, "limit"),
        (Guardrail { limit: 0.51, ..base.clone() }, "limit"),
        (Guardrail { limit: f64::NAN, ..base.clone() }, "limit"),
        (Guardrail { tolerate_ratio: 0.99, ..base.clone() }, "tolerate_ratio"),
        (Guardrail { tolerate_ratio: f64::INFINITY, ..base.clone() }, "tolerate_ratio"),
        (Guardrail { planned_requests: 0, ..base.clone() }, "planned_requests"),
        (Guardrail { planned_events: 0, ..base.clone() }, "planned_events"),
        (weights(0.0, 0.5), "weights.limit"),
        (weights(0.5, -0.1), "weights.relative"),
        (weights(1001.0, 0.5), "weights.limit"),
        (weights(f64::NAN, 0.5), "weights.limit"),
        (with_window(ClassicWindow { seconds: 0, ..WINDOW }), "window.seconds"),
        (with_window(ClassicWindow { min_requests: 0, ..WINDOW }), "window.min_requests"),
        (with_window(ClassicWindow { max_error_rate: None, latency: None, ..WINDOW }), "window"),
        (with_window(ClassicWindow { max_error_rate: Some(1.0), ..WINDOW }), "window.max_error_rate"),
    ];
    for (guardrail, field) in cases {
        assert_eq!(fields(&guardrail), [field]);
    }
    // They are parts of their sum, whatever that is.
    assert_eq!(fields(&weights(3.0, 7.0)), [""; 0]);
}

#[test]
fn all_problems_come_at_once_and_read_well() {
    let latency = Some(LatencyBound { quantile: 1.0, max_seconds: f64::NAN });
    let guardrail = Guardrail { alpha: 2.0, limit: 1.2, ..with_window(ClassicWindow { latency, ..WINDOW }) };
    let all = ["alpha", "limit", "window.latency.quantile", "window.latency.max_seconds"];
    assert_eq!(fields(&guardrail), all);
    assert_eq!(guardrail.problems()[1].to_string(), "limit is 1.2, allowed is from 0.000001 to 0.5");
}

/// A guardrail with every judgement there is.
fn full() -> Guardrail {
    let on_failure = OnFailure::Pause;
    Guardrail {
        latency: Some(LatencyLimit { slower_than_seconds: 0.08, limit: 0.01, weight: 0.2, on_failure }),
        latency_vs_stable: Some(LatencyComparison {
            quantiles: vec![0.5, 0.9, 0.99],
            freeze_after: 1000,
            tolerate_ratio: 1.1,
            weight: 0.2,
            on_failure,
        }),
        disagreement: Some(DisagreementLimit {
            limit: 0.02,
            compare: Default::default(),
            is_redacted: false,
            weight: 0.1,
            on_failure,
        }),
        drift: Some(Drift { output: None, bins: Bins::Classes, alpha: 0.001, on_failure }),
        sample_ratio: Some(SampleRatio::default()),
        mistakes: Some(MistakeComparison { tolerate_ratio: 1.0, weight: 0.1, on_failure }),
        loss: Some(LossComparison { tolerate_extra: 0.01, weight: 0.1, on_failure }),
        steady_state: Some(SteadyState { mean_requests_between_false_alarms: 1e8, on_failure }),
        ..Guardrail::default()
    }
}

#[test]
fn each_further_judgement_has_its_ranges() {
    assert_eq!(fields(&full()), [""; 0]);
    let check = |spoil: &dyn Fn(&mut Guardrail), field: &'static str| {
        let mut guardrail = full();
        spoil(&mut guardrail);
        assert_eq!(fields(&guardrail), [field]);
    };
    fn of<T>(rule: &mut Option<T>) -> &mut T {
        rule.as_mut().unwrap()
    }
    check(&|g| of(&mut g.latency).slower_than_seconds = 0.0, "latency.slower_than_seconds");
    check(&|g| of(&mut g.latency).limit = 0.7, "latency.limit");
    check(&|g| of(&mut g.latency).weight = 0.0, "latency.weight");
    check(&|g| of(&mut g.latency_vs_stable).quantiles.clear(), "latency_vs_stable.quantiles");
    check(&|g| of(&mut g.latency_vs_stable).quantiles.push(0.999), "latency_vs_stable.quantiles");
    check(&|g| of(&mut g.latency_vs_stable).quantiles[0] = 1.0, "latency_vs_stable.quantiles");
    check(&|g| of(&mut g.latency_vs_stable).freeze_after = 99, "latency_vs_stable.freeze_after");
    check(&|g| of(&mut g.latency_vs_stable).tolerate_ratio = 0.9, "latency_vs_stable.tolerate_ratio");
    check(&|g| of(&mut g.latency_vs_stable).weight = -1.0, "latency_vs_stable.weight");
    check(&|g| of(&mut g.disagreement).limit = 0.0, "disagreement.limit");
    check(&|g| of(&mut g.disagreement).weight = f64::INFINITY, "disagreement.weight");
    let compare = |way: Match| move |g: &mut Guardrail| of(&mut g.disagreement).compare.otherwise = way;
    let tolerance = |absolute, relative| Match::Tolerance { absolute, relative };
    check(&compare(tolerance(-1.0, 0.0)), "disagreement.compare.absolute");
    check(&compare(tolerance(0.0, f64::NAN)), "disagreement.compare.relative");
    check(&compare(Match::TopK { k: 0, overlap: 1.0 }), "disagreement.compare.k");
    check(&compare(Match::TopK { k: 3, overlap: 0.0 }), "disagreement.compare.overlap");
    check(&|g| of(&mut g.drift).alpha = 0.0, "drift.alpha");
    check(&|g| of(&mut g.sample_ratio).alpha = 0.6, "sample_ratio.alpha");
    check(&|g| of(&mut g.mistakes).tolerate_ratio = 0.0, "mistakes.tolerate_ratio");
    check(&|g| of(&mut g.mistakes).weight = 0.0, "mistakes.weight");
    check(&|g| of(&mut g.loss).tolerate_extra = 0.95, "loss.tolerate_extra");
    check(&|g| of(&mut g.loss).weight = 0.0, "loss.weight");
    let steady = "steady_state.mean_requests_between_false_alarms";
    check(&|g| of(&mut g.steady_state).mean_requests_between_false_alarms = 999.0, steady);
}
