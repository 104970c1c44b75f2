//! A new text of routing.toml: checked, recorded, put in force; or refused as a whole, with every problem told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base_metrics::ReloadResult;
use base_types::Change;
use control_config::{Diagnostic, FileEvent, RoutingConfig, TreeState, diff, parse_routing, working_tree};
use control_registry::journal::{Action, Entry};
use tracing::{error, info, warn};

use crate::control::ControlError;
use crate::effect::Effect;
use crate::gate;
use crate::reconcile::try_again;
use crate::state::State;
use crate::turn::Core;

impl Core {
    /// Takes the content of routing.toml and the working tree it was read in, or why there is none.
    pub(crate) fn configure(&self, event: FileEvent, tree: Option<TreeState>) {
        let path = &event.path;
        // A newer text: an older one that still waits for the disk is out of date.
        self.lock().unrecorded_routing = None;
        match event.content {
            Ok(bytes) => self.read(path, &bytes, tree),
            Err(problem) => {
                warn!(file = %path.display(), %problem, "routing stays as it is");
                self.metrics.config_read(ReloadResult::Rejected, 1, self.unix_seconds());
            }
        }
    }

    fn read(&self, path: &Path, bytes: &[u8], tree: Option<TreeState>) {
        self.lock().live_text.note_read(tree);
        self.apply_text(path, bytes);
    }

    fn apply_text(&self, path: &Path, bytes: &[u8]) {
        let parsed = match parse_routing(path, bytes) {
            Ok(parsed) => parsed,
            Err(invalid) => return self.reject(path, invalid.diagnostics),
        };
        for warning in &parsed.warnings {
            warn!(file = %path.display(), line = warning.line, code = warning.code.as_str(), warning.message, "routing.toml");
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        let before = self.lock().routing.clone();
        let differences: Vec<String> = diff(&before, &parsed.value).iter().map(ToString::to_string).collect();
        let had_problems = !self.lock().problems.is_empty();
        if differences.is_empty() && !had_problems {
            self.metrics.config_read(ReloadResult::Unchanged, 0, self.unix_seconds());
            self.lock().live_text.take(bytes);
            self.show_source();
            info!(file = %path.display(), "routing.toml says the same as before");
            return;
        }
        self.accept(path, parsed.value, text, &differences);
    }

    /// Tries an edit again that the disk refused.
    pub(crate) fn retry_routing(&self) {
        let unrecorded = self.lock().unrecorded_routing.take();
        if let Some((path, bytes)) = unrecorded {
            self.apply_text(&path, &bytes);
        }
    }

    fn reject(&self, path: &Path, problems: Vec<Diagnostic>) {
        for problem in &problems {
            error!(file = %path.display(), line = problem.line, column = problem.column,
                code = problem.code.as_str(), message = problem.message, hint = problem.hint, "routing.toml refused");
        }
        self.metrics.config_read(ReloadResult::Rejected, problems.len(), self.unix_seconds());
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        let reason = format!("{} problems, the first: {first}", problems.len());
        self.lock().problems = problems;
        let entry = Entry {
            reason: Some(reason),
            ..Entry::new(self.clock.unix_ms(), path.display().to_string(), Action::ConfigRejected)
        };
        self.perform(vec![Effect::Record(Box::new(entry))]);
    }

    /// Toward risk: durable first, then in force.
    fn accept(&self, path: &Path, routing: RoutingConfig, text: String, differences: &[String]) {
        let entries = self.acceptance(path, &routing, differences);
        let generation = base_types::Generation(self.lock().generation + 1);
        let entries: Vec<Entry> = entries.into_iter().map(|e| Entry { generation: Some(generation), ..e }).collect();
        let kept = text.clone().into_bytes();
        if let Err(error) = self.recorder.now(entries.clone(), Some(text)) {
            error!(%error, "routing.toml is valid but could not be recorded yet: routing stays as it is");
            self.metrics.config_read(ReloadResult::Rejected, 1, self.unix_seconds());
            self.lock().unrecorded_routing = Some((path.to_owned(), kept));
            return;
        }
        let mut effects = Vec::new();
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.routing, Arc::new(routing));
        retry_renamed(&mut state, &before);
        gate::retry_ruled(&mut state, &before);
        state.problems.clear();
        state.live_text.take(&kept);
        entries.iter().flat_map(|e| &e.changes).for_each(|change| state.decisions.apply(change));
        self.publish(&mut state, &mut effects);
        let generation = state.generation;
        drop(state);
        self.metrics.config_read(ReloadResult::Applied, 0, self.unix_seconds());
        for difference in differences {
            info!(difference, "routing.toml");
        }
        self.show_source();
        info!(file = %path.display(), generation, "routing.toml in force");
        self.perform(effects);
    }

    /// The entries of an acceptance: decisions that give way to the file, and versions it declares stable.
    fn acceptance(&self, path: &Path, routing: &RoutingConfig, differences: &[String]) -> Vec<Entry> {
        let (now, actor) = (self.clock.unix_ms(), path.display().to_string());
        let state = self.lock();
        let (source, evidence_json) = state.live_text.told().unzip();
        let told: Vec<&str> = source.iter().chain(differences).map(String::as_str).collect();
        let mut entries = vec![Entry {
            reason: Some(told.join("; ")).filter(|r| !r.is_empty()),
            evidence_json,
            ..Entry::new(now, actor.clone(), Action::ConfigAccepted)
        }];
        for (name, stance) in &state.decisions.stances {
            if !routing.upholds(name, stance) {
                entries.push(Entry {
                    model: Some(name.clone()),
                    version: Some(stance.stable),
                    reason: Some("routing.toml now says something else for this model".to_owned()),
                    changes: vec![Change::StanceCleared { model: name.clone() }],
                    ..Entry::new(now, actor.clone(), Action::StanceSuperseded)
                });
            }
        }
        // A version a person writes down as stable is one a rollback may come back to.
        let declared = routing.models.iter().filter_map(|(name, block)| Some(State::id(name, block.stable?)));
        let is_new = |id: &base_types::VersionId| {
            let confirmed = state.decisions.confirmed.get(&id.model).and_then(|c| c.last());
            confirmed != Some(&id.version)
                && !state.decisions.stances.get(&id.model).is_some_and(|s| routing.upholds(&id.model, s))
        };
        let changes: Vec<Change> = declared.filter(is_new).map(|id| Change::Confirmed { id }).collect();
        if let Some(first) = entries.first_mut() {
            first.changes = changes;
        }
        entries
    }

    /// Reads routing.toml at start and gives what was read. What was accepted last serves while the file is invalid.
    pub(crate) fn first_routing(
        &self,
        path: Option<&PathBuf>,
        accepted: Option<&str>,
    ) -> Result<Option<Vec<u8>>, ControlError> {
        let accepted_config = accepted.and_then(|text| {
            let file = path.cloned().unwrap_or_else(|| PathBuf::from("routing.toml"));
            parse_routing(&file, text.as_bytes()).ok()
        });
        let Some(path) = path else { return Ok(None) };
        if let Some(config) = &accepted_config {
            self.lock().routing = Arc::new(config.value.clone());
        }
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if accepted_config.is_some() => {
                error!(file = %path.display(), %error, "cannot be read: the routing accepted last serves");
                return Ok(None);
            }
            Err(source) => return Err(ControlError::RoutingUnreadable { path: path.clone(), source }),
        };
        match parse_routing(path, &bytes) {
            Ok(_) => {
                self.read(path, &bytes, working_tree(path, &bytes));
                if accepted_config.is_none() && self.lock().unrecorded_routing.is_some() {
                    return Err(ControlError::RoutingUnrecorded);
                }
            }
            Err(invalid) if accepted_config.is_some() => {
                self.reject(path, invalid.diagnostics);
                warn!("the routing accepted last serves");
            }
            Err(invalid) => return Err(ControlError::RoutingInvalid(invalid.diagnostics)),
        }
        Ok(Some(bytes))
    }

    fn unix_seconds(&self) -> f64 {
        self.clock.unix_ms() as f64 / 1000.0
    }
}

/// Versions whose names changed may fit their config.pbtxt now.
fn retry_renamed(state: &mut State, before: &RoutingConfig) {
    let State { models, routing, .. } = state;
    for (name, model) in models {
        for (version, entry) in &mut model.versions {
            if before.names(name, *version) != routing.names(name, *version) {
                try_again(entry);
            }
        }
    }
}
