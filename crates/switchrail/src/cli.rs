//! The operator's commands: what is, what was, what would be, and the orders. Most ask the gateway's admin API;
//! `check`, `doctor` and some forms of the others work without one.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 not understood (clap's own); `rollout status --watch` tells by 3 and 4 how
//! the rollout ended, `replay` by 3 that the answer is another one.
//!
//! Reading order: `gateway` (asking the admin API), `answers` (what it answers), `words` (figures as people read
//! them), then a module for each command.

mod answers;
mod captures;
mod check;
mod compare;
mod deploy;
mod doctor;
mod experiment;
mod explain;
mod gateway;
mod history;
mod mlflow;
mod order;
mod past;
mod push;
mod replay;
mod rollout;
mod sign;
mod status;
mod store;
mod validate;
mod versions;
mod words;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use thiserror::Error;

/// Commands for operators.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows what is in force: models, versions, shares, trials and their evidence, quarantine
    Status(status::StatusArguments),
    /// Shows who or what changed routing, when, from what to what, and on what evidence
    History(history::HistoryArguments),
    /// Shows exactly what served at a moment: versions, contents, shares, rules, and who had changed it last
    At(past::AtArguments),
    /// Writes a model's change log: by version what changed, why, how it did, what became of it, and when it served
    Changelog(past::ChangelogArguments),
    /// Brings the split of one or all models back as it was at a moment
    Restore(past::RestoreArguments),
    /// Whether the record is as it was written
    #[command(subcommand)]
    Audit(past::AuditCommand),
    /// Gives a version a share of the traffic, judged against the stable version
    Canary(order::CanaryArguments),
    /// Gives a version all traffic; the stable version stays ready until that is confirmed
    Promote(order::PromoteArguments),
    /// Takes candidates out of the traffic, or returns to the version confirmed before
    Rollback(order::RollbackArguments),
    /// Lets a quarantined version back
    Release(order::ReleaseArguments),
    /// Says that a failed gate does not matter for the content of a version
    Override(order::OverrideArguments),
    /// Asks the gates of a version here, before it goes anywhere; exit code 0 passed, 1 failed, 2 nothing could be asked
    Validate(validate::ValidateArguments),
    /// Signs the content of a version, for gates with keys
    Sign(sign::SignArguments),
    /// Makes a key to sign with, and prints its public half
    Keygen(sign::KeygenArguments),
    /// The life of a version by a policy: start, watch, approve, pause, abort; and what can be known before and after
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// A/B tests: what their numbers say, and how long one would take
    #[command(subcommand)]
    Experiment(experiment::Command),
    /// Pushes a model, waits for the gateway to have it, and rolls it out by a policy; exit code 0 promoted, 3 rolled back,
    /// 4 aborted or not over in time
    Deploy(deploy::DeployArguments),
    /// Runs a captured request again, and says whether the answer is the same bit for bit
    Replay(replay::ReplayArguments),
    /// Shows what was captured of a model's requests
    Captures(captures::CapturesArguments),
    /// Puts a version into the store: a model file, a version's folder or a bundle; the same content is the same version
    Push(push::PushArguments),
    /// Lists the versions in the store
    Versions(versions::VersionsArguments),
    /// Shows everything the store knows about a version
    Show(versions::ShowArguments),
    /// Moves a label of the store to a version, or takes it away
    Label(versions::LabelArguments),
    /// Writes a version into one file that `push` takes elsewhere, with the same bytes every time
    Export(versions::ExportArguments),
    /// Keeps the store in order
    #[command(subcommand)]
    Store(store::Command),
    /// Says how two versions differ: signature, graph, weights, size, metrics, and what they answer
    Compare(compare::CompareArguments),
    /// Says which version a request would get, and why
    Explain(explain::ExplainArguments),
    /// Says what an edit of routing.toml would change
    Diff(check::DiffArguments),
    /// Checks configuration files and tells everything that is wrong with them
    Check(check::CheckArguments),
    /// Says what is there and what is missing to serve
    Doctor(doctor::DoctorArguments),
}

/// Why a command failed.
#[derive(Debug, Error)]
enum CliError {
    /// Nobody answered.
    #[error(
        "cannot reach the gateway at {address}: {reason}. Is it running? It listens for operators on its admin \
         address (printed when it is ready, 127.0.0.1:8003 by default); name another one with --admin HOST:PORT"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// Something answered that is no gateway.
    #[error("{address} does not answer like an admin API ({reason}): check --admin")]
    Foreign {
        /// Where.
        address: String,
        /// What was odd.
        reason: String,
    },
    /// The gateway said no.
    #[error("{error} [{code}]")]
    Refused {
        /// Stable code.
        code: String,
        /// In a sentence, with the remedy.
        error: String,
    },
    /// The token cannot be had.
    #[error(transparent)]
    Token(#[from] control_admin::TokenError),
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}", .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Gates that cannot be asked.
    #[error("{0}")]
    Gates(String),
    /// A file is invalid; its problems were printed.
    #[error("{} is not valid: nothing was compared", .0.display())]
    Invalid(PathBuf),
    /// The journal cannot be read.
    #[error("cannot read the journal of {}", .path.display())]
    Journal {
        /// The state directory.
        path: PathBuf,
        /// Why.
        source: control_registry::journal::JournalError,
    },
    /// The file routes no such model.
    #[error(transparent)]
    Unroutable(#[from] control_config::Unroutable),
    /// Recorded outcomes that cannot be used.
    #[error("{}:{line}: {reason}", .path.display())]
    Outcomes {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing to replay.
    #[error("{}: there is no outcome in it; record some with [record] outcomes = true in gateway.toml", .0.display())]
    NoOutcomes(PathBuf),
    /// What is to be calculated cannot be.
    #[error(transparent)]
    Power(#[from] control_admin::power::PowerError),
    /// What is to be planned cannot be.
    #[error(transparent)]
    Plan(#[from] control_admin::plan::PlanError),
    /// What is to be replayed cannot be.
    #[error(transparent)]
    Replay(#[from] control_rollout::RolloutError),
    /// A captured request cannot be run again.
    #[error("it cannot be run again")]
    Cannot(#[source] Box<replay::Cannot>),
    /// Captures cannot be read.
    #[error(transparent)]
    Captures(#[from] control_registry::captures::CapturesError),
    /// The store cannot be opened where it is said to be.
    #[error(transparent)]
    StorePlace(crate::store::StoreSourceError),
    /// Versions that cannot be compared.
    #[error("{0}")]
    Compare(String),
    /// Flags that do not go together.
    #[error("{0}")]
    Flags(&'static str),
    /// The store does not do what is asked.
    #[error(transparent)]
    Store(#[from] control_store::StoreError),
    /// A version that cannot be deployed.
    #[error("{0}")]
    NotDeployed(String),
    /// A model of an MLflow registry that cannot be had.
    #[error(transparent)]
    Mlflow(#[from] mlflow::MlflowError),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] base_types::NameError),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
}

/// How a command that did its work ends: `check` and `doctor` may find that something is wrong.
type Finished = Result<ExitCode, CliError>;

/// Runs a command.
pub fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Status(arguments) => status::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::At(arguments) => past::at(&arguments),
        Command::Changelog(arguments) => past::changelog(&arguments),
        Command::Restore(arguments) => past::restore(&arguments),
        Command::Audit(command) => past::audit(&command),
        Command::Canary(arguments) => order::canary(&arguments),
        Command::Promote(arguments) => order::promote(&arguments),
        Command::Rollback(arguments) => order::rollback(&arguments),
        Command::Release(arguments) => order::release(&arguments),
        Command::Override(arguments) => order::override_gate(&arguments),
        Command::Validate(arguments) => validate::run_command(&arguments),
        Command::Sign(arguments) => sign::sign(&arguments),
        Command::Keygen(arguments) => sign::keygen(&arguments),
        Command::Rollout(command) => rollout::run(&command),
        Command::Experiment(command) => experiment::run(&command),
        Command::Deploy(arguments) => deploy::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Captures(arguments) => captures::run(&arguments),
        Command::Push(arguments) => push::run(&arguments),
        Command::Versions(arguments) => versions::versions(&arguments),
        Command::Show(arguments) => versions::show(&arguments),
        Command::Label(arguments) => versions::label(&arguments),
        Command::Export(arguments) => versions::export(&arguments),
        Command::Store(command) => store::run(&command),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Diff(arguments) => check::diff(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("switchrail: {}", with_causes(&error));
        ExitCode::FAILURE
    })
}

/// An error with its causes in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    printable(&text)
}

/// Prints text. A reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(printable(text).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::Output(error)),
        _ => Ok(()),
    }
}

/// Prints JSON as it came.
fn print_json(value: &serde_json::Value) -> Result<(), CliError> {
    print(&format!("{value:#}\n"))
}

/// Prints JSON in one line.
fn print_json_line(value: &serde_json::Value) -> Result<(), CliError> {
    print(&format!("{value}\n"))
}

/// Texts from models and callers pass through here: none of them may steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
