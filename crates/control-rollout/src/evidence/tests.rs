use super::*;
use crate::policy::RuleWeights;
use crate::relative::FAULT_ALTERNATIVES;
use crate::trial::Arm;

fn limit_test(n_faults: u64, n_successes: u64) -> LimitTest {
    let mut test = LimitTest::new(0.01);
    test.on_successes(n_successes);
    (0..n_faults).for_each(|_| test.on_fault());
    test
}

fn relative_test(candidate_faults: u64, stable_faults: u64) -> RelativeTest {
    let mut test = RelativeTest::new(2.0, &FAULT_ALTERNATIVES);
    (0..stable_faults).for_each(|_| test.on_fault(Arm::Stable, 0.1));
    (0..candidate_faults).for_each(|_| test.on_fault(Arm::Candidate, 0.1));
    test
}

fn weigh(guardrail: &Guardrail, limit: &LimitTest, relative: &RelativeTest) -> Findings {
    let tests = ErrorTests { candidate: limit, stable: &limit_test(0, 0), relative };
    Findings::weigh(guardrail, &tests, Vec::new())
}

#[test]
fn the_sum_is_the_weighted_mean_of_the_rules() {
    let guardrail = Guardrail { weights: RuleWeights { limit: 0.3, relative: 0.6 }, ..Guardrail::default() };
    let findings = weigh(&guardrail, &limit_test(2, 50), &relative_test(2, 3));
    let (limit, relative) = (findings.limit.log_e.exp(), findings.relative.log_e.exp());
    let want = 0.5 * (limit + 2.0 * relative) / 3.0;
    assert!((findings.log_e.exp() / want - 1.0).abs() < 1e-9);
    assert!((findings.threshold - 1000.0_f64.ln()).abs() < 1e-12);
    let alone = (1000.0_f64 * 3.0 / 0.5).ln();
    assert!((findings.limit.threshold - alone).abs() < 1e-12);
    assert!((findings.stable_limit.threshold - 2000.0_f64.ln()).abs() < 1e-12);
}

#[test]
fn the_largest_term_is_blamed() {
    let guardrail = Guardrail::default();
    let of_limit = weigh(&guardrail, &limit_test(4, 0), &relative_test(4, 0));
    assert_eq!((of_limit.is_tripped, of_limit.blamed), (true, Rule::Limit));
    assert!(of_limit.limit.is_tripped && !of_limit.relative.is_tripped);
    let mut below_the_limit = limit_test(0, 0);
    for _ in 0..9 {
        below_the_limit.on_successes(500);
        below_the_limit.on_fault();
    }
    let of_relative = weigh(&guardrail, &below_the_limit, &relative_test(9, 0));
    assert_eq!((of_relative.is_tripped, of_relative.blamed), (true, Rule::Relative));
    assert!(of_relative.relative.is_tripped && !of_relative.limit.is_tripped);
}

#[test]
fn two_rules_convict_together_where_neither_does_alone() {
    for (limit, relative, blamed) in [
        (limit_test(5, 40), relative_test(5, 0), Rule::Relative),
        (limit_test(5, 20), relative_test(5, 0), Rule::Limit),
    ] {
        let both = weigh(&Guardrail::default(), &limit, &relative);
        // An alpha between the sum and its larger term.
        let larger = both.limit.log_e.max(both.relative.log_e) + (0.25_f64).ln();
        let alpha = (-f64::midpoint(both.log_e, larger)).exp();
        assert!(both.log_e - larger > 0.1, "the smaller term must matter for this test");
        let findings = weigh(&Guardrail { alpha, ..Guardrail::default() }, &limit, &relative);
        assert!(findings.is_tripped);
        for rule in [&findings.limit, &findings.relative] {
            assert!(rule.log_e < rule.threshold);
            assert_eq!(rule.is_tripped, rule.rule == blamed);
        }
    }
}

#[test]
fn beyond_the_plan_a_rule_has_less_to_spend() {
    let guardrail = Guardrail { planned_requests: 1000, planned_events: 10, ..Guardrail::default() };
    let findings = weigh(&guardrail, &limit_test(1, 3500), &relative_test(5, 6));
    assert_eq!((findings.limit.horizon, findings.relative.horizon), (4000.0, 20.0));
    assert!((findings.limit.stage_budget - 0.125).abs() < 1e-12);
    assert!((findings.relative.stage_budget - 0.25).abs() < 1e-12);
    assert!((findings.limit.threshold - (1000.0_f64 / 0.5 / 0.125).ln()).abs() < 1e-9);
    assert!((findings.relative.threshold - (1000.0_f64 / 0.5 / 0.25).ln()).abs() < 1e-9);
    assert_eq!(findings.stable_limit.horizon, 1000.0);
}

#[test]
fn a_fresh_trial_says_nothing_in_finite_numbers() {
    let findings = weigh(&Guardrail::default(), &limit_test(0, 0), &relative_test(0, 0));
    assert!(!findings.is_tripped);
    for rule in findings.rules() {
        assert!(rule.log_e.is_finite() && rule.threshold.is_finite() && !rule.is_tripped);
        assert_eq!(rule.log_restart, None);
    }
}
