//! Runs one client's driver and reads what it reports.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::clients::Client;
use super::gateway::Gateway;
use super::record::{Call, Outcome, Session};
use super::{ConformanceError, FOLDER, io_at, packages, tail};

/// A driver is given this long for all its calls.
const DRIVER_MAX: Duration = Duration::from_secs(900);

/// How often a driver that runs is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Lines of a driver's log that are shown when it breaks.
const LOG_LINES_MAX: usize = 5;

/// Settings that would send requests to the gateway elsewhere.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// Runs a driver to its end.
pub fn run(root: &Path, gateway: &Gateway, client: &Client) -> Result<Session, ConformanceError> {
    let lines = gateway.folder().join(format!("{}.jsonl", client.name));
    let log = gateway.folder().join(format!("{}.log", client.name));
    let python = packages::python(&root.join(".switchrail").join("conformance"), client);
    let place = json!({
        "http": gateway.http,
        "grpc": gateway.grpc,
        "metrics": gateway.metrics,
        "folder": gateway.folder(),
    });
    let mut command = Command::new(&python);
    command.arg("-B").arg(root.join(FOLDER).join("drivers").join(format!("{}.py", client.name)));
    command.arg(place.to_string()).current_dir(gateway.folder()).stdin(Stdio::null());
    command.stdout(File::create(&lines).map_err(io_at(&lines))?).stderr(File::create(&log).map_err(io_at(&log))?);
    for name in PROXIES {
        command.env_remove(name);
    }
    let ended = wait(command.spawn().map_err(io_at(&python))?).map_err(io_at(&python))?;
    let mut session = Session::new(client.name);
    for line in fs::read_to_string(&lines).map_err(io_at(&lines))?.lines() {
        // Half a line is what a driver that was ended leaves.
        if let Ok(line) = serde_json::from_str(line) {
            read(&mut session, &line);
        }
    }
    if !ended.is_some_and(|status| status.success()) {
        let log = fs::read(&log).map_err(io_at(&log))?;
        let last = tail(&String::from_utf8_lossy(&log), LOG_LINES_MAX);
        let how = ended.map_or_else(|| format!("after {} s", DRIVER_MAX.as_secs()), |status| status.to_string());
        session.calls.push(Call {
            name: "all calls".to_owned(),
            shows: "The driver comes to its end.".to_owned(),
            outcome: Outcome::Failed(format!("ended with {how}: {last}")),
        });
    }
    Ok(session)
}

/// Waits for a driver; `None` when it had to be ended.
fn wait(mut child: Child) -> std::io::Result<Option<ExitStatus>> {
    let until = Instant::now() + DRIVER_MAX;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(LOOK_INTERVAL);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn read(session: &mut Session, line: &Value) {
    if let Some(packages) = line["packages"].as_str() {
        session.packages = packages.to_owned();
    } else if let Some(call) = Call::from_json(line) {
        session.calls.push(call);
    }
}
