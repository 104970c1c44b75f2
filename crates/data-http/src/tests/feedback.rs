//! The id that answers carry, and the route that feedback comes back by.

use std::sync::Mutex;

use base_serving::{Feedback, FeedbackResult, FeedbackSink, FeedbackValue};
use base_types::ModelName;
use data_codec::document::FEEDBACK_ENTRIES_MAX;
use data_edge::EdgeOptions;
use serde_json::{Value, json};
use std::sync::Arc;

use super::client::{Client, GOOD, Reply};
use super::world::World;

/// Takes everything, and the second piece on an answer for a duplicate.
#[derive(Default)]
struct Desk(Mutex<Vec<(ModelName, Feedback)>>);

impl FeedbackSink for Desk {
    fn take(&self, model: &ModelName, feedback: &[Feedback]) -> Vec<FeedbackResult> {
        let mut seen = self.0.lock().unwrap();
        let mut take = |one: &Feedback| {
            let is_known = seen.iter().any(|(_, other)| other.mark == one.mark);
            seen.push((model.clone(), *one));
            if is_known { FeedbackResult::Duplicate } else { FeedbackResult::Accepted }
        };
        feedback.iter().map(&mut take).collect()
    }
}

async fn world(options: EdgeOptions) -> (World, Arc<Desk>) {
    let desk = Arc::new(Desk::default());
    (World::taking_feedback(options, desk.clone()).await, desk)
}

async fn tell(client: &mut Client, body: &Value) -> Reply {
    client.post("/v2/models/m/feedback", &body.to_string()).await
}

async fn ask(client: &mut Client) -> String {
    let reply = client.post("/v2/models/m/infer", GOOD).await;
    assert_eq!(reply.status, 200);
    reply.header("switchrail-prediction-id").to_owned()
}

#[tokio::test]
async fn every_answer_carries_an_id_and_feedback_comes_back_by_it() {
    let (world, desk) = world(EdgeOptions::default()).await;
    let mut client = world.client().await;
    let (first, second) = (ask(&mut client).await, ask(&mut client).await);
    assert_ne!(first, second);
    assert!(first.len() <= 48 && first.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{first}");
    let counts = |accepted, unknown, duplicate| json!({"accepted": accepted, "unknown": unknown, "late": 0, "duplicate": duplicate});
    let reply = tell(&mut client, &json!({"prediction_id": first, "correct": false})).await;
    assert_eq!((reply.status, reply.json()), (200, counts(1, 0, 0)));
    let several = json!({"feedback": [
        {"prediction_id": second, "score": 0.75},
        {"prediction_id": first, "correct": true},
        {"prediction_id": "nobody's", "correct": true},
    ]});
    let reply = tell(&mut client, &several).await;
    assert_eq!((reply.status, reply.json()), (200, counts(1, 1, 1)));
    let taken = desk.0.lock().unwrap();
    assert_eq!(taken[0].1.value, FeedbackValue::Correct(false));
    assert_eq!(taken[1].1.value, FeedbackValue::Loss(0.25));
    assert!(taken.iter().all(|(model, one)| model.as_str() == "m" && one.prediction.version.get() == 1));
}

#[tokio::test]
async fn answers_of_the_other_protocol_carry_one_too_and_failures_carry_none() {
    let (world, _) = world(EdgeOptions::default()).await;
    let mut client = world.client().await;
    let reply = client.post("/v1/models/m:predict", r#"{"instances":[[1,2,3,4]]}"#).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("switchrail-prediction-id").len(), 48);
    for path in ["/v2/models/m/versions/4/infer", "/v2/models/m/versions/7/infer", "/v2/models/x/infer"] {
        let reply = client.post(path, GOOD).await;
        assert!(reply.status >= 400, "{path}");
        assert_eq!(reply.header("switchrail-prediction-id"), "", "{path}");
    }
}

#[tokio::test]
async fn of_feedback_with_a_mistake_nothing_is_taken() {
    let (world, desk) = world(EdgeOptions::default()).await;
    let mut client = world.client().await;
    let id = ask(&mut client).await;
    let good = json!({"prediction_id": id, "correct": true});
    for wrong in [json!({"prediction_id": id, "score": 1.5}), json!({"prediction_id": id, "label": "cat"}), json!(7)] {
        let reply = tell(&mut client, &json!({"feedback": [good, wrong]})).await;
        reply.check_error(400, "malformed", "client");
        assert!(reply.json()["error"].as_str().unwrap().contains("feedback[1]"));
    }
    let many = vec![good; FEEDBACK_ENTRIES_MAX + 1];
    tell(&mut client, &json!({"feedback": many})).await.check_error(400, "malformed", "client");
    assert!(desk.0.lock().unwrap().is_empty());
    client.post("/v2/models/x/feedback", "{\"feedback\":[]}").await.check_error(404, "model_unknown", "client");
    assert_eq!(base_serving::FEEDBACK_MAX, FEEDBACK_ENTRIES_MAX, "what the wire takes, the path takes");
}

#[tokio::test]
async fn feedback_can_be_switched_off_and_is_off_where_nobody_takes_it() {
    let (world, desk) = world(EdgeOptions { has_feedback: false, ..EdgeOptions::default() }).await;
    let mut client = world.client().await;
    let id = ask(&mut client).await;
    let body = json!({"prediction_id": id, "correct": true});
    tell(&mut client, &body).await.check_error(501, "not_implemented", "client");
    assert!(desk.0.lock().unwrap().is_empty());
    let nobody = World::new().await;
    tell(&mut nobody.client().await, &body).await.check_error(501, "not_implemented", "client");
}
