//! From a model file to a rollout that is over, with the real program on both sides of the store.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use control_store::Store;
use serde_json::Value;
use switchrail_tests::{Exit, Gateway, run, wait_until};
use testkit::onnx::{affine4, failing_when};

const ROUTING: &str = r#"
[models.m.guardrail]
limit = 0.05
[models.k.guardrail]
limit = 0.05
[policies.short]
steps = [{ gate = true }, { weight = 0.5, min_requests = 5 }, { promote = true, bake = "1s" }]
[policies.baking]
steps = [{ weight = 0.5, min_requests = 5 }, { promote = true, bake = "1h" }]
[policies.asked]
steps = [{ pause = "the model team" }, { promote = true }]
"#;

/// A gateway that serves from a store, and a folder for model files.
struct Place {
    gateway: Gateway,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let store = folder.path().join("store");
        // A gateway serves from a store that is there; this one is empty.
        Store::open(&store).unwrap();
        let gateway = Gateway::builder().arguments(&["--store", store.to_str().unwrap()]).routing(ROUTING).start();
        Self { gateway, folder }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Deploys a file as the next version of m.
    fn deploy(&self, content: &[u8], arguments: &[&str]) -> Exit {
        let file = self.file("model.onnx", content);
        let (store, admin) = (self.folder.path().join("store"), self.gateway.addresses().admin.to_string());
        let fixed = ["deploy", file.to_str().unwrap(), "--store", store.to_str().unwrap(), "--admin", &admin];
        run(&[&fixed[..], &["--model", "m", "--actor", "ci"], arguments].concat())
    }

    /// Deploys while callers send requests with this first float.
    fn deploy_under_traffic(&self, content: &[u8], arguments: &[&str], first: f32) -> Exit {
        std::thread::scope(|scope| {
            let deployed = scope.spawn(|| self.deploy(content, arguments));
            while !deployed.is_finished() {
                (0..5).for_each(|_| drop(self.gateway.ask("m", first)));
            }
            deployed.join().unwrap()
        })
    }
}

fn check(exit: &Exit, code: i32, parts: &[&str]) {
    assert_eq!(exit.code, Some(code), "{exit:?}");
    for part in parts {
        assert!(exit.stdout.contains(part), "{part:?} is not in: {}{}", exit.stdout, exit.stderr);
    }
}

#[test]
fn a_model_goes_from_its_file_to_all_traffic_by_one_command() {
    let place = Place::new();
    let first = place.deploy(&affine4(1.0, 0.0), &["--policy", "short", "--wait"]);
    check(&first, 0, &["version 1 of m is in the store", "the stable version of m: there is nothing to roll out"]);
    let arguments = ["--policy", "short", "--wait", "--reason", "a release", "--set", "dataset=may", "--tag", "1.1.0"];
    let second = place.deploy_under_traffic(&affine4(2.0, 0.0), &arguments, 1.0);
    check(&second, 0, &["version 2 of m is in the store", "100 % of the traffic", "version 2 is promoted: "]);
    assert!(!second.stdout.contains('\u{1b}'), "nothing is drawn: {}", second.stdout);
    assert_eq!(place.gateway.ask("m", 1.0).ok().version(), 2);
    let begun = place.gateway.wait_history("m", "rollout_started");
    assert_eq!(
        (&begun["actor"], begun["reason"].as_str().unwrap().contains("a release")),
        (&"ci".into(), true),
        "{begun}"
    );
    // The same again is no other version, and nothing happens to the traffic.
    let again = place.deploy(&affine4(2.0, 0.0), &["--policy", "short", "--wait"]);
    check(&again, 0, &["the same content is version 2 of m already", "nothing to roll out"]);
}

#[test]
fn a_version_that_fails_its_callers_ends_the_command_with_three() {
    let place = Place::new();
    check(&place.deploy(&affine4(1.0, 0.0), &[]), 0, &[]);
    let bad = failing_when(100.0, 1.0, 0.0);
    let exit = place.deploy_under_traffic(&bad, &["--policy", "short", "--wait", "--json"], 200.0);
    assert_eq!(exit.code, Some(3), "{exit:?}");
    let lines: Vec<Value> = exit.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((events.first(), events.last()), (Some(&"pushed"), Some(&"ended")), "{events:?}");
    assert!(lines.last().unwrap()["text"].as_str().unwrap().starts_with("version 2 is rolled back: "), "{lines:?}");
    assert_eq!((&lines[0]["version"], &lines[0]["new"]), (&2.into(), &true.into()));
}

#[test]
fn what_is_not_over_in_time_or_ends_otherwise_is_four_and_the_gateway_goes_on() {
    let place = Place::new();
    check(&place.deploy(&affine4(1.0, 0.0), &[]), 0, &[]);
    let waits = place.deploy(&affine4(2.0, 0.0), &["--policy", "asked", "--wait", "--timeout", "2s"]);
    check(&waits, 4, &["not over after 2 s", "the model team", "switchrail rollout status m"]);
    assert_eq!(place.gateway.rollout_status("m"), "awaiting_approval");
    // A pipeline that is run again takes up where it was.
    let (status, _) = std::thread::scope(|scope| {
        let again = scope.spawn(|| place.deploy(&affine4(2.0, 0.0), &["--policy", "asked", "--wait"]));
        std::thread::sleep(std::time::Duration::from_millis(300));
        place.gateway.order("m", "rollout/abort", serde_json::json!({ "actor": "ann", "reason": "a feeling" }));
        let exit = again.join().unwrap();
        (exit.code, exit)
    });
    assert_eq!(status, Some(4));
}

#[test]
fn all_traffic_is_enough_where_that_is_asked_for() {
    let place = Place::new();
    check(&place.deploy(&affine4(1.0, 0.0), &[]), 0, &[]);
    let arguments = ["--policy", "baking", "--wait=promoted"];
    let exit = place.deploy_under_traffic(&affine4(2.0, 0.0), &arguments, 1.0);
    check(&exit, 0, &["version 2 has all traffic; its promotion is not confirmed yet"]);
    assert_eq!(place.gateway.rollout_status("m"), "baking");
}

#[test]
fn what_cannot_be_deployed_is_told_before_anything_is_in_force() {
    let place = Place::new();
    check(&place.deploy(&affine4(1.0, 0.0), &[]), 0, &[]);
    let refused = place.deploy(b"no model", &["--wait"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("refused ["), "{refused:?}");
    let unknown = place.deploy(&affine4(3.0, 0.0), &["--policy", "nope"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("[policy_unknown]"), "{unknown:?}");
    // Nobody listens there: nothing is pushed.
    let file = place.file("other.onnx", &affine4(4.0, 0.0));
    let elsewhere = place.folder.path().join("elsewhere");
    let arguments = ["deploy", file.to_str().unwrap(), "--model", "m", "--store", elsewhere.to_str().unwrap()];
    let exit = run(&[&arguments[..], &["--admin", "127.0.0.1:1"]].concat());
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(exit.stderr.contains("cannot reach the gateway") && !elsewhere.exists(), "{exit:?}");
    // A gateway that serves from elsewhere never has it.
    let exit =
        run(&[&arguments[..], &["--admin", &place.gateway.addresses().admin.to_string(), "--timeout", "1s"]].concat());
    assert_ne!(exit.code, Some(0), "{exit:?}");
}

/// Runs git in a folder.
fn git(folder: &std::path::Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]);
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_commit_that_is_live_is_shown_wherever_one_looks() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).routing("[models.m]\nstable = 1\n");
    let folder = builder.routing_file().parent().unwrap().to_owned();
    git(&folder, &["init", "--quiet", "--initial-branch=main"]);
    git(&folder, &["remote", "add", "origin", "https://ann:secret@git.example/team/routing.git"]);
    git(&folder, &["add", "routing.toml"]);
    git(&folder, &["commit", "--quiet", "--message", "one"]);
    let first = git(&folder, &["rev-parse", "HEAD"]);
    let gateway = builder.start();
    let source = |gateway: &Gateway| gateway.admin("/v1/config")["source"].clone();
    let found = source(&gateway);
    assert_eq!(
        (&found["commit"], &found["dirty"], &found["branch"]),
        (&first.clone().into(), &false.into(), &"main".into())
    );
    assert_eq!(found["remote"], "https://git.example/team/routing.git");
    assert_eq!(gateway.admin("/v1/status")["config"]["source"], found);
    let short = &first[..12];
    assert_eq!(gateway.metric("switchrail_config_commit_info", &[("commit", short), ("dirty", "false")]), 1.0);
    let shown = run(&["status", "--admin", &gateway.addresses().admin.to_string()]);
    assert!(shown.stdout.contains(&format!("commit {short}")), "{shown:?}");

    // An edit that nobody committed is live, and said to be what it is.
    gateway.write_routing("[models.m]\nstable = 1\nlabels = { champion = 1 }\n");
    wait_until("the edit to be live", || source(&gateway)["dirty"] == true);
    assert_eq!(source(&gateway)["commit"], *first);
    let accepted = || {
        let rows = gateway.admin("/v1/history?limit=100")["rows"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["action"] == "config_accepted").unwrap()
    };
    let row = accepted();
    assert_eq!(
        (&row["evidence"]["source"]["commit"], &row["evidence"]["source"]["dirty"]),
        (&first.clone().into(), &true.into())
    );
    assert!(row["reason"].as_str().unwrap().starts_with(&format!("commit {short} with changes")), "{row}");

    // The commit follows it, and changes nothing but its name.
    git(&folder, &["commit", "--quiet", "--all", "--message", "two"]);
    let second = git(&folder, &["rev-parse", "HEAD"]);
    wait_until("the commit to be told", || source(&gateway)["commit"] == *second);
    assert_eq!(source(&gateway)["dirty"], false);
    assert_eq!(gateway.metric("switchrail_config_commit_info", &[]), 1.0, "one series at a time");

    // Back to the first by Git: that one is live, and the journal says so.
    git(&folder, &["reset", "--quiet", "--hard", &first]);
    wait_until("the first commit to be live again", || source(&gateway)["commit"] == *first);
    wait_until("the way back to be recorded", || accepted()["evidence"]["source"]["commit"] == *first);
}

#[test]
fn beside_no_repository_nothing_is_said_of_commits() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).routing("[models.m]\nstable = 1\n").start();
    assert!(gateway.admin("/v1/config")["source"].is_null());
    assert_eq!(gateway.metric("switchrail_config_commit_info", &[]), 0.0);
}

/// The commands of a file of docs/ci, each as it would be called.
fn commands(text: &str) -> Vec<String> {
    // What goes on in the next line, by a backslash or by YAML's folding of what is indented further.
    let joined = text.replace("\\\n", " ");
    let mut commands: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in joined.lines() {
        let line = line.trim();
        match line.find("switchrail ").filter(|_| !line.starts_with('#')) {
            Some(at) if matches!(line[..at].trim(), "" | "-" | "run:") => {
                commands.push(line[at..].to_owned());
                is_open = true;
            }
            _ if is_open && line.starts_with("--") => {
                let last = commands.last_mut().unwrap();
                last.push_str(&format!(" {line}"));
            }
            _ => is_open = false,
        }
    }
    commands
}

#[test]
fn the_commands_of_the_examples_for_pipelines_are_those_of_the_program() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ci");
    let mut n_commands = 0;
    for name in ["github/validate.yml", "github/deploy.yml", "gitlab/.gitlab-ci.yml"] {
        for command in commands(&fs::read_to_string(folder.join(name)).unwrap()) {
            let command = command.split(">>").next().unwrap().split("||").next().unwrap();
            let words: Vec<String> =
                command.split_whitespace().skip(1).map(|w| w.trim_matches('"').to_owned()).collect();
            // Variables stand for something that fits; what is said twice in quotes is one word.
            let fit = |word: &String| match word.as_str() {
                "${GITHUB_REF_NAME#fraud-v}" | "${CI_COMMIT_TAG#fraud-v}" => "2.1.0".to_owned(),
                "$MODEL" => "fraud".to_owned(),
                other => other.to_owned(),
            };
            let joined = words.iter().map(fit).collect::<Vec<_>>().join(" ").replace("tag $", "tag-$");
            let mut arguments: Vec<&str> = joined.split(' ').filter(|word| !word.is_empty()).collect();
            // Everything before it is understood, or it is an error.
            arguments.push("--help");
            let exit = run(&arguments);
            assert_eq!(exit.code, Some(0), "{name}: switchrail {}: {}", arguments.join(" "), exit.stderr);
            n_commands += 1;
        }
    }
    assert_eq!(n_commands, 8);
    assert_eq!(run(&["deploy", "m.onnx", "--no-such-flag", "--help"]).code, Some(2), "the check above can fail");
}
