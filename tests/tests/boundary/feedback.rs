//! What answers were worth, told later: by the id that every answer carries.

use serde_json::{Value, json};
use switchrail_tests::{Gateway, Infer};
use testkit::onnx::affine4;

fn id(gateway: &Gateway) -> String {
    let answer = gateway.infer(&Infer::first("m", 1.0)).ok();
    answer.said("prediction-id").expect("every answer has an id").to_owned()
}

fn tell(gateway: &Gateway, body: &Value) -> (u16, Value) {
    let response = gateway.client().send("POST", "/v2/models/m/feedback", &[], body.to_string().as_bytes());
    (response.status, response.json())
}

fn counts(accepted: u64, unknown: u64, late: u64, duplicate: u64) -> (u16, Value) {
    (200, json!({"accepted": accepted, "unknown": unknown, "late": late, "duplicate": duplicate}))
}

#[test]
fn feedback_counts_once_for_the_version_that_answered_and_across_a_restart() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4(1.0, 0.0));
    let routing = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\n";
    let mut gateway = builder.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    let ids: Vec<String> = (0..10).map(|_| id(&gateway)).collect();
    assert_eq!(tell(&gateway, &json!({"prediction_id": ids[0], "correct": false})), counts(1, 0, 0, 0));
    assert_eq!(tell(&gateway, &json!({"prediction_id": ids[0], "score": 1})), counts(0, 0, 0, 1));
    let piece = |id: &String| json!({"prediction_id": id, "score": 0.5});
    let several: Vec<Value> = ids[1..5].iter().chain([&"x".repeat(48)]).map(piece).collect();
    assert_eq!(tell(&gateway, &json!({"feedback": several})), counts(4, 1, 0, 0));
    assert_eq!(gateway.metric("switchrail_feedback_total", &[("result", "accepted")]), 5.0);
    assert_eq!(gateway.metric("switchrail_feedback_total", &[("result", "unknown")]), 1.0);
    assert_eq!(gateway.metric("switchrail_feedback_score_count", &[]), 5.0);
    assert!((gateway.metric("switchrail_feedback_score_sum", &[]) - 2.0).abs() < 1e-9);
    gateway.kill();
    gateway.start_again();
    gateway.wait_state("m", 2, "ready");
    let late: Vec<Value> = ids[5..].iter().map(piece).collect();
    assert_eq!(tell(&gateway, &json!({"feedback": late})), counts(5, 0, 0, 0), "ids outlive the process");
}

#[test]
fn an_operator_may_switch_feedback_off() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).set("feedback", "false").start();
    let (status, body) = tell(&gateway, &json!({"prediction_id": id(&gateway), "correct": true}));
    assert_eq!((status, body["code"].as_str()), (501, Some("not_implemented")));
    assert!(body["error"].as_str().unwrap().contains("feedback = true"), "{body}");
}
