use super::*;

struct Traffic {
    tally: Tally,
    start: Instant,
}

impl Traffic {
    fn new() -> Self {
        Self { tally: Tally::default(), start: Instant::now() }
    }

    /// An answer to a request sent at `sent_ms` that took 10 ms.
    fn answer(&mut self, sent_ms: u64, version: u64, generation: u64, reason: &str) {
        let sent = self.start + Duration::from_millis(sent_ms);
        let timing = Timing { sent, sent_unix_ms: 1_000_000 + sent_ms, done: sent + Duration::from_millis(10) };
        let reply = Reply { version, generation, reason: reason.to_owned(), scores: [version as f32, 0.5].into() };
        self.tally.answered(0, timing, reply);
    }
}

#[test]
fn a_faulty_version_is_measured_from_the_first_request_that_met_the_fault() {
    let mut traffic = Traffic::new();
    traffic.answer(0, 3, 6, "split");
    let mark = Mark::default();
    traffic.answer(20, 2, 6, "split");
    traffic.answer(30, 2, 6, "fallback");
    traffic.answer(35, 3, 6, "split");
    traffic.answer(38, 2, 6, "split");
    traffic.answer(40, 2, 6, "fallback");
    traffic.answer(50, 2, 7, "redirect");
    let caught = traffic.tally.caught(mark, 3, 7, 1_000_045);
    assert_eq!(caught, Some(Caught { n_requests: 3, n_faults: 2, took_ms: 15, n_late: 0 }));
    traffic.answer(60, 3, 7, "split");
    assert_eq!(traffic.tally.caught(mark, 3, 7, 1_000_045).map(|c| c.n_late), Some(1), "routed there after the swap");
}

#[test]
fn versions_are_told_apart_by_generation() {
    let mut traffic = Traffic::new();
    traffic.answer(0, 1, 4, "stable");
    traffic.answer(10, 2, 5, "stable");
    traffic.answer(20, 1, 4, "stable");
    assert_eq!(traffic.tally.versions_since(5), [2].into());
    assert_eq!(traffic.tally.versions_since(4), [1, 2].into());
}

#[test]
fn without_a_fault_there_is_nothing_to_measure() {
    let mut traffic = Traffic::new();
    traffic.answer(0, 3, 6, "split");
    assert_eq!(traffic.tally.caught(Mark::default(), 3, 7, 1_000_045), None);
}

#[test]
fn shares_are_counted_from_a_mark_on() {
    let mut traffic = Traffic::new();
    traffic.answer(0, 1, 1, "stable");
    let mark = traffic.tally.mark();
    for at in 1..=4 {
        traffic.answer(at * 100, if at == 4 { 2 } else { 1 }, 2, "split");
    }
    let recent = traffic.tally.since(mark, traffic.start + Duration::from_millis(1_000));
    assert_eq!(recent.per_version, [(1, 3), (2, 1)].into());
    assert!((recent.rate - 5.0).abs() < 1e-9, "5 answers in the second since the first");
    assert!((recent.p50_ms - 10.0).abs() < 1e-6);
}

#[test]
fn an_answer_under_a_false_name_shows() {
    let mut traffic = Traffic::new();
    traffic.answer(0, 1, 1, "stable");
    traffic.answer(1, 1, 1, "stable");
    assert_eq!(traffic.tally.n_misattributed, 0);
    let at = traffic.start;
    let timing = Timing { sent: at, sent_unix_ms: 0, done: at };
    let reply = Reply { version: 1, generation: 1, reason: "stable".into(), scores: [2.0, 0.5].into() };
    traffic.tally.answered(0, timing, reply);
    assert_eq!(traffic.tally.n_misattributed, 1, "what version 2 says, under the name of version 1");
}

#[test]
fn failures_are_counted_and_the_first_ones_kept() {
    let mut tally = Tally::default();
    for number in 0..20 {
        tally.failed(format!("failure {number}"));
    }
    assert_eq!((tally.n_requests, tally.n_failed, tally.failures.len()), (20, 20, FAILURES_MAX));
}
