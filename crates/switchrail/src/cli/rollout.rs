//! `switchrail rollout`: the life of a version by a policy. Orders here; `watch` shows how one stands, drawn by `screen`;
//! `power` and `replay` say what can be known before, and what would have been.

mod follow;
mod lines;
mod power;
mod replay;
mod replayed;
mod screen;
mod watch;

use std::process::ExitCode;

use base_types::{ModelName, Selector};
use clap::{Args, Subcommand};
use serde_json::json;

use super::gateway::GatewayArguments;
use super::order::{OrderArguments, send};
use super::{Finished, print, print_json};

pub(super) use follow::{Ended, Following, follow};

/// Commands about rollouts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Brings a version into the traffic, step by step, by a policy
    Start(StartArguments),
    /// Shows the step, the shares, each rule against its threshold, what it waits for and for how long
    Status(watch::StatusArguments),
    /// Approves the step that waits for a person
    Approve(OnModel),
    /// Has it stand still: shares stay, rules stay armed
    Pause(OnModel),
    /// Lets it go on
    Resume(OnModel),
    /// Takes the candidate out of the traffic at once and ends the rollout
    Abort(AbortArguments),
    /// Gives the candidate all traffic, whatever steps are left
    Promote(PromoteArguments),
    /// Makes a promotion final before its bake is over
    Confirm(OnModel),
    /// Begins a rollout again that was rolled back or aborted
    Retry(OnModel),
    /// Lets rollouts begin again after too many rollbacks; needs a reason
    Thaw(OnModel),
    /// Shows what a rollout that is over leaves behind, as Markdown or JSON
    Report(ReportArguments),
    /// Says what a rollout would find, and when, and how long it takes
    Power(power::PowerArguments),
    /// Puts recorded outcomes before a policy: when would it have acted?
    Replay(replay::ReplayArguments),
}

/// Arguments of `switchrail rollout start`.
#[derive(Debug, Args)]
pub struct StartArguments {
    /// The model
    model: ModelName,
    /// The version to bring into the traffic, by number or label
    version: Selector,
    /// The policy: one of routing.toml, or default, cautious or fast [default: the model's]
    #[arg(long)]
    policy: Option<String>,
    /// Although the last rollback is recent
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    order: OrderArguments,
}

/// Arguments of orders that only name the model.
#[derive(Debug, Args)]
pub struct OnModel {
    /// The model
    model: ModelName,
    #[command(flatten)]
    order: OrderArguments,
}

/// Arguments of `switchrail rollout abort`.
#[derive(Debug, Args)]
pub struct AbortArguments {
    /// The model
    model: ModelName,
    /// Bar the candidate's content until it is released
    #[arg(long)]
    quarantine: bool,
    #[command(flatten)]
    order: OrderArguments,
}

/// Arguments of `switchrail rollout promote`.
#[derive(Debug, Args)]
pub struct PromoteArguments {
    /// The model
    model: ModelName,
    /// Without proof; needs a reason
    #[arg(long, requires = "reason")]
    force: bool,
    #[command(flatten)]
    order: OrderArguments,
}

/// Arguments of `switchrail rollout report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// The model
    model: ModelName,
    /// Which rollout, counted from 1 [default: the last]
    #[arg(long)]
    number: Option<u32>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Runs a command.
pub(super) fn run(command: &Command) -> Finished {
    match command {
        Command::Start(arguments) => start(arguments),
        Command::Status(arguments) => watch::run(arguments),
        Command::Approve(arguments) => order(arguments, "approve"),
        Command::Pause(arguments) => order(arguments, "pause"),
        Command::Resume(arguments) => order(arguments, "resume"),
        Command::Abort(AbortArguments { model, quarantine, order }) => {
            send(model, "rollout/abort", json!({ "quarantine": quarantine }), order)
        }
        Command::Promote(PromoteArguments { model, force, order }) => {
            send(model, "rollout/promote", json!({ "force": force }), order)
        }
        Command::Confirm(arguments) => order(arguments, "confirm"),
        Command::Retry(arguments) => order(arguments, "retry"),
        Command::Thaw(arguments) => order(arguments, "thaw"),
        Command::Report(arguments) => report(arguments),
        Command::Power(arguments) => power::run(arguments),
        Command::Replay(arguments) => replay::run(arguments),
    }
}

fn start(arguments: &StartArguments) -> Finished {
    let StartArguments { model, version, policy, force, order } = arguments;
    let body = json!({ "version": version.to_string(), "policy": policy, "force": force });
    send(model, "rollout/start", body, order)
}

fn order(arguments: &OnModel, word: &str) -> Finished {
    send(&arguments.model, &format!("rollout/{word}"), json!({}), &arguments.order)
}

fn report(arguments: &ReportArguments) -> Finished {
    let ReportArguments { model, number, gateway } = arguments;
    let path = format!("/v1/models/{model}/rollout/report");
    let mut query: Vec<_> = number.iter().map(|number| ("number", number.to_string())).collect();
    if gateway.json {
        print_json(&gateway.gateway()?.get(&path, &query)?)?;
    } else {
        query.push(("format", "markdown".to_owned()));
        print(&gateway.gateway()?.get_text(&path, &query)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
