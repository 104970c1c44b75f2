//! The judgements of a guardrail beside that of errors.

use base_types::{Comparison, Match};
use control_rollout::{Bins, Guardrail, OnFailure, SampleRatio};

use super::{block_problems, problems};
use crate::samples::{block, config, model, parse};

const ALL: &str = r#"
[models.m.guardrail]
on_failure = "pause"
latency = { slower_than_ms = 120, limit = 0.05, weight = 2, on_failure = "alert" }
latency_vs_stable = { quantiles = [0.5, 0.99], freeze_after = 500, tolerate_ratio = 1.5, weight = 0.3, on_failure = "observe" }
disagreement = { limit = 0.1, compare = "argmax", weight = 0.4, on_failure = "rollback" }
drift = { output = "label", bins = "deciles", alpha = 0.02, on_failure = "alert" }
sample_ratio = { alpha = 0.03, on_failure = "alert" }
mistakes = { tolerate_ratio = 1.2, weight = 0.6, on_failure = "pause" }
loss = { tolerate_extra = 0.2, weight = 0.7, on_failure = "pause" }
steady_state = { mean_requests_between_false_alarms = 1e6, on_failure = "alert" }
"#;

fn guardrail(lines: &str) -> Guardrail {
    block(&format!("[models.m]\n[models.m.guardrail]\n{lines}\n")).guardrail
}

#[test]
fn every_key_of_every_rule_arrives_where_it_belongs() {
    let guardrail = block(ALL).guardrail;
    assert_eq!(guardrail.on_failure, OnFailure::Pause);
    let latency = guardrail.latency.unwrap();
    assert_eq!((latency.slower_than_seconds, latency.limit, latency.weight), (0.12, 0.05, 2.0));
    assert_eq!(latency.on_failure, OnFailure::Alert);
    let versus = guardrail.latency_vs_stable.unwrap();
    assert_eq!((&versus.quantiles[..], versus.freeze_after, versus.tolerate_ratio), (&[0.5, 0.99][..], 500, 1.5));
    assert_eq!((versus.weight, versus.on_failure), (0.3, OnFailure::Observe));
    let disagreement = guardrail.disagreement.unwrap();
    assert_eq!((disagreement.limit, disagreement.weight, disagreement.on_failure), (0.1, 0.4, OnFailure::RollBack));
    assert_eq!(disagreement.compare, Comparison { otherwise: Match::Argmax, ..Comparison::default() });
    let drift = guardrail.drift.unwrap();
    assert_eq!((drift.output.as_deref(), drift.bins, drift.alpha), (Some("label"), Bins::Deciles, 0.02));
    assert_eq!(drift.on_failure, OnFailure::Alert);
    assert_eq!(guardrail.sample_ratio, Some(SampleRatio { alpha: 0.03, on_failure: OnFailure::Alert }));
    let (mistakes, loss) = (guardrail.mistakes.unwrap(), guardrail.loss.unwrap());
    assert_eq!((mistakes.tolerate_ratio, mistakes.weight, mistakes.on_failure), (1.2, 0.6, OnFailure::Pause));
    assert_eq!((loss.tolerate_extra, loss.weight, loss.on_failure), (0.2, 0.7, OnFailure::Pause));
    let steady = guardrail.steady_state.unwrap();
    assert_eq!((steady.mean_requests_between_false_alarms, steady.on_failure), (1e6, OnFailure::Alert));
}

#[test]
fn a_table_replaces_an_inherited_one_as_a_whole_and_false_takes_it_away() {
    let text = "[defaults.guardrail]\nlatency = { slower_than_ms = 80, limit = 0.2 }\ndrift = { alpha = 0.1 }\nloss = {}\n\
        [models.a.guardrail]\nlatency = { slower_than_ms = 5 }\ndrift = false\nsample_ratio = false\n";
    let config = config(text);
    let (a, other) = (config.guardrail(&model("a")), config.guardrail(&model("other")));
    let latency = a.latency.unwrap();
    assert_eq!((latency.slower_than_seconds, latency.limit), (0.005, 0.01));
    assert_eq!((&a.drift, a.sample_ratio), (&None, None));
    assert_eq!((a.loss.is_some(), other.drift.is_some(), other.sample_ratio.is_some()), (true, true, true));
}

#[test]
fn an_empty_table_is_a_rule_with_its_defaults() {
    let all = "latency_vs_stable = {}\ndisagreement = {}\ndrift = {}\nmistakes = {}\nloss = {}\nsteady_state = {}";
    let all = guardrail(all);
    assert_eq!(all.problems(), []);
    assert_eq!(all.disagreement.unwrap().compare, Comparison::default());
    assert_eq!(all.latency_vs_stable.unwrap().quantiles, [0.5, 0.9, 0.99]);
    assert_eq!(all.drift.unwrap().bins, Bins::Classes);
    assert_eq!(all.steady_state.unwrap().mean_requests_between_false_alarms, 1e8);
    assert_eq!(guardrail(""), Guardrail::default());
}

#[test]
fn comparisons_are_read_in_all_their_forms() {
    let check = |compare: &str, expected: Comparison| {
        let found = guardrail(&format!("disagreement = {{ compare = {compare} }}")).disagreement.unwrap().compare;
        assert_eq!(found, expected, "{compare}");
    };
    let all = |otherwise| Comparison { otherwise, ..Comparison::default() };
    let tolerance = |absolute, relative| Match::Tolerance { absolute, relative };
    check("\"exact\"", all(Match::Exact));
    check("\"tolerance\"", Comparison::default());
    check("{ match = \"argmax\" }", all(Match::Argmax));
    check("{ match = \"tolerance\", absolute = 0.1 }", all(tolerance(0.1, 0.0)));
    check("{ relative = 0.1 }", all(tolerance(0.0, 0.1)));
    check("{ match = \"top_k\", k = 5 }", all(Match::TopK { k: 5, overlap: 1.0 }));
    check("{ match = \"top_k\", k = 5, overlap = 0.6 }", all(Match::TopK { k: 5, overlap: 0.6 }));
    let outputs = [("label".into(), Match::Argmax), ("score".into(), tolerance(0.01, 0.0))].into();
    let each = "outputs = { label = \"argmax\", score = { match = \"tolerance\", absolute = 0.01 } }";
    check(&format!("{{ {each} }}"), Comparison { outputs, otherwise: Match::default() });
    let outputs = [("debug".into(), Match::Ignore)].into();
    check(
        "{ match = \"exact\", outputs = { debug = { match = \"ignore\" } } }",
        Comparison { outputs, otherwise: Match::Exact },
    );
}

#[test]
fn each_problem_of_a_rule_has_its_line() {
    let check = |line: &str, expected: &[&str]| {
        let found = problems(&format!("[models.m.guardrail]\nmode = \"enforce\"\n{line}\n"));
        let expected: Vec<_> = expected.iter().map(|code| format!("3 {code}")).collect();
        assert_eq!(found, expected, "{line}");
    };
    check("latency = {}", &["missing-key"]);
    check("latency = { slower_than_ms = 0 }", &["out-of-range"]);
    check("latency = { slower_than_ms = 80, limit = 0.9 }", &["out-of-range"]);
    check("latency = { slower_than_ms = 80, weight = 0 }", &["out-of-range"]);
    check("latency = { slower_than_ms = \"80ms\" }", &["wrong-type"]);
    check("latency = { slower_than_ms = 80, on_failure = \"roll back\" }", &["unknown-word"]);
    check("latency = true", &["wrong-type"]);
    check("latency_vs_stable = { quantiles = [] }", &["empty"]);
    check("latency_vs_stable = { quantiles = [0.1, 0.2, 0.3, 0.4] }", &["too-many"]);
    check("latency_vs_stable = { quantiles = [1] }", &["out-of-range"]);
    check("latency_vs_stable = { freeze_after = 10 }", &["out-of-range"]);
    check("latency_vs_stable = { tolerate_ratio = 0.5 }", &["out-of-range"]);
    check("disagreement = { limit = 0 }", &["out-of-range"]);
    check("disagreement = { compare = \"argmx\" }", &["unknown-word"]);
    check("disagreement = { compare = \"top_k\" }", &["missing-key"]);
    check("disagreement = { compare = { match = \"top_k\" } }", &["missing-key"]);
    check("disagreement = { compare = { match = \"top_k\", k = 0 } }", &["out-of-range"]);
    check("disagreement = { compare = { match = \"top_k\", k = 1, overlap = 0 } }", &["out-of-range"]);
    check("disagreement = { compare = { match = \"argmax\", absolute = 1 } }", &["conflict"]);
    check("disagreement = { compare = { k = 3 } }", &["conflict"]);
    check("disagreement = { compare = { absolute = -1 } }", &["out-of-range"]);
    check("disagreement = { compare = { mtch = \"exact\" } }", &["unknown-key"]);
    check("disagreement = { compare = { outputs = { a = 3 } } }", &["wrong-type"]);
    check("disagreement = { compare = { outputs = { a = { match = \"exact\", x = 1 } } } }", &["unknown-key"]);
    check("drift = { bins = \"quartiles\" }", &["unknown-word"]);
    check("drift = { alpha = 0.7 }", &["out-of-range"]);
    check("drift = { output = \"\" }", &["bad-name"]);
    check("sample_ratio = { alpha = 0 }", &["out-of-range"]);
    check("mistakes = { tolerate_ratio = 2000 }", &["out-of-range"]);
    check("loss = { tolerate_extra = 0.95 }", &["out-of-range"]);
    check("steady_state = { mean_requests_between_false_alarms = 10 }", &["out-of-range"]);
    check("steady_state = { mean = 10 }", &["unknown-key"]);
    check("loss = { limit = 0.1 }", &["unknown-key"]);
}

#[test]
fn hints_and_paths_lead_to_the_key() {
    let check = |line: &str, expected: &str| {
        let invalid = parse(&format!("[models.m.guardrail]\n{line}\n")).unwrap_err().to_string();
        assert!(invalid.contains(expected), "{invalid}");
    };
    check("latency = {}", "add slower_than_ms = 80");
    check(
        "latency = { slower_than_ms = 80, limit = 2 }",
        "models.m.guardrail.latency.limit is 2, allowed is from 0.000001",
    );
    check("disagreement = { compare = \"argmx\" }", "did you mean \"argmax\"?");
    check("on_failure = \"rollbck\"", "did you mean \"rollback\"?");
    check("drift = { output = \"\" }", "leave it out for the first output");
    let of_defaults = problems("[defaults.guardrail]\nloss = { weight = 0 }\n[models.a.guardrail]\nalpha = 0.01\n");
    assert_eq!(of_defaults, ["2 out-of-range"]);
    assert_eq!(block_problems("guardrail = { alpha = 0 }"), ["1 out-of-range"]);
}
