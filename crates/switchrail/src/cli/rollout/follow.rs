//! A rollout followed to its end for a pipeline: nothing is drawn, changes are said, and what it left behind is told.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use base_types::{Clock, ModelName, RolloutStatus, SystemClock};
use control_admin::time;
use serde_json::json;

use super::screen::line;
use super::watch::{clean, outcome};
use crate::cli::answers::Rollout;
use crate::cli::gateway::{Gateway, GatewayArguments};
use crate::cli::{CliError, print, print_json_line, with_causes};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a report is looked for that is to be written at the end of a rollout.
const REPORT_LOOKS_MAX: u32 = 10;

/// What is followed, and how far.
pub(in crate::cli) struct Following {
    /// The model.
    pub(in crate::cli) model: ModelName,
    /// Not longer than this.
    pub(in crate::cli) until: Instant,
    /// Whether all traffic is enough, before the promotion is final.
    pub(in crate::cli) is_bake_enough: bool,
    /// Whether what is said is JSON.
    pub(in crate::cli) is_json: bool,
}

/// How following ended.
pub(in crate::cli) enum Ended {
    /// The rollout is over, or as far as was asked for.
    Over {
        /// What a pipeline is told.
        code: ExitCode,
        /// What people are told.
        sentence: String,
    },
    /// The time is.
    OutOfTime {
        /// What the rollout waits for.
        waits_for: String,
    },
}

/// Follows the rollout that is under way.
pub(in crate::cli) fn follow(arguments: &GatewayArguments, following: Following) -> Result<Ended, CliError> {
    let follower = Follower { gateway: arguments.gateway()?, following };
    let (mut number, mut said, mut waits_for) = (None, String::new(), String::new());
    loop {
        match follower.look() {
            Ok(rollout) => {
                let watched = *number.get_or_insert(rollout.number);
                if rollout.number != watched {
                    return follower.end(watched, "");
                }
                follower.say(&mut said, &line(&rollout), &rollout.status)?;
                if outcome(&rollout.status).is_some() {
                    return follower.end(watched, &rollout.note);
                }
                if follower.following.is_bake_enough
                    && RolloutStatus::parse(&rollout.status) == Some(RolloutStatus::Baking)
                {
                    let candidate = rollout.candidate;
                    let sentence = format!("version {candidate} has all traffic; its promotion is not confirmed yet");
                    return Ok(Ended::Over { code: ExitCode::SUCCESS, sentence });
                }
                waits_for = rollout.waits_for.unwrap_or_default();
            }
            // A gateway that restarts is worth waiting for.
            Err(error @ CliError::Unreachable { .. }) => {
                follower.say(&mut said, &with_causes(&error), "unreachable")?
            }
            Err(error) => return Err(error),
        }
        if SystemClock.now() >= follower.following.until {
            return Ok(Ended::OutOfTime { waits_for });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

struct Follower {
    gateway: Gateway,
    following: Following,
}

impl Follower {
    fn look(&self) -> Result<Rollout, CliError> {
        let answer = self.gateway.get(&self.path(), &[])?;
        self.gateway.read_as(clean(answer))
    }

    fn path(&self) -> String {
        format!("/v1/models/{}/rollout", self.following.model)
    }

    /// Says a line, unless it was said last.
    fn say(&self, said: &mut String, text: &str, status: &str) -> Result<(), CliError> {
        if said == text {
            return Ok(());
        }
        text.clone_into(said);
        if self.following.is_json {
            let model = self.following.model.as_str();
            return print_json_line(&json!({ "event": "rollout", "model": model, "text": text, "status": status }));
        }
        print(&format!("{}  {text}\n", time::rfc3339(SystemClock.unix_ms())))
    }

    /// How it ended, by its report, which is written a moment after the end.
    fn end(&self, number: u32, note: &str) -> Result<Ended, CliError> {
        let query = [("number", number.to_string())];
        for _ in 0..REPORT_LOOKS_MAX {
            match self.gateway.get(&format!("{}/report", self.path()), &query) {
                Ok(report) => {
                    let rollout = &clean(report)["rollout"];
                    let text = |key: &str| rollout[key].as_str().unwrap_or_default().to_owned();
                    let (status, why) = (text("status"), text("why"));
                    let sentence = format!("version {} is {}: {why}", rollout["candidate"], status.replace('_', " "));
                    return Ok(Ended::Over { code: outcome(&status).unwrap_or(ExitCode::FAILURE), sentence });
                }
                Err(CliError::Refused { code, .. }) if code == "no_report" => std::thread::sleep(LOOK_EVERY),
                Err(error) => return Err(error),
            }
        }
        Err(CliError::NotDeployed(format!("rollout {number} is over, and has left no report; it said last: {note}")))
    }
}
