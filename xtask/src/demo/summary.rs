//! The end of the demo: what happened in numbers, the journal, and what to try by hand.

use std::fs;

use super::gateway::Gateway;
use super::screen::{Ink, Screen, count};
use super::stage::{FAULTY, SECOND, Stage};
use super::tally::Caught;
use super::traffic::{MODEL, infer_url, lock};
use super::{DemoError, io_at};

/// Rows of the journal shown.
const HISTORY_ROWS: &str = "30";

/// A body for curl, in the demo's folder.
const REQUEST_FILE: &str = "request.json";

/// Shows the summary. Failures of callers make it an error.
pub fn show(stage: &mut Stage, caught: &Caught) -> Result<(), DemoError> {
    stage.screen.act("The journal: who changed what, and on what evidence");
    stage.screen.command(&format!("switchrail history --model {MODEL}"));
    let (is_done, text) = stage.gateway.command(&["history", "--model", MODEL, "--limit", HISTORY_ROWS])?;
    stage.screen.quote(&text);
    if !is_done {
        return Err(DemoError::NotAsTold("switchrail history should succeed".to_owned()));
    }
    let path = stage.gateway.place().folder.join(REQUEST_FILE);
    fs::write(&path, &stage.samples[0].body).map_err(io_at(&path))?;
    stage.screen.act("Summary");
    let tally = lock(&stage.tally);
    let screen = &mut stage.screen;
    let row = |screen: &mut Screen, what: &str, value: String| screen.say(&format!("{what:<34} {value}"));
    row(screen, "requests sent", count(tally.n_requests));
    let failed = screen.ink(if tally.n_failed == 0 { Ink::Green } else { Ink::Red }, &count(tally.n_failed));
    row(screen, "failed for callers", failed);
    row(screen, "answered under a false name", count(tally.n_misattributed));
    for (version, n_answers) in &tally.per_version {
        row(screen, &format!("answers of version {version}"), count(*n_answers));
    }
    for (reason, n_answers) in &tally.per_reason {
        row(screen, &format!("answers with reason {reason}"), count(*n_answers));
    }
    row(screen, "first fault to rollback", format!("{} ms", caught.took_ms));
    let requests = format!("{} to version {FAULTY}, {} of them faults", caught.n_requests, caught.n_faults);
    row(screen, "requests until rollback", requests);
    row(screen, "requests routed to it afterwards", count(caught.n_late));
    if tally.n_failed > 0 || tally.n_misattributed > 0 {
        return Err(DemoError::NotAsTold(format!("callers were let down: {}", tally.failures.join("; "))));
    }
    Ok(())
}

/// Shows what a person may try while the gateway goes on running.
pub fn by_hand(screen: &mut Screen, gateway: &Gateway) {
    let Gateway { http, metrics, admin, .. } = gateway;
    let place = gateway.place();
    let (binary, folder) = (place.binary.display(), place.folder.display());
    screen.act("The gateway goes on running: try it by hand (Ctrl-C ends it)");
    screen.say("Ask for a prediction; the headers say who answered:");
    screen.command(&format!("curl -si -d @{folder}/{REQUEST_FILE} {} | head -c 800", infer_url(http, None)));
    screen.say("See what is in force, why, and how it came about:");
    screen.command(&format!("export SWITCHRAIL_ADMIN={admin}"));
    for command in ["status", &format!("explain {MODEL}"), &format!("history --model {MODEL}")] {
        screen.command(&format!("{binary} {command}"));
    }
    screen.command(&format!("curl -s http://{metrics}/metrics | grep switchrail_requests_total"));
    screen.say("Change it:");
    screen.command(&format!("{binary} rollback {MODEL} --to 1 --no-quarantine --reason trying"));
    screen.command(&format!("{binary} canary {MODEL} --version {SECOND} --share 50% --reason trying"));
    screen.command(&format!("{binary} release {MODEL} --version {FAULTY} --reason trying"));
    screen.command(&format!("$EDITOR {}", place.routing().display()));
    screen.command(&format!("ls {}", place.repository().display()));
}
