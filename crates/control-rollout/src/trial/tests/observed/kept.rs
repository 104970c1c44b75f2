//! What survives a restart of the rules judged from totals.

use proptest::prelude::*;

use super::*;
use crate::frozen::Frozen;

#[test]
fn totals_from_before_are_skipped() {
    let mut trial = trial(&full());
    let mut before = totals(timed(90, 100), timed(0, 900));
    before.successes = Successes { candidate: 5, stable: 7 };
    trial.skip(&before);
    assert_eq!(trial.observe(&before), []);
    let evidence = trial.evidence(before.successes);
    assert_eq!(evidence.findings.get(Rule::Latency).map(|e| (e.faults, e.others)), Some((0, 0)));
    assert_eq!(evidence.findings.limit.others, 0);
}

#[test]
fn bounds_are_frozen_once() {
    let mut trial = trial(&full());
    let bounds = |seconds: f64| Frozen {
        latency_quantiles: vec![0.5, 0.9, 0.99],
        latency_seconds: vec![seconds; 3],
        decile_edges: Vec::new(),
    };
    trial.freeze(bounds(0.02));
    trial.freeze(Frozen { decile_edges: vec![0.5; 9], ..bounds(0.03) });
    assert_eq!((trial.frozen().latency_seconds[0], trial.frozen().decile_edges[0]), (0.02, 0.5));
    let stored = trial.checkpoint(Successes::default());
    let restored = Trial::restore(full(), &stored).unwrap();
    assert_eq!(restored.frozen(), trial.frozen());
    // Other quantiles are frozen anew.
    let mut guardrail = full();
    guardrail.latency_vs_stable.as_mut().unwrap().quantiles = vec![0.5];
    let restored = Trial::restore(guardrail, &stored).unwrap();
    assert!(restored.frozen().latency_seconds.is_empty() && !restored.frozen().decile_edges.is_empty());
}

#[test]
fn a_rule_whose_bounds_changed_starts_anew_alone() {
    let mut trial = trial(&full());
    trial.observe(&lived_totals());
    let stored = trial.checkpoint(Successes::default());
    let mut guardrail = full();
    guardrail.latency.as_mut().unwrap().slower_than_seconds = 0.05;
    guardrail.disagreement.as_mut().unwrap().compare.otherwise = base_types::Match::Argmax;
    let restored = Trial::restore(guardrail, &stored).unwrap().evidence(Successes::default()).findings;
    for rule in [Rule::Latency, Rule::StableLatency, Rule::Disagreement] {
        assert_eq!(restored.get(rule).map(|e| (e.faults, e.others)), Some((0, 0)));
    }
    let before = trial.evidence(Successes::default()).findings;
    assert_eq!(restored.get(Rule::Mistakes), before.get(Rule::Mistakes));
    assert_eq!(restored.get(Rule::Drift), before.get(Rule::Drift));
}

#[test]
fn a_checkpoint_from_before_there_were_such_rules_goes_on_without_them() {
    let mut trial = Trial::new(Guardrail::default()).unwrap();
    let event = FaultEvent {
        arm: Arm::Candidate,
        share: 0.1,
        successes: Successes { candidate: 10, stable: 90 },
        count: Count::All,
        key: None,
    };
    trial.on_fault(event);
    let stored = trial.checkpoint(event.successes);
    let old = Checkpoint { rules: Vec::new(), totals: Vec::new(), ..stored };
    let restored = Trial::restore(full(), &old).unwrap();
    assert_eq!(restored.evidence(Successes::default()).findings.limit.faults, 1);
    assert_eq!(restored.evidence(Successes::default()).basis.shares, []);
}

#[test]
fn damage_in_the_rules_is_refused() {
    let mut trial = trial(&full());
    trial.observe(&lived_totals());
    let stored = trial.checkpoint(Successes::default());
    let damages: [fn(&mut Checkpoint); 8] = [
        |c| c.rules[0].log1p_restart.truncate(2),
        |c| c.rules[0].log1p_restart[0] = f64::INFINITY,
        |c| c.rules.iter_mut().find(|r| r.rule == Rule::Mistakes).unwrap().log_products[0] = f64::NAN,
        |c| c.rules.iter_mut().find(|r| r.rule == Rule::Loss).unwrap().sum = f64::NAN,
        |c| c.totals[0].share = f64::NAN,
        |c| c.totals.push(c.totals[0]),
        |c| c.over.drift_log_e = f64::INFINITY,
        |c| c.frozen.latency_quantiles = vec![0.5; 4],
    ];
    for (i, damage) in damages.into_iter().enumerate() {
        let mut damaged = stored.clone();
        damage(&mut damaged);
        assert!(matches!(Trial::restore(full(), &damaged), Err(crate::RolloutError::Checkpoint(_))), "{i}");
    }
}

/// Totals with something in every part, and nothing tripped.
fn lived_totals() -> Observed {
    let arm = |n: u64| ArmTotals {
        assigned: 100 * n,
        ok: 99 * n,
        timed: 100 * n,
        slow: n / 2,
        slow_at: [50 * n, 10 * n, n],
        labels: 20 * n,
        mistakes: 2 * n,
        ..binned(&[60 * n, 39 * n])
    };
    let mut observed = totals(arm(2), arm(18));
    observed.shares.push(ShareTotals { share: 0.5, candidate: arm(3), stable: arm(3) });
    observed.shadow = ShadowTotals { compared: 500, disagreed: 2, faults: 1, timed: 500, slow: 3 };
    observed.successes = Successes { candidate: 495, stable: 2079 };
    observed
}

proptest! {
    #[test]
    fn a_restart_at_any_look_changes_no_verdict(
        looks in prop::collection::vec((0_u64..30, 0_u64..200, 0_u64..60, 0_u64..900, any::<bool>()), 1..12),
        restart_at in 0_usize..12,
    ) {
        let (mut whole, mut other) = (trial(&full()), trial(&full()));
        let (mut sum, mut since) = (ArmPair::default(), ArmPair::default());
        for (i, (slow, fast, slow_stable, fast_stable, is_loss)) in looks.into_iter().enumerate() {
            if i == restart_at {
                let stored = other.checkpoint(since.observed().successes);
                other = Trial::restore(full(), &stored).unwrap();
                prop_assert_eq!(other.checkpoint(Successes::default()), stored);
                since = ArmPair::default();
            }
            for pair in [&mut sum, &mut since] {
                pair.add((slow, fast), (slow_stable, fast_stable));
            }
            for trial in [&mut whole, &mut other] {
                // A block that is complete at once leaves nothing waiting that a restart could lose.
                let loss = f64::from(u8::from(is_loss));
                assert!((0..9).all(|_| trial.on_loss(&LossSample { arm: Arm::Stable, share: 0.1, loss: 0.3 })));
                trial.on_loss(&LossSample { arm: Arm::Candidate, share: 0.1, loss });
            }
            prop_assert_eq!(whole.observe(&sum.observed()), other.observe(&since.observed()));
        }
    }
}
