//! Each rule beside that on errors: what it catches in a share of the traffic, and what follows.

use serde_json::json;
use switchrail_tests::{Answer, Gateway, Infer, wait_until};
use testkit::onnx::derive::annotated;
use testkit::onnx::{affine4, looping};

/// Half of the traffic, judged by the rules in `guardrail`.
fn in_traffic(candidate: &[u8], guardrail: &str) -> Gateway {
    let routing = format!(
        r#"
[models.m]
stable = 1
policy = "half"
run_timeout_ms = 400
[models.m.guardrail]
limit = 0.05
{guardrail}
[policies.half]
progress_deadline = "1h"
steps = [{{ weight = 0.5, min = "1h" }}]
"#
    );
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, candidate);
    let gateway = builder.routing(&routing).start();
    gateway.wait_state("m", 2, "ready");
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || {});
    gateway
}

/// As many steps as the first number says, some tens of milliseconds.
fn sluggish() -> Vec<u8> {
    looping(128, 1.0, 0.0)
}

const STEPS: f32 = 400.0;

fn equal() -> Vec<u8> {
    annotated(&affine4(1.0, 0.0), "the same").unwrap()
}

#[test]
fn a_slow_candidate_is_rolled_back_by_comparison_with_stable() {
    let rule = "[models.m.guardrail.latency_vs_stable]\nfreeze_after = 100\non_failure = \"rollback\"";
    let gateway = in_traffic(&sluggish(), rule);
    let rollout = gateway.wait_rollout("m", "rolled_back", || drop(gateway.ask_all("m", [STEPS; 10])));
    assert!(rollout["note"].as_str().unwrap().contains("latency_vs_stable"), "{rollout:#}");
    let report = gateway.report("m");
    let counts = &report["evidence"]["counts"];
    assert_eq!(counts["frozen"]["latency_quantiles"], json!([0.5, 0.9, 0.99]), "{report:#}");
    assert_eq!(counts["frozen"]["latency_seconds"].as_array().unwrap().len(), 3);
    assert_eq!(gateway.state("m", 2), "quarantined");
    assert_eq!(gateway.metric("switchrail_rollbacks_total", &[("cause", "latency_vs_stable")]), 1.0);
}

#[test]
fn a_slow_candidate_is_rolled_back_by_a_limit_on_latency() {
    let rule = "[models.m.guardrail.latency]\nslower_than_ms = 15\nlimit = 0.05";
    let gateway = in_traffic(&sluggish(), rule);
    let rollout = gateway.wait_rollout("m", "rolled_back", || drop(gateway.ask_all("m", [STEPS; 5])));
    assert!(rollout["note"].as_str().unwrap().contains("latency"), "{rollout:#}");
    let n_answers = gateway.metric("switchrail_attempts_total", &[("version", "2")]);
    assert!((3.0..40.0).contains(&n_answers), "{n_answers}");
}

#[test]
fn a_rule_that_pauses_leaves_the_shares_and_the_other_rules_armed() {
    let rule = "[models.m.guardrail.latency]\nslower_than_ms = 15\nlimit = 0.05\non_failure = \"pause\"";
    let gateway = in_traffic(&sluggish(), rule);
    let rollout = gateway.wait_rollout("m", "paused", || drop(gateway.ask_all("m", [STEPS; 5])));
    assert_eq!((&rollout["standstill"], &rollout["share"]), (&json!("rule"), &json!(0.5)), "{rollout:#}");
    assert!(rollout["waits_for"].as_str().unwrap().contains("a person"), "{rollout:#}");
    let answers = gateway.ask_all("m", [1.0; 40]);
    assert!([1, 2].iter().all(|version| answers.iter().any(|answer| answer.version() == *version)));
    assert_eq!(gateway.state("m", 2), "ready");
    gateway.wait_history("m", "verdict");
    // It does not end within the run timeout any more.
    let rollout = gateway.wait_rollout("m", "rolled_back", || drop(gateway.ask_all("m", [1e8])));
    assert_eq!(rollout["share"], 0.0);
    assert!(gateway.ask_all("m", [1.0; 20]).iter().all(|answer| answer.version() == 1));
}

#[test]
fn a_paused_rollout_goes_on_when_a_person_overrules_the_rule() {
    let rule = "[models.m.guardrail.latency]\nslower_than_ms = 15\nlimit = 0.05\non_failure = \"pause\"";
    let gateway = in_traffic(&sluggish(), rule);
    gateway.wait_rollout("m", "paused", || drop(gateway.ask_all("m", [STEPS; 5])));
    gateway.order("m", "rollout/resume", json!({ "actor": "ann" }));
    assert_eq!(gateway.rollout_status("m"), "running");
    gateway.ask_all("m", [STEPS; 20]);
    assert_eq!(gateway.rollout_status("m"), "running", "told once");
}

#[test]
fn outputs_that_are_distributed_otherwise_pause_the_rollout() {
    let rule = "[models.m.guardrail.drift]\nbins = \"classes\"";
    // The largest of first, 1, 2, 3 and of their negatives.
    let gateway = in_traffic(&affine4(-1.0, 0.0), rule);
    let rollout = gateway.wait_rollout("m", "paused", || drop(gateway.ask_all("m", [1.5; 10])));
    assert_eq!(rollout["standstill"], "rule", "{rollout:#}");
    assert_eq!(gateway.rollout_rule("m", "drift")["tripped"], true);
    assert!(rollout["evidence"]["drift"]["psi"].as_f64().unwrap() > 0.25, "{rollout:#}");
}

#[test]
fn a_healthy_candidate_trips_nothing() {
    let rules = "[models.m.guardrail.drift]\n[models.m.guardrail.mistakes]\n[models.m.guardrail.loss]\n\
                 [models.m.guardrail.latency]\nslower_than_ms = 2000";
    let gateway = in_traffic(&equal(), rules);
    for _ in 0..10 {
        let answers = gateway.ask_all("m", (0..100).map(|n| (n % 7) as f32));
        let worth: Vec<(&Answer, bool)> = answers.iter().enumerate().map(|(n, answer)| (answer, n % 5 != 0)).collect();
        gateway.tell("m", &worth);
    }
    wait_until("everything to be counted", || {
        let rule = gateway.rollout_rule("m", "sample_ratio");
        rule["faults"].as_u64().unwrap() + rule["others"].as_u64().unwrap() >= 1000
    });
    let rollout = gateway.rollout("m");
    assert_eq!(rollout["status"], "running", "{rollout:#}");
    let rules = rollout["rules"].as_array().unwrap();
    let names: Vec<&str> = rules.iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    for name in ["limit", "relative", "stable_limit", "latency", "drift", "sample_ratio", "mistakes", "loss"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(rules.iter().all(|rule| rule["tripped"] == false), "{rules:#?}");
}

#[test]
fn a_few_callers_who_ask_much_put_no_shares_in_doubt() {
    let rule = "[models.m.guardrail.drift]\n[models.m.guardrail.latency_vs_stable]\nfreeze_after = 100\n\
                [models.m.sticky]\nheader = \"x-user\"";
    let gateway = in_traffic(&equal(), rule);
    let mut client = gateway.client();
    // One key, one arm: all of these are on one side.
    for key in ["ann", "bob", "carl"] {
        for _ in 0..100 {
            Infer::first("m", 1.5).header("x-user", key).send(&mut client).ok();
        }
        let n = gateway.metric("switchrail_attempts_total", &[]);
        wait_until("these to be judged", || {
            let evidence = &gateway.rollout("m")["evidence"];
            let arms = &evidence["counts"]["by_share"][0];
            let of = |arm: &str| arms[arm]["ok"].as_f64().unwrap_or_default();
            of("candidate") + of("stable") >= n
        });
        let rollout = gateway.rollout("m");
        assert_eq!(rollout["status"], "running", "{key}: {rollout:#}");
        for rule in ["sample_ratio", "drift", "latency_vs_stable"] {
            assert_eq!(gateway.rollout_rule("m", rule)["tripped"], false, "{key}: {rollout:#}");
        }
    }
}

#[test]
fn a_candidate_whose_answers_turn_out_wrong_is_rolled_back() {
    let gateway = in_traffic(&affine4(3.0, 0.0), "[models.m.guardrail.mistakes]");
    let rollout = gateway.wait_rollout("m", "rolled_back", || {
        let answers = gateway.ask_all("m", [1.0; 20]);
        let worth: Vec<(&Answer, bool)> = answers.iter().map(|answer| (answer, answer.version() == 1)).collect();
        let told = gateway.tell("m", &worth);
        assert_eq!((&told["accepted"], &told["duplicate"], &told["unknown"]), (&json!(20), &json!(0), &json!(0)));
    });
    assert!(rollout["note"].as_str().unwrap().contains("mistakes"), "{rollout:#}");
    let score = |version: &str| {
        let labels = [("model", "m"), ("version", version)];
        let n = gateway.metric("switchrail_feedback_score_count", &labels);
        (n, gateway.metric("switchrail_feedback_score_sum", &labels))
    };
    let ((n_stable, of_stable), (n_candidate, of_candidate)) = (score("1"), score("2"));
    assert!(n_stable > 0.0 && n_stable == of_stable, "{n_stable} {of_stable}");
    assert!(n_candidate > 0.0 && of_candidate == 0.0, "{n_candidate} {of_candidate}");
    let report = gateway.report("m");
    let rule = |name| {
        let rules = report["evidence"]["rules"].as_array().unwrap();
        rules.iter().find(|rule| rule["rule"] == name).unwrap().clone()
    };
    assert_eq!((&rule("mistakes")["tripped"], &rule("mistakes")["others"]), (&json!(true), &json!(0)), "{report:#}");
    assert_eq!(rule("limit")["faults"], 0, "to be wrong is no fault");
    // The version's own record has it, too.
    let feedback = &gateway.version("m", 2).unwrap()["feedback"];
    // What came after the verdict is in the record alone: the version was gone.
    let n_labels = feedback["labels"].as_f64().unwrap();
    assert!((n_candidate..=n_candidate + 20.0).contains(&n_labels), "{feedback}");
    assert_eq!(feedback["mean_score"], 0.0, "{feedback}");
}

#[test]
fn labels_count_when_they_come_late_once_each_and_across_a_restart() {
    let mut gateway = in_traffic(&affine4(3.0, 0.0), "[models.m.guardrail.mistakes]");
    let answers = gateway.ask_all("m", [1.0; 120]);
    let worth: Vec<(&Answer, bool)> = answers.iter().map(|answer| (answer, answer.version() == 1)).collect();
    let told = gateway.tell("m", &worth[..4]);
    assert_eq!((&told["accepted"], &told["duplicate"]), (&json!(4), &json!(0)));
    let told = gateway.tell("m", &worth[..4]);
    assert_eq!((&told["accepted"], &told["duplicate"]), (&json!(0), &json!(4)));
    gateway.kill();
    gateway.start_again();
    gateway.wait_state("m", 2, "ready");
    let told = gateway.tell("m", &worth[4..]);
    assert_eq!(told["accepted"], 116, "{told}");
    gateway.wait_rollout("m", "rolled_back", || {});
    let forged = json!({ "prediction_id": "A".repeat(44), "correct": true });
    let path = "/v2/models/m/feedback";
    let unknown = gateway.client().send("POST", path, &[], forged.to_string().as_bytes()).json();
    assert_eq!(unknown["unknown"], 1, "{unknown}");
    assert_eq!(Infer::first("m", 1.0).send(&mut gateway.client()).ok().version(), 1);
}
