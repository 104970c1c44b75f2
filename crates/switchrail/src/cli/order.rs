//! Orders: `canary`, `promote`, `rollback`, `release`, `override`.

use std::process::ExitCode;

use base_types::{Gate, ModelName, Selector, Version};
use clap::Args;
use serde_json::{Value, json};

use super::answers::Done;
use super::gateway::GatewayArguments;
use super::{Finished, print, print_json};

/// What every order takes.
#[derive(Debug, Args)]
pub(super) struct OrderArguments {
    /// Why; recorded in the history
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// Who; recorded in the history [default: the user's name]
    #[arg(long)]
    pub(super) actor: Option<String>,
    #[command(flatten)]
    pub(super) gateway: GatewayArguments,
}

/// Arguments of `switchrail canary`.
#[derive(Debug, Args)]
pub struct CanaryArguments {
    /// The model
    model: ModelName,
    /// The version to try, by number or label
    #[arg(long)]
    version: Selector,
    /// Its share of the traffic, such as 25% or 0.25
    #[arg(long, value_parser = share)]
    share: f64,
    #[command(flatten)]
    order: OrderArguments,
}

/// Arguments of `switchrail promote`.
#[derive(Debug, Args)]
pub struct PromoteArguments {
    /// The model
    model: ModelName,
    /// The version, by number or label [default: the only candidate]
    #[arg(long)]
    version: Option<Selector>,
    /// Make it final at once, without the time of probation
    #[arg(long)]
    confirm: bool,
    /// Without proof; needs a reason
    #[arg(long, requires = "reason")]
    force: bool,
    #[command(flatten)]
    order: OrderArguments,
}

/// Arguments of `switchrail rollback`.
#[derive(Debug, Args)]
pub struct RollbackArguments {
    /// The model
    model: ModelName,
    /// The version to go back to, by number or label [default: stable, or the version confirmed before it]
    #[arg(long, value_name = "VERSION")]
    to: Option<Selector>,
    /// Leave the version that is left addressable by its number
    #[arg(long)]
    no_quarantine: bool,
    #[command(flatten)]
    order: OrderArguments,
}

/// Arguments of `switchrail release`.
#[derive(Debug, Args)]
pub struct ReleaseArguments {
    /// The model
    model: ModelName,
    /// The quarantined version
    #[arg(long)]
    version: Version,
    // Beside `OrderArguments`, because here it is needed.
    /// Why it may come back; recorded in the history
    #[arg(long)]
    reason: String,
    /// Who; recorded in the history [default: the user's name]
    #[arg(long)]
    actor: Option<String>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Arguments of `switchrail override`.
#[derive(Debug, Args)]
pub struct OverrideArguments {
    /// The model
    model: ModelName,
    /// The version that was kept out
    version: Version,
    /// The gate that failed
    #[arg(long, value_parser = gate)]
    gate: Gate,
    // Beside `OrderArguments`, because here it is needed.
    /// Why its failure does not matter; recorded in the history
    #[arg(long)]
    reason: String,
    /// Who; recorded in the history [default: the user's name]
    #[arg(long)]
    actor: Option<String>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Runs `switchrail canary`.
pub(super) fn canary(arguments: &CanaryArguments) -> Finished {
    let CanaryArguments { model, version, share, order } = arguments;
    send(model, "canary", json!({ "version": version.to_string(), "share": share }), order)
}

/// Runs `switchrail promote`.
pub(super) fn promote(arguments: &PromoteArguments) -> Finished {
    let PromoteArguments { model, version, confirm, force, order } = arguments;
    let version = version.as_ref().map(Selector::to_string);
    send(model, "promote", json!({ "version": version, "confirm": confirm, "force": force }), order)
}

/// Runs `switchrail rollback`.
pub(super) fn rollback(arguments: &RollbackArguments) -> Finished {
    let RollbackArguments { model, to, no_quarantine, order } = arguments;
    let to = to.as_ref().map(Selector::to_string);
    send(model, "rollback", json!({ "to": to, "quarantine": !no_quarantine }), order)
}

/// Runs `switchrail release`.
pub(super) fn release(arguments: &ReleaseArguments) -> Finished {
    let body = json!({ "version": arguments.version.to_string() });
    let body = signed(body, Some(&arguments.reason), arguments.actor.as_deref());
    carry_out(&arguments.model, "release", &body, &arguments.gateway)
}

/// Runs `switchrail override`.
pub(super) fn override_gate(arguments: &OverrideArguments) -> Finished {
    let OverrideArguments { model, version, gate, reason, actor, gateway } = arguments;
    let body = json!({ "version": version.to_string(), "gate": gate.as_str() });
    carry_out(model, "override", &signed(body, Some(reason), actor.as_deref()), gateway)
}

/// Sends an order with who gives it and why, and tells what came of it.
pub(super) fn send(model: &ModelName, operation: &str, body: Value, order: &OrderArguments) -> Finished {
    let body = signed(body, order.reason.as_deref(), order.actor.as_deref());
    carry_out(model, operation, &body, &order.gateway)
}

fn carry_out(model: &ModelName, operation: &str, body: &Value, arguments: &GatewayArguments) -> Finished {
    let gateway = arguments.gateway()?;
    let answer = gateway.post(&format!("/v1/models/{model}/{operation}"), body)?;
    if arguments.json {
        print_json(&answer)?;
    } else {
        let done = gateway.read_as::<Done>(answer)?;
        print(&format!("{} (generation {})\n", done.message, done.generation))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds who orders and why. Without a user's name the gateway writes down that it was asked through its API.
pub(super) fn signed(mut body: Value, reason: Option<&str>, actor: Option<&str>) -> Value {
    let user = || ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    body["reason"] = reason.into();
    body["actor"] = actor.map(str::to_owned).or_else(user).into();
    body
}

/// Reads the name of a gate.
fn gate(text: &str) -> Result<Gate, String> {
    let known = || Gate::ALL.iter().map(|gate| gate.as_str()).collect::<Vec<_>>().join(", ");
    Gate::parse(text).ok_or_else(|| format!("there is no such gate; there are {}", known()))
}

/// Reads `25%` or `0.25`. A bare `25` could mean either and is refused.
fn share(text: &str) -> Result<f64, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let share = match text.trim().strip_suffix('%') {
        Some(percent) => number(percent).map(|value| value / 100.0),
        None => number(text),
    };
    match share {
        Some(share) if share > 0.0 && share < 1.0 => Ok(share),
        Some(share) if share >= 1.0 && !text.contains('%') => Err(format!(
            "write {text}% for percent, or a share between 0 and 1; to give a version everything, promote it"
        )),
        Some(_) => Err("a canary's share lies between 0 and 1; to give a version everything, promote it".to_owned()),
        None => Err("a share is written 25% or 0.25".to_owned()),
    }
}

#[cfg(test)]
mod tests;
