use proptest::prelude::*;

use super::*;

fn sample(arm: Arm, share: f64, loss: f64) -> LossSample {
    LossSample { arm, share, loss }
}

#[test]
fn the_vector_of_the_bet() {
    let differences = [1.0, 0.0, 1.0, 1.0, -1.0, 0.0, 1.0, 1.0];
    let got = block_bet_log_e(&differences, &[0.1, 0.2, 0.4, 0.8], 0.0);
    assert!((got / 0.959_943_436_152 - 1.0).abs() < 1e-9, "{got}");
}

#[test]
fn no_stake_can_be_ruined() {
    assert_eq!(loss_stakes(0.0), LOSS_STAKES);
    assert_eq!(loss_stakes(0.5), [0.05, 0.1, 0.2, 0.4]);
    for tolerate_extra in [0.0, 0.1, 0.42, 0.43, 0.9] {
        let mut test = LossTest::new(tolerate_extra);
        for _ in 0..10_000 {
            test.on_loss(&sample(Arm::Stable, 0.5, 1.0));
            test.on_loss(&sample(Arm::Candidate, 0.5, 0.0));
        }
        assert!(test.log_products().iter().all(|x| x.is_finite()), "{tolerate_extra}");
        assert_eq!(test.n_blocks(), 10_000);
    }
}

#[test]
fn each_loss_of_the_candidate_meets_as_many_of_stable_as_the_shares_give() {
    assert_eq!([0.5, 0.1, 0.25, 0.9, 1e-9].map(loss_block), [1, 9, 3, 1, 128]);
    let mut test = LossTest::new(0.0);
    for i in 0..8 {
        test.on_loss(&sample(Arm::Stable, 0.1, f64::from(i % 2)));
    }
    test.on_loss(&sample(Arm::Candidate, 0.1, 1.0));
    assert_eq!((test.n_blocks(), test.n_stable()), (0, 0));
    test.on_loss(&sample(Arm::Stable, 0.1, 0.5));
    assert_eq!((test.n_blocks(), test.n_stable()), (1, 9));
    assert!((test.mean_difference().unwrap_or(0.0) - 0.5).abs() < 1e-12);
    assert!((test.log_e() - block_bet_log_e(&[0.5], &LOSS_STAKES, 0.0)).abs() < 1e-12);
}

#[test]
fn losses_of_another_share_are_no_counterpart() {
    let mut test = LossTest::new(0.0);
    assert!((0..20).all(|_| test.on_loss(&sample(Arm::Stable, 0.1, 0.0))));
    test.on_loss(&sample(Arm::Candidate, 0.5, 1.0));
    assert_eq!(test.n_blocks(), 0);
}

#[test]
fn what_is_no_loss_is_not_taken() {
    let mut test = LossTest::new(0.0);
    for (share, loss) in [(0.5, 1.1), (0.5, -0.1), (0.5, f64::NAN), (0.0, 0.5), (1.0, 0.5), (f64::NAN, 0.5)] {
        assert!(!test.on_loss(&sample(Arm::Candidate, share, loss)));
    }
    assert_eq!(test, LossTest::new(0.0));
}

#[test]
fn what_waits_is_bounded() {
    let mut test = LossTest::new(0.0);
    for i in 0..3 * SHARES_MAX {
        for _ in 0..2 * WAITING_MAX {
            test.on_loss(&sample(Arm::Stable, (i + 1) as f64 / 200.0, 0.0));
        }
    }
    assert_eq!(test.waiting.len(), SHARES_MAX);
    assert!(test.waiting.iter().all(|w| w.stable.len() == WAITING_MAX));
}

proptest! {
    #[test]
    fn a_loss_of_the_candidate_speaks_against_it_and_one_of_stable_for_it(
        before in prop::collection::vec(-1.0_f64..1.0, 0..30), d in -0.9_f64..0.9,
    ) {
        let with = |d: f64| {
            let mut all = before.clone();
            all.push(d);
            block_bet_log_e(&all, &LOSS_STAKES, 0.0)
        };
        prop_assert!(with(d + 0.05) > with(d));
        let plain = block_bet_log_e(&before, &LOSS_STAKES, 0.0);
        prop_assert!(with(0.0) == plain);
        prop_assert!(with(-0.05) < plain);
    }
}
