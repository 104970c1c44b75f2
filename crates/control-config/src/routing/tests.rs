#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use base_routing::{Condition, Target, Test};
use base_serving::batching::BatchingRule;
use base_types::{Phase, Stance};
use control_rollout::{LatencyBound, Mode, OnSharedIncident};

use super::*;
use crate::samples::{block, config, model, parse, version};

mod contracts;
mod judgements;
mod random;

const SAMPLE: &str = r#"
[models.fraud]
stable = "champion"
split = { 7 = 90, challenger = 10 }
sticky = [{ header = "X-Account-Id" }, { cookie = "uid" }]
labels = { champion = 7, challenger = "8" }
deadline_ms = 2_000
run_timeout_ms = 500
queue_requests = 10
batch_rows = 64
batching = false
provider = "cuda"
allow_non_finite = ["logits"]
fallback = false
retry_ratio = 0.2
retry_reserve = 0
[[models.fraud.rules]]
name = "partners stay on 7"
when = [{ header = "x-tenant", in = ["acme", 17] }, { query = "debug", present = false }]
use = 7
[[models.fraud.rules]]
when = { parameter = "tier", prefix = "gold" }
arms = [{ name = "new", version = 9, weight = 0.5 }, { version = 7, weight = 0.5 }]
[models.fraud.guardrail]
mode = "observe"
alpha = 0.01
promote_alpha = 0.1
limit = 0.02
tolerate_ratio = 3
planned_requests = 1000
planned_events = 100
weights = { limit = 0.3, relative = 0.7 }
on_shared_incident = "rollback"
window = { seconds = 30, min_requests = 5, max_error_rate = 0.1, latency_quantile = 0.5, max_latency_ms = 80 }
"#;

/// Every problem of a text as `line code`, one after the other.
fn problems(text: &str) -> Vec<String> {
    let diagnostics = match parse(text) {
        Ok(parsed) => parsed.warnings,
        Err(invalid) => invalid.diagnostics,
    };
    diagnostics.iter().map(|d| format!("{} {}", d.line, d.code)).collect()
}

/// The problems of a block, with lines counted from its first.
fn block_problems(lines: &str) -> Vec<String> {
    problems(&format!("[models.x]\n{lines}"))
        .iter()
        .map(|p| p.split_once(' ').unwrap())
        .map(|(line, code)| format!("{} {code}", line.parse::<usize>().unwrap() - 1))
        .collect()
}

#[test]
fn every_key_arrives_where_it_belongs() {
    let block = block(SAMPLE);
    assert_eq!(block.stable, Some(version(7)));
    let split = block.split.as_ref().unwrap();
    let arms: Vec<_> = split.arms().iter().map(|a| (&*a.name, a.version.get(), a.weight)).collect();
    assert_eq!(arms, [("7", 7, 90.0), ("8", 8, 10.0)]);
    assert_eq!(block.sticky, [Source::Header("x-account-id".into()), Source::Cookie("uid".into())]);
    assert_eq!(block.labels.len(), 2);
    let limits = ModelLimits {
        deadline: Duration::from_secs(2),
        run_timeout: Duration::from_millis(500),
        queue_requests: 10,
        allow_non_finite: BTreeSet::from(["logits".into()]),
        batch_rows: 64,
        batching: BatchingRule::Off,
        provider: base_serving::Provider::Cuda,
        capture: None,
        has_fallback: false,
        retry_ratio: 0.2,
        retry_reserve: 0,
        is_windowed: true,
    };
    assert_eq!(block.limits, limits);
    let [first, second] = block.rules.as_slice() else { panic!("{:?}", block.rules) };
    assert_eq!((&*first.name, &first.then), ("partners stay on 7", &Target::Version(version(7))));
    let tenant = Test::OneOf(BTreeSet::from(["acme".into(), "17".into()]));
    let condition = |source, test| Condition { source, test };
    assert_eq!(first.when[0], condition(Source::Header("x-tenant".into()), tenant));
    assert_eq!(first.when[1], condition(Source::Query("debug".into()), Test::Absent));
    assert_eq!(&*second.name, "rule 2");
    assert_eq!(second.when[0], condition(Source::Parameter("tier".into()), Test::Prefix("gold".into())));
    let Target::Split(split) = &second.then else { panic!() };
    assert_eq!(split.arms().iter().map(|a| &*a.name).collect::<Vec<_>>(), ["7", "new"]);
    let guardrail = &block.guardrail;
    assert_eq!((guardrail.mode, guardrail.on_shared_incident), (Mode::Observe, OnSharedIncident::RollBack));
    assert_eq!((guardrail.alpha, guardrail.promote_alpha, guardrail.limit), (0.01, 0.1, 0.02));
    assert_eq!((guardrail.tolerate_ratio, guardrail.weights.limit, guardrail.weights.relative), (3.0, 0.3, 0.7));
    assert_eq!((guardrail.planned_requests, guardrail.planned_events), (1000, 100));
    let window = guardrail.window.unwrap();
    assert_eq!((window.seconds, window.min_requests, window.max_error_rate), (30, 5, Some(0.1)));
    assert_eq!(window.latency, Some(LatencyBound { quantile: 0.5, max_seconds: 0.08 }));
}

#[test]
fn defaults_hold_where_a_block_says_nothing() {
    let text = "[defaults]\ndeadline_ms = 5\nsticky = { header = \"k\" }\n\
        guardrail = { limit = 0.2, window = { max_error_rate = 0.5 } }\n\
        [models.a]\nretry_ratio = 1\n[models.b]\nsticky = false\nguardrail = { alpha = 0.2, window = false }\n";
    let config = config(text);
    let (a, b, other) = (&config.models["a"], &config.models["b"], model("other"));
    assert_eq!((a.limits.deadline, a.limits.retry_ratio, a.sticky.len()), (Duration::from_millis(5), 1.0, 1));
    assert!(a.limits.is_windowed && !b.limits.is_windowed && config.limits(&other).is_windowed);
    assert_eq!((b.guardrail.limit, b.guardrail.alpha, b.guardrail.window), (0.2, 0.2, None));
    assert!(b.sticky.is_empty());
    assert_eq!(config.guardrail(&other).limit, 0.2);
    assert_eq!(config.limits(&model("b")).deadline, Duration::from_millis(5));
}

#[test]
fn every_problem_is_reported_in_one_go_with_its_place() {
    let text = r#"
[default]
[models.fraud]
stabel = 7
split = { 7 = -1, nobody = 10, 0 = 1 }
deadline_ms = "soon"
retry_ratio = 1.5
labels = { 12 = 1, ok = "seven" }
[[models.fraud.rules]]
when = { header = "no spaces", equals = 1 }
[[models.fraud.rules]]
when = []
use = 7
split = { 7 = 1 }
[models."no spaces"]
[models.fraud.guardrail]
mode = "enforced"
limit = 0.9
window = { seconds = 5 }
"#;
    let expected = [
        "2 unknown-key",
        "4 unknown-key",
        "5 bad-weight",
        "5 unknown-label",
        "5 bad-version",
        "6 wrong-type",
        "7 out-of-range",
        "8 bad-name",
        "8 bad-version",
        "9 missing-key",
        "10 bad-name",
        "12 empty",
        "13 conflict",
        "15 bad-name",
        "17 unknown-word",
        "18 out-of-range",
        "19 out-of-range",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn hints_say_how_to_mend() {
    let check = |text: &str, expected: &str| {
        let invalid = parse(text).unwrap_err();
        assert!(invalid.to_string().contains(expected), "{invalid}\ndoes not contain {expected}");
    };
    check(
        "[models.a]\nstabel = 7",
        "routing.toml:2:1: error[unknown-key]: unknown key \"stabel\" in models.a\n  hint: did you mean \"stable\"?",
    );
    check("[models.a]\nstable = \"chmpion\"\nlabels = { champion = 1 }", "did you mean \"champion\"?");
    check(
        "[models.a]\nguardrail = { mode = \"enforced\" }",
        "allowed is one of: enforce, observe, off\n  hint: did you mean \"enforce\"?",
    );
    check("[models.a]\nsplit = { 7 = 1, 8 = 1 }", "add stable = <version>");
    check(
        "[models.a]\nguardrail = { alpha = 0.9 }",
        "models.a.guardrail.alpha is 0.9, allowed is above 0, at most 0.5",
    );
    check("[models.a]\nguardrail = { alpha = nan }", "alpha is NaN");
}

#[test]
fn each_kind_of_problem_is_found() {
    let check = |lines: &str, expected: &[&str]| assert_eq!(block_problems(lines), expected, "{lines}");
    check("stable = 0", &["1 bad-version"]);
    check("stable = -1", &["1 bad-version"]);
    check("stable = 1.0", &["1 wrong-type"]);
    check("stable = 99999999999999999999999999999999999999999999", &["1 bad-version"]);
    check("retry_ratio = 99999999999999999999999999999999999999999999", &["1 out-of-range"]);
    check("deadline_ms = 99999999999999999999999999999999999999999999", &["1 out-of-range"]);
    check("stable = \"07\"", &["1 bad-version"]);
    check("stable = \"a/b\"", &["1 bad-version"]);
    check("split = { }", &["1 empty"]);
    check("split = { 7 = 0 }", &["1 bad-weight"]);
    check("split = { 7 = inf }", &["1 bad-weight"]);
    check("split = { 7 = 1e308, 8 = 1e308 }\nstable = 7", &["1 bad-weight"]);
    check("split = { 7 = 1, c = 1 }\nlabels = { c = 7 }\nstable = 7", &["1 duplicate"]);
    check(
        "arms = [{ version = 1, weight = 1 }, { name = \"1\", version = 2, weight = 1 }]\nstable = 1",
        &["1 duplicate"],
    );
    check("arms = [{ version = 1 }, { weight = 2 }]", &["1 missing-key", "1 missing-key"]);
    check("split = { 1 = 1 }\narms = []", &["2 conflict"]);
    check("sticky = []", &["1 out-of-range"]);
    check("sticky = { }", &["1 missing-key"]);
    check("sticky = { header = \"a\", cookie = \"b\" }", &["1 conflict"]);
    check("sticky = [{ header = \"a\" }, { header = \"A\" }]", &["1 duplicate"]);
    check("sticky = true", &["1 wrong-type"]);
    check("rules = [{ when = { header = \"a\", equals = \"\" }, use = 1 }]", &["1 out-of-range"]);
    check("rules = [{ when = { header = \"a\", in = [] }, use = 1 }]", &["1 empty"]);
    check("rules = [{ when = { header = \"a\" }, use = 1 }]", &["1 missing-key"]);
    check("rules = [{ when = { header = \"a\", equals = \"b\", prefix = \"b\" }, use = 1 }]", &["1 conflict"]);
    check("rules = [{ use = 1 }]", &["1 missing-key"]);
    check("rules = [{ name = \"\", when = { header = \"a\", equals = \"b\" }, use = 1 }]", &["1 bad-name"]);
    let rule = |name: &str, value: &str| {
        format!("{{ name = \"{name}\", when = {{ header = \"a\", equals = \"{value}\" }}, use = 1 }}")
    };
    check(&format!("rules = [{}, {}]", rule("n", "a"), rule("n", "b")), &["1 duplicate"]);
    let many: Vec<_> = (0..300).map(|i| rule(&i.to_string(), &i.to_string())).collect();
    check(&format!("rules = [{}]", many.join(", ")), &["1 too-many"]);
    check("deadline_ms = 0", &["1 out-of-range"]);
    check("deadline_ms = 1979-05-27", &["1 wrong-type"]);
    check("retry_ratio = nan", &["1 out-of-range"]);
    check("guardrail = { window = { seconds = 601, max_error_rate = 0.1 } }", &["1 out-of-range"]);
    check("guardrail = { window = { latency_quantile = 0.9, max_error_rate = 0.1 } }", &["1 missing-key"]);
    check("guardrail = { window = { max_latency_ms = 0 } }", &["1 out-of-range"]);
    check("guardrail = { weights = { limit = 0 } }", &["1 out-of-range"]);
    check("stable = 7\nsplit = { 8 = 1 }", &["1 idle-stable"]);
    check("stable = 7\nsplit = { 8 = 1, 7 = 0 }", &["1 idle-stable"]);
}

#[test]
fn one_model_or_one_mistake_does_not_hide_another() {
    assert_eq!(problems("models = 3\ndefaults = []"), ["1 wrong-type", "2 wrong-type"]);
    assert_eq!(problems("[models]\na = 1\nb = { stable = \"x\" }"), ["2 wrong-type", "3 unknown-label"]);
}

#[test]
fn unreachable_rules_are_warned_of() {
    let check = |first: &str, second: &str, expected: &[&str]| {
        let text = format!("rules = [\n{{ when = [{first}], use = 1 }},\n{{ when = [{second}], use = 2 }},\n]");
        assert_eq!(block_problems(&text), expected, "{text}");
    };
    let tenant = |test: &str| format!("{{ header = \"t\", {test} }}");
    let (present, absent) = (tenant("present = true"), tenant("present = false"));
    let (acme, ac) = (tenant("equals = \"acme\""), tenant("prefix = \"ac\""));
    let both = tenant("in = [\"acme\", \"globex\"]");
    let region = "{ header = \"r\", equals = \"eu\" }".to_owned();
    let shadowed: &[&str] = &["3 shadowed-rule"];
    check(&present, &acme, shadowed);
    check(&ac, &acme, shadowed);
    check(&both, &acme, shadowed);
    check(&absent, &absent, shadowed);
    check(&both, &format!("{acme}, {region}"), shadowed);
    check(&acme, &both, &[]);
    check(&acme, &ac, &[]);
    check(&format!("{acme}, {region}"), &acme, &[]);
    check(&absent, &present, &[]);
    check(&region, &acme, &[]);
    check(&region, &format!("{acme}, {absent}"), &["3 never-matches"]);
    check(&region, &format!("{acme}, {}", tenant("prefix = \"b\"")), &["3 never-matches"]);
    check(&region, &format!("{acme}, {both}"), &[]);
}

#[test]
fn meaning_changes_with_routing_and_with_nothing_else() {
    let before = block(SAMPLE).meaning();
    let check = |from: &str, to: &str, is_same: bool| {
        assert!(SAMPLE.contains(from), "{from}");
        let after = block(&SAMPLE.replacen(from, to, 1)).meaning();
        assert_eq!(before == after, is_same, "{from} -> {to}");
    };
    for (from, to) in [
        ("7 = 90, challenger = 10", "8 = 1, champion = 9.0"),
        ("\"champion\"", "7 # the champion"),
        ("deadline_ms = 2_000", "deadline_ms = 1"),
        ("limit = 0.02", "limit = 0.03"),
        ("partners stay on 7", "partners"),
        ("[\"acme\", 17]", "[\"17\", \"acme\", \"acme\"]"),
        ("X-Account-Id", "x-account-id"),
    ] {
        check(from, to, true);
    }
    for (from, to) in [
        ("7 = 90", "7 = 91"),
        ("stable = \"champion\"", "stable = 8"),
        ("challenger = \"8\"", "challenger = \"9\""),
        ("champion = 7, ", "champion = 7, spare = 7, "),
        ("{ cookie = \"uid\" }", "{ cookie = \"sid\" }"),
        (
            "[{ header = \"X-Account-Id\" }, { cookie = \"uid\" }]",
            "[{ cookie = \"uid\" }, { header = \"X-Account-Id\" }]",
        ),
        ("\"acme\", 17", "\"acme\", 18"),
        ("present = false", "present = true"),
        ("use = 7", "use = 8"),
        ("name = \"new\"", "name = \"newer\""),
        ("prefix = \"gold\"", "equals = \"gold\""),
        ("weight = 0.5 }, ", "weight = 0.6 }, "),
    ] {
        check(from, to, false);
    }
    let all_to_7 = |text: &str| block(&format!("[models.a]\n{text}")).meaning();
    assert_eq!(all_to_7("stable = 7"), all_to_7("split = { 7 = 3 }"));
}

/// Decisions in journals were stored with this number; another one would make them give way after an upgrade.
#[test]
fn meaning_is_the_same_in_every_build() {
    assert_eq!(block(SAMPLE).meaning(), 17_841_846_652_608_769_038);
}

#[test]
fn a_decision_holds_until_the_block_chooses_versions_and_means_something_else() {
    let fraud = model("fraud");
    let chosen = config("[models.fraud]\nstable = 7\n");
    let stance = |meaning| {
        let (candidate, phase, since_unix_ms) = (None, Phase::Settled, 0);
        Stance { stable: version(8), candidate, phase, meaning, since_unix_ms }
    };
    let (under_block, under_none) = (stance(chosen.meaning(&fraud)), stance(None));
    let limits_only = config(
        "[models.fraud]\ndeadline_ms = 9\n[[models.fraud.rules]]\nwhen = { header = \"a\", equals = \"b\" }\nuse = 3",
    );
    let edited = config("[models.fraud]\nstable = 9\n");
    assert!(chosen.upholds(&fraud, &under_block) && !chosen.upholds(&fraud, &under_none));
    assert!(!edited.upholds(&fraud, &under_block));
    for open in [&limits_only, &RoutingConfig::default()] {
        assert_eq!(open.meaning(&fraud), None);
        assert!(open.upholds(&fraud, &under_block) && open.upholds(&fraud, &under_none));
    }
}

#[test]
fn shipped_files_are_accepted_without_a_warning() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let examples = std::fs::read_dir(root.join("config/examples")).unwrap().map(|e| e.unwrap().path());
    let files: Vec<_> = examples.chain([root.join("config/routing.toml")]).collect();
    assert_eq!(files.len(), 9);
    for file in files {
        let parsed = parse_routing(&file, &std::fs::read(&file).unwrap()).unwrap_or_else(|e| panic!("{e}"));
        assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
        assert_eq!(parsed.value.models.is_empty(), file.ends_with("config/routing.toml"), "{}", file.display());
    }
    // What the file shows as a comment is right as well.
    let commented = std::fs::read_to_string(root.join("config/routing.toml")).unwrap();
    let start = commented.find("# [models").unwrap();
    let shown: String = commented[start..]
        .lines()
        .map(|l| l.trim_start_matches("# ").trim_start_matches('#'))
        .fold(String::new(), |a, l| a + l + "\n");
    assert!(config(&shown).models.contains_key("fraud"));
    let doc = std::fs::read_to_string(root.join("docs/config.md")).unwrap();
    let sample = doc.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(problems(sample), Vec::<String>::new());
}
