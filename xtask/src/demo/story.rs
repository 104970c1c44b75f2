//! The story: version 1 serves, version 2 proves itself and takes over, version 3 is caught.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use testkit::onnx::derive::{Effect, Fault, When, faulty};

use super::admin::RollbackView;
use super::interrupt::pause;
use super::labels::Guess;
use super::screen::{count, tail};
use super::stage::{FAULTY, FIRST, OLD, SECOND, Stage, read};
use super::summary;
use super::tally::{Caught, Reply};
use super::traffic::{MODEL, agent, ask, infer_url, lock, post};
use super::{DemoError, io_at};

/// Anything that takes longer than this is not going to happen.
const PATIENCE: Duration = Duration::from_secs(300);

/// The canaries' share of the traffic.
const CANARY_SHARE: &str = "25%";

/// Files whose content types are shown.
const SHOWN_FILES: usize = 7;

/// Columns of their paths.
const SHOWN_PATH_COLUMNS: usize = 31;

/// Files about which two versions are compared.
const COMPARED_FILES: usize = 48;

/// The faulty version fails at this part of the files at least.
const FAULTY_PART: f64 = 0.2;

/// After a swap, traffic is watched this long for requests that come too late.
const AFTERMATH: Duration = Duration::from_millis(1_000);

/// Plays all acts.
pub fn play(stage: &mut Stage) -> Result<(), DemoError> {
    first_serves(stage)?;
    second_arrives(stage)?;
    old_is_refused(stage)?;
    second_proves_itself(stage)?;
    second_is_promoted(stage)?;
    let caught = faulty_is_caught(stage)?;
    quarantine_holds(stage)?;
    stage.stop_traffic();
    summary::show(stage, &caught)
}

fn first_serves(stage: &mut Stage) -> Result<(), DemoError> {
    let release = stage.releases.first.version;
    stage.screen.act(&format!("1. Version 1 serves: magika {release}, which tells what is in a file"));
    let folder = stage.gateway.place().folder.display().to_string();
    stage.screen.say(&format!("The gateway runs in {folder}, on ports of its own."));
    let n_files = stage.samples.len();
    stage.screen.say(&format!("Callers send {} files of this machine. Some of the answers:", count(n_files as u64)));
    let mut labels_shown = BTreeSet::new();
    let (agent, url) = (agent(), infer_url(&stage.gateway.http, None));
    for index in 0..n_files {
        let reply = ask(&agent, &url, &stage.samples[index].body).map_err(DemoError::NotAsTold)?;
        let guess = guess(stage, &reply)?;
        if labels_shown.insert(guess.label.clone()) {
            let path = stage.samples[index].path.display().to_string();
            let Guess { description, score, .. } = guess;
            stage.screen.quote(&format!(
                "{description:<32} {:>5.1} %  {}",
                score * 100.0,
                tail(&path, SHOWN_PATH_COLUMNS)
            ));
        }
        if labels_shown.len() == SHOWN_FILES {
            break;
        }
    }
    stage.start_traffic();
    stage.linger()?;
    Ok(())
}

fn second_arrives(stage: &mut Stage) -> Result<(), DemoError> {
    let release = stage.releases.second.version;
    stage.screen.act(&format!("2. Version 2 arrives while version 1 serves: magika {release}, other weights"));
    stage.screen.command(&format!("cp -r magika-{release} models/{MODEL}/{SECOND}"));
    stage.publish(SECOND, &read(&stage.releases.second.model())?)?;
    let seconds = wait_until_ready(stage, SECOND)?;
    stage.screen.good(&format!("Version 2 was loaded, checked and warmed in {seconds:.1} s. It takes no traffic."));
    let (n_same, furthest) = compare(stage)?;
    stage.screen.good(&format!(
        "Asked for by number it answers: the same type as version 1 for {n_same} of {COMPARED_FILES} files, with \
         scores up to {furthest:.2} apart."
    ));
    let model = stage.linger()?;
    expect(share(&model, SECOND) == 0.0, "version 2 takes no traffic by itself")
}

fn old_is_refused(stage: &mut Stage) -> Result<(), DemoError> {
    let release = stage.releases.old.version;
    stage.screen.act(&format!("3. An old model with another contract is refused: magika {release}"));
    stage.screen.command(&format!("cp -r magika-{release} models/{MODEL}/{OLD}"));
    stage.publish(OLD, &read(&stage.releases.old.model())?)?;
    wait_until_ready(stage, OLD)?;
    let model = stage.admin.model()?;
    for number in [FIRST, OLD] {
        let signature = model.versions.iter().find(|v| v.version == number).map(|v| v.signature.as_str());
        stage.screen.quote(&format!("version {number}: {}", signature.unwrap_or_default()));
    }
    let (is_done, text) =
        operate(stage, &["canary", MODEL, "--version", "9", "--share", CANARY_SHARE, "--reason", "newest number"])?;
    stage.screen.quote(&text);
    expect(!is_done, "a canary with another contract is refused")?;
    expect(text.contains("2048") && text.contains("1536"), "the refusal shows both signatures")?;
    stage.screen.good("Its callers would have got errors; nobody's traffic has moved.");
    let folder = stage.repository.version_folder(MODEL, OLD);
    stage.screen.command(&format!("rm -r models/{MODEL}/{OLD}"));
    stage.repository.remove(MODEL, OLD).map_err(io_at(&folder))?;
    stage.watch("the removal of version 9", PATIENCE, |sight| {
        sight.model.versions.iter().all(|v| v.version != OLD || v.state == "unloaded")
    })?;
    Ok(())
}

fn second_proves_itself(stage: &mut Stage) -> Result<(), DemoError> {
    stage.screen.act("4. Version 2 becomes a canary and proves itself");
    must(stage, &["canary", MODEL, "--version", "2", "--share", CANARY_SHARE, "--reason", "new weights"])?;
    let (is_done, text) = operate(stage, &["promote", MODEL])?;
    stage.screen.quote(&text);
    expect(!is_done, "a promotion without proof is refused")?;
    let model = stage.watch("the proof of version 2", PATIENCE, |sight| {
        sight.model.trial.as_ref().is_some_and(|trial| trial.is_proven)
    })?;
    let trial = model.trial.unwrap_or_default();
    stage.screen.good(&format!(
        "Proven after {} requests to version 2: that its fault rate is 1 % or more is refuted at the 5 % level, however \
         often one looks.",
        count(trial.n_requests)
    ));
    Ok(())
}

fn second_is_promoted(stage: &mut Stage) -> Result<(), DemoError> {
    stage.screen.act("5. Version 2 is promoted");
    must(stage, &["promote", MODEL, "--confirm", "--reason", "proven"])?;
    let (mark, scene, generation) = (stage.mark(), stage.scene, stage.admin.model()?.generation);
    let model = stage.watch_from(mark, "the end of a scene", PATIENCE, |sight| sight.lasted >= scene)?;
    expect(model.stable == Some(SECOND) && model.phase == "settled", "version 2 is stable, for good")?;
    expect_second_only(stage, generation)?;
    stage.screen.good(
        "Every request routed since then was answered by version 2. Version 1 stays loaded, as the one to go back to.",
    );
    Ok(())
}

fn faulty_is_caught(stage: &mut Stage) -> Result<Caught, DemoError> {
    stage.screen.act("6. Version 3 is faulty: version 2 that answers NaN for part of its inputs");
    let (bytes, n_hit) = faulty_bytes(stage);
    let shown: Vec<String> = bytes.iter().map(|byte| show_byte(*byte)).collect();
    let part = 100.0 * n_hit as f64 / stage.samples.len() as f64;
    stage
        .screen
        .say(&format!("It fails at files that begin with {}: {part:.0} % of what is sent.", shown.join(" or ")));
    let fault = Fault {
        input: "bytes".to_owned(),
        column: 0,
        when: When::OneOf(bytes.iter().map(|byte| f32::from(*byte)).collect()),
        output: "target_label".to_owned(),
        effect: Effect::Nan,
    };
    let content = faulty(&read(&stage.releases.second.model())?, &fault)?;
    stage.screen.command(&format!("cp -r magika-broken models/{MODEL}/{FAULTY}"));
    stage.publish(FAULTY, &content)?;
    wait_until_ready(stage, FAULTY)?;
    stage
        .screen
        .say("It loads and warms up without complaint. This time the canary is started by an edit of the live file:");
    let routing = format!("[models.{MODEL}]\nstable = {SECOND}\nsplit = {{ {SECOND} = 75, {FAULTY} = 25 }}\n");
    stage.screen.command("$EDITOR routing.toml");
    stage.screen.quote(&routing);
    let mark = stage.mark();
    let path = stage.gateway.place().routing();
    fs::write(&path, routing).map_err(io_at(&path))?;
    stage.watch_from(mark, "the rollback of version 3", PATIENCE, |sight| {
        sight.model.versions.iter().any(|v| v.version == FAULTY && v.state == "quarantined")
    })?;
    let rollback = rollback(stage)?;
    stage.watch_from(mark, "the aftermath", PATIENCE, |sight| sight.lasted >= AFTERMATH)?;
    let caught = lock(&stage.tally).caught(mark, FAULTY, rollback.generation, rollback.at_unix_ms);
    let caught = caught.ok_or_else(|| DemoError::NotAsTold("no caller met a fault of version 3".to_owned()))?;
    expect(caught.n_late == 0, "no request reaches version 3 after the swap")?;
    tell(stage, &rollback, &caught);
    Ok(caught)
}

fn tell(stage: &mut Stage, rollback: &RollbackView, caught: &Caught) {
    stage.screen.good(&format!(
        "Rolled back {} ms after the first request that met the fault was sent. By then version 3 had been given {} \
         requests; {} of them were answered by version 2 instead, and no caller noticed.",
        caught.took_ms,
        count(caught.n_requests),
        caught.n_faults
    ));
    let (log_e, threshold) = rollback.doubt;
    stage.screen.good(&format!(
        "The verdict: rule \"{}\", {} faults among {} requests, ln E {log_e:.2} where {threshold:.2} is enough.",
        rollback.rule, rollback.n_faults, rollback.n_requests
    ));
}

fn quarantine_holds(stage: &mut Stage) -> Result<(), DemoError> {
    stage.screen.act("7. Version 3 stays out, whatever happens");
    stage.screen.command(&format!("curl -d @request.json {}", infer_url(&stage.gateway.http, Some(FAULTY))));
    let url = infer_url(&stage.gateway.http, Some(FAULTY));
    let (status, _, text) = post(&agent(), &url, &stage.samples[0].body).map_err(DemoError::NotAsTold)?;
    stage.screen.quote(&format!("{status} {text}"));
    expect(status >= 400, "a version in quarantine does not answer")?;
    stage.stop_traffic();
    stage.screen.command("kill -9 $(pidof switchrail); switchrail serve …");
    stage.kill_and_restart()?;
    stage.start_traffic();
    let mark = stage.mark();
    let scene = stage.scene / 2;
    let model = stage.watch_from(mark, "the restart", PATIENCE, |sight| {
        sight.lasted >= scene && sight.recent.per_version.contains_key(&SECOND)
    })?;
    let state = model.versions.iter().find(|v| v.version == FAULTY).map(|v| v.state.as_str());
    expect(state == Some("quarantined"), "version 3 is still in quarantine")?;
    expect(model.stable == Some(SECOND), "version 2 is still stable")?;
    expect_second_only(stage, model.generation)?;
    stage
        .screen
        .good("The journal kept it: version 2 serves, version 3 is out, although routing.toml still asks for 25 %.");
    Ok(())
}

/// Requests that were under way at a switch keep the version they were given; those routed since must not.
fn expect_second_only(stage: &Stage, generation: u64) -> Result<(), DemoError> {
    let versions = lock(&stage.tally).versions_since(generation);
    expect(versions == [SECOND].into(), &format!("version 2 answers everything since generation {generation}"))
}

/// Waits until a version is loaded; the seconds that took.
fn wait_until_ready(stage: &mut Stage, version: u64) -> Result<f64, DemoError> {
    let find = |versions: &[super::admin::VersionView]| versions.iter().find(|v| v.version == version).cloned();
    let what = format!("the load of version {version}");
    let model = stage.watch(&what, PATIENCE, |sight| {
        find(&sight.model.versions).is_some_and(|v| v.state == "ready" || v.state == "failed")
    })?;
    let found = find(&model.versions).unwrap_or_default();
    expect(found.state == "ready", &format!("version {version} is loaded ({})", found.reason))?;
    Ok(found.load_seconds)
}

/// Asks versions 1 and 2 about the same files: for how many they say the same, and how far scores are apart.
fn compare(stage: &Stage) -> Result<(usize, f32), DemoError> {
    let agent = agent();
    let (mut n_same, mut furthest) = (0, 0.0_f32);
    for sample in stage.samples.iter().take(COMPARED_FILES) {
        let ask = |version| {
            let url = infer_url(&stage.gateway.http, Some(version));
            ask(&agent, &url, &sample.body).map_err(DemoError::NotAsTold)
        };
        let (first, second) = (ask(FIRST)?, ask(SECOND)?);
        expect(first.version == FIRST && second.version == SECOND, "a pinned request gets the version it names")?;
        n_same += usize::from(guess(stage, &first)?.label == guess(stage, &second)?.label);
        furthest = first.scores.iter().zip(&second.scores).map(|(a, b)| (a - b).abs()).fold(furthest, f32::max);
    }
    Ok((n_same.min(COMPARED_FILES), furthest))
}

fn guess(stage: &Stage, reply: &Reply) -> Result<Guess, DemoError> {
    let labels = stage.labels.get(&reply.version);
    let guess = labels.and_then(|labels| labels.guess(&reply.scores));
    guess.ok_or_else(|| DemoError::NotAsTold(format!("version {} has no labels", reply.version)))
}

/// The commonest first bytes that together begin enough of the files, and how many files that are.
fn faulty_bytes(stage: &Stage) -> (Vec<u8>, usize) {
    let mut n_files = [0_usize; 256];
    for sample in stage.samples.iter() {
        n_files[usize::from(sample.first_byte)] += 1;
    }
    let mut by_count: Vec<u8> = (0..=u8::MAX).collect();
    by_count.sort_by_key(|byte| std::cmp::Reverse(n_files[usize::from(*byte)]));
    let (mut bytes, mut n_hit) = (Vec::new(), 0);
    for byte in by_count {
        bytes.push(byte);
        n_hit += n_files[usize::from(byte)];
        if n_hit as f64 >= FAULTY_PART * stage.samples.len() as f64 {
            break;
        }
    }
    (bytes, n_hit)
}

fn show_byte(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("'{}'", char::from(byte)) } else { format!("0x{byte:02x}") }
}

/// The journal's entry of the rollback; it may be written just after the swap.
fn rollback(stage: &Stage) -> Result<RollbackView, DemoError> {
    for _ in 0..50 {
        if let Some(rollback) = stage.admin.rollback_of(FAULTY)? {
            return Ok(rollback);
        }
        pause(Duration::from_millis(100))?;
    }
    Err(DemoError::NotAsTold("the journal has no rollback of version 3".to_owned()))
}

fn share(model: &super::admin::ModelView, version: u64) -> f64 {
    model.versions.iter().find(|v| v.version == version).map_or(0.0, |v| v.share)
}

/// Types a command of the program, and shows it.
fn operate(stage: &mut Stage, arguments: &[&str]) -> Result<(bool, String), DemoError> {
    let shown: Vec<String> =
        arguments.iter().map(|a| if a.contains(' ') { format!("\"{a}\"") } else { (*a).to_owned() }).collect();
    stage.screen.command(&format!("switchrail {}", shown.join(" ")));
    stage.gateway.command(arguments)
}

/// [`operate`] that has to succeed.
fn must(stage: &mut Stage, arguments: &[&str]) -> Result<(), DemoError> {
    let (is_done, text) = operate(stage, arguments)?;
    stage.screen.quote(&text);
    expect(is_done, &format!("switchrail {} succeeds", arguments[0]))
}

fn expect(is_so: bool, what: &str) -> Result<(), DemoError> {
    if is_so { Ok(()) } else { Err(DemoError::NotAsTold(format!("it should be that {what}"))) }
}
