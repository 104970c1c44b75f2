#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use base_types::{Digest, Version};

use super::*;

fn rollout() -> Rollout {
    let version = |number| Version::new(number).unwrap();
    Rollout {
        number: 3,
        candidate: version(8),
        digest: Digest::new([7; 32]),
        stable: version(7),
        policy: "cautious".into(),
        policy_text: "steps = []".into(),
        status: RolloutStatus::Paused,
        step: 4,
        share: 0.05,
        shadow_share: 0.1,
        started_unix_ms: 1,
        step_since_unix_ms: 2,
        limit_since_unix_ms: 3,
        status_since_unix_ms: 4,
        retries: 1,
        standstill: Some(Standstill::Rule),
        noted: vec!["drift".into(), "latency".into()],
        has_told_silence: true,
        next: Some(NextCandidate { version: version(9), policy: Some("fast".into()) }),
        actor: "ada".into(),
        note: "drift: looks other".into(),
    }
}

fn json(rollout: &Rollout) -> String {
    serde_json::to_string(&store(rollout)).unwrap()
}

fn read(text: &str) -> Result<Rollout, String> {
    restore(serde_json::from_str(text).map_err(|e| e.to_string())?)
}

#[test]
fn a_rollout_is_read_as_it_was_written() {
    let paused = rollout();
    let plain = Rollout { standstill: None, noted: vec![], has_told_silence: false, next: None, ..rollout() };
    for written in [paused, plain] {
        assert_eq!(read(&json(&written)), Ok(written));
    }
    for (status, standstill) in RolloutStatus::ALL.into_iter().zip(Standstill::ALL.into_iter().cycle()) {
        let written = Rollout { status, standstill: Some(standstill), ..rollout() };
        assert_eq!(read(&json(&written)), Ok(written));
    }
}

#[test]
fn what_no_release_knows_is_an_error() {
    let text = json(&rollout());
    let check = |from: &str, to: &str, hint: &str| {
        let spoiled = text.replacen(from, to, 1);
        assert_ne!(spoiled, text);
        let error = read(&spoiled).unwrap_err();
        assert!(error.contains(hint), "{error}");
    };
    check("\"paused\"", "\"asleep\"", "rollout status \"asleep\"");
    check("\"rule\"", "\"mood\"", "standstill \"mood\"");
    check("\"next\":9", "\"next\":0", "version 0");
    check("\"step\":4", "\"stop\":4", "stop");
}
