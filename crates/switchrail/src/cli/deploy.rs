//! `switchrail deploy`: from a model file to a rollout that is over, in one command with an exit code. Made for
//! pipelines: nothing is drawn, each line says what happened, and `--json` gives each as an object.
//!
//! The version is pushed, the gateway is waited for to have it in memory with its gates passed, and a rollout by a
//! policy is begun; with `--wait` it is followed until it is over. Whatever happens to this process, the gateway goes on.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base_types::{Clock, ModelName, SystemClock};
use clap::Args;
use control_admin::time;
use control_store::Pushed;
use serde_json::{Value, json};

use super::answers::{Done, Model, Version};
use super::gateway::Gateway;
use super::order::{OrderArguments, signed};
use super::push::{SourceArguments, push};
use super::rollout::{Ended, Following, follow};
use super::store::StoreArguments;
use super::{CliError, Finished, print, print_json_line, printable};

/// How often the gateway is asked whether it has the version.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The exit code of what did not end in time, or stands still until a person comes.
const NOT_OVER: u8 = 4;

/// Arguments of `switchrail deploy`.
#[derive(Debug, Args)]
pub struct DeployArguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The folder of the store that the gateway serves from [default: SWITCHRAIL_STORE]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The policy of the rollout: one of routing.toml, or default, cautious or fast [default: the model's]
    #[arg(long)]
    policy: Option<String>,
    /// Follow the rollout until it is over; `--wait=promoted` until it has all traffic, confirmed or not
    #[arg(long, value_name = "UNTIL", num_args = 0..=1, default_missing_value = "confirmed", require_equals = true)]
    wait: Option<Until>,
    /// How long all of it may take; the rollout goes on without this command
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = span)]
    timeout: Duration,
    #[command(flatten)]
    order: OrderArguments,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Until {
    /// All traffic goes to the version; it may still be rolled back.
    Promoted,
    /// The promotion is final.
    Confirmed,
}

/// How a deployment stands.
struct Deployment<'a> {
    gateway: Gateway,
    model: ModelName,
    arguments: &'a DeployArguments,
    until: Instant,
}

/// How a version came to be in the gateway.
enum Arrival {
    /// It is in memory, and another version is stable.
    Ready,
    /// It is the stable version.
    Stable,
}

/// Runs the command.
pub(super) fn run(arguments: &DeployArguments) -> Finished {
    let gateway = arguments.order.gateway.gateway()?;
    let until = SystemClock.now() + arguments.timeout;
    // A slip in --admin is to be told before anything is pushed.
    gateway.get("/v1/health", &[])?;
    let mut source = arguments.source.clone();
    source.by = source.by.or_else(|| arguments.order.actor.clone());
    let pushed = push(&source, &StoreArguments { store: arguments.store.clone(), json: false })?;
    let deployment = Deployment { gateway, model: pushed.record.model.clone(), arguments, until };
    deployment.tell_pushed(&pushed)?;
    match deployment.arrive(&pushed)? {
        None => deployment.out_of_time("the gateway does not have the version in memory yet"),
        Some(Arrival::Stable) => deployment.stable(&pushed),
        Some(Arrival::Ready) => deployment.roll_out(&pushed),
    }
}

impl Deployment<'_> {
    fn is_json(&self) -> bool {
        self.arguments.order.gateway.json
    }

    /// Says what happened.
    fn tell(&self, event: &str, text: &str, more: Value) -> Result<(), CliError> {
        if !self.is_json() {
            return print(&format!("{}  {text}\n", time::rfc3339(SystemClock.unix_ms())));
        }
        let mut line = json!({ "event": event, "model": self.model.as_str(), "text": text });
        if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
            line.extend(more);
        }
        print_json_line(&line)
    }

    fn tell_pushed(&self, pushed: &Pushed) -> Result<(), CliError> {
        for note in &pushed.notes {
            eprintln!("note: {}", printable(note));
        }
        let (record, model) = (&pushed.record, &self.model);
        let text = match pushed.is_new {
            true => format!("version {} of {model} is in the store, digest {}", record.version, record.digest),
            false => {
                format!("the same content is version {} of {model} already, digest {}", record.version, record.digest)
            }
        };
        let more =
            json!({ "version": record.version.get(), "digest": record.digest.to_string(), "new": pushed.is_new });
        self.tell("pushed", &text, more)
    }

    /// Waits until the gateway has the version; `None` when the time is over.
    fn arrive(&self, pushed: &Pushed) -> Result<Option<Arrival>, CliError> {
        let mut last = String::new();
        loop {
            let (text, arrival) = match self.gateway.get(&format!("/v1/models/{}", self.model), &[]) {
                Ok(answer) => self.look(self.gateway.read_as(answer)?, pushed)?,
                // The first version of a model: the gateway has not looked yet.
                Err(CliError::Refused { code, .. }) if code == "model_unknown" => {
                    (format!("the gateway does not list {} yet", self.model), None)
                }
                // One that restarts is worth waiting for.
                Err(error @ CliError::Unreachable { .. }) => (error.to_string(), None),
                Err(error) => return Err(error),
            };
            if arrival.is_some() {
                return Ok(arrival);
            }
            if text != last {
                self.tell("waiting", &text, json!({}))?;
                last = text;
            }
            if SystemClock.now() >= self.until {
                return Ok(None);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What the gateway says of the version, and whether it is there.
    fn look(&self, model: Model, pushed: &Pushed) -> Result<(String, Option<Arrival>), CliError> {
        let (number, name) = (pushed.record.version.get(), &self.model);
        let Some(found) = model.versions.into_iter().find(|version| version.version == number) else {
            let text = format!(
                "the gateway does not list version {number} of {name} yet; it lists what is in the store it serves \
                 from (serve --store)"
            );
            return Ok((text, None));
        };
        let Version { state, digest, reason, .. } = found;
        let reason = reason.map(|reason| format!(" ({}): {}", reason.code, reason.text)).unwrap_or_default();
        // What waits to be read has no digest yet.
        if digest.is_some_and(|digest| digest != pushed.record.digest.to_string()) {
            return Err(CliError::NotDeployed(format!(
                "the gateway has other content as version {number} of {name}: does it serve from another store?"
            )));
        }
        if matches!(state.as_str(), "failed" | "quarantined") {
            return Err(CliError::NotDeployed(format!("version {number} of {name} is {state}{reason}")));
        }
        let arrival = match (state.as_str(), model.stable) {
            ("ready", Some(stable)) if stable == number => Some(Arrival::Stable),
            ("ready", Some(_)) => Some(Arrival::Ready),
            _ => None,
        };
        Ok((format!("version {number} of {name} is {state}{reason}"), arrival))
    }

    /// There is nothing to roll out: the version is the model's first, or stable already.
    fn stable(&self, pushed: &Pushed) -> Finished {
        let (version, model) = (pushed.record.version, &self.model);
        let text = format!("version {version} is the stable version of {model}: there is nothing to roll out");
        self.tell("ended", &text, json!({ "version": version.get(), "status": "stable" }))?;
        Ok(ExitCode::SUCCESS)
    }

    fn roll_out(&self, pushed: &Pushed) -> Finished {
        let (version, model) = (pushed.record.version, &self.model);
        let order = &self.arguments.order;
        let body = json!({ "version": version.to_string(), "policy": self.arguments.policy });
        let body = signed(body, order.reason.as_deref(), order.actor.as_deref());
        match self.gateway.post(&format!("/v1/models/{model}/rollout/start"), &body) {
            Ok(answer) => {
                let done = self.gateway.read_as::<Done>(answer)?;
                self.tell("started", &done.message, json!({ "version": version.get() }))?;
            }
            // A pipeline that is run again takes up where it was.
            Err(CliError::Refused { code, error }) if code == "same_candidate" => {
                self.tell("started", &error, json!({ "version": version.get() }))?;
            }
            Err(error) => return Err(error),
        }
        let Some(wait) = self.arguments.wait else { return Ok(ExitCode::SUCCESS) };
        let following = Following {
            model: model.clone(),
            until: self.until,
            is_bake_enough: wait == Until::Promoted,
            is_json: self.is_json(),
        };
        match follow(&order.gateway, following)? {
            Ended::Over { code, sentence } => {
                self.tell("ended", &sentence, json!({ "version": version.get() }))?;
                Ok(code)
            }
            Ended::OutOfTime { waits_for } => self.out_of_time(&waits_for),
        }
    }

    fn out_of_time(&self, what: &str) -> Finished {
        let limit = time::span(self.arguments.timeout);
        let text =
            format!("not over after {limit}: {what}. The gateway goes on: switchrail rollout status {}", self.model);
        self.tell("timeout", &text, json!({}))?;
        Ok(ExitCode::from(NOT_OVER))
    }
}

/// Reads `30m`.
fn span(text: &str) -> Result<Duration, String> {
    time::parse_span(text).ok_or_else(|| "a time is written 90s, 30m or 2h".to_owned())
}
