//! Asks the admin API of a running gateway.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use control_admin::Token;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};

use super::CliError;

/// Where the gateway listens when nobody says otherwise.
const ADMIN_DEFAULT: &str = "127.0.0.1:8003";
/// The environment variable that says otherwise.
const ADMIN_VARIABLE: &str = "SWITCHRAIL_ADMIN";
/// The gateway itself answers within 30 s, if only to say that it cannot.
const TIMEOUT: Duration = Duration::from_secs(40);
/// Largest answer: a thousand rows of history with their evidence.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// How to reach the gateway, and how to show what it says.
#[derive(Debug, Default, Args)]
pub(super) struct GatewayArguments {
    /// The gateway's admin address [default: SWITCHRAIL_ADMIN, else 127.0.0.1:8003]
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// A file with the token, if the gateway asks for one
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print the gateway's answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A gateway that can be asked.
pub(super) struct Gateway {
    agent: Agent,
    /// `http://host:port`
    base: String,
    token: Option<Token>,
}

impl GatewayArguments {
    /// Reads the token, if there is one, and makes ready to ask.
    pub(super) fn gateway(&self) -> Result<Gateway, CliError> {
        let variable = std::env::var(ADMIN_VARIABLE).ok().filter(|text| !text.is_empty());
        let admin = self.admin.clone().or(variable).unwrap_or_else(|| ADMIN_DEFAULT.to_owned());
        let token = self.token_file.as_deref().map(Token::read).transpose()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A gateway is asked directly: the token is for nobody in between.
            .proxy(None)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("switchrail/", env!("CARGO_PKG_VERSION")));
        Ok(Gateway { agent: config.build().into(), base: base(&admin), token })
    }
}

impl Gateway {
    /// Asks for what stands at a path.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, CliError> {
        self.read(self.ask(path, query))
    }

    /// Asks for a text that stands at a path.
    pub(super) fn get_text(&self, path: &str, query: &[(&str, String)]) -> Result<String, CliError> {
        let (status, body) = self.receive(self.ask(path, query))?;
        if status.is_success() {
            return Ok(String::from_utf8_lossy(&body).into_owned());
        }
        Err(self.refused(status, &body))
    }

    fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.authorization());
        }
        request.call()
    }

    /// Sends JSON.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.send(path, "application/json", body.to_string().as_bytes())
    }

    /// Sends the text of a file.
    pub(super) fn post_toml(&self, path: &str, text: &[u8]) -> Result<Value, CliError> {
        self.send(path, "application/toml", text)
    }

    /// Reads an answer as what it is documented to be.
    pub(super) fn read_as<T: DeserializeOwned>(&self, answer: Value) -> Result<T, CliError> {
        let foreign = |error| CliError::Foreign { address: self.base.clone(), reason: format!("unexpected: {error}") };
        serde_json::from_value(answer).map_err(foreign)
    }

    fn send(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Value, CliError> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header(header::CONTENT_TYPE, content_type);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.authorization());
        }
        self.read(request.send(body))
    }

    fn read(&self, response: Result<Response<ureq::Body>, ureq::Error>) -> Result<Value, CliError> {
        let (status, body) = self.receive(response)?;
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        serde_json::from_slice(&body).map_err(|_| self.no_json(status))
    }

    /// An answer's status and body, whatever they say.
    fn receive(&self, response: Result<Response<ureq::Body>, ureq::Error>) -> Result<(StatusCode, Vec<u8>), CliError> {
        let address = self.base.clone();
        let mut response = match response {
            Ok(response) => response,
            Err(ureq::Error::Protocol(error)) => {
                return Err(CliError::Foreign { address, reason: error.to_string() });
            }
            Err(ureq::Error::Io(error)) => return Err(CliError::Unreachable { address, reason: error.to_string() }),
            Err(error) => return Err(CliError::Unreachable { address, reason: error.to_string() }),
        };
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| CliError::Unreachable { address, reason: error.to_string() })?;
        Ok((status, body))
    }

    /// What a refusal says.
    fn refused(&self, status: StatusCode, body: &[u8]) -> CliError {
        let Ok(value) = serde_json::from_slice::<Value>(body) else { return self.no_json(status) };
        match (value["error"].as_str(), value["code"].as_str()) {
            (Some(error), Some(code)) => CliError::Refused { code: code.to_owned(), error: error.to_owned() },
            _ => CliError::Foreign { address: self.base.clone(), reason: format!("status {status}") },
        }
    }

    fn no_json(&self, status: StatusCode) -> CliError {
        CliError::Foreign { address: self.base.clone(), reason: format!("status {status}, and no JSON") }
    }
}

/// The address as a URL. A scheme may be given where a proxy with TLS stands in front.
fn base(admin: &str) -> String {
    let admin = admin.trim_end_matches('/');
    if admin.contains("://") { admin.to_owned() } else { format!("http://{admin}") }
}

#[cfg(test)]
mod tests;
