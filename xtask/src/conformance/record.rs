//! The results of clients: read from drivers, kept in `results.json`, compared with what is known.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::clients::CLIENTS;
use super::{ConformanceError, io_at};

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Refused, as it should be, because there is no such thing; with the reason.
    Absent(String),
    /// It fails, and that is known; with the reason.
    Known(String),
    /// It fails.
    Failed(String),
    /// This machine cannot run it; with what it lacks.
    Skipped(String),
}

/// One call of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// What it shows, one sentence.
    pub shows: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// What one client did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The client's name.
    pub client: String,
    /// Its packages with their versions.
    pub packages: String,
    /// Its calls, in the order they ran.
    pub calls: Vec<Call>,
}

/// What all clients did when they last ran.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Their sessions, in the order of the clients.
    pub sessions: Vec<Session>,
}

/// Calls that are known to fail, and why.
#[derive(Debug, Default)]
pub struct Known(Vec<(String, String, String)>);

impl Call {
    /// Reads a driver's line, or an entry of the results.
    pub fn from_json(line: &Value) -> Option<Self> {
        let text = |key: &str| line[key].as_str().map(str::to_owned);
        let why = text("why").unwrap_or_default();
        let outcome = match line["result"].as_str()? {
            "passed" => Outcome::Passed,
            "absent" => Outcome::Absent(why),
            "known" => Outcome::Known(why),
            "skipped" => Outcome::Skipped(why),
            _ => Outcome::Failed(why),
        };
        Some(Self { name: text("call")?, shows: text("shows")?, outcome })
    }

    fn to_json(&self) -> Value {
        let (result, why) = match &self.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Absent(why) => ("absent", Some(why)),
            Outcome::Known(why) => ("known", Some(why)),
            Outcome::Failed(why) => ("failed", Some(why)),
            Outcome::Skipped(why) => ("skipped", Some(why)),
        };
        let mut entry = json!({ "call": self.name, "shows": self.shows, "result": result });
        if let Some(why) = why {
            entry["why"] = Value::from(why.as_str());
        }
        entry
    }
}

impl Session {
    /// A client that has done nothing yet.
    pub fn new(client: &str) -> Self {
        Self { client: client.to_owned(), packages: String::new(), calls: Vec::new() }
    }

    /// Calls that failed and were not known to. A client without any call has failed.
    pub fn n_failed(&self) -> usize {
        let n_failed = self.calls.iter().filter(|call| matches!(call.outcome, Outcome::Failed(_))).count();
        if self.calls.is_empty() { 1 } else { n_failed }
    }

    /// Takes over how the calls that were skipped ended before.
    fn recall(&mut self, before: &Self) {
        for call in self.calls.iter_mut().filter(|call| matches!(call.outcome, Outcome::Skipped(_))) {
            if let Some(old) = before.calls.iter().find(|old| old.name == call.name) {
                call.outcome = old.outcome.clone();
            }
        }
    }
}

impl Known {
    /// Reads the list; each entry names a client, a call and the reason.
    pub fn read(path: &Path) -> Result<Self, ConformanceError> {
        let text = fs::read_to_string(path).map_err(io_at(path))?;
        let json = |source| ConformanceError::Json { path: path.to_path_buf(), source };
        let entries: Vec<Map<String, Value>> = serde_json::from_str(&text).map_err(json)?;
        let word = |entry: &Map<String, Value>, key: &str| entry.get(key)?.as_str().map(str::to_owned);
        let read = |entry| Some((word(entry, "client")?, word(entry, "call")?, word(entry, "why")?));
        Ok(Self(entries.iter().filter_map(read).collect()))
    }

    /// Marks the failures that are known. What is listed and passes fails, so that the list stays true.
    pub fn apply(&self, session: &mut Session) {
        for call in &mut session.calls {
            let listed = self.0.iter().find(|(client, name, _)| *client == session.client && *name == call.name);
            let Some((_, _, why)) = listed else { continue };
            match call.outcome {
                Outcome::Failed(_) => call.outcome = Outcome::Known(why.clone()),
                Outcome::Passed => {
                    call.outcome = Outcome::Failed("it passes: take it out of known.json".to_owned());
                }
                _ => {}
            }
        }
    }
}

impl Record {
    /// Reads the results; none where there is no such file.
    pub fn read(path: &Path) -> Result<Self, ConformanceError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io_at(path)(error)),
        };
        let json = |source| ConformanceError::Json { path: path.to_path_buf(), source };
        let clients: Map<String, Value> = serde_json::from_str(&text).map_err(json)?;
        let session = |(client, found): (&String, &Value)| Session {
            client: client.clone(),
            packages: found["packages"].as_str().unwrap_or_default().to_owned(),
            calls: found["calls"].as_array().into_iter().flatten().filter_map(Call::from_json).collect(),
        };
        Ok(Self { sessions: clients.iter().map(session).collect() })
    }

    /// The results as a file.
    pub fn to_json(&self) -> String {
        let entry = |session: &Session| {
            let calls: Vec<Value> = session.calls.iter().map(Call::to_json).collect();
            (session.client.clone(), json!({ "packages": session.packages, "calls": calls }))
        };
        let clients: Map<String, Value> = self.sessions.iter().map(entry).collect();
        format!("{:#}\n", Value::Object(clients))
    }

    /// Takes new sessions in the place of old ones. What this machine cannot run stays as another one saw it.
    pub fn merge(&mut self, sessions: Vec<Session>) {
        for mut session in sessions {
            match self.sessions.iter_mut().find(|old| old.client == session.client) {
                Some(old) => {
                    session.recall(old);
                    *old = session;
                }
                None => self.sessions.push(session),
            }
        }
        let position = |session: &Session| CLIENTS.iter().position(|client| client.name == session.client);
        self.sessions.retain(|session| position(session).is_some());
        self.sessions.sort_by_key(position);
    }

    /// The clients whose results are others, or new, in `after`.
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let is_new = |session: &&Session| !self.sessions.contains(session);
        after.sessions.iter().filter(is_new).map(|session| session.client.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
