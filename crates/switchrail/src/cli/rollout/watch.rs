//! `switchrail rollout status`, once or again and again until the rollout is over.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use base_types::{Clock, ModelName, RolloutStatus, SystemClock};
use clap::Args;
use control_admin::time;
use serde_json::Value;

use super::screen::{Paint, line, page};
use crate::cli::answers::Rollout;
use crate::cli::gateway::{Gateway, GatewayArguments};
use crate::cli::{CliError, Finished, print, print_json, printable, with_causes};

/// How often the view is drawn anew.
const REFRESH: Duration = Duration::from_secs(1);
/// How often a report is looked for that is to be written at the end of a rollout.
const REPORT_LOOKS_MAX: u32 = 10;
/// The exit code of a rollout that a rule ended.
const ROLLED_BACK: u8 = 3;
/// The exit code of a rollout that a person or another candidate ended.
const ABORTED: u8 = 4;

/// Arguments of `switchrail rollout status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// The model
    model: ModelName,
    /// Show it every second until it is over; the exit code tells how it ended
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Runs the command.
pub(super) fn run(arguments: &StatusArguments) -> Finished {
    let gateway = arguments.gateway.gateway()?;
    let path = format!("/v1/models/{}/rollout", arguments.model);
    if arguments.watch {
        let is_drawn = std::io::stdout().is_terminal();
        return Watch {
            gateway,
            path,
            is_drawn,
            is_json: arguments.gateway.json,
            number: None,
            last: None,
            n_waited: 0,
        }
        .run();
    }
    let answer = gateway.get(&path, &[])?;
    if arguments.gateway.json {
        print_json(&answer)?;
    } else {
        let rollout = gateway.read_as::<Rollout>(clean(answer))?;
        print(&page(&rollout, SystemClock.unix_ms(), Paint::Plain))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A rollout being watched.
struct Watch {
    gateway: Gateway,
    path: String,
    /// Whether it is drawn on a terminal, in place.
    is_drawn: bool,
    is_json: bool,
    /// Which rollout of the model.
    number: Option<u32>,
    /// What was said last, where only changes are.
    last: Option<String>,
    /// Looks for a report that was not there yet.
    n_waited: u32,
}

impl Watch {
    fn run(mut self) -> Finished {
        loop {
            match self.look() {
                Ok(Some(code)) => {
                    if self.is_drawn && !self.is_json {
                        draw("\n")?;
                    }
                    return Ok(code);
                }
                Ok(None) => {}
                // A gateway that restarts is worth watching.
                Err(error @ CliError::Unreachable { .. }) => self.say(&with_causes(&error))?,
                Err(error) => return Err(error),
            }
            std::thread::sleep(REFRESH);
        }
    }

    /// Shows how it stands; the exit code, once it is over.
    fn look(&mut self) -> Result<Option<ExitCode>, CliError> {
        let answer = self.gateway.get(&self.path, &[])?;
        let json = self.is_json.then(|| answer.clone());
        let rollout = self.gateway.read_as::<Rollout>(clean(answer))?;
        let is_first = self.number.is_none();
        let watched = *self.number.get_or_insert(rollout.number);
        if rollout.number != watched {
            return self.ended_before(watched);
        }
        match json {
            Some(json) => print(&format!("{json}\n"))?,
            None if self.is_drawn => {
                let text = page(&rollout, SystemClock.unix_ms(), Paint::of_terminal());
                // Cleared once: later pages are written over the one before, so that nothing flickers.
                let clear = if is_first { "\x1b[2J" } else { "" };
                draw(&format!("{clear}{}", in_place(&text)))?;
            }
            None => self.say(&line(&rollout))?,
        }
        Ok(outcome(&rollout.status))
    }

    /// Another rollout has begun since the last look: how the one watched ended, its report says.
    fn ended_before(&mut self, watched: u32) -> Result<Option<ExitCode>, CliError> {
        let report = self.gateway.get(&format!("{}/report", self.path), &[("number", watched.to_string())]);
        let report = match report {
            // It is written a moment after the end.
            Err(CliError::Refused { code, .. }) if code == "no_report" && self.n_waited < REPORT_LOOKS_MAX => {
                self.n_waited += 1;
                return Ok(None);
            }
            report => report?,
        };
        let status = report["rollout"]["status"].as_str().unwrap_or_default().to_owned();
        let why = report["rollout"]["why"].as_str().unwrap_or_default();
        if !self.is_json {
            print(&format!("\nrollout {watched} is {status}: {why}; another has begun since\n"))?;
        }
        Ok(Some(outcome(&status).unwrap_or(ExitCode::FAILURE)))
    }

    /// Says a line, unless it is the one said last; over the top of the page, where there is one.
    fn say(&mut self, text: &str) -> Result<(), CliError> {
        if self.is_json {
            // What reads the JSON is to meet nothing else.
            eprintln!("switchrail: {}", printable(text));
            return Ok(());
        }
        if self.is_drawn && self.number.is_some() {
            return draw(&in_place(text).replace("\x1b[J", ""));
        }
        if self.last.as_deref() != Some(text) {
            print(&format!("{}  {text}\n", time::rfc3339(SystemClock.unix_ms())))?;
            self.last = Some(text.to_owned());
        }
        Ok(())
    }
}

/// The exit code of a status; `None` while the rollout is under way.
pub(super) fn outcome(status: &str) -> Option<ExitCode> {
    match RolloutStatus::parse(status)? {
        RolloutStatus::Promoted => Some(ExitCode::SUCCESS),
        RolloutStatus::RolledBack => Some(ROLLED_BACK.into()),
        RolloutStatus::Aborted | RolloutStatus::Replaced => Some(ABORTED.into()),
        RolloutStatus::Running
        | RolloutStatus::AwaitingApproval
        | RolloutStatus::Paused
        | RolloutStatus::Held
        | RolloutStatus::Baking => None,
    }
}

/// A page written over the one before: each line at its place and cleared to its end, and what is below too. Lines that
/// are too long are cut and not wrapped, and those below the terminal's last one do not make it scroll.
fn in_place(text: &str) -> String {
    let line = |(at, line): (usize, &str)| format!("\x1b[{};1H{line}\x1b[K", at + 1);
    let lines: String = text.lines().enumerate().map(line).collect();
    format!("\x1b[?7l{lines}\x1b[J\x1b[?7h")
}

/// Control sequences do not pass through `print`, which lets none through.
fn draw(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Output)
}

/// The answer with nothing in its texts that could steer the terminal.
pub(super) fn clean(mut value: Value) -> Value {
    match &mut value {
        Value::String(text) => *text = printable(text).replace('\n', " "),
        Value::Array(values) => values.iter_mut().for_each(|value| *value = clean(value.take())),
        Value::Object(fields) => fields.values_mut().for_each(|value| *value = clean(value.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    value
}

#[cfg(test)]
mod tests;
