#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use base_types::{Comparison, Match};
use control_rollout::{DisagreementLimit, FreezeAfter, LatencyLimit, OnFailure, ProofOf, Step, StepKind};
use proptest::prelude::*;

use super::*;
use crate::RoutingConfig;
use crate::samples::{config, model, parse};

mod random;

use random::a_policy;

const SAMPLE: &str = r#"
[models.fraud]
stable = 7
policy = "ours"
[policies.ours]
steps = [
    { gate = true },
    { warm_up = 30 },
    { shadow = 0.2, min = "1m", max = "30m", proofs = ["disagreement"], min_requests = 500 },
    { weight = 0.02, min = "90s" },
    { weight = 0.1, proofs = ["errors", "latency"], min_feedback = 40 },
    { pause = "ml-oncall" },
    { promote = true, bake = "2h" },
]
max_duration = "6h"
on_inconclusive = "rollback"
progress_deadline = "5m"
rollback_window = 2
cooldown = "15m"
retries = 0
freeze_after = { rollbacks = 2, within = "7d" }
on_new_candidate = "queue"
[policies.ours.guardrail]
alpha = 0.01
latency = { slower_than_ms = 80 }
disagreement = { limit = 0.02, compare = "argmax", redact = true }
"#;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn step(kind: StepKind) -> Step {
    Step { kind, min: Duration::ZERO, max: None, proofs: Vec::new(), min_requests: 0, min_feedback: 0 }
}

#[test]
fn every_key_of_a_policy_arrives_where_it_belongs() {
    let config = config(SAMPLE);
    let (name, policy) = config.policy(&model("fraud"));
    assert_eq!(&*name, "ours");
    let weight = |share, proofs: &[ProofOf]| Step { proofs: proofs.to_vec(), ..step(StepKind::Weight { share }) };
    let shadow = Step {
        min: secs(60),
        max: Some(secs(1_800)),
        proofs: vec![ProofOf::Disagreement],
        min_requests: 500,
        ..step(StepKind::Shadow { share: 0.2 })
    };
    let steps = vec![
        step(StepKind::Gate),
        step(StepKind::WarmUp { runs: 30 }),
        shadow,
        Step { min: secs(90), ..weight(0.02, &[ProofOf::Errors]) },
        Step { min_feedback: 40, ..weight(0.1, &[ProofOf::Errors, ProofOf::Latency]) },
        step(StepKind::Pause { approval: "ml-oncall".into() }),
        step(StepKind::Promote { bake: secs(7_200) }),
    ];
    let latency = LatencyLimit { slower_than_seconds: 0.08, limit: 0.01, weight: 0.2, on_failure: OnFailure::RollBack };
    let compare = Comparison { otherwise: Match::Argmax, ..Comparison::default() };
    let disagreement =
        DisagreementLimit { limit: 0.02, compare, is_redacted: true, weight: 0.1, on_failure: OnFailure::Pause };
    let guardrail =
        Guardrail { alpha: 0.01, latency: Some(latency), disagreement: Some(disagreement), ..Guardrail::default() };
    let expected = Policy {
        steps,
        guardrail: Some(guardrail),
        max_duration: secs(6 * 3_600),
        on_inconclusive: OnInconclusive::RollBack,
        progress_deadline: secs(300),
        rollback_window: 2,
        cooldown: secs(900),
        retries: 0,
        freeze_after: FreezeAfter { rollbacks: 2, within: secs(7 * 86_400) },
        on_new_candidate: OnNewCandidate::Queue,
    };
    assert_eq!(*policy, expected);
}

#[test]
fn a_policy_that_says_nothing_is_the_default_one() {
    let config = config("[policies.plain]\n[policies.judged]\nguardrail = {}\n");
    assert_eq!(*config.policies["plain"], Policy::default());
    assert_eq!(config.policies["judged"].guardrail, Some(Guardrail::default()));
}

#[test]
fn the_guardrail_of_a_policy_is_read_over_the_defaults() {
    let config = config("[policies.p]\nguardrail = { limit = 0.2 }\n[defaults.guardrail]\nalpha = 0.03\nlimit = 0.1\n");
    let guardrail = config.policies["p"].guardrail.clone().unwrap();
    assert_eq!((guardrail.alpha, guardrail.limit), (0.03, 0.2));
}

#[test]
fn models_get_the_policy_they_name_or_the_defaults_name() {
    let text = "[policies.slow]\nmax_duration = \"7d\"\n[defaults]\npolicy = \"slow\"\n[models.a]\n[models.b]\npolicy = \"fast\"\n\
        [models.c]\npolicy = \"default\"\n";
    let config = config(text);
    let chosen = |name: &str| config.policy(&model(name)).0.to_string();
    assert_eq!(["a", "b", "c", "other"].map(chosen), ["slow", "fast", "default", "slow"]);
    assert_eq!(config.policy(&model("a")).1.max_duration, secs(7 * 86_400));
    let empty = RoutingConfig::default();
    assert_eq!(empty.policy(&model("a")), ("default".into(), Arc::new(Policy::default())));
    assert!(empty.named_policy("cautious").is_some() && empty.named_policy("other").is_none());
}

#[test]
fn what_the_file_defines_beats_what_is_built_in() {
    let config = config("[policies.default]\nretries = 9\n");
    assert_eq!(config.policy(&model("a")).1.retries, 9);
    assert_eq!(config.named_policy("fast").unwrap().retries, 1);
}

#[test]
fn the_policies_that_are_built_in_can_be_followed() {
    for name in BUILTIN_POLICIES {
        let policy = builtin_policy(name).unwrap();
        assert_eq!(policy.problems(), [], "{name}");
        assert_eq!(policy.problems_under(&Guardrail::default()), [], "{name}");
    }
}

#[test]
fn a_window_of_any_policy_has_requests_counted_by_second() {
    let with = config("[models.m]\n[policies.p]\nguardrail = { window = { max_error_rate = 0.1 } }\n");
    assert!(with.models["m"].limits.is_windowed && with.defaults.limits.is_windowed);
    let without = config("[models.m]\n[policies.p]\nretries = 2\n");
    assert!(!without.models["m"].limits.is_windowed && !without.defaults.limits.is_windowed);
}

/// Line, code and message of every remark on a text.
fn remarks(text: &str) -> Vec<(usize, &'static str, String)> {
    let diagnostics = match parse(text) {
        Ok(parsed) => parsed.warnings,
        Err(invalid) => invalid.diagnostics,
    };
    let all = diagnostics.into_iter();
    all.map(|d| (d.line, d.code.as_str(), format!("{} ({})", d.message, d.hint.unwrap_or_default()))).collect()
}

#[track_caller]
fn check(text: &str, line: usize, code: &str, expected: &str) {
    let found = remarks(text);
    let is_there = |(l, c, message): &(usize, &str, String)| *l == line && *c == code && message.contains(expected);
    assert!(found.iter().any(is_there), "{found:#?}\nlacks line {line} {code} {expected}");
}

#[test]
fn each_problem_of_a_policy_has_its_line_and_a_hint() {
    let steps = |step: &str| format!("[policies.p]\nsteps = [\n{{ gate = true }},\n{step},\n]\n");
    check(&steps("{ weight = 1.5 }"), 4, "bad-policy", "above 0, below 1");
    check(&steps("{ weight = 0.9 }"), 4, "doubtful-policy", "at most 0.5 keeps an equal control");
    check(&steps("{ warm_up = 0 }"), 4, "bad-policy", "from 1 to 100000");
    check(&steps("{ shadow = 0 }"), 4, "bad-policy", "above 0, at most 1");
    check(&steps("{ pause = \" \" }"), 4, "bad-policy", "say who is to approve");
    check(&steps("{ weight = 0.1, min = \"5m\", max = \"1m\" }"), 4, "bad-policy", "make it longer");
    check(&steps("{ promote = true },\n{ weight = 0.1 }"), 4, "bad-policy", "move it to the end");
    check(&steps("{ weight = 0.1, proofs = [\"disagreement\"] }"), 4, "bad-policy", "put a step with shadow");
    check(&steps("{ weight = 0.1, proofs = [\"errors\", \"errors\"] }"), 4, "bad-policy", "asked for twice");
    check(&steps("{ weight = 0.1, proofs = [\"erors\"] }"), 4, "unknown-word", "did you mean \"errors\"?");
    check(&steps("{ weight = 0.1, shadow = 0.1 }"), 4, "conflict", "has both shadow and weight");
    check(&steps("{ min = \"5m\" }"), 4, "missing-key", "a step does one thing");
    check(&steps("{ gate = false }"), 4, "conflict", "take the step out");
    check(&steps("{ gate = 1 }"), 4, "wrong-type", "policies.p.steps[1].gate takes true or false");
    check(&steps("{ weight = 0.1, bake = \"1h\" }"), 4, "conflict", "only a promotion bakes");
    check(&steps("{ weigth = 0.1 }"), 4, "unknown-key", "did you mean \"weight\"?");
    check(&steps("7"), 4, "wrong-type", "takes a table");
    check("[policies.p]\nsteps = []", 2, "bad-policy", "write at least one");
    let many = "{ gate = true }, ".repeat(40);
    check(&format!("[policies.p]\nsteps = [{many}]"), 2, "bad-policy", "at most 32");
    check("[policies.p]\nmax_duration = 30", 2, "bad-duration", "for seconds write \"30s\"");
    check("[policies.p]\nmax_duration = \"6 hours\"", 2, "bad-duration", "did you mean \"6h\"?");
    check("[policies.p]\nmax_duration = \"0s\"", 2, "bad-policy", "above 0");
    check("[policies.p]\nmax_duration = \"1000d\"", 2, "bad-policy", "at most 366 days");
    check("[policies.p]\nmax_duration = true", 2, "wrong-type", "takes a text");
    check("[policies.p]\nfreeze_after = { rollbacks = 0 }", 2, "bad-policy", "at least 1");
    check("[policies.p]\non_inconclusive = \"hodl\"", 2, "unknown-word", "did you mean \"hold\"?");
    check("[policies.p]\nretries = -1", 2, "out-of-range", "0 to 1000");
    check("[policies.p]\n[policies.p.guardrail]\nalpha = 2", 3, "out-of-range", "policies.p.guardrail.alpha is 2");
    check("[policies.\"a b\"]", 1, "bad-name", "letters, digits");
    check("[models.a]\npolicy = \"fats\"", 2, "unknown-policy", "did you mean \"fast\"?");
    check("[models.a]\npolicy = \"elsewhere\"", 2, "unknown-policy", "define it: [policies.elsewhere]");
    check("[defaults]\npolicy = \"fats\"", 2, "unknown-policy", "did you mean \"fast\"?");
    let many: String = (0..70).map(|i| format!("[policies.p{i}]\n")).collect();
    check(&format!("[policies]\n{many}"), 1, "too-many", "at most 64");
}

#[test]
fn the_problems_of_one_step_come_once_and_those_of_the_next_as_well() {
    let found =
        remarks("[policies.p]\nsteps = [\n{ weight = 2 },\n{ weight = 3 },\n{ promote = true, bake = \"9\" },\n]");
    let places: Vec<_> = found.iter().map(|(line, code, _)| (*line, *code)).collect();
    assert_eq!(places, [(3, "bad-policy"), (4, "bad-policy"), (5, "bad-duration")]);
}

#[test]
fn a_proof_needs_its_rule_in_the_guardrail_that_judges() {
    let policy = "[policies.p]\nsteps = [{ shadow = 0.1, proofs = [\"disagreement\"] }]\n";
    check(&format!("{policy}[models.a]\npolicy = \"p\""), 4, "bad-policy", "add guardrail.disagreement");
    check(&format!("{policy}[defaults]\npolicy = \"p\""), 4, "bad-policy", "add guardrail.disagreement");
    let judged = format!("{policy}[models.a]\npolicy = \"p\"\nguardrail = {{ disagreement = {{}} }}");
    assert_eq!(remarks(&judged), []);
    let inherited = format!("{policy}[defaults]\npolicy = \"p\"\nguardrail = {{ disagreement = {{}} }}\n");
    assert_eq!(remarks(&inherited), []);
    let taken_away = format!("{inherited}[models.a]\nguardrail = {{ disagreement = false }}");
    check(&taken_away, 6, "bad-policy", "models.a: policy \"p\", steps[0].proofs[0]");
    let own = format!("{policy}[policies.p.guardrail]\ndisagreement = {{}}\n[models.a]\npolicy = \"p\"");
    assert_eq!(remarks(&own), []);
}

#[test]
fn a_text_that_is_no_policy_is_refused() {
    let refused = |text: &str| parse_policy(text).unwrap_err().to_string();
    assert!(refused("steps = [{ weight = 2 }]").contains("policy:1:21: error[bad-policy]: steps[0].weight: is 2"));
    assert!(refused("stepps = []").contains("did you mean \"steps\"?"));
    assert!(refused("steps = [").contains("syntax"));
    assert_eq!(parse_policy("").unwrap(), Policy::default());
}

/// Reads a text as a policy, whether or not it could be followed.
fn read_back(text: &str) -> Policy {
    let walk = |tree: &toml::Spanned<toml::de::DeTable<'_>>, report: &mut Report<'_>| {
        policy(Section::root(tree), &Guardrail::default(), report).0
    };
    read(Path::new("policy"), text.as_bytes(), walk).unwrap_or_else(|invalid| panic!("{invalid}\n{text}")).value
}

#[test]
fn a_policy_of_the_file_is_the_same_alone() {
    let policy = config(SAMPLE).policies["ours"].clone();
    assert_eq!(parse_policy(&policy_text(&policy)).unwrap(), *policy);
    for name in BUILTIN_POLICIES {
        let policy = builtin_policy(name).unwrap();
        assert_eq!(parse_policy(&policy_text(&policy)).unwrap(), policy);
    }
}

proptest! {
    #[test]
    fn a_policy_is_read_again_as_it_was_written(policy in a_policy()) {
        let text = policy_text(&policy);
        prop_assert_eq!(read_back(&text), policy, "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_of_policies_panic(
        text in "\\PC{0,60}",
        lines in proptest::collection::vec("(steps|max_duration|guardrail|retries) = [\\[\\]{}a-z0-9\", =.]{0,30}", 0..4),
    ) {
        drop(parse_policy(&text));
        drop(parse_policy(&lines.join("\n")));
    }
}
