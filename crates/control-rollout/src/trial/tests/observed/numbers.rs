//! The numbers behind the rules judged from totals: recomputed, cut and summed.

use proptest::prelude::*;

use super::*;
use crate::drift::{DRIFT_KAPPA, bins_log_e};
use crate::relative::{LATENCY_ALTERNATIVES, relative_log_e_among};

#[test]
fn a_verdict_on_totals_can_be_recomputed_from_its_own_numbers() {
    let mut trial = trial(&Guardrail { latency: None, ..full() });
    let arm = |slow_at, bins: &[u64]| ArmTotals { slow_at, ..binned(bins) };
    trial.observe(&totals(arm([20, 5, 1], &[70, 30]), arm([100, 20, 3], &[700, 200])));
    let mut observed = totals(arm([25, 5, 1], &[80, 40]), arm([120, 20, 3], &[800, 300]));
    let second =
        ShareTotals { share: 0.25, candidate: arm([200, 80, 30], &[100, 300]), stable: arm([300, 60, 6], &[900, 300]) };
    observed.shares.push(second);
    let verdicts = trial.observe(&observed);
    let Verdict::Pause(grounds) = &verdicts[0] else { panic!("{verdicts:?}") };
    let Grounds { basis, .. } = grounds;
    let tallies = |at: usize| -> Vec<ShareTally> {
        let tally = |t: &ShareTotals| ShareTally {
            share: t.share,
            candidate_faults: t.candidate.slow_at[at],
            stable_faults: t.stable.slow_at[at],
        };
        basis.shares.iter().map(tally).collect()
    };
    let e = |at| relative_log_e_among(&LATENCY_ALTERNATIVES, &tallies(at), 1.1).exp();
    let mean = (e(0) + e(1) + e(2)) / 3.0;
    let deciding = grounds.deciding();
    assert!((deciding.log_plain - mean.ln()).abs() < 1e-9);
    let g = 0.9 * mean + 0.1 * deciding.log_restart.unwrap().exp() / deciding.horizon;
    assert!((deciding.log_e - g.ln()).abs() < 1e-9);
    // The rules on errors have weights of 0.5 each, and five others a quarter less one that is absent.
    assert!((deciding.weight - 0.25 / 2.0).abs() < 1e-12);
    assert!((deciding.threshold - (1000.0_f64 / (deciding.weight * deciding.stage_budget)).ln()).abs() < 1e-9);
    assert!(deciding.log_e >= deciding.threshold);
    let drift = grounds.findings.get(Rule::Drift).unwrap();
    let of_share = |t: &ShareTotals| bins_log_e(&t.candidate.bins, &t.stable.bins, t.share, DRIFT_KAPPA);
    let again = basis.over.drift_log_e + basis.shares.iter().map(of_share).sum::<f64>();
    assert!((drift.log_e - again).abs() < 1e-9);
}

#[test]
fn a_share_that_is_over_leaves_its_evidence_and_may_come_again() {
    let mut trial = trial(&full());
    let first = totals(binned(&[50, 60]), binned(&[900, 200]));
    trial.observe(&first);
    let before = trial.evidence(Successes::default()).findings.get(Rule::Drift).unwrap().log_e;
    assert!(before > 1.0);
    let second = ShareTotals { share: 0.25, candidate: binned(&[10, 3]), stable: binned(&[30, 9]) };
    trial.observe(&Observed { shares: vec![second], ..Observed::default() });
    let evidence = trial.evidence(Successes::default());
    assert_eq!((evidence.basis.shares.len(), evidence.basis.over.totals.stable.bins[0]), (1, 900));
    let of_second = bins_log_e(&[10, 3], &[30, 9], 0.25, DRIFT_KAPPA);
    let drift = *evidence.findings.get(Rule::Drift).unwrap();
    assert!((drift.log_e - before - of_second).abs() < 1e-9);
    assert_eq!((drift.faults, drift.others), (123, 1139));
    // The first share again: a new stretch, from zero.
    trial.observe(&totals(binned(&[1, 0]), binned(&[9, 2])));
    let drift = *trial.evidence(Successes::default()).findings.get(Rule::Drift).unwrap();
    assert_eq!((drift.faults, drift.others), (124, 1150));
}

proptest! {
    /// However the same counts are cut into looks, the plain statistics are the same; so are sums over shards.
    #[test]
    fn looks_and_shards_add_up(cuts in prop::collection::vec((0_u64..20, 0_u64..300), 1..12)) {
        let (mut cut, mut whole) = (trial(&full()), trial(&full()));
        let mut sum = ArmPair::default();
        for (slow, fast) in cuts {
            sum.add((slow, fast), (slow / 2, fast / 2));
            cut.observe(&sum.observed());
        }
        whole.observe(&sum.observed());
        let none = Successes::default();
        let (cut, whole) = (cut.evidence(none).findings, whole.evidence(none).findings);
        for (a, b) in cut.all().zip(whole.all()) {
            prop_assert!((a.log_plain - b.log_plain).abs() <= 1e-9 * b.log_plain.abs().max(1.0), "{:?} {:?}", a, b);
            prop_assert_eq!((a.faults, a.others), (b.faults, b.others));
        }
    }

    /// A good answer never speaks against the candidate, whichever rule looks at it.
    #[test]
    fn evidence_never_rises_on_a_good_answer(slow in 0_u64..40, fast in 0_u64..2000, more in 1_u64..500) {
        let mut trial = trial(&Guardrail { drift: None, sample_ratio: None, ..full() });
        let mut sum = ArmPair::default();
        sum.add((slow, fast), (slow, 9 * fast));
        trial.observe(&sum.observed());
        let before = trial.evidence(Successes::default()).findings;
        sum.candidate.timed += more;
        sum.candidate.labels += more;
        trial.observe(&sum.observed());
        let after = trial.evidence(Successes::default()).findings;
        for (a, b) in after.all().zip(before.all()).filter(|(a, _)| a.rule != Rule::StableLatency) {
            prop_assert!(a.log_plain <= b.log_plain, "{:?} {:?}", a, b);
        }
    }
}
