use proptest::prelude::*;

use super::*;

const LOG_FAULT: f64 = 3.912_023_005_428_146; // ln(0.5 / 0.01)

fn log_success() -> f64 {
    (0.5_f64 / 0.99).ln()
}

fn value(restart: &Restart) -> f64 {
    restart.log_mean().map_or(0.0, f64::exp)
}

fn assert_close(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-9 * want.abs(), "got {got}, want {want}");
}

#[test]
fn vectors_of_the_single_alternative() {
    let mut restart = Restart::new(1);
    assert_eq!(restart.log_mean(), None);
    let want = [50.0, 2550.0, 1_288.383_838_38, 651.203_958_78, 329.395_938_77, 16_519.796_938];
    for (is_fault, want) in [true, true, false, false, false, true].into_iter().zip(want) {
        restart.on_event(|_| if is_fault { LOG_FAULT } else { log_success() });
        assert!((value(&restart) / want - 1.0).abs() < 2e-9, "got {}, want {want}", value(&restart));
    }
}

#[test]
fn the_closed_form_meets_the_vector() {
    let mut restart = Restart::new(1);
    restart.on_event(|_| LOG_FAULT);
    restart.on_event(|_| LOG_FAULT);
    restart.on_run(3, |_| log_success());
    assert!((value(&restart) / 329.395_939 - 1.0).abs() < 2e-9);
}

#[test]
fn nothing_overflows_or_vanishes() {
    let mut restart = Restart::new(1);
    for _ in 0..100_000 {
        restart.on_event(|_| LOG_FAULT);
    }
    assert_close(restart.log_mean().unwrap_or(0.0), 100_000.0 * LOG_FAULT + (1.0_f64 / 49.0).ln_1p());
    restart.on_run(u64::MAX, |_| log_success());
    // After an endless run what is left is l / (1 - l).
    let l = log_success().exp();
    assert_close(value(&restart), l / (1.0 - l));
    assert!(restart.log1p().iter().all(|x| x.is_finite()));
}

proptest! {
    #[test]
    fn a_run_equals_its_steps(n in 1_u64..200, g in 0.011_f64..0.99, n_faults in 0_usize..4) {
        let log_l = ((1.0 - g) / 0.99).ln();
        let mut by_step = Restart::new(1);
        (0..n_faults).for_each(|_| by_step.on_event(|_| (g / 0.01).ln()));
        let mut by_run = by_step.clone();
        (0..n).for_each(|_| by_step.on_event(|_| log_l));
        by_run.on_run(n, |_| log_l);
        prop_assert!((value(&by_run) / value(&by_step) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_run_may_be_cut_anywhere(a in 0_u64..5000, b in 0_u64..5000, g in 0.011_f64..0.99) {
        let log_l = ((1.0 - g) / 0.99).ln();
        let (mut cut, mut whole) = (Restart::new(1), Restart::new(1));
        cut.on_run(a, |_| log_l);
        cut.on_run(b, |_| log_l);
        whole.on_run(a + b, |_| log_l);
        prop_assert!((cut.log1p()[0] - whole.log1p()[0]).abs() <= 1e-9 * whole.log1p()[0]);
    }
}
