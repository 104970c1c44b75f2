use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn settings(delay_ms: u32, preferred_rows: &[usize]) -> Batching {
    Batching { delay_max: delay_ms * MS, preferred_rows: preferred_rows.to_vec(), ..Batching::default() }
}

/// Decides about requests of one row each that came 5 ms ago, with all the time in the world.
fn check(n: usize, (is_busy, gap_ms): (bool, Option<u32>), settings: &Batching, is_cut: bool) -> Decision {
    let now = Instant::now() + 1_000 * MS;
    let sums: Vec<usize> = (1..=n).collect();
    let deadlines = vec![now + 60_000 * MS; n];
    let offer = Offer { sums: &sums, deadlines: &deadlines, is_cut, oldest: now - 5 * MS };
    let situation = Situation { now, is_busy, gap: gap_ms.map(|gap| gap * MS), cost: &|rows| rows as u32 * MS };
    match decide(&offer, &situation, settings, 16) {
        Decision::Wait(until) => {
            assert_eq!(until, now + settings.delay_max - 5 * MS);
            Decision::Wait(now)
        }
        taken => taken,
    }
}

#[test]
fn what_is_there_is_taken_unless_more_is_expected_beside_a_run() {
    use BatchReason::{Delay, Full, Idle, Preferred, Sparse};
    let plain = settings(20, &[]);
    assert_eq!(check(3, (false, Some(1)), &plain, false), Decision::Take(3, Idle));
    assert!(matches!(check(3, (true, Some(1)), &plain, false), Decision::Wait(_)));
    assert_eq!(check(3, (true, Some(16)), &plain, false), Decision::Take(3, Sparse));
    assert_eq!(check(3, (true, None), &plain, false), Decision::Take(3, Sparse));
    assert_eq!(check(3, (true, Some(1)), &settings(5, &[]), false), Decision::Take(3, Delay));
    assert_eq!(check(3, (true, Some(1)), &settings(0, &[]), false), Decision::Take(3, Delay));
    assert_eq!(check(16, (true, Some(1)), &plain, false), Decision::Take(16, Full));
    assert_eq!(check(3, (true, Some(1)), &plain, true), Decision::Take(3, Full));
    let preferring = settings(20, &[2, 4, 8]);
    assert_eq!(check(7, (true, Some(1)), &preferring, false), Decision::Take(4, Preferred));
    assert!(matches!(check(1, (true, Some(1)), &preferring, false), Decision::Wait(_)));
}

#[test]
fn a_hurried_request_makes_the_batch_smaller_and_never_waits_past_its_time() {
    let now = Instant::now() + 1_000 * MS;
    let (sums, cost) = ([1, 2, 3], |rows: usize| rows as u32 * 10 * MS);
    let decided = |last_deadline: Duration| {
        let deadlines = [now + 500 * MS, now + 500 * MS, now + last_deadline];
        let offer = Offer { sums: &sums, deadlines: &deadlines, is_cut: false, oldest: now };
        let situation = Situation { now, is_busy: true, gap: Some(MS), cost: &cost };
        decide(&offer, &situation, &settings(200, &[]), 16)
    };
    // Three rows take 30 ms. The third request has 25: the other two go first.
    assert_eq!(decided(25 * MS), Decision::Take(2, BatchReason::Delay));
    assert_eq!(decided(30 * MS), Decision::Take(3, BatchReason::Delay));
    assert_eq!(decided(50 * MS), Decision::Wait(now + 20 * MS));
    assert_eq!(decided(500 * MS), Decision::Wait(now + 200 * MS));
}

proptest! {
    #[test]
    fn nobody_is_held_back_without_need(
        rows in proptest::collection::vec(1_usize..6, 1..12),
        rows_max in 6_usize..40,
        left_ms in proptest::collection::vec(0_u32..300, 12),
        (age_ms, delay_ms) in (0_u32..50, 0_u32..50),
        (is_busy, is_cut) in (any::<bool>(), any::<bool>()),
        gap_ms in proptest::option::of(0_u32..60),
        preferred in proptest::collection::btree_set(1_usize..40, 0..4),
    ) {
        let now = Instant::now() + 10_000 * MS;
        let mut sums = Vec::new();
        let mut deadlines: Vec<Instant> = Vec::new();
        for (n, left) in rows.iter().zip(&left_ms) {
            let sum = sums.last().copied().unwrap_or(0) + n;
            if sum > rows_max {
                break;
            }
            sums.push(sum);
            let deadline = now + *left * MS;
            deadlines.push(deadlines.last().map_or(deadline, |before| deadline.min(*before)));
        }
        let preferred: Vec<usize> = preferred.into_iter().collect();
        let settings = settings(delay_ms, &preferred);
        let cost = |rows: usize| rows as u32 * MS;
        let offer = Offer { sums: &sums, deadlines: &deadlines, is_cut, oldest: now - age_ms * MS };
        let gap = gap_ms.map(|gap| gap * MS);
        let situation = Situation { now, is_busy, gap, cost: &cost };
        let all = sums.len();
        match decide(&offer, &situation, &settings, rows_max) {
            Decision::Take(n, reason) => {
                prop_assert!((1..=all).contains(&n));
                if n < all {
                    let is_late = now + cost(sums[n]) > deadlines[n];
                    let is_preferred = reason == BatchReason::Preferred && preferred.contains(&sums[n - 1]);
                    prop_assert!(is_preferred || reason == BatchReason::Delay && (is_late || n == 1));
                }
                prop_assert!(n == 1 || now + cost(sums[n - 1]) <= deadlines[n - 1], "several, and too late");
            }
            Decision::Wait(until) => {
                prop_assert!(is_busy && !is_cut && sums[all - 1] < rows_max);
                prop_assert!(until > now && until <= offer.oldest + settings.delay_max);
                prop_assert!(until + cost(sums[all - 1]) <= deadlines[all - 1]);
                prop_assert!(gap.is_some_and(|gap| now + gap <= until));
            }
        }
    }
}
