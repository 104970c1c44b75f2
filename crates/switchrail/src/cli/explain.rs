//! `switchrail explain`: which version a request would get, and why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base_types::{ModelName, Selector};
use clap::Args;
use control_admin::explain::{DescribedRequest, add_names, explained};
use control_config::{Availability, compile};
use serde::Deserialize;
use serde_json::Value;

use super::answers::Explained;
use super::check::read_routing;
use super::gateway::GatewayArguments;
use super::{CliError, Finished, print, print_json};

/// Arguments of `switchrail explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The model
    model: ModelName,
    /// A header of the request; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// A cookie of the request; may be repeated
    #[arg(long = "cookie", value_name = "NAME=VALUE", value_parser = pair)]
    cookies: Vec<(String, String)>,
    /// A parameter of the query string; may be repeated
    #[arg(long = "query", value_name = "NAME=VALUE", value_parser = pair)]
    queries: Vec<(String, String)>,
    /// A request parameter of the inference protocol; may be repeated
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// The version or label in the request's path
    #[arg(long, value_name = "VERSION")]
    pin: Option<Selector>,
    /// The sticky key, put where the model looks for it first
    #[arg(long)]
    key: Option<String>,
    /// The random number to decide with where there is no sticky key
    #[arg(long, value_name = "NUMBER")]
    draw: Option<u64>,
    /// Go by this routing.toml, without a gateway: as if every version were ready and nothing had been decided
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admin", "token_file"])]
    routing: Option<PathBuf>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Runs the command.
pub(super) fn run(arguments: &ExplainArguments) -> Finished {
    let request = described(arguments);
    let answer = match &arguments.routing {
        Some(file) => offline(&arguments.model, file, &request)?,
        None => {
            let path = format!("/v1/models/{}/explain", arguments.model);
            // Plain texts and numbers: there is nothing that could fail to be written.
            let body = serde_json::to_value(&request).unwrap_or_default();
            arguments.gateway.gateway()?.post(&path, &body)?
        }
    };
    if arguments.gateway.json {
        print_json(&answer)?;
    } else {
        print(&text(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn described(arguments: &ExplainArguments) -> DescribedRequest {
    let map = |pairs: &[(String, String)]| pairs.iter().cloned().collect::<BTreeMap<_, _>>();
    DescribedRequest {
        pin: arguments.pin.as_ref().map(Selector::to_string),
        headers: map(&arguments.headers),
        cookies: map(&arguments.cookies),
        query: map(&arguments.queries),
        parameters: map(&arguments.parameters),
        key: arguments.key.clone(),
        draw: arguments.draw,
    }
}

fn offline(model: &ModelName, file: &Path, request: &DescribedRequest) -> Result<Value, CliError> {
    let config = read_routing(file)?;
    let route = compile(&config, model, None, &|_| Availability::Ready)?.route;
    let mut answer = explained(&route, request)?;
    add_names(&mut answer, &config, model);
    Ok(answer)
}

fn text(answer: &Value) -> String {
    let Ok(explained) = Explained::deserialize(answer) else { return format!("{answer:#}\n") };
    let mut text: String = explained.sentences.iter().map(|sentence| format!("{sentence}\n")).collect();
    if explained.by_chance {
        text.push_str("the next request may fall to another arm: give a sticky key to see where a caller stays\n");
    }
    text
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests;
