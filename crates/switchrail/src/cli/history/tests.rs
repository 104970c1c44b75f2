#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use base_types::{Version, VersionId};
use control_registry::journal::{Action, Entry, Journal};

use super::*;

fn arguments(state_dir: &Path) -> HistoryArguments {
    let (model, since, until, version, action, before) = Default::default();
    let (limit, state_dir, gateway) = (2, Some(state_dir.to_owned()), GatewayArguments::default());
    HistoryArguments { model, since, until, version, action, limit, before, state_dir, gateway }
}

#[test]
fn the_journal_is_read_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(folder.path()).unwrap();
    let model: ModelName = "fraud".parse().unwrap();
    let id = VersionId { model: model.clone(), version: Version::new(2).unwrap() };
    for minute in 0..3u64 {
        let entry = Entry {
            model: Some(model.clone()),
            version: Some(id.version),
            generation: Some(base_types::Generation(7 + minute)),
            before: Some("1: 100 %".to_owned()),
            after: Some("1: 75 %, 2: 25 %".to_owned()),
            reason: Some("try it\nonce".to_owned()),
            evidence_json: Some(r#"{"rules":[{"rule":"limit","faults":1,"others":9}],"candidate":2}"#.to_owned()),
            ..Entry::new(1_700_000_000_000 + minute * 60_000, "ann", Action::CanaryStarted)
        };
        journal.append(&entry).unwrap();
    }
    let arguments = arguments(folder.path());
    let read = |since| {
        let answer = offline(&arguments, folder.path(), (since, None)).unwrap();
        let rows = answer["rows"].as_array().unwrap().clone();
        rows.into_iter().map(|row| Row::deserialize(row).unwrap()).collect::<Vec<_>>()
    };
    let text = page(&read(None), 2);
    let expected = "\
2023-11-14T22:15:20.000Z  canary_started fraud 2 by ann  (#3, generation 9)
    1: 100 %  →  1: 75 %, 2: 25 %
    why: try it once
    evidence: faults: 1 of 10 requests on version 2; 0 of 0 requests; promotion: not proven";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("there may be more: --before 2\n"), "{text}");
    assert_eq!(read(Some(1_700_000_120_000)).len(), 1);
    assert_eq!(page(&read(Some(1_800_000_000_000)), 2), "nothing is recorded\n");
}

#[test]
fn since_is_a_span_or_a_moment() {
    assert_eq!(when("2h"), Ok(When::Ago(Duration::from_secs(7_200))));
    assert_eq!(when("2h").unwrap().unix_ms(10_000_000), 2_800_000);
    assert_eq!(when("7d").unwrap().unix_ms(1), 0);
    assert_eq!(when("2023-11-14T22:13:20Z"), Ok(When::Unix(1_700_000_000_000)));
    assert!(when("yesterday").unwrap_err().contains("7d"));
}
