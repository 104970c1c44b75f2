//! What the gates said, for people, for programs and for pipelines.

use std::time::Duration;

use control_gate::{GateReport, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use super::Validation;

/// One line for each gate, and what follows.
pub(super) fn text(validation: &Validation) -> String {
    let width = validation.reports.iter().map(|report| report.gate.len()).max().unwrap_or_default();
    let mut text = String::new();
    for report in &validation.reports {
        let is_advice = report.is_failed() && !(report.is_required && validation.is_enforced);
        let advice = if is_advice { " (not required)" } else { "" };
        text.push_str(&format!("{:<7} {:<width$}  {}{advice}\n", report.verdict.as_str(), report.gate, report.text));
    }
    let n_failed = validation.reports.iter().filter(|report| report.is_failed()).count();
    let content = validation.digest.get(..16).unwrap_or("unread");
    text.push_str(&match (validation.is_passed(), n_failed) {
        (true, 0) => format!("passed: {} {content} may take traffic by a decision\n", validation.model),
        (true, n) => format!("passed: {} {content}; {n} failed that are not required\n", validation.model),
        (false, n) => format!("failed: {n} gates keep {} {content} out of traffic\n", validation.model),
    });
    text
}

/// Everything, as JSON.
pub(super) fn json(validation: &Validation) -> Value {
    json!({
        "model": validation.model.as_str(),
        "digest": validation.digest,
        "passed": validation.is_passed(),
        "gates": validation.reports,
    })
}

/// A JUnit file with a test case for each gate.
pub(super) fn junit(validation: &Validation) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new(format!("switchrail gates of {}", validation.model));
    for report in &validation.reports {
        suite.add_test_case(case(validation, report));
    }
    let mut report = Report::new("switchrail validate");
    report.add_test_suite(suite);
    report.to_string()
}

fn case(validation: &Validation, report: &GateReport) -> TestCase {
    let is_barring = report.is_required && validation.is_enforced;
    let mut status = match report.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Failed if is_barring => TestCaseStatus::non_success(NonSuccessKind::Failure),
        // What keeps nothing out must not break a pipeline.
        Verdict::Failed | Verdict::Skipped => TestCaseStatus::skipped(),
    };
    if report.verdict != Verdict::Passed {
        status.set_message(report.text.clone());
    }
    let mut case = TestCase::new(report.gate.clone(), status);
    case.set_classname(format!("gates.{}", validation.model));
    case.set_time(Duration::from_millis(report.took_ms));
    if report.verdict == Verdict::Passed {
        case.set_system_out(report.text.clone());
    }
    case
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_types::ModelName;

    use super::*;

    fn report(gate: &str, verdict: Verdict, is_required: bool) -> GateReport {
        let text = format!("{gate} <says> \"so\" \u{1}");
        let gate = gate.to_owned();
        GateReport { gate, verdict, is_required, text, measured: None, threshold: None, took_ms: 1500 }
    }

    fn validation() -> Validation {
        Validation {
            model: ModelName::new("fraud").unwrap(),
            digest: "ab".repeat(32),
            reports: vec![
                report("golden", Verdict::Failed, true),
                report("latency", Verdict::Failed, false),
                report("replay", Verdict::Skipped, true),
                report("digest", Verdict::Passed, true),
            ],
            is_enforced: true,
        }
    }

    #[test]
    fn a_junit_file_fails_for_what_keeps_out_and_for_nothing_else() {
        let text = junit(&validation()).unwrap();
        assert!(
            text.contains("tests=\"4\"") && text.contains("failures=\"1\"") && text.contains("skipped=\"2\""),
            "{text}"
        );
        assert!(text.contains("golden &lt;says&gt;"), "{text}");
        assert!(!text.contains('\u{1}'), "{text}");
        assert!(text.contains("time=\"1.500\""), "{text}");
    }

    #[test]
    fn the_page_says_what_follows() {
        let mut validation = validation();
        let page = text(&validation);
        assert!(page.contains("failed: 2 gates keep fraud abababababababab out of traffic"), "{page}");
        assert!(page.contains("failed  latency  latency <says> \"so\" \u{1} (not required)"), "{page}");
        validation.is_enforced = false;
        assert!(text(&validation).contains("passed: fraud"));
        assert_eq!(json(&validation)["passed"], true);
    }
}
