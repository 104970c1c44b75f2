#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use base_types::{FaultKind, MemoryUse, Outcome, Reason};

use super::*;

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render().unwrap()).unwrap()
}

#[test]
fn series_of_a_gone_version_are_retired() {
    let metrics = Metrics::new("0", "1").unwrap();
    let (model, one, two) = (ModelName::new("fraud").unwrap(), Version::new(1).unwrap(), Version::new(2).unwrap());
    for version in [one, two] {
        let handles = metrics.version(&model, version);
        let second = Duration::from_secs(1);
        let fault = Some(FaultKind::Run);
        let class = OutcomeClass::VersionFault;
        handles.attempt(&Outcome { class, fault, reason: Reason::Split, queue: second, run: second, total: second });
        handles.request(Protocol::OipRest, class, Reason::Split, second);
        handles.fallback(FallbackResult::NoTime);
        handles.set_memory(MemoryUse::default());
        handles.shadow(ShadowResult::Disagreed);
        handles.feedback(FeedbackResult::Accepted, 1);
        handles.score(0.25);
        metrics.set_shadow_share(&model, version, 0.1);
        metrics.set_version_state(&model, version, VersionState::Ready);
        metrics.set_share_wanted(&model, version, 0.5);
        metrics.set_share_actual(&model, version, 0.5);
        metrics.set_load_seconds(&model, version, 0.5);
    }
    let both = text(&metrics);
    assert!(
        both.contains(
            r#"switchrail_attempts_total{model="fraud",outcome="version_fault",reason="split",version="2"} 1"#
        )
    );
    metrics.retire(&model, two);
    let left = text(&metrics);
    assert!(!left.contains(r#"version="2""#), "{left}");
    assert_eq!(left.matches(r#"version="1""#).count(), both.matches(r#"version="2""#).count());
}

#[test]
fn every_family_is_in_the_catalogue_with_its_unit() {
    for entry in catalog() {
        assert!(entry.name.starts_with("switchrail_"), "{}", entry.name);
        assert_eq!(entry.kind == Kind::Counter, entry.name.ends_with("_total"), "{}", entry.name);
        assert!(entry.help.ends_with('.'), "{}", entry.name);
    }
}

#[test]
fn scores_of_feedback_add_up_by_version_and_an_experiment_leaves_nothing() {
    let metrics = Metrics::new("0", "1").unwrap();
    let (model, one) = (ModelName::new("fraud").unwrap(), Version::new(1).unwrap());
    let handles = metrics.version(&model, one);
    [0.25, 1.0, 0.0].into_iter().for_each(|score| handles.score(score));
    metrics.feedback(&model, FeedbackResult::Unknown, 1);
    metrics.feedback(&model, FeedbackResult::Late, 0);
    metrics.experiment("price", "b", ArmFigure::Assigned, 3);
    metrics.experiment("price", "", ArmFigure::Ok, 2);
    let shown = text(&metrics);
    for line in [
        r#"switchrail_feedback_score_sum{model="fraud",version="1"} 1.25"#,
        r#"switchrail_feedback_score_count{model="fraud",version="1"} 3"#,
        r#"switchrail_feedback_total{model="fraud",result="unknown",version=""} 1"#,
        r#"switchrail_experiment_requests_total{arm="b",experiment="price",figure="assigned"} 3"#,
        r#"switchrail_experiment_requests_total{arm="",experiment="price",figure="ok"} 2"#,
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    metrics.retire_experiment("price", ["a", "b"]);
    assert!(!text(&metrics).contains("price"));
}
