//! The document of the admin API says what the gateway does: every route of it is asked, and every answer, good or bad,
//! is held against its schema, with nothing in it that the schema does not name.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};
use switchrail_tests::{Client, Gateway, Infer, wait_until};
use testkit::onnx::derive::annotated;
use testkit::onnx::{affine4, failing_when};

const ROUTING: &str = r#"
[models.m]
stable = 1
policy = "asked"
sticky = { header = "x-user" }
[models.m.guardrail]
limit = 0.05
[[models.m.rules]]
name = "testers"
when = { header = "x-tester", equals = "yes" }
use = 2
[models.e]
stable = 1
sticky = { header = "x-user" }
[models.n]
policy = "hasty"
[experiments.page]
model = "e"
units = [0.0, 0.8]
holdout = 0.2
arms = { 1 = 1, 2 = 1 }
[policies.asked]
progress_deadline = "1h"
steps = [
    { gate = true },
    { shadow = 1.0, min_requests = 5 },
    { weight = 0.5, min_requests = 5 },
    { pause = "the model team" },
    { promote = true, bake = "1h" },
]
[policies.hasty]
freeze_after = { rollbacks = 1, within = "1h" }
steps = [{ weight = 0.5 }, { promote = true, bake = "1h" }]
"#;

/// The document, and what of it was seen to be so.
struct Document {
    value: Value,
    /// With nothing allowed that is not named.
    strict: Value,
    /// Operations that were carried out.
    done: BTreeSet<String>,
}

impl Document {
    fn of(gateway: &Gateway) -> Self {
        let value = gateway.admin("/v1/openapi.json");
        let mut strict = value["components"].clone();
        forbid_others(&mut strict);
        Self { value, strict, done: BTreeSet::new() }
    }

    fn validator(&self, schema: &Value) -> Validator {
        let mut schema = schema.clone();
        forbid_others(&mut schema);
        jsonschema::validator_for(&json!({ "allOf": [schema], "components": self.strict })).unwrap()
    }

    fn operation(&self, method: &str, template: &str) -> &Value {
        let operation = &self.value["paths"][template][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {template} is not in the document");
        operation
    }

    /// Holds an answer against the document, and what was sent too.
    fn check(&mut self, method: &str, template: &str, (status, answer, sent): (u16, &Value, Option<&Value>)) {
        let operation = self.operation(method, template);
        let schema = match status {
            200 => &operation["responses"]["200"]["content"]["application/json"]["schema"],
            _ => &json!({ "$ref": "#/components/schemas/Problem" }),
        };
        let found: Vec<String> =
            self.validator(schema).iter_errors(answer).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(found.is_empty(), "{method} {template} ({status}): {found:#?}\n{answer:#}");
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        if let (200, Some(sent), false) = (status, sent, body.is_null()) {
            assert!(self.validator(body).is_valid(sent), "{method} {template} took {sent}");
        }
        if status == 200 {
            self.done.insert(format!("{method} {template}"));
        }
    }

    /// `GET /v1/status` and so on.
    fn operations(&self) -> BTreeSet<String> {
        let paths = self.value["paths"].as_object().unwrap().iter();
        let named = |(path, methods): (&String, &Value)| -> Vec<String> {
            methods.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())).collect()
        };
        paths.flat_map(named).collect()
    }
}

/// Objects whose fields are named have no others.
fn forbid_others(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") && fields["properties"].is_object() {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            fields.values_mut().for_each(forbid_others);
        }
        Value::Array(values) => values.iter_mut().for_each(forbid_others),
        _ => {}
    }
}

/// A gateway with its document.
struct Asked {
    gateway: Gateway,
    document: Document,
}

impl Asked {
    /// Asks for a route, `path` being a path of its, and holds the answer against the document.
    fn get(&mut self, template: &str, path: &str) -> Value {
        let response = Client::new(self.gateway.addresses().admin).send("GET", path, &[], b"");
        let answer = response.json();
        self.document.check("GET", template, (response.status, &answer, None));
        answer
    }

    /// Asks for a route of model m.
    fn model(&mut self, rest: &str) -> Value {
        let (template, path) = (format!("/v1/models/{{model}}{rest}"), format!("/v1/models/m{rest}"));
        self.get(&template, &path)
    }

    /// Asks for a route of version 1 of model m.
    fn model_version(&mut self, rest: &str) -> Value {
        let template = format!("/v1/models/{{model}}/versions/{{version}}{rest}");
        self.get(&template, &format!("/v1/models/m/versions/1{rest}"))
    }

    fn post(&mut self, template: &str, path: &str, body: &Value) -> Value {
        let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        let (status, answer) = self.gateway.admin_post(path, &text);
        self.document.check("POST", template, (status, &answer, Some(body)));
        answer
    }

    /// An order about model m that is carried out.
    fn order(&mut self, word: &str, body: Value) -> Value {
        let (template, path) = (format!("/v1/models/{{model}}/{word}"), format!("/v1/models/m/{word}"));
        let answer = self.post(&template, &path, &body);
        assert!(answer["code"].is_null(), "{word} {body}: {answer}");
        answer
    }

    /// What there is to read, in whatever state the gateway is.
    fn look(&mut self) {
        for path in ["/v1/health", "/v1/status", "/v1/quarantine", "/v1/config", "/v1/experiments"] {
            self.get(path, path);
        }
        self.model("");
        self.get("/v1/history", "/v1/history?limit=1000");
    }
}

fn ask_some(gateway: &Gateway, model: &str, n: usize) {
    gateway.ask_all(model, vec![1.0; n]);
}

#[test]
fn the_document_says_what_every_route_takes_and_answers() {
    let models = [("m", 1), ("m", 2), ("n", 1), ("e", 1), ("e", 2)];
    let builder = models.iter().fold(Gateway::builder(), |builder, (model, version)| {
        builder.model(model, *version, &affine4(*version as f32, 0.0))
    });
    // Computes what version 1 does.
    let third = annotated(&affine4(1.0, 0.0), "version 3").unwrap();
    let gateway = builder.model("m", 3, &third).routing(ROUTING).start();
    gateway.wait_state("m", 3, "ready");
    models.iter().for_each(|(model, version)| gateway.wait_state(model, *version, "ready"));
    let document = Document::of(&gateway);
    let mut asked = Asked { gateway, document };
    asked.get("/v1/openapi.json", "/v1/openapi.json");
    asked.look();
    read_only(&mut asked);
    by_hand(&mut asked);
    by_policy(&mut asked);
    frozen(&mut asked);
    overridden(&mut asked);
    asked.look();
    asked.model("/changelog");
    asked.model("/performance");
    asked.model_version("/performance");
    let latest = asked.get("/v1/history", "/v1/history?limit=1")["rows"][0]["at"].clone();
    asked.post("/v1/restore", "/v1/restore", &json!({ "at": latest, "dry_run": true, "reason": "a look" }));
    asked.post("/v1/restore", "/v1/restore", &json!({ "at_unix_ms": 1, "reason": "a slip" }));
    asked.get("/v1/at", "/v1/at");
    let never: Vec<_> = asked.document.operations().difference(&asked.document.done).cloned().collect();
    assert!(never.is_empty(), "nothing asks for these and holds the answer against the document: {never:#?}");
}

fn read_only(asked: &mut Asked) {
    asked.get("/v1/models/{model}", "/v1/models/nobody");
    asked.get("/v1/models/{model}", "/v1/models/%2e");
    asked.get("/v1/history", "/v1/history?model=m&since_unix_ms=1&before=1000000&limit=3");
    asked.get("/v1/history", "/v1/history?limit=0");
    asked.get("/v1/experiments/{name}", "/v1/experiments/page");
    asked.get("/v1/experiments/{name}", "/v1/experiments/none");
    asked.get("/v1/models/{model}/rollout", "/v1/models/m/rollout");
    let power = "power?policy=asked&rps=1000&stable_error_rate=0.001&latency_p50_ms=5&latency_p99_ms=20";
    asked.get("/v1/models/{model}/power", &format!("/v1/models/m/{power}"));
    asked.get("/v1/models/{model}/power", "/v1/models/m/power?policy=none&rps=1");
    for text in ["[models.m]\nstable = 2\n", "[models.m]\nstabel = 2\n"] {
        asked.post("/v1/config/check", "/v1/config/check", &json!(text));
        asked.post("/v1/config/diff", "/v1/config/diff", &json!(text));
    }
    for path in ["/v1/at", "/v1/at?at=2020-01-01T00:00:00Z", "/v1/at?at_unix_ms=x", "/v1/at?model=m"] {
        asked.get("/v1/at", path);
    }
    asked.get("/v1/audit", "/v1/audit");
    asked.get("/v1/audit", "/v1/audit?anchor=000000000000");
    asked.model_version("/gates");
    asked.get("/v1/models/{model}/versions/{version}/gates", "/v1/models/m/versions/9/gates");
    let explain = "/v1/models/{model}/explain";
    for body in [json!({}), json!({ "headers": { "x-tester": "yes", "x-user": "u" }, "draw": 7 }), json!({ "pin": 2 })]
    {
        asked.post(explain, "/v1/models/m/explain", &body);
    }
    asked.post(explain, "/v1/models/e/explain", &json!({ "key": "u1" }));
    let plan = json!({ "outcomes_per_second": 50.0, "baseline": 0.02, "relative_effect": 0.2 });
    asked.post("/v1/experiments/plan", "/v1/experiments/plan", &plan);
    asked.post("/v1/experiments/plan", "/v1/experiments/plan", &json!({ "baseline": 2 }));
}

/// Orders without a policy.
fn by_hand(asked: &mut Asked) {
    asked.order("canary", json!({ "version": 2, "share": 0.5, "reason": "a try", "actor": "ann" }));
    ask_some(&asked.gateway, "m", 20);
    asked.look();
    let unproven = "/v1/models/{model}/promote";
    asked.post(unproven, "/v1/models/m/promote", &json!({}));
    asked.order("promote", json!({ "version": "2", "force": true, "reason": "known good", "confirm": true }));
    asked.order("rollback", json!({ "to": 1, "quarantine": true, "reason": "a feeling" }));
    asked.look();
    asked.order("release", json!({ "version": 2, "reason": "it was nothing" }));
}

fn by_policy(asked: &mut Asked) {
    asked.order("rollout/start", json!({ "version": 3, "force": true, "reason": "another" }));
    asked.gateway.wait_step("m", "shadow", || {});
    asked.gateway.wait_step("m", "weight", || ask_some(&asked.gateway, "m", 10));
    asked.model("/rollout");
    asked.model("/disagreements");
    asked.look();
    asked.order("rollout/pause", json!({ "reason": "lunch" }));
    asked.order("rollout/resume", json!({}));
    asked.order("rollout/abort", json!({ "quarantine": false, "reason": "a feeling" }));
    asked.order("rollout/retry", json!({ "actor": "ann", "reason": "it was nothing" }));
    asked.gateway.wait_rollout("m", "awaiting_approval", || ask_some(&asked.gateway, "m", 20));
    asked.model("/rollout");
    asked.post("/v1/models/{model}/rollout/approve", "/v1/models/m/rollout/approve", &json!({}));
    asked.order("rollout/approve", json!({ "actor": "cleo" }));
    asked.gateway.wait_rollout("m", "baking", || {});
    asked.model("/rollout");
    asked.order("rollout/confirm", json!({ "actor": "cleo" }));
    asked.gateway.report("m");
    asked.model("/rollout/report");
    asked.get("/v1/models/{model}/rollout/report", "/v1/models/m/rollout/report?number=9");
    let page = Client::new(asked.gateway.addresses().admin).send(
        "GET",
        "/v1/models/m/rollout/report?number=1&format=markdown",
        &[],
        b"",
    );
    assert!(page.header("content-type").is_some_and(|found| found.starts_with("text/markdown")), "{page:?}");
    asked.order("rollout/start", json!({ "version": "1", "policy": "asked", "force": true, "reason": "back" }));
    let (status, _) = asked.gateway.try_order("m", "rollout/promote", json!({ "force": true, "reason": "known" }));
    if status == 200 {
        asked.document.done.insert("POST /v1/models/{model}/rollout/promote".to_owned());
    }
}

/// One rollback freezes the rollouts of model n.
fn frozen(asked: &mut Asked) {
    asked.gateway.repository().publish("n", 2, &failing_when(100.0, 2.0, 0.0)).unwrap();
    asked.gateway.wait_state("n", 2, "ready");
    asked.post("/v1/models/{model}/rollout/start", "/v1/models/n/rollout/start", &json!({ "version": 2 }));
    asked.gateway.wait_rollout("n", "rolled_back", || {
        for _ in 0..5 {
            asked.gateway.infer(&Infer::first("n", 200.0));
        }
    });
    asked.look();
    wait_until("the rollouts of n to be frozen", || {
        asked.gateway.try_order("n", "rollout/start", json!({ "version": 2 })).1["code"] == "quarantined"
            || asked.gateway.try_order("n", "rollout/retry", json!({})).1["code"] == "rollouts_frozen"
    });
    let body = json!({ "reason": "the feature store was empty", "actor": "ann" });
    asked.post("/v1/models/{model}/rollout/thaw", "/v1/models/n/rollout/thaw", &body);
}

/// A version that computes something else than its manifest says.
fn overridden(asked: &mut Asked) {
    let tensor =
        |name: &str| json!([{ "name": name, "datatype": "FP32", "shape": [1, 4], "data": [1.0, 1.0, 1.0, 1.0] }]);
    let (inputs, outputs) =
        (json!({ "inputs": tensor("x") }).to_string(), json!({ "outputs": tensor("y") }).to_string());
    let manifest = "[[golden]]\ninputs = \"in.json\"\noutputs = \"out.json\"\n";
    let files: [(&str, &[u8]); 4] = [
        ("model.onnx", &affine4(9.0, 0.0)),
        ("manifest.toml", manifest.as_bytes()),
        ("in.json", inputs.as_bytes()),
        ("out.json", outputs.as_bytes()),
    ];
    asked.gateway.repository().publish_files("m", 9, &files).unwrap();
    assert_eq!(asked.gateway.wait_refused("m", 9).0, "gate_failed");
    asked.look();
    asked.get("/v1/models/{model}/versions/{version}/gates", "/v1/models/m/versions/9/gates");
    asked.post("/v1/models/{model}/override", "/v1/models/m/override", &json!({ "version": 9, "gate": "golden" }));
    asked.order("override", json!({ "version": 9, "gate": "golden", "reason": "rounding", "actor": "ann" }));
}

#[test]
fn a_body_may_hold_what_the_document_names_and_nothing_else() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    let document = Document::of(&gateway);
    let mut n_bodies = 0;
    for (template, methods) in document.value["paths"].as_object().unwrap() {
        let schema = &methods["post"]["requestBody"]["content"]["application/json"]["schema"];
        let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) else { continue };
        let named = document.value["components"]["schemas"][name]["properties"].as_object().unwrap();
        let named: BTreeSet<&str> = named.keys().map(String::as_str).collect();
        let path = template.replace("{model}", "m").replace("{version}", "1");
        let (status, answer) = gateway.admin_post(&path, r#"{ "surely-unknown": 1 }"#);
        assert_eq!((status, &answer["code"]), (400, &json!("malformed")), "{template}: {answer}");
        // "unknown field `surely-unknown`, expected one of `reason`, `actor` at line 1"
        let error = answer["error"].as_str().unwrap();
        let taken: BTreeSet<&str> = error.split('`').skip(3).step_by(2).collect();
        assert_eq!(taken, named, "{template}: {error}");
        n_bodies += 1;
    }
    assert!(n_bodies >= 15, "{n_bodies}");
}
