//! `switchrail experiment`: what the numbers of A/B tests say, and how long one would take.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use control_admin::plan::{PlanQuestion, answer};
use control_rollout::experiment::Primary;
use serde::Deserialize;
use serde_json::Value;

use super::gateway::{Gateway, GatewayArguments};
use super::status::table;
use super::words::{count, percent};
use super::{CliError, Finished, print, print_json};

/// Commands about experiments.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the experiments under way, each with what its numbers say
    List(ListArguments),
    /// Shows the numbers of one
    Report(ReportArguments),
    /// Says how many outcomes and how long an experiment needs; without a gateway
    Plan(PlanArguments),
}

/// Arguments of `switchrail experiment list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Arguments of `switchrail experiment report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// The experiment's name in routing.toml
    name: String,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Arguments of `switchrail experiment plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// Outcomes a second over all arms: requests, or feedback where that decides
    #[arg(long)]
    rate: f64,
    /// What the measure is for stable, such as 0.05
    #[arg(long)]
    baseline: f64,
    /// The change to be seen: 0.01 is one point more, 20% a fifth of the baseline more; below 0 is better
    #[arg(long, value_parser = effect, allow_hyphen_values = true)]
    effect: Effect,
    /// Shares of the arms, stable's first; what is missing to 1 is held out
    #[arg(long, value_delimiter = ',', default_value = "0.5,0.5")]
    share: Vec<f64>,
    /// What decides: errors, latency, mistakes or loss
    #[arg(long, default_value = "errors", value_parser = measure)]
    measure: Primary,
    /// Standard deviation of a loss [default: the largest there can be]
    #[arg(long)]
    deviation: Option<f64>,
    /// Probability with which equal arms may be told apart
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// Probability with which the change is to be seen by the planned end
    #[arg(long, default_value_t = 0.8)]
    power: f64,
    /// It must not last longer, in days
    #[arg(long, default_value_t = 60.0)]
    days_max: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A change.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Effect {
    /// In the measure's own units.
    Absolute(f64),
    /// As a part of the baseline.
    Relative(f64),
}

/// An experiment as the gateway tells it, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Experiment {
    experiment: String,
    model: String,
    status: String,
    sentence: String,
    primary: String,
    alpha: f64,
    arms: Vec<Arm>,
    comparisons: Vec<Comparison>,
    sample_ratio: SampleRatio,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Arm {
    arm: String,
    requests: u64,
    faults: u64,
    mistakes: u64,
    feedback: u64,
    #[serde(default)]
    measures: serde_json::Map<String, Value>,
    latency_seconds: Option<Latency>,
}

#[derive(Debug, Deserialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

#[derive(Debug, Deserialize)]
struct Comparison {
    arm: String,
    difference: Option<f64>,
    interval: Interval,
    finding: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Measured {
    n: u64,
    mean: Option<f64>,
    interval: Interval,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Interval {
    low: Option<f64>,
    high: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct SampleRatio {
    broken: bool,
    log_e: Option<f64>,
    threshold: Option<f64>,
}

/// Runs a command.
pub(super) fn run(command: &Command) -> Finished {
    match command {
        Command::List(ListArguments { gateway }) => list(gateway),
        Command::Report(arguments) => report(arguments),
        Command::Plan(arguments) => plan(arguments),
    }
}

fn list(arguments: &GatewayArguments) -> Finished {
    let gateway = arguments.gateway()?;
    let answer = gateway.get("/v1/experiments", &[])?;
    if arguments.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let experiments: Vec<Experiment> = gateway.read_as(answer["experiments"].clone())?;
    let line = |e: &Experiment| format!("{}: {}, {}\n    {}\n", e.experiment, e.model, e.status, e.sentence);
    let lines: String = experiments.iter().map(line).collect();
    print(if lines.is_empty() { "no experiments: routing.toml names them in [experiments.<name>]\n" } else { &lines })?;
    Ok(ExitCode::SUCCESS)
}

fn report(arguments: &ReportArguments) -> Finished {
    let gateway = arguments.gateway.gateway()?;
    let answer = find(&gateway, &arguments.name)?;
    if arguments.gateway.json {
        print_json(&answer)?;
    } else {
        print(&page(&gateway.read_as(answer)?))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// By the list: a name may have any characters, a path may not.
fn find(gateway: &Gateway, name: &str) -> Result<Value, CliError> {
    let mut answer = gateway.get("/v1/experiments", &[])?;
    let all = answer["experiments"].as_array_mut().map(std::mem::take).unwrap_or_default();
    all.into_iter().find(|experiment| experiment["experiment"] == name).ok_or_else(|| CliError::Refused {
        code: "experiment_unknown".to_owned(),
        error: format!("no experiment {name:?} is under way; switchrail experiment list names them"),
    })
}

fn page(experiment: &Experiment) -> String {
    let Experiment { experiment: name, model, status, sentence, primary, alpha, .. } = experiment;
    let mut text = format!("{name}: {model}, {status}\n{sentence}\n\n");
    let header = ["arm", "requests", "faults", "mistakes", "feedback", primary, "true value", "p50", "p99"];
    let header = header.map(str::to_owned);
    let rows = experiment.arms.iter().map(|arm| cells(arm, primary));
    text.push_str(&table(std::iter::once(header).chain(rows).collect()));
    text.push('\n');
    for Comparison { arm, difference, interval, finding } in &experiment.comparisons {
        let difference = difference.map_or_else(|| "unknown".to_owned(), |d| format!("{d:+.4}"));
        let range = range(interval);
        text.push_str(&format!("  {arm} against stable: {finding}; difference {difference}, truly {range}\n"));
    }
    let ratio = &experiment.sample_ratio;
    let figure = |value: Option<f64>| value.map_or_else(|| "none".to_owned(), |value| format!("{value:.2}"));
    let state =
        if ratio.broken { "BROKEN: the arms do not get their shares, look at the routing" } else { "as it should be" };
    let (log_e, threshold) = (figure(ratio.log_e), figure(ratio.threshold));
    text.push_str(&format!("  sample ratio: {state} (log E {log_e} of {threshold})\n"));
    text.push_str(&format!("  ranges and findings hold at every look, but for a chance of {}\n", percent(*alpha)));
    text.extend(experiment.warnings.iter().map(|warning| format!("  note: {warning}\n")));
    text
}

fn cells(arm: &Arm, primary: &str) -> [String; 9] {
    let measured = arm.measures.get(primary).and_then(|value| Measured::deserialize(value).ok()).unwrap_or_default();
    let mean = measured.mean.filter(|_| measured.n > 0).map_or_else(|| "–".to_owned(), |mean| format!("{mean:.4}"));
    let ms = |seconds: f64| format!("{:.1} ms", seconds * 1000.0);
    let latency = |of: fn(&Latency) -> f64| arm.latency_seconds.as_ref().map_or("–".to_owned(), |l| ms(of(l)));
    [
        arm.arm.clone(),
        count(arm.requests),
        count(arm.faults),
        count(arm.mistakes),
        count(arm.feedback),
        mean,
        range(&measured.interval),
        latency(|l| l.p50),
        latency(|l| l.p99),
    ]
}

fn range(interval: &Interval) -> String {
    match (interval.low, interval.high) {
        (Some(low), Some(high)) => format!("{low:.4} to {high:.4}"),
        _ => "–".to_owned(),
    }
}

fn plan(arguments: &PlanArguments) -> Finished {
    let (effect, relative_effect) = match arguments.effect {
        Effect::Absolute(change) => (Some(change), None),
        Effect::Relative(part) => (None, Some(part)),
    };
    let question = PlanQuestion {
        outcomes_per_second: arguments.rate,
        shares: arguments.share.clone(),
        measure: arguments.measure.as_str().to_owned(),
        baseline: arguments.baseline,
        deviation: arguments.deviation,
        effect,
        relative_effect,
        alpha: arguments.alpha,
        power: arguments.power,
        days_max: arguments.days_max,
    };
    let answer = answer(&question)?;
    if arguments.json {
        print_json(&answer)?;
    } else {
        print(answer["text"].as_str().unwrap_or_default())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn effect(text: &str) -> Result<Effect, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let effect = match text.trim().strip_suffix('%') {
        Some(percent) => number(percent).map(|value| Effect::Relative(value / 100.0)),
        None => number(text).map(Effect::Absolute),
    };
    effect.ok_or_else(|| "a change is written 0.01 (in the measure's own units) or 20% (of the baseline)".to_owned())
}

fn measure(text: &str) -> Result<Primary, String> {
    Primary::parse(text).ok_or_else(|| "errors, latency, mistakes or loss".to_owned())
}

#[cfg(test)]
mod tests;
