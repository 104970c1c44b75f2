//! The store through its commands: what is pushed is there for ever, whole, or it was never pushed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use switchrail_tests::{Exit, binary, run};
use tempfile::TempDir;
use testkit::onnx::{affine4, external, large};

/// A folder with a store in it and with what is pushed.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// Runs a command on the store.
    fn command(&self, line: &[&str]) -> Exit {
        let store = self.path("store");
        run(&[line, &["--store", &store]].concat())
    }

    fn json(&self, line: &[&str]) -> Value {
        let exit = self.command(&[line, &["--json"]].concat());
        assert_eq!(exit.code, Some(0), "{line:?}: {exit:?}");
        serde_json::from_str(&exit.stdout).unwrap()
    }

    /// A command that must be refused, with these words.
    #[track_caller]
    fn refused(&self, line: &[&str], words: &[&str]) {
        let exit = self.command(line);
        assert!(matches!(exit.code, Some(1 | 2)), "{line:?}: {exit:?}");
        for word in words {
            assert!(exit.stderr.contains(word), "{line:?} is to say {word:?}: {}", exit.stderr);
        }
    }
}

#[test]
fn a_version_is_pushed_shown_labelled_and_listed() {
    let bench = Bench::new();
    let model = bench.file("m.onnx", &affine4(2.0, 0.0));
    let metrics = bench.file("metrics.json", b"{\"accuracy\": 0.93}");
    let said =
        ["--set", "dataset=2026-05", "--metrics", &metrics, "--tag", "2.1.0", "--label", "canary", "--by", "ann"];
    let first = bench.json(&[&["push", &model, "--model", "fraud"], said.as_slice()].concat());
    assert_eq!((&first["version"], &first["new"]), (&1.into(), &true.into()));
    let again = bench.command(&["push", &model, "--model", "fraud"]);
    assert_eq!(again.code, Some(0));
    assert!(again.stdout.contains("version 1 is this content already"), "{again:?}");
    bench.json(&["push", &bench.file("n.onnx", &affine4(3.0, 0.0)), "--model", "fraud"]);
    bench.json(&["label", "fraud", "stable", "2"]);
    let shown = bench.json(&["show", "fraud", "canary"]);
    assert_eq!(shown["version"], 1);
    assert_eq!(shown["lineage"]["set"]["dataset"], "2026-05");
    assert_eq!(shown["lineage"]["metrics"]["accuracy"], 0.93);
    assert_eq!(shown["signature"]["inputs"][0]["shape"], serde_json::json!([-1, 4]));
    assert_eq!(shown["pushed_by"], "ann");
    let text = bench.command(&["show", "fraud", "1"]).stdout;
    for word in ["digest", "2.1.0", "canary", "dataset = 2026-05", "accuracy = 0.93", "x FP32 [?, 4]", "ai.onnx 17"] {
        assert!(text.contains(word), "{word:?} in {text}");
    }
    let versions = bench.json(&["versions"])["versions"].clone();
    assert_eq!(versions.as_array().unwrap().len(), 2);
    assert_eq!(versions[1]["labels"], serde_json::json!(["stable"]));
    bench.json(&["label", "fraud", "canary", "--remove"]);
    bench.refused(&["show", "fraud", "canary"], &["canary", "switchrail versions fraud"]);
}

#[test]
fn what_cannot_be_pushed_is_refused_with_a_remedy() {
    let bench = Bench::new();
    let one = bench.file("1.onnx", &affine4(1.0, 0.0));
    let two = bench.file("2.onnx", &affine4(2.0, 0.0));
    bench.json(&["push", &one, "--model", "m", "--tag", "1.0.0"]);
    let before = bench.command(&["versions"]).stdout;
    bench
        .refused(&["push", &two, "--model", "m", "--version", "1"], &["other content already", "leave --version away"]);
    bench.refused(&["push", &two, "--model", "m", "--tag", "1.0.0"], &["belongs to version 1"]);
    bench.refused(&["push", &two, "--model", "my model"], &["\"my-model\""]);
    bench.refused(&["push", &two, "--model", "m", "--label", "42"], &["\"v42\""]);
    bench.refused(&["push", &two, "--model", "m", "--tag", "v2"], &["\"2.0.0\""]);
    bench.refused(&["push", &two], &["--model"]);
    bench.refused(&["push", &bench.file("x.onnx", b"nothing"), "--model", "m"], &["refused [malformed]"]);
    let lfs = b"version https://git-lfs.github.com/spec/v1\n";
    bench.refused(&["push", &bench.file("lfs.onnx", lfs), "--model", "m"], &["git lfs pull"]);
    bench.refused(&["show", "m", "7"], &["no version 7"]);
    assert_eq!(bench.command(&["versions"]).stdout, before, "nothing of it left a trace");
    let nowhere = run(&["versions", "--store", &bench.path("nowhere")]);
    assert!(nowhere.code == Some(1) && nowhere.stderr.contains("is no store"), "{nowhere:?}");
}

#[test]
fn a_number_that_the_repository_holds_is_not_given_to_other_content() {
    let bench = Bench::new();
    let held = affine4(5.0, 0.0);
    bench.file("models/m/5/model.onnx", &held);
    let repository = bench.path("models");
    let push = |path: &str, more: &[&str]| {
        bench.json(&[&["push", path, "--model", "m", "--model-repository", &repository], more].concat())
    };
    let other = bench.file("o.onnx", &affine4(1.0, 0.0));
    let line = ["push", &other, "--model", "m", "--model-repository", &repository, "--version", "5"];
    bench.refused(&line, &["other content already"]);
    assert_eq!(push(&other, &[])["version"], 6);
    assert_eq!(push(&bench.file("h.onnx", &held), &[])["version"], 5, "the same content keeps its number");
}

#[test]
fn a_version_knows_the_commit_it_was_pushed_from() {
    let bench = Bench::new();
    let model = bench.file("tree/m.onnx", &affine4(1.0, 0.0));
    let git = |line: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
        let ended = Command::new("git").arg("-C").arg(bench.path("tree")).args(identity).args(line).output().unwrap();
        assert!(ended.status.success(), "{line:?}: {ended:?}");
        String::from_utf8(ended.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message=first"]);
    git(&["remote", "add", "origin", "https://ann:secret@host/repo.git"]);
    bench.json(&["push", &model, "--model", "m"]);
    let shown = bench.json(&["show", "m", "1"])["lineage"]["git"].clone();
    let expected = serde_json::json!({
        "commit": git(&["rev-parse", "HEAD"]),
        "branch": "main",
        "is_dirty": false,
        "remote": "https://host/repo.git",
    });
    assert_eq!(shown, expected);
    let bare = bench.command(&["push", &bench.file("bare.onnx", &affine4(2.0, 0.0)), "--model", "m"]);
    assert!(bare.code == Some(0) && bare.stderr.contains("no commit is recorded"), "{bare:?}");
}

#[test]
fn a_bundle_goes_to_another_store_bit_for_bit() {
    let (here, there) = (Bench::new(), Bench::new());
    let made = external("weights.bin", 2.0, 1.0);
    here.file("v/model.onnx", &made.model);
    here.file("v/weights.bin", &made.data);
    here.file("v/manifest.toml", b"tag = \"1.2.3\"\n[lineage]\nrun = \"7\"\n");
    let pushed = here.json(&["push", &here.path("v"), "--model", "m", "--version", "4"]);
    let bundles = [here.path("1.tar"), here.path("2.tar"), there.path("3.tar")];
    here.json(&["export", "m", "4", "-o", &bundles[0]]);
    here.json(&["export", "m", "4", "-o", &bundles[1]]);
    let imported = there.json(&["push", &bundles[0]]);
    assert_eq!((&imported["version"], &imported["digest"]), (&4.into(), &pushed["digest"]));
    assert_eq!(there.json(&["show", "m", "4"])["lineage"], here.json(&["show", "m", "4"])["lineage"]);
    there.json(&["export", "m", "4", "-o", &bundles[2]]);
    let [first, second, third] = bundles.map(|path| fs::read(path).unwrap());
    assert!(first == second && first == third, "the same bytes");
}

#[test]
fn verify_names_what_is_damaged_and_a_push_mends_it() {
    let bench = Bench::new();
    let model = bench.file("m.onnx", &affine4(1.0, 0.0));
    bench.json(&["push", &model, "--model", "m"]);
    assert_eq!(bench.command(&["store", "verify"]).code, Some(0));
    let part = find(Path::new(&bench.path("store/objects")));
    let mut content = fs::read(&part).unwrap();
    content[3] ^= 0x10;
    fs::remove_file(&part).unwrap();
    fs::write(&part, content).unwrap();
    let verified = bench.command(&["store", "verify"]);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    let name = part.file_name().unwrap().to_str().unwrap();
    assert!(verified.stdout.contains(name) && verified.stdout.contains("hit: m 1"), "{verified:?}");
    bench.refused(&["export", "m", "1", "-o", &bench.path("b.tar")], &["is damaged", name]);
    assert_eq!(bench.json(&["push", &model, "--model", "m"])["mended_parts"], 1);
    assert_eq!(bench.command(&["store", "verify"]).code, Some(0));
}

/// The only file below a folder.
fn find(folder: &Path) -> PathBuf {
    let entry = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    if entry.is_dir() { find(&entry) } else { entry }
}

/// How many pushes are killed; more by the environment for the long form.
fn n_kills() -> u32 {
    std::env::var("SWITCHRAIL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

#[test]
fn pushes_that_are_killed_leave_whole_versions_or_none() {
    let bench = Bench::new();
    // Distinct large models: several parts each.
    let content = |seed: u32| large(400 << 10, u64::from(seed));
    let started = Instant::now();
    bench.json(&["push", &bench.file("0.onnx", &content(0)), "--model", "m", "--label", "latest"]);
    let usual = started.elapsed();
    // Two at a time, so that they also wait for one another.
    let push_and_kill = |seed: u32| -> Option<Value> {
        let path = bench.file(&format!("{seed}.onnx"), &content(seed));
        let mut command = Command::new(binary());
        command.args(["push", &path, "--model", "m", "--label", "latest", "--json", "--store", &bench.path("store")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // Any moment of a push, and some beyond its end: multiples of the golden ratio visit all of them evenly.
        let moment = (f64::from(seed) * 0.618_033_988_75).fract() * 1.3;
        let until = Instant::now() + usual.mul_f64(moment);
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        // What was printed was acknowledged, whatever became of the process.
        serde_json::from_slice(&output.stdout).ok()
    };
    let n_kills = n_kills();
    let chain = |first: u32| (first..=n_kills).step_by(2).map(|seed| (seed, push_and_kill(seed))).collect::<Vec<_>>();
    let ended = thread::scope(|scope| {
        let chains = [1, 2].map(|first| scope.spawn(move || chain(first)));
        chains.map(|chain| chain.join().unwrap()).concat()
    });
    let verified = bench.command(&["store", "verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let there = bench.json(&["versions", "m"])["versions"].clone();
    for (seed, acknowledged) in &ended {
        let Some(pushed) = acknowledged else { continue };
        let found = there.as_array().unwrap().iter().find(|version| version["version"] == pushed["version"]);
        assert_eq!(found.unwrap()["digest"], pushed["digest"], "the acknowledged push {seed} is gone");
    }
    let n_acknowledged = ended.iter().filter(|(_, acknowledged)| acknowledged.is_some()).count();
    eprintln!("{n_acknowledged} of {} pushes were acknowledged before they were killed", ended.len());
    assert!(n_acknowledged < ended.len(), "no push was killed in time");
    // Nothing stands in the way of doing it again, and each content has one number.
    for (seed, _) in &ended {
        bench.json(&["push", &bench.path(&format!("{seed}.onnx")), "--model", "m", "--label", "latest"]);
    }
    let versions = bench.json(&["versions", "m"])["versions"].clone();
    let versions = versions.as_array().unwrap();
    assert_eq!(versions.len() as u32, n_kills + 1);
    let labelled: Vec<_> = versions.iter().filter(|version| version["labels"][0] == "latest").collect();
    assert_eq!(labelled.len(), 1);
    bench.json(&["store", "gc", "--grace", "0s"]);
    assert_eq!(bench.command(&["store", "verify"]).code, Some(0));
}
