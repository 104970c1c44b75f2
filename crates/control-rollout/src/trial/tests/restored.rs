//! What survives a restart of the process.

use proptest::prelude::*;

use super::*;
use crate::error::{CheckpointFlaw, RolloutError};
use crate::rule::Rule;

/// A trial with something in every part of its state.
fn lived() -> Feed {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    feed.ok(150, 1300);
    feed.fault(Arm::Stable);
    feed.keyed(Arm::Candidate, 42);
    feed.keyed(Arm::Stable, 43);
    feed.share = 0.25;
    feed.ok(70, 200);
    feed.fault(Arm::Candidate);
    feed.ok(5, 15);
    feed
}

#[test]
fn a_checkpoint_comes_back_equal() {
    let mut feed = lived();
    let stored = feed.trial.checkpoint(feed.totals);
    assert_eq!(stored.pending, Successes { candidate: 5, stable: 15 });
    let mut restored = Trial::restore(Guardrail::default(), &stored).unwrap();
    assert_eq!(restored.checkpoint(Successes::default()), stored);
    assert_eq!(restored.evidence(Successes::default()), feed.trial.evidence(feed.totals));

    // Both go on alike, to the same verdict with the same numbers.
    let mut last = Verdict::None;
    for _ in 0..20 {
        let before = feed.event(Arm::Candidate);
        let after = FaultEvent { successes: Successes::default(), ..before };
        last = feed.trial.on_fault(before);
        assert_eq!(restored.on_fault(after), last);
    }
    assert!(matches!(last, Verdict::RollBack(_)));
    assert_eq!(restored.on_fault(FaultEvent { key: Some(42), ..feed.event(Arm::Candidate) }), Verdict::None);
}

#[test]
fn every_number_of_a_checkpoint_is_finite() {
    for trial in [Trial::new(Guardrail::default()).unwrap(), lived().trial] {
        let Checkpoint { candidate, stable, relative, .. } = trial.checkpoint(Successes::default());
        let lists = [candidate.log1p_restart, stable.log1p_restart, relative.log1p_restart, relative.log_products];
        assert!(lists.iter().flatten().all(|x| x.is_finite()));
    }
}

#[test]
fn a_shared_incident_lasts_through_a_restart() {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    (0..40).for_each(|_| drop(feed.fault(Arm::Stable)));
    (0..4).for_each(|_| drop(feed.fault(Arm::Candidate)));
    assert_eq!(rule(&feed.fault(Arm::Candidate)), "shared_incident");
    feed.ok(0, 10_000_000);
    let mut restored = Trial::restore(Guardrail::default(), &feed.trial.checkpoint(feed.totals)).unwrap();
    let event = FaultEvent { successes: Successes::default(), ..feed.event(Arm::Candidate) };
    assert_eq!(rule(&restored.on_fault(event)), "shared_incident");
}

#[test]
fn a_healthy_candidate_survives_one_kill_and_a_second_is_a_crash_loop() {
    for limit in [0.01, 0.001] {
        let mut trial = Trial::new(Guardrail { limit, ..Guardrail::default() }).unwrap();
        assert_eq!(trial.on_crash(0), Verdict::None);
        assert_eq!(trial.on_crash(200), Verdict::None);
        let evidence = trial.evidence(Successes::default());
        assert_eq!((evidence.findings.limit.faults, evidence.crashes), (1, CrashCounts { exits: 1, requests: 200 }));
        let guardrail = trial.guardrail().clone();
        let mut trial = Trial::restore(guardrail, &trial.checkpoint(Successes::default())).unwrap();
        let verdict = trial.on_crash(3);
        let both = CrashCounts { exits: 2, requests: 203 };
        assert_eq!(verdict, Verdict::RollBack(Cause::CrashLoop(both)));
    }
}

#[test]
fn a_crash_adds_to_the_evidence_before_it() {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    assert_eq!(feed.fault(Arm::Candidate), Verdict::None);
    assert_eq!(feed.fault(Arm::Candidate), Verdict::None);
    let mut restored = Trial::restore(Guardrail::default(), &feed.trial.checkpoint(feed.totals)).unwrap();
    let verdict = restored.on_crash(1);
    let Verdict::RollBack(Cause::Evidence(grounds)) = verdict else { panic!("{verdict:?}") };
    assert_eq!((grounds.rule, grounds.share), (Rule::Limit, None));
}

#[test]
fn the_successes_before_a_crash_are_taken_first() {
    let feed = lived();
    let mut restored = Trial::restore(Guardrail::default(), &feed.trial.checkpoint(feed.totals)).unwrap();
    restored.on_crash(1);
    let stored = restored.checkpoint(Successes::default());
    assert_eq!((stored.candidate.successes, stored.pending), (225, Successes::default()));
}

#[test]
fn a_checkpoint_of_other_bounds_or_with_damage_is_refused() {
    let feed = lived();
    let stored = feed.trial.checkpoint(feed.totals);
    let refusal = |guardrail, checkpoint: &Checkpoint| match Trial::restore(guardrail, checkpoint) {
        Err(RolloutError::Checkpoint(flaw)) => flaw,
        other => panic!("{other:?}"),
    };
    let stricter = Guardrail { limit: 0.005, ..Guardrail::default() };
    assert_eq!(refusal(stricter, &stored), CheckpointFlaw::OtherBounds { limit: 0.01, tolerate_ratio: 2.0 });
    let damages: [fn(&mut Checkpoint); 7] = [
        |c| c.candidate.log1p_restart.truncate(6),
        |c| c.stable.log1p_restart[0] = f64::NAN,
        |c| c.stable.log1p_restart[0] = -1.0,
        |c| c.relative.log_products.push(0.0),
        |c| c.relative.log_products[0] = f64::NEG_INFINITY,
        |c| c.relative.shares[0].share = 1.0,
        |c| c.candidate.erring_keys = vec![0; crate::ERRING_KEYS_MAX + 1],
    ];
    for damage in damages {
        let mut damaged = stored.clone();
        damage(&mut damaged);
        refusal(Guardrail::default(), &damaged);
    }
    // Everything else of the guardrail may change.
    let looser = Guardrail { alpha: 0.05, planned_requests: 500, ..Guardrail::default() };
    assert!(Trial::restore(looser, &stored).is_ok());
}

proptest! {
    #[test]
    fn a_restart_at_any_moment_changes_no_verdict(
        events in prop::collection::vec((any::<bool>(), 0_u64..400, 0_u64..400), 1..40),
        restart_at in 0_usize..40,
    ) {
        let mut feed = Feed::new(Guardrail::default(), 0.2);
        let mut other = Feed::new(Guardrail::default(), 0.2);
        for (i, (is_candidate, candidate, stable)) in events.into_iter().enumerate() {
            let arm = if is_candidate { Arm::Candidate } else { Arm::Stable };
            feed.ok(candidate, stable);
            other.ok(candidate, stable);
            if i == restart_at {
                let stored = other.trial.checkpoint(other.totals);
                other.trial = Trial::restore(Guardrail::default(), &stored).unwrap();
                other.totals = Successes::default();
            }
            prop_assert_eq!(feed.fault(arm), other.fault(arm));
        }
    }
}
