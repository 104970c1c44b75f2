//! The routes that tell about the repository and change something.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use base_serving::{ChangeKind, ChangeRefused, ChangeRequest, Changed};
use base_types::{ModelName, Version};
use data_edge::{LogChange, LogControl, LogSettings};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing_subscriber::filter::LevelFilter;

use super::client::{Client, GOOD, Reply};
use super::log::{Lines, listen};
use super::world::World;

/// Keeps what it is asked; `slow` waits until it is let go, `none` is nobody, `held` is refused.
#[derive(Default)]
struct Changes {
    asked: Mutex<Vec<String>>,
    go: Notify,
}

impl ChangeRequest for Changes {
    fn request<'a>(&'a self, kind: ChangeKind, model: &'a ModelName, version: Option<Version>) -> Changed<'a> {
        self.asked.lock().unwrap().push(format!("{kind:?} {model} {:?}", version.map(Version::get)));
        Box::pin(async move {
            match model.as_str() {
                "slow" => self.go.notified().await,
                "none" => return Err(ChangeRefused { text: "there is no such model".into(), is_unknown: true }),
                "held" => return Err(ChangeRefused { text: "version 1 takes traffic".into(), is_unknown: false }),
                _ => {}
            }
            Ok(())
        })
    }
}

struct Log {
    settings: Mutex<LogSettings>,
    /// What the log holds, for those who ask what was told before a change.
    lines: Mutex<Option<Lines>>,
    n_told_before: AtomicUsize,
}

impl LogControl for Log {
    fn settings(&self) -> LogSettings {
        *self.settings.lock().unwrap()
    }

    fn set(&self, change: &LogChange) -> Result<LogSettings, String> {
        if let Some(lines) = &*self.lines.lock().unwrap() {
            self.n_told_before.store(lines.take_with("a caller changes").len(), Relaxed);
        }
        let mut now = self.settings.lock().unwrap();
        *now = change.of(&now);
        Ok(*now)
    }
}

async fn world() -> (World, Arc<Changes>) {
    let changes = Arc::new(Changes::default());
    let (world, _) = world_of(changes.clone()).await;
    (world, changes)
}

async fn world_of(changes: Arc<Changes>) -> (World, Arc<Log>) {
    let settings = LogSettings { has_info: true, has_warning: true, has_error: true, verbose_level: 0 };
    let log = Log { settings: Mutex::new(settings), lines: Mutex::default(), n_told_before: AtomicUsize::new(0) };
    let log = Arc::new(log);
    let control = log.clone();
    let world = World::managed(move |edge| edge.with_changes(changes).with_log_control(control)).await;
    world.readiness.set_ready();
    (world, log)
}

async fn post(client: &mut Client, path: &str, body: &str) -> Reply {
    client.request("POST", path, "", body).await
}

#[tokio::test]
async fn the_index_tells_every_version_or_only_the_ready_ones() {
    let world = World::new().await;
    let mut client = world.client().await;
    let all = post(&mut client, "/v2/repository/index", "").await.json();
    let entry = |name: &str, version: &str| {
        let mut found = all.as_array().unwrap().iter();
        found.find(|e| e["name"] == name && e["version"] == version).cloned().unwrap_or(Value::Null)
    };
    assert_eq!(entry("m", "1"), json!({"name": "m", "version": "1", "state": "READY"}));
    let quarantined = json!({"name": "m", "version": "3", "state": "UNAVAILABLE", "reason": "quarantined"});
    assert_eq!(entry("m", "3"), quarantined);
    assert_eq!(entry("cold", "1"), json!({"name": "cold", "version": "1", "state": "LOADING"}));
    let ready = post(&mut client, "/v2/repository/index", r#"{"ready":true}"#).await.json();
    let states: Vec<&Value> = ready.as_array().unwrap().iter().map(|e| &e["state"]).collect();
    assert_eq!(states, vec!["READY"; 6]);
    post(&mut client, "/v2/repository/index", "[").await.check_error(400, "malformed", "client");
    post(&mut client, "/v2/repository/main/index", "").await.check_error(501, "not_implemented", "client");
}

#[tokio::test]
async fn figures_rise_with_every_request_and_add_up() {
    let world = World::new().await;
    let mut client = world.client().await;
    for _ in 0..3 {
        assert_eq!(client.infer("m", GOOD).await.status, 200);
    }
    client.infer("m/versions/4", GOOD).await.check_error(500, "version_fault", "version_fault");
    let all = client.get("/v2/models/stats").await.json();
    let versions: Vec<&Value> = all["model_stats"].as_array().unwrap().iter().map(|s| &s["version"]).collect();
    assert_eq!(versions, ["1", "2", "4", "5", "6", "7"]);
    let one = client.get("/v2/models/m/versions/1/stats").await.json()["model_stats"][0].clone();
    assert_eq!((&one["inference_count"], &one["execution_count"]), (&json!(3), &json!(3)));
    assert!(one["last_inference"].as_u64().unwrap() > 1_500_000_000_000);
    let part = |name: &str| one["inference_stats"][name].clone();
    for name in ["success", "queue", "compute_input", "compute_infer", "compute_output"] {
        assert_eq!(part(name)["count"], 3, "{name}");
    }
    let failed = client.get("/v2/models/m/versions/4/stats").await.json();
    assert_eq!(failed["model_stats"][0]["inference_stats"]["fail"]["count"], 1);
    client.get("/v2/models/none/stats").await.check_error(404, "model_unknown", "client");
    client.get("/v2/models/cold/stats").await.check_error(503, "model_not_ready", "unavailable");
}

#[tokio::test]
async fn nothing_can_be_changed_unless_the_operator_allows_it() {
    let world = World::new().await;
    let mut client = world.client().await;
    for (path, body) in [
        ("/v2/repository/models/m/load", "{}"),
        ("/v2/repository/models/m/versions/1/unload", ""),
        ("/v2/trace/setting", r#"{"trace_level":["TIMESTAMPS"]}"#),
        ("/v2/logging", r#"{"log_info":false}"#),
    ] {
        let reply = post(&mut client, path, body).await;
        reply.check_error(400, "change_refused", "client");
        assert!(reply.json()["error"].as_str().unwrap().contains("model_control"), "{path}");
    }
    assert_eq!(client.get("/v2/trace/setting").await.json()["trace_level"], json!(["OFF"]));
    client.get("/v2/logging").await.check_error(501, "not_implemented", "client");
}

#[tokio::test]
async fn a_load_is_answered_when_it_is_done_with_nothing_but_200() {
    let (world, changes) = world().await;
    let mut client = world.client().await;
    for (path, body) in [
        ("/v2/repository/models/m/load", "{}"),
        ("/v2/repository/models/m/unload", r#"{"parameters":{"unload_dependents":false}}"#),
        ("/v2/repository/main/models/m/versions/7/load", ""),
        ("/v2/repository/models/m/versions/7/unload", ""),
    ] {
        let reply = post(&mut client, path, body).await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b""[..]), "{path}");
    }
    let asked = ["Load m None", "Unload m None", "Load m Some(7)", "Unload m Some(7)"];
    assert_eq!(*changes.asked.lock().unwrap(), asked);
    for (path, body, status, code) in [
        ("models/none/load", "", 404, "model_unknown"),
        ("models/none/versions/2/load", "", 404, "version_unknown"),
        ("models/held/unload", "", 400, "change_refused"),
        ("models/m/versions/champion/load", "", 400, "malformed"),
        ("models/m/load", "7", 400, "malformed"),
        ("models/m/load", r#"{"parameters":{"config":"{}"}}"#, 400, "change_refused"),
        ("models/m/load", r#"{"parameters":{"file:1/model.onnx":"AAAA"}}"#, 400, "change_refused"),
    ] {
        post(&mut client, &format!("/v2/repository/{path}"), body).await.check_error(status, code, "client");
    }
    assert_eq!(changes.asked.lock().unwrap().len(), asked.len() + 3, "what is refused here is asked of nobody");
}

#[tokio::test]
async fn those_who_wait_for_a_load_are_bounded() {
    let (world, changes) = world().await;
    let mut waiting = Vec::new();
    for n in 1..=8 {
        let mut client = world.client().await;
        client.send("POST /v2/repository/models/slow/load HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n").await;
        super::world::until(|| changes.asked.lock().unwrap().len() == n).await;
        waiting.push(client);
    }
    let mut client = world.client().await;
    let reply = post(&mut client, "/v2/repository/models/slow/load", "").await;
    reply.check_error(429, "queue_full", "overload");
    assert!(reply.headers.contains_key("retry-after"));
    changes.go.notify_waiters();
    for mut client in waiting {
        assert_eq!(client.reply().await.status, 200);
    }
    assert_eq!(post(&mut client, "/v2/repository/models/m/load", "").await.status, 200);
}

#[tokio::test]
async fn log_and_trace_are_set_and_no_setting_names_a_file() {
    let (world, _) = world().await;
    let mut client = world.client().await;
    let log = client.get("/v2/logging").await.json();
    let expected = json!({"log_file": "", "log_info": true, "log_warning": true, "log_error": true,
        "log_verbose_level": 0, "log_format": "ISO8601"});
    assert_eq!(log, expected);
    let set = post(&mut client, "/v2/logging", r#"{"log_info":false,"log_verbose_level":1}"#).await.json();
    assert_eq!(
        (&set["log_info"], &set["log_verbose_level"], &set["log_error"]),
        (&json!(false), &json!(1), &json!(true))
    );
    assert_eq!(client.get("/v2/logging").await.json(), set);
    let trace = r#"{"trace_level":["TIMESTAMPS"],"trace_rate":"2","trace_count":"5"}"#;
    let set = post(&mut client, "/v2/models/m/trace/setting", trace).await.json();
    assert_eq!((&set["trace_level"], &set["trace_rate"]), (&json!(["TIMESTAMPS"]), &json!("2")));
    assert_eq!(client.get("/v2/trace/setting").await.json()["trace_level"], json!(["OFF"]));
    for _ in 0..4 {
        client.infer("m", GOOD).await;
    }
    assert_eq!(client.get("/v2/models/m/trace/setting").await.json()["trace_count"], "3");
    let cleared = r#"{"trace_level":null,"trace_rate":null,"trace_count":null}"#;
    assert_eq!(post(&mut client, "/v2/models/m/trace/setting", cleared).await.json()["trace_rate"], "1000");
    // What a model does not say itself is what is said in general, and that is what it was at start.
    for (path, rate, expected) in [
        ("/v2/trace/setting", r#""7""#, "7"),
        ("/v2/models/m/trace/setting", r#""3""#, "3"),
        ("/v2/models/m/trace/setting", "null", "7"),
        ("/v2/trace/setting", "null", "1000"),
        ("/v2/models/m/trace/setting", "null", "1000"),
    ] {
        let set = post(&mut client, path, &format!(r#"{{"trace_rate":{rate}}}"#)).await.json();
        assert_eq!((&set["trace_rate"], &client.get(path).await.json()), (&json!(expected), &set), "{path} {rate}");
    }
    for (path, body, code) in [
        ("/v2/logging", r#"{"log_file":"/tmp/x"}"#, "change_refused"),
        ("/v2/logging", r#"{"log_verbose_level":9}"#, "malformed"),
        ("/v2/logging", r#"{"log_info":null}"#, "malformed"),
        ("/v2/logging", r#"{"log_warnings":true}"#, "malformed"),
        ("/v2/trace/setting", r#"{"trace_file":"/tmp/x"}"#, "change_refused"),
        ("/v2/trace/setting", r#"{"trace_level":["TENSORS"]}"#, "change_refused"),
        ("/v2/trace/setting", r#"{"trace_rate":"0"}"#, "malformed"),
        ("/v2/trace/setting", r#"{"trace_odd":"0"}"#, "malformed"),
    ] {
        let reply = post(&mut client, path, body).await;
        reply.check_error(400, code, "client");
    }
    client.get("/v2/models/none/trace/setting").await.check_error(404, "model_unknown", "client");
}

#[tokio::test]
async fn what_is_left_out_says_so() {
    let world = World::new().await;
    let mut client = world.client().await;
    for family in ["systemsharedmemory", "cudasharedmemory"] {
        assert_eq!(client.get(&format!("/v2/{family}/status")).await.json(), json!([]));
        for path in ["region/r/register", "region/r/unregister", "unregister"] {
            let reply = post(&mut client, &format!("/v2/{family}/{path}"), "{}").await;
            reply.check_error(501, "not_implemented", "client");
        }
    }
    for path in ["/v2/models/m/generate", "/v2/models/m/versions/1/generate_stream"] {
        post(&mut client, path, "{}").await.check_error(501, "not_implemented", "client");
    }
}

#[tokio::test]
async fn a_configuration_shows_the_signature() {
    let world = World::new().await;
    let config = world.client().await.get("/v2/models/m/config").await.json();
    assert_eq!(
        (&config["name"], &config["platform"], &config["max_batch_size"]),
        (&json!("m"), &json!("onnxruntime_onnx"), &json!(0))
    );
    assert_eq!((&config["input"][0]["data_type"], &config["input"][0]["dims"]), (&json!("TYPE_FP32"), &json!([-1, 4])));
    assert!(config.get("dynamic_batching").is_none());
}

#[tokio::test]
async fn a_caller_who_changes_log_or_trace_is_told_about_in_the_log() {
    let (lines, _guard) = listen(LevelFilter::WARN);
    let (world, log) = world_of(Arc::default()).await;
    *log.lines.lock().unwrap() = Some(lines.clone());
    let mut client = world.client().await;
    let told = "a caller changes what is logged";
    // Told while warnings are shown: before they are hidden, after they are shown again.
    for (body, n_before, n_after) in [(r#"{"log_warning":false}"#, 1, 0), (r#"{"log_warning":true}"#, 0, 1)] {
        assert_eq!(post(&mut client, "/v2/logging", body).await.status, 200);
        assert_eq!((log.n_told_before.load(Relaxed), lines.take_with(told).len()), (n_before, n_after), "{body}");
    }
    post(&mut client, "/v2/models/m/trace/setting", r#"{"trace_rate":"2"}"#).await;
    let told = lines.take_with("a caller changed which requests are traced");
    assert!(told.len() == 1 && told[0].contains("model=\"m\""), "{told:?}");
}
