use super::*;

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
    let weights = |limit, relative| Guardrail { weights: RuleWeights { limit, relative }, ..base };
    let cases = [
        (Guardrail { alpha: 0.0, ..base }, "alpha"),
        (Guardrail { alpha: f64::NAN, ..base }, "alpha"),
        (Guardrail { promote_alpha: 0.6, ..base }, "promote_alpha"),
        (Guardrail { limit: 0.0, ..base }, "limit"),
        (Guardrail { limit: 0.51, ..base }, "limit"),
        (Guardrail { limit: f64::NAN, ..base }, "limit"),
        (Guardrail { tolerate_ratio: 0.99, ..base }, "tolerate_ratio"),
        (Guardrail { tolerate_ratio: f64::INFINITY, ..base }, "tolerate_ratio"),
        (Guardrail { planned_requests: 0, ..base }, "planned_requests"),
        (Guardrail { planned_events: 0, ..base }, "planned_events"),
        (weights(0.0, 0.5), "weights.limit"),
        (weights(0.5, -0.1), "weights.relative"),
        (weights(0.6, 0.6), "weights"),
        (with_window(ClassicWindow { seconds: 0, ..WINDOW }), "window.seconds"),
        (with_window(ClassicWindow { min_requests: 0, ..WINDOW }), "window.min_requests"),
        (with_window(ClassicWindow { max_error_rate: None, latency: None, ..WINDOW }), "window"),
        (with_window(ClassicWindow { max_error_rate: Some(1.0), ..WINDOW }), "window.max_error_rate"),
    ];
    for (guardrail, field) in cases {
        assert_eq!(fields(&guardrail), [field]);
    }
    assert_eq!(fields(&weights(0.3, 0.7)), [""; 0]);
}

#[test]
fn all_problems_come_at_once_and_read_well() {
    let latency = Some(LatencyBound { quantile: 1.0, max_seconds: f64::NAN });
    let guardrail = Guardrail { alpha: 2.0, limit: 1.2, ..with_window(ClassicWindow { latency, ..WINDOW }) };
    let all = ["alpha", "limit", "window.latency.quantile", "window.latency.max_seconds"];
    assert_eq!(fields(&guardrail), all);
    assert_eq!(guardrail.problems()[1].to_string(), "limit is 1.2, allowed is from 0.000001 to 0.5");
}
