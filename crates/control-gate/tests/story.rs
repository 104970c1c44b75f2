//! A version at the gates, with a fake runner: every gate passes where it should and fails where it should, in words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base_serving::engine::{RunControl, RunError, Runner};
use base_types::{
    Comparison, Digest, Gate, GateOverride, ManualClock, ModelName, Signature, Tensor, Version, VersionId,
};
use control_config::{GateRules, ReplayRule};
use control_gate::sign::{SecretKey, Signed};
use control_gate::{
    Asked, Beside, Fault, GateReport, Ran, Recorded, Subject, Verdict, fingerprint, read_tensors, refusal, run,
};
use testkit::fake::FakeRunner;

const GOLDEN: &str = "[[golden]]\ninputs = \"in.json\"\noutputs = \"out.json\"\n";

/// A version whose runs take so long by the clock.
struct Timed {
    runner: FakeRunner,
    took: Duration,
    memory: u64,
    clock: Arc<ManualClock>,
}

impl Subject for Timed {
    fn contract(&self) -> &Signature {
        self.runner.signature()
    }

    fn graph(&self) -> &Signature {
        self.runner.signature()
    }

    fn run(&self, inputs: Vec<Tensor>) -> Result<Ran, Fault> {
        self.clock.advance(self.took);
        let outputs = self.runner.run(&inputs, &[0], &RunControl::default());
        outputs.map(|outputs| Ran { outputs, took: self.took }).map_err(|error| match error {
            RunError::Failed(text) => Fault::Failed(text),
            RunError::Terminated => panic!("nobody terminates it"),
        })
    }

    fn memory_bytes(&self) -> u64 {
        self.memory
    }
}

struct World {
    clock: Arc<ManualClock>,
    rules: GateRules,
    files: BTreeMap<&'static str, String>,
    candidate: Timed,
    stable: Option<Timed>,
    recorded: Vec<Recorded>,
    expected: Option<Digest>,
}

fn tensors(field: &str, name: &str, values: &[f32]) -> String {
    format!(
        "{{\"{field}\": [{{\"name\": \"{name}\", \"datatype\": \"FP32\", \"shape\": [{}, 4], \"data\": {values:?}}}]}}",
        values.len() / 4
    )
}

impl World {
    /// A version that doubles and adds one.
    fn new(manifest: &str) -> Self {
        let clock = Arc::new(ManualClock::default());
        let files = [
            ("manifest.toml", manifest.to_owned()),
            ("in.json", tensors("inputs", "x", &[1.0, 2.0, 3.0, 4.0])),
            ("out.json", tensors("outputs", "y", &[3.0, 5.0, 7.0, 9.0])),
        ];
        let candidate = timed(&clock, FakeRunner::affine4(2.0, 1.0));
        let rules = GateRules::default();
        let (stable, recorded, expected) = Default::default();
        Self { clock, rules, files: files.into(), candidate, stable, recorded, expected }
    }

    fn file(mut self, path: &'static str, text: impl Into<String>) -> Self {
        self.files.insert(path, text.into());
        self
    }

    fn stable(mut self, runner: FakeRunner) -> Self {
        self.stable = Some(timed(&self.clock, runner));
        self
    }

    fn beside(&self) -> Beside {
        Beside::read(&|path, _| Ok(self.files.get(path).map(|text| text.clone().into_bytes())))
    }

    fn ask(&self) -> Vec<GateReport> {
        let model = ModelName::new("m").unwrap();
        let beside = self.beside();
        run(&Asked {
            model: &model,
            digest: Digest::new([1; 32]),
            expected: self.expected,
            beside: &beside,
            rules: &self.rules,
            comparison: &Comparison::default(),
            preflight: "looked through",
            candidate: &self.candidate,
            stable: self.stable.as_ref().map(|stable| (Version::new(7).unwrap(), stable as &dyn Subject)),
            recorded: &self.recorded,
            clock: &*self.clock,
        })
    }

    fn report(&self, gate: Gate) -> GateReport {
        let reports = self.ask();
        let found = reports.iter().find(|report| report.gate() == Some(gate));
        found.unwrap_or_else(|| panic!("{gate} was not asked: {reports:?}")).clone()
    }

    #[track_caller]
    fn check(&self, gate: Gate, verdict: Verdict, part: &str) -> GateReport {
        let report = self.report(gate);
        assert!(report.verdict == verdict && report.text.contains(part), "{report:?}");
        report
    }
}

fn timed(clock: &Arc<ManualClock>, runner: FakeRunner) -> Timed {
    Timed { runner, took: Duration::from_millis(2), memory: 3 << 20, clock: clock.clone() }
}

#[test]
fn without_a_manifest_and_rules_nothing_is_asked_but_the_file() {
    let mut world = World::new("");
    world.files.clear();
    let gates: Vec<String> = world.ask().into_iter().map(|report| report.gate).collect();
    assert_eq!(gates, ["preflight"]);
}

#[test]
fn a_golden_answer_that_is_off_is_named_to_the_element() {
    World::new(GOLDEN).check(Gate::Golden, Verdict::Passed, "all 1 answers");
    let wrong = World::new(GOLDEN).file("out.json", tensors("outputs", "y", &[3.0, 5.0, 7.5, 9.0]));
    let report = wrong.check(
        Gate::Golden,
        Verdict::Failed,
        "case 0 (in.json): output \"y\" [0,2] is 7, wanted is 7.5 ± 0.00001 ± 0.001 of it (1 of 4 elements are off)",
    );
    assert!(report.is_required && report.measured == Some(0.0) && report.threshold == Some(1.0));
    let tolerant = format!("{GOLDEN}tolerance = {{ absolute = 0.6 }}\n");
    let outputs = tensors("outputs", "y", &[3.0, 5.0, 7.5, 9.0]);
    World::new(&tolerant).file("out.json", outputs).check(Gate::Golden, Verdict::Passed, "");
    let strange = tensors("inputs", "z", &[1.0; 4]);
    World::new(GOLDEN).file("in.json", strange).check(Gate::Golden, Verdict::Failed, "there is no input \"z\"");
    World::new(GOLDEN).file("in.json", "{").check(Gate::Golden, Verdict::Failed, "in.json: ");
    World::new(GOLDEN).file("out.json", "{\"outputs\": []}").check(Gate::Golden, Verdict::Failed, "expects no outputs");
    let mut faulty = World::new(GOLDEN);
    faulty.candidate = timed(&faulty.clock, FakeRunner::failing("boom"));
    faulty.check(Gate::Golden, Verdict::Failed, "the run failed: boom");
}

#[test]
fn a_manifest_that_cannot_be_read_is_a_failed_gate() {
    for (manifest, part) in
        [("golden = 1", "manifest.toml"), ("[[golden]]\ninputs=\"no.json\"\noutputs=\"out.json\"", "no.json")]
    {
        let reports = World::new(manifest).ask();
        assert_eq!(reports.len(), 1);
        assert!(reports[0].is_failed() && reports[0].is_required && reports[0].text.contains(part), "{reports:?}");
    }
}

#[test]
fn quality_is_held_against_the_threshold_and_against_stable() {
    let line = |x: f32, label: &str| {
        format!(
            "{{\"inputs\":[{{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,4],\"data\":[{x},0,0,0.5]}}],\"label\":{label}}}\n"
        )
    };
    // The largest value stands where it stood, as scale and bias move all alike.
    let labelled = [line(9.0, "0"), line(-9.0, "3"), line(9.0, "[0]"), line(9.0, "1")].concat();
    let set = |bounds: &str| format!("[quality]\nlabelled = \"l.jsonl\"\nmetric = \"accuracy\"\n{bounds}\n");
    let world = |bounds: &str| World::new(&set(bounds)).file("l.jsonl", labelled.clone());
    let report = world("at_least = 0.75").check(Gate::Quality, Verdict::Passed, "accuracy is 0.75 on 4 labels");
    assert_eq!((report.measured, report.threshold), (Some(0.75), Some(0.75)));
    world("at_least = 0.76").check(Gate::Quality, Verdict::Failed, "wanted is at least 0.76");
    let relative = "worse_than_stable_by_at_most = 0.1";
    world(relative).check(Gate::Quality, Verdict::Skipped, "no stable version");
    world(relative).stable(FakeRunner::affine4(1.0, 0.0)).check(
        Gate::Quality,
        Verdict::Passed,
        "stable version 7 has 0.75",
    );
    // A candidate that turns everything round is wrong three times of four.
    let mut worse = world(relative).stable(FakeRunner::affine4(1.0, 0.0));
    worse.candidate = timed(&worse.clock, FakeRunner::affine4(-1.0, 0.0));
    worse.check(Gate::Quality, Verdict::Failed, "it may be worse by at most 0.1");
    let bad = World::new(&set("at_least = 0.1")).file("l.jsonl", line(1.0, "[0, 1]"));
    bad.check(Gate::Quality, Verdict::Failed, "l.jsonl:1: there are 1 answers and 2 labels");
    World::new(&set("at_least = 0.1")).file("l.jsonl", "\n").check(Gate::Quality, Verdict::Failed, "holds no labelled");
}

#[test]
fn a_mean_absolute_error_is_better_when_it_is_smaller() {
    let manifest = "[quality]\nlabelled = \"l.jsonl\"\nmetric = \"mean_absolute_error\"\nat_most = 0.5\nworse_than_stable_by_at_most = 0.1\n";
    let labelled =
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,4],\"data\":[1,1,1,1]}],\"label\":[3,3,3,4]}";
    let world = World::new(manifest).file("l.jsonl", labelled);
    let report = world.check(Gate::Quality, Verdict::Passed, "mean_absolute_error is 0.25 on 4 labels");
    assert_eq!(report.threshold, Some(0.5));
    // Stable answers 3.25: a mean distance of 0.375.
    let world = World::new(manifest).file("l.jsonl", labelled).stable(FakeRunner::affine4(2.0, 1.25));
    world.check(Gate::Quality, Verdict::Passed, "stable version 7 has 0.375");
    let mut world = World::new(manifest).file("l.jsonl", labelled).stable(FakeRunner::affine4(2.0, 1.25));
    world.candidate = timed(&world.clock, FakeRunner::affine4(2.0, 2.0));
    world.check(Gate::Quality, Verdict::Failed, "mean_absolute_error is 0.75");
}

#[test]
fn budgets_are_measured_here() {
    let world = |budget: &str| World::new(&format!("{GOLDEN}[budgets]\n{budget}\n"));
    let report =
        world("latency_p95_ms = 2").check(Gate::Latency, Verdict::Passed, "19 of 20 runs take at most 2.000 ms");
    assert_eq!((report.measured, report.threshold), (Some(2.0), Some(2.0)));
    world("latency_p95_ms = 1.9").check(Gate::Latency, Verdict::Failed, "wanted are at most 1.9 ms");
    let times = "latency_p95_times_stable = 1.5";
    world(times).check(Gate::Latency, Verdict::Skipped, "no stable version");
    world(times).stable(FakeRunner::affine4(1.0, 0.0)).check(Gate::Latency, Verdict::Passed, "stable version 7 takes");
    let mut slow = world(times).stable(FakeRunner::affine4(1.0, 0.0));
    slow.candidate.took = Duration::from_millis(4);
    slow.check(Gate::Latency, Verdict::Failed, "at most 1.5 times that");
    world("memory_mib = 3").check(Gate::Memory, Verdict::Passed, "it holds 3.00 MiB");
    world("memory_mib = 2.9").check(Gate::Memory, Verdict::Failed, "at most 2.9 MiB");
    World::new("[budgets]\nlatency_p95_ms = 5").check(Gate::Latency, Verdict::Failed, "there is nothing to run");
}

#[test]
fn recorded_requests_have_to_be_answered_as_stable_does() {
    let recorded: Vec<Recorded> = (0..10)
        .map(|n| {
            let json = tensors("inputs", "x", &[n as f32, 1.0, 2.0, 3.0]);
            Recorded { id: format!("id{n}"), inputs: read_tensors(json.as_bytes(), "inputs").unwrap() }
        })
        .collect();
    let mut world = World::new("");
    world.rules.replay = Some(ReplayRule { captures: 5, agreement_at_least: 0.9 });
    world.check(Gate::Replay, Verdict::Skipped, "no stable version");
    let mut world = world.stable(FakeRunner::affine4(2.0, 1.0));
    world.check(Gate::Replay, Verdict::Skipped, "no requests are recorded");
    world.recorded = recorded;
    let report = world.check(Gate::Replay, Verdict::Passed, "5 of 5 recorded requests");
    assert!(report.is_required);
    world.candidate = timed(&world.clock, FakeRunner::affine4(2.0, 1.5));
    world.check(Gate::Replay, Verdict::Failed, "request id0: output \"y\" [0,0] is 1.5, wanted is 1");
    // What stable cannot answer says nothing.
    world.stable = Some(timed(&world.clock, FakeRunner::failing("no")));
    world.check(Gate::Replay, Verdict::Skipped, "could answer none of 5");
}

#[test]
fn only_what_is_required_keeps_a_version_out() {
    let id = VersionId { model: ModelName::new("m").unwrap(), version: Version::new(2).unwrap() };
    let failing = |required: Option<&[Gate]>, keys: Vec<[u8; 32]>| {
        let mut world = World::new(GOLDEN).file("out.json", tensors("outputs", "y", &[0.0; 4]));
        world.rules.required = required.map(|gates| gates.iter().copied().collect());
        world.rules.keys = keys;
        refusal(&id, &world.ask(), &[])
    };
    let told = failing(None, Vec::new()).unwrap();
    assert!(told.contains("gate golden: 1 of 1") && told.contains("switchrail override m 2 --gate golden"), "{told}");
    assert_eq!(failing(Some(&[]), Vec::new()), None);
    // What is required and not asked for was forgotten by somebody.
    let told = failing(Some(&[Gate::Quality]), Vec::new()).unwrap();
    assert!(told.contains("gate quality: [models.m.gates] of routing.toml requires it"), "{told}");
    // Whoever sets keys means it.
    let told = failing(Some(&[]), vec![[1; 32]]).unwrap();
    assert!(told.contains("gate signed: it is not signed"), "{told}");
    let mut world = World::new(GOLDEN);
    world.expected = Some(Digest::new([2; 32]));
    world.rules.required = Some(Default::default());
    let reports = world.ask();
    assert!(refusal(&id, &reports, &[]).unwrap().contains("gate digest: the content is 0101"), "{reports:?}");
    let by = GateOverride { gate: Gate::Digest, actor: "ann".to_owned(), reason: "so".to_owned(), since_unix_ms: 1 };
    assert_eq!(refusal(&id, &reports, &[by]), None);
}

#[test]
fn a_signature_is_found_beside_the_model_or_in_the_manifest() {
    let key = SecretKey::new(&[3; 32]);
    let model = ModelName::new("m").unwrap();
    let runner = FakeRunner::affine4(1.0, 0.0);
    let of = |digest| {
        key.sign(&Signed {
            model: &model,
            digest: Digest::new([digest; 32]),
            signature: runner.signature(),
            expires: None,
        })
    };
    let keys = vec![control_config::parse_key(&key.public_text()).unwrap()];
    let mut world = World::new("").file("model.sig", of(1));
    world.check(Gate::Signed, Verdict::Skipped, "no keys are set");
    world.rules.keys.clone_from(&keys);
    world.check(Gate::Signed, Verdict::Passed, "signed by ed25519:");
    let mut world = World::new(&format!("[signature_ed25519]\n{}", of(1)));
    world.rules.keys.clone_from(&keys);
    world.check(Gate::Signed, Verdict::Passed, "signed by ed25519:");
    let mut world = World::new("").file("model.sig", of(2));
    world.rules.keys = keys;
    world.check(Gate::Signed, Verdict::Failed, "made for something else");
    world.files.insert("model.sig", "nonsense".to_owned());
    world.check(Gate::Signed, Verdict::Failed, "model.sig");
}

#[test]
fn a_contract_is_held_against_the_manifest_and_stable() {
    let manifest = |dims: &str| format!("[signature]\ninputs = [\"x FP32[{dims}]\"]\noutputs = [\"y FP32[-1,4]\"]\n");
    let report = World::new(&manifest("-1,4")).check(Gate::Contract, Verdict::Passed, "as the manifest says");
    assert!(report.is_required);
    World::new(&manifest("-1,5")).check(Gate::Contract, Verdict::Failed, "the input x FP32[-1,5] is not on both sides");
    let world = World::new("").stable(FakeRunner::affine4(1.0, 0.0));
    let report = world.check(Gate::Contract, Verdict::Passed, "callers of version 7");
    assert!(!report.is_required);
}

#[test]
fn the_time_of_all_gates_together_is_bounded() {
    let many = GOLDEN.repeat(100);
    let mut world = World::new(&many);
    world.candidate.took = Duration::from_secs(1);
    world.rules.time = Duration::from_secs(10);
    let before = world.clock_seconds();
    world.check(Gate::Golden, Verdict::Failed, "the gates have 10000 ms together");
    assert_eq!(world.clock_seconds() - before, 10);
}

impl World {
    fn clock_seconds(&self) -> u64 {
        base_types::Clock::unix_ms(&*self.clock) / 1_000
    }
}

#[test]
fn who_is_asked_by_something_else_is_asked_again() {
    let rules = GateRules::default();
    let of = |world: &World, rules: &GateRules| fingerprint(&world.beside(), rules);
    let base = of(&World::new(GOLDEN), &rules);
    assert_eq!(base, of(&World::new(GOLDEN), &GateRules { is_enforced: false, ..rules.clone() }));
    let others = [
        of(&World::new(&format!("{GOLDEN}\n")), &rules),
        of(&World::new(GOLDEN).file("out.json", "{}"), &rules),
        of(&World::new(GOLDEN).file("model.sig", "x"), &rules),
        of(&World::new(GOLDEN), &GateRules { required: Some(Default::default()), ..rules.clone() }),
        of(&World::new(GOLDEN), &GateRules { keys: vec![[1; 32]], ..rules.clone() }),
    ];
    for other in others {
        assert_ne!(other, base);
    }
}
