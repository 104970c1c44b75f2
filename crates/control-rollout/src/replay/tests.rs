#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::time::Duration;

use super::*;
use crate::chance::{Draws, normal};
use crate::plan::{ProofOf, Step, StepKind};
use crate::policy::{LatencyComparison, LatencyLimit, Mode, OnFailure};

const START: u64 = 1_700_000_000_000;

fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

/// A healthy record: a tenth of the traffic on version 8, a request every 10 ms, both versions alike.
fn healthy(n: u64, seed: u64) -> impl Iterator<Item = Recorded> {
    let mut draws = Draws::seeded(seed);
    (0..n).map(move |i| {
        let number = if draws.unit() < 0.1 { 8 } else { 7 };
        let is_fault = draws.unit() < 0.001;
        let class = if is_fault { OutcomeClass::VersionFault } else { OutcomeClass::Ok };
        Recorded {
            unix_ms: START + 10 * i,
            version: version(number),
            class,
            reason: Reason::Split,
            latency_seconds: 0.02 * (0.5 * normal(&mut || draws.unit())).exp(),
            key: None,
            candidate: Some(version(8)),
            share: 0.1,
            rerun: Rerun::NotAsked,
        }
    })
}

#[test]
fn requests_beside_another_candidate_are_nobodys_evidence() {
    let guardrail = Guardrail::default();
    let beside = healthy(5_000, 3).map(|r| Recorded { candidate: Some(version(9)), ..r });
    let replay = run(&request(&guardrail), beside);
    assert_eq!((replay.n_not_judged, replay.stable.requests), (5_000, 0));
}

fn request(guardrail: &Guardrail) -> ReplayRequest<'_> {
    ReplayRequest { guardrail, policy: None, candidate: version(8), stable: version(7), injection: None }
}

fn faults(fault_probability: f64, after: u64) -> Option<Injection> {
    Some(Injection { fault_probability, latency_factor: 1.0, from_unix_ms: START + 10 * after })
}

fn run(request: &ReplayRequest<'_>, records: impl Iterator<Item = Recorded>) -> Replay {
    let mut draws = Draws::seeded(77);
    replay(request, records, &mut || draws.unit()).unwrap()
}

#[test]
fn a_healthy_record_leads_to_nothing() {
    let replay = run(&request(&Guardrail::default()), healthy(50_000, 1));
    assert!(replay.acts.is_empty(), "{:?}", replay.acts);
    assert!(!replay.is_rolled_back && replay.n_records == 50_000 && replay.n_not_judged == 0);
    assert!(replay.candidate.requests > 4500 && replay.candidate.requests + replay.stable.requests == 50_000);
    assert_eq!(replay.span_unix_ms, Some((START, START + 499_990)));
}

#[test]
fn an_injected_half_is_found_within_four_faults_on_average() {
    let guardrail = Guardrail::default();
    let request = ReplayRequest { injection: faults(0.5, 0), ..request(&guardrail) };
    let mut draws = Draws::seeded(5);
    let delays = delays(&request, 100, || healthy(3000, 2), &mut || draws.unit()).unwrap();
    assert_eq!((delays.n_found, delays.n_before), (100, 0));
    let (faults, requests) = (delays.faults.unwrap(), delays.requests.unwrap());
    assert!(faults.mean <= 4.0 && faults.mean >= 2.0, "{faults:?}");
    assert!(requests.mean < 10.0 && requests.p95 >= requests.p50 && requests.max >= requests.p95, "{requests:?}");
    // A candidate's request comes every 0.1 s.
    let seconds = delays.seconds.unwrap();
    assert!(seconds.mean > 0.2 && seconds.mean < 2.0, "{seconds:?}");
}

#[test]
fn a_rollback_shows_its_evidence_and_ends_the_replay() {
    let guardrail = Guardrail::default();
    let request = ReplayRequest { injection: faults(0.5, 20_000), ..request(&guardrail) };
    let replay = run(&request, healthy(30_000, 3));
    assert!(replay.is_rolled_back && replay.n_records > 20_000 && replay.n_records < 21_000, "{}", replay.n_records);
    let act = replay.acts.last().unwrap();
    let Deed::Rules(decision) = &act.deed else { panic!("{act:?}") };
    let Decision::RollBack(cause) = &**decision else { panic!("{decision:?}") };
    assert!(cause.to_string().contains("faults"), "{cause}");
    assert_eq!(act.candidate, replay.candidate);
    assert_eq!(replay.since_injection.faults, replay.candidate.faults - healthy_faults(20_000));
}

/// The candidate's own faults in the first part of the record of the test above.
fn healthy_faults(n: usize) -> u64 {
    let is_own = |r: &Recorded| r.version == version(8) && r.class == OutcomeClass::VersionFault;
    healthy(30_000, 3).take(n).filter(is_own).count() as u64
}

#[test]
fn what_is_nobodys_evidence_is_left_out() {
    let broken = |reason, class, rerun| {
        healthy(5000, 4).map(move |r| {
            let is_candidate = r.version == version(8);
            if is_candidate { Recorded { reason, class, rerun, ..r } } else { r }
        })
    };
    let guardrail = Guardrail { sample_ratio: None, ..Guardrail::default() };
    for (reason, class, rerun) in [
        (Reason::Pin, OutcomeClass::VersionFault, Rerun::NotAsked),
        (Reason::Split, OutcomeClass::Client, Rerun::NotAsked),
        (Reason::Split, OutcomeClass::Overload, Rerun::NotAsked),
        (Reason::Split, OutcomeClass::VersionFault, Rerun::Faulted),
    ] {
        let replay = run(&request(&guardrail), broken(reason, class, rerun));
        assert!(replay.acts.is_empty() && replay.n_not_judged > 400, "{reason:?} {class:?}: {:?}", replay.acts);
        assert_eq!(replay.candidate.faults, 0, "{reason:?} {class:?}");
    }
    let judged = run(&request(&guardrail), broken(Reason::Split, OutcomeClass::VersionFault, Rerun::Answered));
    assert!(judged.is_rolled_back);
}

#[test]
fn one_client_with_bad_inputs_convicts_nobody() {
    let poisoned = healthy(20_000, 5).enumerate().map(|(i, r)| {
        if i % 20 == 0 {
            return Recorded { version: version(8), class: OutcomeClass::VersionFault, key: Some(1), ..r };
        }
        r
    });
    let guardrail = Guardrail { sample_ratio: None, ..Guardrail::default() };
    assert!(run(&request(&guardrail), poisoned).acts.is_empty());
}

#[test]
fn a_guardrail_that_observes_says_what_it_would_have_done_once() {
    let guardrail = Guardrail { mode: Mode::Observe, ..Guardrail::default() };
    let request = ReplayRequest { injection: faults(0.5, 0), ..request(&guardrail) };
    let replay = run(&request, healthy(5000, 6));
    assert!(!replay.is_rolled_back && replay.n_records == 5000);
    let would = |act: &&Act| matches!(&act.deed, Deed::Rules(d) if matches!(**d, Decision::WouldRollBack(_)));
    assert!((1..=2).contains(&replay.acts.iter().filter(would).count()), "{:?}", replay.acts);
}

#[test]
fn injected_slowness_is_found_by_the_rules_on_latency() {
    let limit = LatencyLimit { slower_than_seconds: 0.08, limit: 0.01, weight: 1.0, on_failure: OnFailure::RollBack };
    let comparison = LatencyComparison {
        quantiles: vec![0.5, 0.9, 0.99],
        freeze_after: 1000,
        tolerate_ratio: 1.1,
        weight: 1.0,
        on_failure: OnFailure::RollBack,
    };
    for guardrail in [
        Guardrail { latency: Some(limit), ..Guardrail::default() },
        Guardrail { latency_vs_stable: Some(comparison), ..Guardrail::default() },
    ] {
        let slow = Some(Injection { fault_probability: 0.0, latency_factor: 2.0, from_unix_ms: START });
        let replay = run(&ReplayRequest { injection: slow, ..request(&guardrail) }, healthy(30_000, 7));
        assert!(replay.is_rolled_back, "{:?}", replay.evidence.findings);
        assert!(run(&request(&guardrail), healthy(30_000, 7)).acts.is_empty());
    }
}

#[test]
fn a_policy_takes_its_steps_when_the_record_holds_what_they_ask_for() {
    let step = |kind, seconds, proofs: &[ProofOf]| Step {
        kind,
        min: Duration::from_secs(seconds),
        max: None,
        proofs: proofs.to_vec(),
        min_requests: 0,
        min_feedback: 0,
    };
    let policy = Policy {
        steps: vec![
            step(StepKind::Gate, 0, &[]),
            step(StepKind::WarmUp { runs: 5 }, 0, &[]),
            step(StepKind::Weight { share: 0.05 }, 10, &[ProofOf::Errors]),
            step(StepKind::Pause { approval: "ml-oncall".into() }, 0, &[]),
            step(StepKind::Weight { share: 0.5 }, 10, &[ProofOf::Errors]),
            step(StepKind::Promote { bake: Duration::from_secs(60) }, 0, &[]),
        ],
        ..Policy::default()
    };
    let guardrail = Guardrail::default();
    let with_policy = ReplayRequest { policy: Some(&policy), ..request(&guardrail) };
    let replay = run(&with_policy, healthy(30_000, 8));
    assert_eq!(replay.rollout, Some(RolloutStatus::Promoted), "{:?}", replay.acts);
    // The proof needs some 350 to 600 requests of the candidate, at ten a second.
    let texts: Vec<_> = replay.acts.iter().map(|act| (act.unix_ms, act.candidate.requests, &act.deed)).collect();
    assert!(replay.acts.last().unwrap().candidate.requests > 900, "{texts:?}");
    let broken = run(&ReplayRequest { injection: faults(0.5, 0), ..with_policy }, healthy(30_000, 8));
    assert_eq!(broken.rollout, Some(RolloutStatus::RolledBack), "{:?}", broken.acts);
    let short = run(&with_policy, healthy(2000, 8));
    assert_eq!(short.rollout, Some(RolloutStatus::Running), "too few requests for a proof");
}

#[test]
fn an_empty_record_says_nothing() {
    let replay = run(&request(&Guardrail::default()), std::iter::empty());
    assert!(replay.acts.is_empty() && replay.span_unix_ms.is_none() && replay.n_records == 0);
    let bad = Guardrail { alpha: 0.0, ..Guardrail::default() };
    let mut draws = Draws::seeded(1);
    assert!(super::replay(&request(&bad), std::iter::empty(), &mut || draws.unit()).is_err());
}

#[test]
fn time_never_runs_backwards() {
    let jumbled = healthy(4000, 9)
        .enumerate()
        .map(|(i, r)| if i % 3 == 0 { Recorded { unix_ms: r.unix_ms.saturating_sub(60_000), ..r } } else { r });
    let replay = run(&request(&Guardrail::default()), jumbled);
    let (first, last) = replay.span_unix_ms.unwrap();
    assert!(first <= last && last <= START + 40_000 && replay.acts.is_empty());
}
