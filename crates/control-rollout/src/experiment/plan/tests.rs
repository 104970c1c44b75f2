#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use super::*;
use crate::chance::Draws;

fn rate(baseline: f64, effect: f64) -> PlanRequest {
    PlanRequest {
        outcomes_per_second: 42.0,
        shares: vec![0.5, 0.5],
        measure: Measure::Rate { baseline },
        effect: Effect::Absolute(effect),
        alpha: 0.05,
        power: 0.8,
        days_max: 14.0,
        rounds: 100,
    }
}

fn planned(request: &PlanRequest) -> ExperimentPlan {
    let mut draws = Draws::seeded(4);
    plan(request, &mut || draws.unit()).unwrap()
}

#[test]
fn a_plan_says_how_many_outcomes_each_arm_needs() {
    let plan = planned(&rate(0.1, 0.02));
    // The reference simulation finds 10 % against 12 % at alpha 0.1 % after thousands of labels; here alpha is 5 %.
    assert!(plan.expected > 2000.0 && plan.expected < 30_000.0, "{plan:?}");
    assert!(plan.with_power > plan.expected, "{plan:?}");
    assert!((plan.arms[1].expected - plan.expected / 2.0).abs() < 1.0);
    assert!((plan.expected_seconds - plan.expected / 42.0).abs() < 1e-6);
    assert_eq!(plan.reach, Reach::InTime);
}

#[test]
fn the_formula_is_a_fair_first_estimate() {
    for request in [rate(0.1, 0.05), rate(0.01, -0.005), rate(0.3, 0.1)] {
        let plan = planned(&request);
        assert!(plan.expected > 0.3 * plan.estimate && plan.expected < 2.5 * plan.estimate, "{plan:?}");
    }
}

#[test]
fn smaller_effects_and_thinner_arms_take_longer() {
    let expected = |effect| planned(&rate(0.1, effect)).expected;
    assert!(expected(0.01) > expected(0.02) && expected(0.02) > expected(0.05) && expected(0.05) > expected(0.1));
    assert!(expected(-0.02) > expected(-0.05));
    let thin = PlanRequest { shares: vec![0.9, 0.1], ..rate(0.1, 0.02) };
    assert!(planned(&thin).expected > expected(0.02));
    let many = PlanRequest { shares: vec![0.25; 4], ..rate(0.1, 0.02) };
    assert!(planned(&many).expected > expected(0.02));
}

#[test]
fn more_traffic_takes_less_time_and_as_many_outcomes() {
    let slow = planned(&rate(0.1, 0.02));
    let fast = planned(&PlanRequest { outcomes_per_second: 420.0, ..rate(0.1, 0.02) });
    assert_eq!(slow.expected, fast.expected);
    assert!((slow.with_power_seconds / fast.with_power_seconds - 10.0).abs() < 1e-9);
}

#[test]
fn a_stricter_budget_takes_longer() {
    let strict = PlanRequest { alpha: 0.001, ..rate(0.1, 0.02) };
    assert!(planned(&strict).expected > planned(&rate(0.1, 0.02)).expected);
}

#[test]
fn what_cannot_be_reached_in_time_is_said_with_what_can() {
    let hopeless = PlanRequest { outcomes_per_second: 0.05, days_max: 7.0, ..rate(0.1, 0.001) };
    let Reach::TooLong { reachable: Some(effect) } = planned(&hopeless).reach else { panic!("in time") };
    assert!(effect > 0.005 && effect < 0.2, "{effect}");
    let again = planned(&PlanRequest { effect: Effect::Absolute(effect), ..hopeless.clone() });
    let days = again.with_power_seconds / 86_400.0;
    assert!(days > 2.0 && days < 16.0, "about a week: {days}");
    let never = PlanRequest { outcomes_per_second: 1e-5, ..hopeless };
    assert_eq!(planned(&never).reach, Reach::TooLong { reachable: None });
}

#[test]
fn scores_that_vary_less_need_fewer() {
    let score =
        |deviation| PlanRequest { measure: Measure::Score { baseline: 0.3, deviation }, rounds: 10, ..rate(0.3, 0.03) };
    let (narrow, wide) = (planned(&score(0.1)), planned(&score(0.4)));
    assert!(narrow.expected < 0.5 * wide.expected, "{} {}", narrow.expected, wide.expected);
    assert!(wide.expected < 3.0 * wide.estimate && wide.expected > 0.2 * wide.estimate, "{wide:?}");
}

#[test]
fn the_same_draws_give_the_same_plan() {
    assert_eq!(planned(&rate(0.1, 0.02)), planned(&rate(0.1, 0.02)));
}

#[test]
fn what_cannot_be_planned_is_refused_by_field() {
    let good = || rate(0.1, 0.02);
    let bad = [
        (PlanRequest { outcomes_per_second: 0.0, ..good() }, "outcomes_per_second"),
        (PlanRequest { shares: vec![1.0], ..good() }, "shares"),
        (PlanRequest { shares: vec![0.8, 0.8], ..good() }, "shares"),
        (PlanRequest { measure: Measure::Rate { baseline: 0.0 }, ..good() }, "measure.baseline"),
        (PlanRequest { measure: Measure::Score { baseline: 0.1, deviation: 0.4 }, ..good() }, "measure.deviation"),
        (rate(0.1, 0.95), "effect"),
        (rate(0.1, 0.0), "effect"),
        (rate(0.1, f64::NAN), "effect"),
        (PlanRequest { alpha: 0.0, ..good() }, "alpha"),
        (PlanRequest { power: 1.0, ..good() }, "power"),
        (PlanRequest { days_max: f64::NAN, ..good() }, "days_max"),
        (PlanRequest { rounds: 0, ..good() }, "rounds"),
        (PlanRequest { rounds: PLAN_ROUNDS_MAX + 1, ..good() }, "rounds"),
    ];
    for (request, field) in bad {
        let mut draws = Draws::seeded(1);
        assert_eq!(plan(&request, &mut || draws.unit()).unwrap_err().field, field);
    }
}

#[test]
fn the_text_says_it_all() {
    let hopeless = PlanRequest { outcomes_per_second: 0.05, days_max: 7.0, ..rate(0.1, 0.001) };
    let text = planned(&hopeless).to_string();
    for part in ["on average", "stable, 50 %", "That is too long. In time a change of", "Assumed:"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
