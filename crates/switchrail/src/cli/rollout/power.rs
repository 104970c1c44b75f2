//! `switchrail rollout power`: what a rollout would find, and when, and how long it takes; asked of the gateway, or
//! calculated from a routing.toml.

use std::path::PathBuf;
use std::process::ExitCode;

use base_types::ModelName;
use clap::Args;
use control_admin::power::{PowerQuestion, answer};
use serde_json::Value;

use crate::cli::check::read_routing;
use crate::cli::gateway::GatewayArguments;
use crate::cli::{CliError, Finished, print, print_json};

/// Arguments of `switchrail rollout power`.
#[derive(Debug, Args)]
pub struct PowerArguments {
    /// The model
    model: ModelName,
    /// The policy [default: the model's]
    #[arg(long)]
    policy: Option<String>,
    /// Requests of the model in a second [default: today's, where a gateway is asked]
    #[arg(long)]
    rps: Option<f64>,
    /// How often stable faults, such as 0.1% or 0.001
    #[arg(long, value_parser = rate, default_value = "0")]
    stable_error_rate: f64,
    /// Stable's median latency in milliseconds, to know what a slower version is found by
    #[arg(long, value_name = "MS", requires = "latency_p99")]
    latency_p50: Option<f64>,
    /// Stable's 99th percentile of latency in milliseconds
    #[arg(long, value_name = "MS", requires = "latency_p50")]
    latency_p99: Option<f64>,
    /// Calculate from this routing.toml, without a gateway
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admin", "token_file"])]
    routing: Option<PathBuf>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Runs the command.
pub(super) fn run(arguments: &PowerArguments) -> Finished {
    let answer = match &arguments.routing {
        Some(file) => answer(&read_routing(file)?, &arguments.model, &question(arguments)?)?,
        None => online(arguments)?,
    };
    if arguments.gateway.json {
        print_json(&answer)?;
    } else {
        print(answer["text"].as_str().unwrap_or_default())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn question(arguments: &PowerArguments) -> Result<PowerQuestion, CliError> {
    let Some(requests_per_second) = arguments.rps else {
        return Err(CliError::Flags("without a gateway nobody knows today's traffic: say --rps"));
    };
    Ok(PowerQuestion {
        policy: arguments.policy.clone(),
        requests_per_second,
        stable_error_rate: arguments.stable_error_rate,
        latency_ms: arguments.latency_p50.zip(arguments.latency_p99),
    })
}

fn online(arguments: &PowerArguments) -> Result<Value, CliError> {
    let PowerArguments { model, policy, rps, stable_error_rate, latency_p50, latency_p99, .. } = arguments;
    let mut query = vec![("stable_error_rate", stable_error_rate.to_string())];
    query.extend(policy.iter().map(|policy| ("policy", policy.clone())));
    let numbers = [("rps", rps), ("latency_p50_ms", latency_p50), ("latency_p99_ms", latency_p99)];
    query.extend(numbers.iter().filter_map(|(name, number)| Some((*name, number.as_ref()?.to_string()))));
    arguments.gateway.gateway()?.get(&format!("/v1/models/{model}/power"), &query)
}

/// Reads `0.1%` or `0.001`.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let rate = match text.trim().strip_suffix('%') {
        Some(percent) => number(percent).map(|value| value / 100.0),
        None => number(text),
    };
    rate.filter(|rate| (0.0..=1.0).contains(rate))
        .ok_or_else(|| "a rate is written 0.1% or 0.001, and lies between 0 and 1".to_owned())
}
