//! Rollouts as a test asks for them and about them.

use serde_json::{Value, json};

use crate::{Answer, Client, Gateway, Infer, wait_for};

/// What ends a rollout.
const OVER: [&str; 4] = ["promoted", "rolled_back", "aborted", "replaced"];

impl Gateway {
    /// Starts a rollout by the model's own policy, which must work.
    pub fn start_rollout(&self, model: &str, version: u64) -> Value {
        self.order(model, "rollout/start", json!({ "version": version.to_string(), "actor": "test" }))
    }

    /// How the model's last rollout stands.
    pub fn rollout(&self, model: &str) -> Value {
        self.admin(&format!("/v1/models/{model}/rollout"))
    }

    /// Its status.
    pub fn rollout_status(&self, model: &str) -> String {
        self.rollout(model)["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the rollout has a status, with `meanwhile` done again and again. Fails as soon as it is over otherwise.
    pub fn wait_rollout(&self, model: &str, status: &str, mut meanwhile: impl FnMut()) -> Value {
        wait_for(&format!("the rollout of {model} to be {status}"), || {
            let rollout = self.rollout(model);
            let found = rollout["status"].as_str().unwrap_or_default();
            if found == status {
                return Some(rollout);
            }
            assert!(!OVER.contains(&found), "it ended otherwise: {rollout:#}");
            meanwhile();
            None
        })
    }

    /// Waits until the rollout is in a step, by the beginning of its name, and the step's traffic has moved, with
    /// `meanwhile` done again and again.
    pub fn wait_step(&self, model: &str, step: &str, mut meanwhile: impl FnMut()) -> Value {
        wait_for(&format!("the rollout of {model} to be in {step}"), || {
            let rollout = self.rollout(model);
            let steps = rollout["steps"].as_array().cloned().unwrap_or_default();
            let current = steps.iter().find(|step| step["state"] == "current");
            let is_in =
                current.is_some_and(|current| current["name"].as_str().is_some_and(|name| name.starts_with(step)));
            // It moves with the first look that finds the candidate in memory.
            let has_traffic = |share: &str| rollout[share].as_f64().is_some_and(|share| share > 0.0);
            let has_moved = match step {
                "shadow" => has_traffic("shadow_share"),
                "weight" => has_traffic("share"),
                _ => true,
            };
            if is_in && has_moved {
                return Some(rollout);
            }
            let found = rollout["status"].as_str().unwrap_or_default();
            assert!(!OVER.contains(&found), "it is over: {rollout:#}");
            meanwhile();
            None
        })
    }

    /// What a rule of the rollout says, with its numbers.
    pub fn rollout_rule(&self, model: &str, rule: &str) -> Value {
        let rollout = self.rollout(model);
        let rules = rollout["evidence"]["rules"].as_array().cloned().unwrap_or_default();
        let found = rules.into_iter().find(|found| found["rule"] == rule);
        found.unwrap_or_else(|| panic!("no rule {rule}: {rollout:#}"))
    }

    /// The report of the model's last rollout as JSON, waited for: it is written a moment after the end.
    pub fn report(&self, model: &str) -> Value {
        wait_for(&format!("the report on the rollout of {model}"), || {
            let path = format!("/v1/models/{model}/rollout/report");
            let response = Client::new(self.addresses().admin).send("GET", &path, &[], b"");
            (response.status == 200).then(|| response.json())
        })
    }

    /// The same for people.
    pub fn report_page(&self, model: &str) -> String {
        let path = format!("/v1/models/{model}/rollout/report?format=markdown");
        let response = Client::new(self.addresses().admin).send("GET", &path, &[], b"");
        assert_eq!(response.status, 200, "{}", response.text());
        response.text()
    }

    /// Sends each of these first floats over one connection; every answer must be a good one.
    pub fn ask_all(&self, model: &str, firsts: impl IntoIterator<Item = f32>) -> Vec<Answer> {
        let mut client = self.client();
        firsts.into_iter().map(|first| Infer::first(model, first).send(&mut client).ok()).collect()
    }

    /// Tells what answers were worth: pairs of an answer and whether it was right.
    pub fn tell(&self, model: &str, worth: &[(&Answer, bool)]) -> Value {
        let piece = |(answer, is_right): &(&Answer, bool)| json!({ "prediction_id": answer.said("prediction-id"), "correct": is_right });
        let body = json!({ "feedback": worth.iter().map(piece).collect::<Vec<_>>() });
        let path = format!("/v2/models/{model}/feedback");
        let response = self.client().send("POST", &path, &[], body.to_string().as_bytes());
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }
}
