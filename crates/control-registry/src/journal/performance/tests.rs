#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use tempfile::TempDir;

use super::*;

fn key(model: &str, version: u64) -> PerformanceKey {
    let digest = Digest::new([version as u8; 32]);
    PerformanceKey { model: ModelName::new(model).unwrap(), version: Version::new(version).unwrap(), digest }
}

fn spread(counts: [u64; 3], n: u64) -> Spread {
    Spread { bounds: vec![0.001, 0.01, 0.1], counts: counts.to_vec(), n, sum: n as f64 * 0.005 }
}

fn part(n: u64, faults: u64) -> Performance {
    Performance {
        requests: n,
        by_class: BTreeMap::from([("ok".to_owned(), n - faults), ("version_fault".to_owned(), faults)]),
        latency: spread([n, 0, 0], n),
        feedback: FeedbackSums { n: 2, score_sum: 1.5, labels: 1, mistakes: 1 },
        traffic_ms: 60_000,
        first_served_unix_ms: Some(n),
        last_served_unix_ms: Some(n),
        updated_unix_ms: n,
        ..Performance::default()
    }
}

#[test]
fn what_a_version_did_is_summed_over_its_lives() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    journal.add_performance(&[(key("m", 1), part(100, 1)), (key("m", 10), part(5, 0))]).unwrap();
    journal.add_performance(&[(key("m", 1), part(300, 3)), (key("m.x", 1), part(7, 0))]).unwrap();
    drop(journal);
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    journal.add_performance(&[(key("m", 1), part(600, 0))]).unwrap();
    let history = History::open(dir.path()).unwrap();
    let model = key("m", 1).model;
    let of_one = history.performance(&model, Some(key("m", 1).version)).unwrap();
    let [(found, sums)] = of_one.as_slice() else { unreachable!("{of_one:?}") };
    assert_eq!((found, sums.requests, sums.by_class["version_fault"]), (&key("m", 1), 1_000, 4));
    assert_eq!(sums.error_rate(), Some(0.004));
    assert_eq!((sums.latency.n, sums.latency.counts[0], sums.traffic_ms), (1_000, 1_000, 180_000));
    assert_eq!((sums.first_served_unix_ms, sums.last_served_unix_ms), (Some(100), Some(600)));
    assert_eq!(sums.feedback, FeedbackSums { n: 6, score_sum: 4.5, labels: 3, mistakes: 3 });
    let all = history.performance(&model, None).unwrap();
    assert_eq!(all.iter().map(|(key, _)| key.version.get()).collect::<Vec<_>>(), [1, 10]);
    assert!(history.audit(None).unwrap().is_sound());
}

#[test]
fn quantiles_are_read_off_the_buckets() {
    let spread = spread([50, 40, 8], 100);
    let q = |q: f64| spread.quantile(q).unwrap();
    assert!((q(0.5) - 0.001).abs() < 1e-12);
    assert!((q(0.25) - 0.0005).abs() < 1e-12);
    assert!((q(0.7) - (0.001 + 0.009 * 0.5)).abs() < 1e-12);
    assert!((q(0.99) - 0.1).abs() < 1e-12, "above the last bound: {}", q(0.99));
    assert_eq!(Spread::default().quantile(0.5), None);
}

#[test]
fn buckets_of_another_release_are_not_mixed() {
    let mut sums = spread([1, 1, 1], 3);
    let other = Spread { bounds: vec![1.0], counts: vec![5], n: 5, sum: 2.0 };
    sums.add(&other);
    assert_eq!(sums, other);
    assert_eq!(spread([5, 6, 7], 18).since(&spread([1, 2, 3], 6)).counts, [4, 4, 4]);
}
