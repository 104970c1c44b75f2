#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::traffic::Origin;

fn sample(id: u32, sent_ns: u64, answered_ns: u64, generation: u64, version: u64) -> Sample {
    let origin = Origin { version, generation, is_fallback: false };
    Sample { id, due_ns: sent_ns, sent_ns, answered_ns, origin }
}

#[test]
fn a_switch_is_pinned_down_by_the_answers_around_it() {
    let samples = [
        sample(0, 10, 20, 1, 1),
        sample(1, 30, 90, 1, 1),
        sample(2, 40, 60, 2, 2),
        sample(3, 50, 70, 3, 2),
        sample(4, 95, 99, 4, 1),
    ];
    let found = moments(&samples).unwrap();
    assert_eq!(found, [Window { from_ns: 30, to_ns: 60 }, Window { from_ns: 50, to_ns: 99 }]);

    let record = Record { samples: samples.to_vec(), ..Record::default() };
    // Under way at the first switch: all but the first and the last.
    assert_eq!(under_way(&record, &found[..1]).n, 3);
}

#[test]
fn an_answer_by_the_version_before_is_noticed() {
    let stale = [sample(0, 10, 20, 1, 1), sample(1, 30, 40, 2, 2), sample(2, 50, 60, 1, 1)];
    assert!(moments(&stale).unwrap_err().to_string().contains("older one"));

    let two_at_once = [sample(0, 10, 20, 1, 1), sample(1, 10, 20, 1, 2)];
    assert!(moments(&two_at_once).unwrap_err().to_string().contains("generation 1 routes to 1 and to 2"));
}

#[test]
fn the_longest_gap_is_between_answers() {
    let samples = [sample(0, 0, 5, 1, 1), sample(1, 1, 100, 1, 1), sample(2, 2, 9, 1, 1)];
    assert_eq!(longest_gap_ns(&samples), 91);
    assert_eq!(longest_gap_ns(&[]), 0);
}
