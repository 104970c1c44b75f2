//! What callers may change through the protocols themselves, where the operator allows it: which versions are loaded,
//! what is logged, which requests are traced. The same for every wire.

use std::sync::Arc;

use base_serving::{ChangeKind, ChangeRequest};
use base_types::{ModelName, Selector, Version};
use data_path::{Code, Failure, TraceChange, TraceSettings, no_such_model, target};
use tokio::sync::Semaphore;

use crate::call::Edge;

/// Callers that wait for a load or unload at once; the next is refused.
const CHANGES_MAX: usize = 8;
/// The most verbose level there is.
const VERBOSE_MAX: u32 = 2;

/// What is logged, in Triton's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// What changes is logged.
    pub has_info: bool,
    /// What may need a person is logged.
    pub has_warning: bool,
    /// What needs a person is logged.
    pub has_error: bool,
    /// 0: nothing more. 1: why things happen. 2: everything.
    pub verbose_level: u32,
}

/// What a caller wants to change of it; what is not named stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogChange {
    /// See [`LogSettings::has_info`].
    pub has_info: Option<bool>,
    /// See [`LogSettings::has_warning`].
    pub has_warning: Option<bool>,
    /// See [`LogSettings::has_error`].
    pub has_error: Option<bool>,
    /// See [`LogSettings::verbose_level`].
    pub verbose_level: Option<u32>,
}

impl LogChange {
    /// What is logged once this is changed.
    pub fn of(&self, now: &LogSettings) -> LogSettings {
        LogSettings {
            has_info: self.has_info.unwrap_or(now.has_info),
            has_warning: self.has_warning.unwrap_or(now.has_warning),
            has_error: self.has_error.unwrap_or(now.has_error),
            verbose_level: self.verbose_level.unwrap_or(now.verbose_level),
        }
    }
}

/// The process's log, as far as callers may see and set it.
pub trait LogControl: Send + Sync {
    /// What is logged now.
    fn settings(&self) -> LogSettings;

    /// Changes what is logged from now on, and says what is logged then. Of two changes at once none is lost.
    ///
    /// # Errors
    /// In words, why it cannot be.
    fn set(&self, change: &LogChange) -> Result<LogSettings, String>;
}

/// What stands behind the routes that change something.
pub struct Management {
    changes: Option<Arc<dyn ChangeRequest>>,
    log: Option<Arc<dyn LogControl>>,
    permits: Semaphore,
}

impl Default for Management {
    fn default() -> Self {
        Self { changes: None, log: None, permits: Semaphore::new(CHANGES_MAX) }
    }
}

impl Management {
    pub(crate) fn set_changes(&mut self, changes: Arc<dyn ChangeRequest>) {
        self.changes = Some(changes);
    }

    pub(crate) fn set_log(&mut self, log: Arc<dyn LogControl>) {
        self.log = Some(log);
    }

    /// The control plane, where callers may ask it.
    fn changes(&self) -> Result<&dyn ChangeRequest, Failure> {
        self.changes.as_deref().ok_or_else(|| {
            let text = "callers may change nothing here: the operator allows it with `model_control = true` in \
                        gateway.toml";
            Failure::new(Code::ChangeRefused, text)
        })
    }
}

impl Edge {
    /// Loads or unloads a model, or one version of it, and comes back when that is done. `parameters` are the names of
    /// those the caller sent along.
    ///
    /// # Errors
    /// Callers may not, the parameters bring files or a configuration, too many wait, there is no such model or
    /// version, or it cannot be done.
    pub async fn change(
        &self,
        kind: ChangeKind,
        (model, version): (&str, &str),
        parameters: impl IntoIterator<Item = &str>,
    ) -> Result<(), Failure> {
        let changes = self.management.changes()?;
        refuse_files(parameters)?;
        let (name, pin) = target(model, version)?;
        let number = pin.map(number).transpose()?;
        let model = ModelName::new(name).map_err(|_| no_such_model(name))?;
        let Ok(_permit) = self.management.permits.try_acquire() else {
            let text = format!("{CHANGES_MAX} loads and unloads are being waited for already");
            return Err(Failure::new(Code::QueueFull, text));
        };
        changes.request(kind, &model, number).await.map_err(|refused| {
            let code = match (refused.is_unknown, number) {
                (false, _) => Code::ChangeRefused,
                (true, None) => Code::ModelUnknown,
                (true, Some(_)) => Code::VersionUnknown,
            };
            Failure::new(code, refused.text)
        })
    }

    /// What is logged; `None` where nobody can say.
    pub fn log_settings(&self) -> Option<LogSettings> {
        self.management.log.as_ref().map(|log| log.settings())
    }

    /// Changes what is logged, and says what is logged then.
    ///
    /// # Errors
    /// Callers may not, the level does not exist, or the log cannot be set.
    pub fn set_log(&self, change: &LogChange) -> Result<LogSettings, Failure> {
        self.management.changes()?;
        let Some(log) = &self.management.log else {
            return Err(Failure::new(Code::NotImplemented, "the log of this process cannot be set"));
        };
        if let Some(level) = change.verbose_level.filter(|level| *level > VERBOSE_MAX) {
            let text = format!("log_verbose_level is 0 to {VERBOSE_MAX}, not {level}");
            return Err(Failure::new(Code::Malformed, text));
        }
        let tell = || tracing::warn!(?change, "a caller changes what is logged");
        // A change that hides warnings must not hide itself, and one that shows them is to be seen.
        let is_shown_now = log.settings().has_warning;
        if is_shown_now {
            tell();
        }
        let settings = log.set(change).map_err(|text| Failure::new(Code::ChangeRefused, text))?;
        if !is_shown_now {
            tell();
        }
        Ok(settings)
    }

    /// Which requests are traced: of a model, or of those without settings of their own.
    ///
    /// # Errors
    /// There is no such model.
    pub fn trace_settings(&self, model: Option<&str>) -> Result<TraceSettings, Failure> {
        self.gateway.tracer().settings(&self.gateway.snapshot(), model)
    }

    /// Changes which requests are traced, and says what holds then.
    ///
    /// # Errors
    /// Callers may not, or there is no such model.
    pub fn set_trace(&self, model: Option<&str>, change: &TraceChange) -> Result<TraceSettings, Failure> {
        self.management.changes()?;
        let settings = self.gateway.tracer().set(&self.gateway.snapshot(), model, change)?;
        tracing::warn!(model, ?settings, "a caller changed which requests are traced");
        Ok(settings)
    }
}

/// Files and configurations of a caller are not taken: what runs is what the operator put into the repository.
fn refuse_files<'a>(parameters: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
    let is_file = |name: &&str| *name == "config" || name.starts_with("file:");
    match parameters.into_iter().find(is_file) {
        None => Ok(()),
        Some(name) => {
            let text = format!(
                "the parameter {name:?} brings a configuration or a file along, and those are taken from the model \
                 repository alone"
            );
            Err(Failure::new(Code::ChangeRefused, text))
        }
    }
}

/// A label may point elsewhere by the time the work is done.
fn number(pin: Selector) -> Result<Version, Failure> {
    match pin {
        Selector::Version(version) => Ok(version),
        Selector::Label(label) => {
            let text = format!("a load or unload names a version by its number, not by the label {:?}", label.as_str());
            Err(Failure::new(Code::Malformed, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_change_does_not_name_stays_so_that_changes_of_others_do_too() {
        let now = LogSettings { has_info: true, has_warning: true, has_error: true, verbose_level: 0 };
        let first = LogChange { has_info: Some(false), ..LogChange::default() };
        let second = LogChange { verbose_level: Some(2), ..LogChange::default() };
        let both = LogSettings { has_info: false, verbose_level: 2, ..now };
        assert_eq!((second.of(&first.of(&now)), first.of(&second.of(&now))), (both, both));
    }
}
