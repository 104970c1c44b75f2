#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use base_types::{Digest, Generation, ModelName, Quarantine, Version, VersionId};
use control_registry::journal::{Action, ArmTable, Entry, FeedbackSums, PerformanceKey, Row, Table};

use super::*;

fn entry(at: u64, action: Action, version: u64) -> Entry {
    let model = Some(ModelName::new("m").unwrap());
    let digest = Version::new(version).map(|_| Digest::new([version as u8; 32]));
    Entry { model, version: Version::new(version), digest, ..Entry::new(at, "amy", action) }
}

fn published(at: u64, generation: u64, shares: &[(u64, f64)]) -> Entry {
    let arm = |(version, share): &(u64, f64)| ArmTable {
        name: version.to_string(),
        version: *version,
        share: *share,
        is_redirected: false,
    };
    let table = Table { stable: Some(shares[0].0), arms: shares.iter().map(arm).collect(), ..Table::default() };
    let evidence_json = Some(Table::evidence(Some(table)));
    Entry { evidence_json, generation: Some(Generation(generation)), ..entry(at, Action::Published, 0) }
}

fn loaded(at: u64, version: u64, output: &str, commit: &str) -> Entry {
    let evidence = json!({ "signature": { "inputs": ["x FP32[4]"], "outputs": [output] },
        "pushed": { "by": "ci", "tag": format!("1.{version}.0"), "lineage": { "git": { "commit": commit } } } });
    Entry { evidence_json: Some(evidence.to_string()), ..entry(at, Action::Loaded, version) }
}

fn life(entries: Vec<Entry>) -> ModelLife {
    let rows = entries.into_iter().zip(1..).map(|(entry, seq)| Row { seq, entry }).collect();
    let model = ModelName::new("m").unwrap();
    let key = PerformanceKey { model: model.clone(), version: Version::new(2).unwrap(), digest: Digest::new([2; 32]) };
    let sums = Performance {
        requests: 10,
        by_class: BTreeMap::from([("ok".to_owned(), 9), ("version_fault".to_owned(), 1)]),
        feedback: FeedbackSums { n: 2, score_sum: 1.0, labels: 0, mistakes: 0 },
        ..Performance::default()
    };
    ModelLife { model, rows, is_cut: false, performance: vec![(key, sums)] }
}

fn story() -> Vec<Entry> {
    let id = VersionId { model: ModelName::new("m").unwrap(), version: Version::new(2).unwrap() };
    let quarantine = Quarantine { id, cause: "error_rate".to_owned(), since_unix_ms: 3_000 };
    let barred = base_types::Change::Quarantined { digest: Digest::new([2; 32]), quarantine };
    vec![
        Entry::new(1_000, "gateway", Action::Started),
        loaded(1_000, 1, "y FP32[4]", "aaa"),
        published(1_000, 1, &[(1, 1.0)]),
        loaded(1_500, 2, "y FP32[5]", "bbb"),
        Entry { reason: Some("try it | now".to_owned()), ..entry(2_000, Action::CanaryStarted, 2) },
        published(2_000, 3, &[(1, 0.75), (2, 0.25)]),
        // Written late: it is of before the one above.
        published(1_900, 2, &[(1, 1.0)]),
        Entry {
            reason: Some("5 faults in 9".to_owned()),
            changes: vec![barred],
            ..entry(3_000, Action::RolledBack, 2)
        },
        published(3_000, 4, &[(1, 1.0)]),
        Entry::new(4_000, "gateway", Action::Stopped),
        Entry::new(6_000, "gateway", Action::Started),
        published(6_000, 5, &[(1, 1.0)]),
    ]
}

#[test]
fn shares_become_stretches_that_end_with_the_gateway() {
    let log = changelog(&life(story()), 7_000);
    let stretches = |version: u64| {
        let served = &log.versions[&version].served;
        served.iter().map(|s| (s.from_unix_ms, s.until_unix_ms, s.share)).collect::<Vec<_>>()
    };
    let expected =
        [(1_000, Some(2_000), 1.0), (2_000, Some(3_000), 0.75), (3_000, Some(4_000), 1.0), (6_000, None, 1.0)];
    assert_eq!(stretches(1), expected);
    assert_eq!(stretches(2), [(2_000, Some(3_000), 0.25)]);
    assert_eq!((log.versions[&1].served_ms, log.versions[&2].served_ms), (4_000, 1_000));
}

#[test]
fn a_version_is_told_with_what_changed_why_and_its_fate() {
    let log = changelog(&life(story()), 7_000);
    let (one, two) = (&log.versions[&1], &log.versions[&2]);
    assert_eq!((one.fate.as_str(), two.fate.as_str()), ("stable, serves 100 %", "quarantined (error_rate)"));
    assert_eq!(two.changed, ["outputs: y FP32[4] → y FP32[5]", "git.commit: aaa → bbb"]);
    assert!(one.changed.is_empty());
    assert_eq!(two.tag.as_deref(), Some("1.2.0"));
    assert_eq!(two.events.iter().map(|event| event.action).collect::<Vec<_>>(), ["canary_started", "rolled_back"]);
    let shown = json(&log);
    assert_eq!(shown["versions"][0]["version"], 2);
    assert_eq!(shown["versions"][0]["performance"]["error_rate"], 0.1);
    let text = markdown(&log);
    for part in [
        "## Version 2 (1.2.0): quarantined (error\\_rate)".replace("\\_", "_").as_str(),
        "canary started by amy: try it \\| now",
        "rolled back by amy: 5 faults in 9",
        "10 requests, 10 % faults, a mean score of 0.5000 by 2 pieces of feedback",
        "| 1970-01-01T00:00:02.000Z | 1970-01-01T00:00:03.000Z | 25 % |",
        "| 1970-01-01T00:00:06.000Z | now | 100 % |",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn an_end_without_a_word_is_put_where_the_gateway_was_seen_last() {
    let mut rows = story();
    rows.truncate(9);
    let evidence_json = Some("{\"last_seen_unix_ms\":3500}".to_owned());
    rows.push(Entry { evidence_json, ..Entry::new(9_000, "gateway", Action::Started) });
    let log = changelog(&life(rows), 9_500);
    let served = &log.versions[&1].served;
    assert_eq!(served.last().unwrap().until_unix_ms, Some(3_500));
    assert_eq!(log.versions[&1].fate, "served; nothing does now");
}
