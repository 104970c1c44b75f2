#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use base_types::{OutcomeClass, Reason};
use control_rollout::replay::{Recorded, ReplayRequest, Rerun, replay};
use control_rollout::{Guardrail, Policy};

use super::*;

/// Ten requests a second, every other one on the candidate, which faults from the hundredth on.
fn records() -> impl Iterator<Item = Recorded> {
    (0..400u64).map(|n| {
        let is_candidate = n % 2 == 1;
        let is_fault = is_candidate && n >= 100;
        Recorded {
            unix_ms: 1_700_000_000_000 + n * 100,
            version: Version::new(if is_candidate { 8 } else { 7 }).unwrap(),
            class: if is_fault { OutcomeClass::VersionFault } else { OutcomeClass::Ok },
            reason: Reason::Split,
            latency_seconds: 0.002,
            key: None,
            candidate: None,
            share: 0.5,
            rerun: if is_fault { Rerun::Answered } else { Rerun::NotAsked },
        }
    })
}

#[test]
fn a_replay_tells_when_it_would_have_acted_and_on_what() {
    let (guardrail, policy) = (Guardrail::default(), Policy::default());
    let (candidate, stable) = (Version::new(8).unwrap(), Version::new(7).unwrap());
    let request = ReplayRequest { guardrail: &guardrail, policy: Some(&policy), candidate, stable, injection: None };
    let found = replay(&request, records(), &mut || 0.5).unwrap();
    let model = ModelName::new("fraud").unwrap();
    let setting = Setting { model: &model, policy: "default", candidate, stable };
    let spread = Some(Spread { mean: 4.25, p50: 4.0, p95: 6.0, max: 9.0 });
    let delays = Delays { n_runs: 20, n_found: 18, n_before: 1, requests: spread, faults: spread, seconds: None };
    let page = text(&setting, &found, Some(&delays));
    for part in [
        "fraud: version 8 against version 7, policy default\n",
        "outcomes, from 2023-11-14T22:13:20.000Z to 2023-11-14T22:13:3",
        "the policy: step 1 of 7 (gate) began",
        "\n    rolls back: ",
        "version 8 would have been rolled back\n",
        "evidence at the end\n  limit ",
        "; tripped\n",
        "18 of 20 runs found the injection; 1 rolled back before it began\n",
        "  requests  mean 4.2, median 4.0, 95 % within 6.0, largest 9.0\n",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    let value = json(&setting, &found, None);
    assert_eq!(
        (&value["rolled_back"], &value["rollout"], &value["delays"]),
        (&true.into(), &"rolled_back".into(), &Value::Null)
    );
    let acts = value["acts"].as_array().unwrap();
    assert!(
        acts.iter().any(|act| act["act"] == "roll_back" && act["candidate"]["faults"].as_u64() > Some(1)),
        "{acts:?}"
    );
}
