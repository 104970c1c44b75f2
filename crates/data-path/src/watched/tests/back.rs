//! Feedback that comes back.

use base_serving::{FEEDBACK_MAX, Feedback, FeedbackResult, FeedbackSink, FeedbackTally, FeedbackValue};
use base_types::Clock;

use super::*;
use crate::{Code, FeedbackItem};

/// Takes each answer once, and none that is older than an hour.
struct Desk {
    seen: Mutex<Vec<Feedback>>,
    clock: Mutex<Option<Arc<ManualClock>>>,
}

impl FeedbackSink for Desk {
    fn take(&self, _: &ModelName, feedback: &[Feedback]) -> Vec<FeedbackResult> {
        let (mut seen, clock) = (self.seen.lock().unwrap(), self.clock.lock().unwrap());
        let now = clock.as_ref().unwrap().unix_ms();
        let take = |one: &Feedback| {
            if now - one.prediction.unix_ms > 3_600_000 {
                return FeedbackResult::Late;
            }
            if seen.iter().any(|other| other.mark == one.mark) {
                return FeedbackResult::Duplicate;
            }
            seen.push(*one);
            FeedbackResult::Accepted
        };
        feedback.iter().map(take).collect()
    }
}

fn desk() -> (World, Arc<Desk>) {
    let desk = Arc::new(Desk { seen: Mutex::default(), clock: Mutex::default() });
    let arms = [("1", 1, 1.0), ("2", 2, 1.0)];
    let world = world(route(&arms), |plan| plan, |gateway| gateway.with_feedback(desk.clone()));
    *desk.clock.lock().unwrap() = Some(world.clock.clone());
    (world, desk)
}

fn item(id: &str, value: FeedbackValue) -> FeedbackItem {
    FeedbackItem { prediction_id: id.to_owned(), value }
}

#[tokio::test]
async fn feedback_is_joined_to_its_answer_and_counted_by_version() {
    let (world, desk) = desk();
    let mut items = Vec::new();
    let mut n_of = [0u64; 3];
    for _ in 0..20 {
        let answer = world.ask(&[1.0; 4]).await;
        n_of[answer.served.version.id.version.get() as usize] += 1;
        items.push(item(answer.prediction.as_str(), FeedbackValue::Loss(0.25)));
    }
    let tally = world.gateway.feedback("m", &items).unwrap();
    assert_eq!(tally, FeedbackTally { accepted: 20, ..FeedbackTally::default() });
    for n in [1, 2] {
        let of = |what: &str, labels: &str| {
            world.metric(&format!(r#"switchrail_feedback_{what}{{model="m",{labels}version="{n}"}}"#))
        };
        assert_eq!(of("total", r#"result="accepted","#), n_of[n]);
        assert_eq!(of("score_count", ""), n_of[n]);
    }
    assert!(desk.seen.lock().unwrap().iter().all(|one| one.prediction.is_random && one.prediction.share == 0.5));
    let again = world.gateway.feedback("m", &items[..3]).unwrap();
    assert_eq!(again, FeedbackTally { duplicate: 3, ..FeedbackTally::default() });
}

#[tokio::test]
async fn ids_of_nobody_and_old_ones_are_counted_and_not_guessed() {
    let (world, desk) = desk();
    let old = world.ask(&[1.0; 4]).await.prediction;
    world.clock.advance(Duration::from_secs(3601));
    let foreign = PredictionKey::random();
    let prediction = PredictionKey::new(KEY).read(&name(), old.as_str()).unwrap().prediction;
    let forged = foreign.sign(&name(), &prediction);
    let items = [old.as_str(), forged.as_str(), "", "x"].map(|id| item(id, FeedbackValue::Correct(true)));
    let tally = world.gateway.feedback("m", &items).unwrap();
    assert_eq!(tally, FeedbackTally { unknown: 3, late: 1, ..FeedbackTally::default() });
    assert!(desk.seen.lock().unwrap().is_empty());
    assert_eq!(world.metric(r#"switchrail_feedback_total{model="m",result="unknown",version=""}"#), 3);
    // A genuine id of a version that is gone counts, without bringing its series back.
    let gone = base_serving::Prediction { version: version(9), unix_ms: world.clock.unix_ms(), ..prediction };
    let gone = PredictionKey::new(KEY).sign(&name(), &gone);
    let tally = world.gateway.feedback("m", &[item(gone.as_str(), FeedbackValue::Correct(true))]).unwrap();
    assert_eq!(tally.accepted, 1);
    assert_eq!(world.metric(r#"switchrail_feedback_total{model="m",result="accepted",version=""}"#), 1);
    let text = String::from_utf8(world.metrics.render().unwrap()).unwrap();
    assert!(!text.contains(r#"version="9""#));
}

#[tokio::test]
async fn feedback_is_refused_where_nobody_takes_it_or_there_is_no_such_model() {
    let (world, _) = desk();
    assert_eq!(world.gateway.feedback("x", &[]).unwrap_err().code, Code::ModelUnknown);
    let many = vec![item("x", FeedbackValue::Correct(true)); FEEDBACK_MAX + 1];
    assert_eq!(world.gateway.feedback("m", &many).unwrap_err().code, Code::BodyTooLarge);
    let closed = super::world(route(&[("1", 1, 1.0)]), |plan| plan, |gateway| gateway);
    assert_eq!(closed.gateway.feedback("m", &[]).unwrap_err().code, Code::NotImplemented);
}
