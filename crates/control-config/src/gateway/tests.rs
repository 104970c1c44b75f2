#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::Code;

fn parse(text: &str) -> Result<Parsed<GatewayConfig>, Invalid> {
    parse_gateway(Path::new("etc/gateway.toml"), text.as_bytes())
}

fn problems(text: &str) -> Vec<String> {
    let invalid = parse(text).unwrap_err();
    invalid.diagnostics.iter().map(|d| format!("{} {}", d.line, d.code)).collect()
}

#[test]
fn the_shipped_file_says_the_defaults_and_names_every_key() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/gateway.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let parsed = parse_gateway(&path, text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(parsed.value, GatewayConfig::default());
    assert!(parsed.warnings.is_empty());
    let mut table = "";
    let mut keys = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']');
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ") {
            keys.push((table, key));
        }
    }
    let rows: Vec<_> = crate::reference(crate::File::Gateway).iter().map(|row| (row.table, row.key)).collect();
    assert_eq!(keys, rows);
    // The examples in its comments are right as well.
    let is_example = |line: &&str| line.starts_with("# ") && line.contains(" = \"");
    let shown: String = text
        .lines()
        .filter(|l| is_example(l) || l.starts_with('['))
        .map(|l| l.trim_start_matches("# ").to_owned() + "\n")
        .collect();
    assert!(parse(&shown).unwrap().value.routing.is_some());
}

#[test]
fn every_key_arrives_where_it_belongs() {
    let text = r#"
model_repository = "models"
state_dir = "/var/lib/switchrail"
routing = "../routing.toml"
follow_latest = true
follow_share = 0.25
confirm_after_ms = 5
model_control = true
metrics_aliases = ["triton", "openvino"]
grpc_on_http = true
feedback = false
http.address = "0.0.0.0:9000"
grpc.address = "0.0.0.0:9001"
metrics.address = "localhost:0"
admin = { address = "[::1]:9003", token_file = "token" }
runtime = { library = "lib.so", allow_old = true, io_threads = 2, run_threads = 3, shared_sessions = false }
log = { format = "json", level = "debug", access = true }
bucket = { poll_ms = 60, objects = 7, cache_bytes = 8 }
watch = { poll_ms = 100, quiet_ms = 10, events = false }
webhook = { url = "https://hooks.example.com/x", timeout_ms = 9 }
[limits]
body_bytes = 1
bodies_bytes = 2
header_bytes = 8192
connections = 4
header_timeout_ms = 5
body_timeout_ms = 6
answer_timeout_ms = 9
idle_timeout_ms = 7
drain_ms = 8
[repository]
poll_ms = 50
settle_ms = 2
models = 3
versions_per_model = 4
model_file_bytes = 5
version_bytes = 6
[memory]
share_weights = false
budget_mib = 10
keep_warm = 2
on_demand = true
[store]
path = "store"
poll_ms = 70
versions = 9
"#;
    let ms = Duration::from_millis;
    let expected = GatewayConfig {
        model_repository: Some("etc/models".into()),
        state_dir: Some("/var/lib/switchrail".into()),
        routing: Some("etc/../routing.toml".into()),
        follow_latest: true,
        follow_share: 0.25,
        confirm_after: ms(5),
        model_control: true,
        metrics_aliases: vec![MetricsAlias::Triton, MetricsAlias::OpenVino],
        grpc_on_http: true,
        feedback: false,
        http: "0.0.0.0:9000".parse().unwrap(),
        grpc: "0.0.0.0:9001".parse().unwrap(),
        metrics: "127.0.0.1:0".parse().unwrap(),
        admin: AdminSettings { address: "[::1]:9003".parse().unwrap(), token_file: Some("etc/token".into()) },
        runtime: RuntimeSettings {
            library: Some("etc/lib.so".into()),
            allow_old: true,
            io_threads: 2,
            run_threads: 3,
            has_sessions_apart: true,
        },
        limits: EdgeLimits {
            body_bytes: 1,
            bodies_bytes: 2,
            header_bytes: 8192,
            connections: 4,
            header_timeout: ms(5),
            body_timeout: ms(6),
            answer_timeout: ms(9),
            idle_timeout: ms(7),
            drain: ms(8),
        },
        repository: RepositorySettings {
            poll: ms(50),
            settle: ms(2),
            models: 3,
            versions_per_model: 4,
            model_file_bytes: 5,
            version_bytes: 6,
        },
        bucket: BucketSettings { poll: ms(60), objects: 7, cache_bytes: 8 },
        store: StoreSettings { path: Some("etc/store".into()), poll: ms(70), versions: 9 },
        memory: MemorySettings { share_weights: false, budget_mib: 10, keep_warm: 2, on_demand: true },
        watch: WatchOptions { poll: ms(100), quiet: ms(10), uses_events: false },
        log: LogSettings { format: LogFormat::Json, level: LogLevel::Debug, access: true },
        record: GatewayConfig::default().record,
        webhook: WebhookSettings { urls: vec!["https://hooks.example.com/x".to_owned()], timeout: ms(9) },
    };
    assert_eq!(parse(text).unwrap().value, expected);
}

#[test]
fn the_address_of_a_bucket_is_no_path_below_the_file() {
    let repository = |text: &str| parse(text).unwrap().value.model_repository.unwrap();
    assert_eq!(repository("model_repository = \"s3://bucket/a/b\"").to_str(), Some("s3://bucket/a/b"));
    assert_eq!(repository("model_repository = \"file:///srv/models\"").to_str(), Some("file:///srv/models"));
    let bucket = GatewayConfig { model_repository: Some("s3://b".into()), ..GatewayConfig::default() };
    assert_eq!(bucket.check(), [SettingError::BucketWithoutState]);
    assert_eq!(GatewayConfig { state_dir: Some("state".into()), ..bucket }.check(), []);
}

#[test]
fn every_problem_is_reported_with_its_place() {
    let text = "model_repositry = \"x\"\nstate_dir = \"\"\nhttp = { address = \"8000\" }\n[admin]\naddress = 8003\n\
        [limits]\nbody_bytes = 0\nconnections = 1.5\n[log]\nlevel = \"warning\"\n[webhook]\nurl = [\"ftp://x\", 3]\n[rpc]\n";
    let expected = [
        "1 unknown-key",
        "2 bad-name",
        "3 bad-address",
        "5 wrong-type",
        "7 out-of-range",
        "8 wrong-type",
        "10 unknown-word",
        "12 bad-url",
        "12 wrong-type",
        "13 unknown-key",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn addresses_are_read_strictly() {
    let check = |text: &str, expected: Option<&str>| {
        assert_eq!(parse_address(text).ok().map(|a| a.to_string()).as_deref(), expected, "{text}");
    };
    check("127.0.0.1:0", Some("127.0.0.1:0"));
    check("localhost:80", Some("127.0.0.1:80"));
    check("[::]:80", Some("[::]:80"));
    for wrong in [
        "",
        "localhost",
        "localhost:",
        "localhost:+1",
        "localhost:65536",
        "8000",
        ":8000",
        "a.example.com:1",
        "1.2.3:1",
    ] {
        check(wrong, None);
    }
}

#[test]
fn webhooks_go_to_the_web_only() {
    let check = |url: &str, is_allowed: bool| {
        let text = format!("webhook = {{ url = {url:?} }}");
        match parse(&text) {
            Ok(_) => assert!(is_allowed, "{url}"),
            Err(invalid) => {
                assert!(!is_allowed, "{invalid}");
                assert_eq!(invalid.diagnostics[0].code, Code::BadUrl, "{url}");
            }
        }
    };
    for url in ["http://127.0.0.1:9/x", "https://hooks.example.com", "http://[::1]/", "http://10.0.0.1?x=1"] {
        check(url, true);
    }
    for url in [
        "",
        "hooks.example.com",
        "ftp://x/",
        "http://",
        "http:///x",
        "http://:80",
        "http://a:0/",
        "http://a:99999/",
        "http://a:b/",
        "http://u:p@a/",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.1.1]/",
        "http://[::1/",
        "http://a b/",
        "http://a/\u{fc}",
        "http://a\\@b/",
    ] {
        check(url, false);
    }
}

#[test]
fn what_does_not_go_together_is_refused_after_the_merge() {
    let sound = GatewayConfig { model_repository: Some("m".into()), ..GatewayConfig::default() };
    assert_eq!(sound.check(), []);
    assert_eq!(GatewayConfig::default().check(), [SettingError::NoRepository]);
    let admin = |address: &str, token: Option<&str>| {
        let admin = AdminSettings { address: address.parse().unwrap(), token_file: token.map(PathBuf::from) };
        GatewayConfig { admin, ..sound.clone() }.check()
    };
    for open in ["0.0.0.0:8003", "[::]:8003", "10.0.0.1:8003", "[::ffff:10.0.0.1]:8003"] {
        assert_eq!(admin(open, None), [SettingError::OpenAdmin(open.parse().unwrap())]);
        assert_eq!(admin(open, Some("token")), []);
    }
    for closed in ["127.0.0.9:8003", "[::1]:8003", "[::ffff:127.0.0.1]:8003"] {
        assert_eq!(admin(closed, None), []);
    }
    let same = SettingError::SameAddress { first: "http.address", second: "admin.address", address: loopback(8000) };
    assert_eq!(admin("127.0.0.1:8000", None), [same]);
    assert_eq!(admin("0.0.0.0:8002", Some("t")).len(), 1);
    let free = GatewayConfig { http: loopback(0), metrics: loopback(0), ..sound.clone() };
    assert_eq!(free.check(), []);
}

proptest! {
    #[test]
    fn garbage_never_panics(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..5),
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut text = std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/gateway.toml")).unwrap();
        for (index, byte) in edits {
            let at = index.index(text.len());
            text[at] = byte;
        }
        for bytes in [text, bytes] {
            if let Ok(parsed) = parse_gateway(Path::new("g.toml"), &bytes) {
                prop_assert!(parsed.value.limits.connections > 0);
            }
        }
    }
}

#[test]
fn a_store_stands_in_for_a_model_repository() {
    let store = |path: &str| StoreSettings { path: Some(path.into()), ..StoreSettings::default() };
    let only = GatewayConfig { store: store("store"), ..GatewayConfig::default() };
    assert_eq!(only.check(), [SettingError::StoreWithoutState]);
    let only = GatewayConfig { state_dir: Some("state".into()), ..only };
    assert_eq!(only.check(), []);
    let bucket = GatewayConfig { store: store("s3://b/store"), ..GatewayConfig::default() };
    assert_eq!(bucket.check(), [SettingError::BucketWithoutState]);
    assert_eq!(GatewayConfig::default().check(), [SettingError::NoRepository]);
}
