use super::*;
use crate::limit::LimitTest;

#[test]
fn half_is_spent_up_to_the_plan_and_half_of_the_rest_at_each_doubling() {
    let stages = [(0, 1, 0.5), (1000, 1, 0.5), (1001, 2, 0.25), (2000, 2, 0.25), (2001, 4, 0.125), (8000, 8, 0.0625)];
    for (n, multiple, budget) in stages {
        let stage = Stage::at(n, 1000);
        assert_eq!(stage.ends_at, f64::from(multiple) * 1000.0, "at {n}");
        assert!((stage.log_budget.exp() - budget).abs() < 1e-12, "at {n}");
    }
    let spent: f64 = (0..60).map(|j| Stage::at(1 << j, 1).log_budget.exp()).sum();
    assert!(spent < 1.0 + 1e-12, "{spent}");
}

#[test]
fn no_count_and_no_plan_leads_astray() {
    assert!(Stage::at(u64::MAX, 0).log_budget.is_finite());
    assert_eq!(Stage::at(u64::MAX, u64::MAX).ends_at, u64::MAX as f64);
}

#[test]
fn vectors_of_the_guard_statistic() {
    let vectors = [
        (28.857_142_857, 28.857_142_857, 25.971_431_457),
        (1_709.142_857_14, 1738.0, 1_538.228_745_2),
        (127_349.714_286, 129_087.714_286, 114_614.755_766),
    ];
    let mut test = LimitTest::new(0.01);
    for (plain, restart, g) in vectors {
        test.on_fault();
        let log_restart = test.restart().log_mean();
        let got = [test.log_e().exp(), log_restart.map_or(0.0, f64::exp)];
        let log_g = Stage::at(1, 1_000_000).log_g(test.log_e(), log_restart);
        for (got, want) in [(got[0], plain), (got[1], restart), (log_g.exp(), g)] {
            assert!((got / want - 1.0).abs() < 1e-9, "got {got}, want {want}");
        }
    }
}

#[test]
fn the_plain_part_alone_costs_a_tenth() {
    assert!((Stage::at(0, 10).log_g(0.0, None) - 0.9_f64.ln()).abs() < 1e-15);
}
