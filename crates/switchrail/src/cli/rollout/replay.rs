//! `switchrail rollout replay`: recorded outcomes are put before a policy once more, with faults or slowness injected where
//! wanted, to see when it would have acted.

use std::path::PathBuf;
use std::process::ExitCode;

use base_types::{ModelName, Version};
use clap::Args;
use control_admin::power::PowerError;
use control_admin::time;
use control_rollout::Draws;
use control_rollout::replay::{DELAY_RUNS_MAX, Injection, ReplayRequest, delays, replay};

use super::lines::Outcomes;
use super::power::rate;
use super::replayed::{self, Setting};
use crate::cli::check::read_routing;
use crate::cli::{CliError, Finished, print, print_json};

/// Arguments of `switchrail rollout replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// Files of recorded outcomes, in any order
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    outcomes: Vec<PathBuf>,
    /// The version on trial
    #[arg(long, value_name = "VERSION")]
    candidate: Version,
    /// The version it is compared with
    #[arg(long, value_name = "VERSION")]
    stable: Version,
    /// The routing.toml with the policy and the guardrail
    #[arg(long, value_name = "FILE")]
    routing: PathBuf,
    /// The model, where outcomes of several were recorded
    #[arg(long)]
    model: Option<ModelName>,
    /// The policy [default: the model's]
    #[arg(long)]
    policy: Option<String>,
    /// Make so many of the candidate's good answers faults, such as 5% or 0.05
    #[arg(long, value_name = "RATE", value_parser = rate)]
    inject_faults: Option<f64>,
    /// Multiply the candidate's latencies
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    inject_latency: Option<f64>,
    /// Inject from this moment on, such as 2026-01-31T08:00:00Z [default: from the beginning]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<u64>,
    /// Repeat it with the injection drawn anew, and tell how soon it was found
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(DELAY_RUNS_MAX)))]
    runs: u32,
    /// Where the draws of the injection begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &ReplayArguments) -> Finished {
    let injection = injection(arguments)?;
    let routing = read_routing(&arguments.routing)?;
    let outcomes = Outcomes::open(&arguments.outcomes, arguments.model.as_ref())?;
    let model = outcomes.model();
    let (policy_name, policy) = match &arguments.policy {
        None => routing.policy(model),
        Some(name) => match routing.named_policy(name) {
            Some(policy) => (name.as_str().into(), policy),
            None => return Err(PowerError::PolicyUnknown(name.clone()).into()),
        },
    };
    let request = ReplayRequest {
        guardrail: policy.guardrail.as_ref().unwrap_or_else(|| routing.guardrail(model)),
        policy: Some(&policy),
        candidate: arguments.candidate,
        stable: arguments.stable,
        injection,
    };
    let mut draws = Draws::seeded(arguments.seed);
    let replay = replay(&request, outcomes.iter(), &mut || draws.unit())?;
    outcomes.check()?;
    let delays = match arguments.runs {
        1 => None,
        n_runs => Some(delays(&request, n_runs, || outcomes.iter(), &mut || draws.unit())?),
    };
    outcomes.check()?;
    let setting = Setting { model, policy: &policy_name, candidate: arguments.candidate, stable: arguments.stable };
    if arguments.json {
        print_json(&replayed::json(&setting, &replay, delays.as_ref()))?;
    } else {
        print(&replayed::text(&setting, &replay, delays.as_ref()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn injection(arguments: &ReplayArguments) -> Result<Option<Injection>, CliError> {
    let ReplayArguments { inject_faults, inject_latency, from, runs, candidate, stable, .. } = arguments;
    if candidate == stable {
        return Err(CliError::Flags("--candidate and --stable are the same version: a trial needs two"));
    }
    if inject_faults.is_none() && inject_latency.is_none() {
        return match (from, runs) {
            (None, 1) => Ok(None),
            _ => Err(CliError::Flags(
                "--from and --runs are about an injection: add --inject-faults or --inject-latency",
            )),
        };
    }
    Ok(Some(Injection {
        fault_probability: inject_faults.unwrap_or(0.0),
        latency_factor: inject_latency.unwrap_or(1.0),
        from_unix_ms: from.unwrap_or(0),
    }))
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.trim().parse::<f64>().ok().filter(|factor| *factor > 0.0 && factor.is_finite());
    factor.ok_or_else(|| "a factor is a number above 0, such as 1.5".to_owned())
}

fn moment(text: &str) -> Result<u64, String> {
    time::parse_rfc3339(text).ok_or_else(|| "a moment such as 2026-01-31T08:00:00Z".to_owned())
}
