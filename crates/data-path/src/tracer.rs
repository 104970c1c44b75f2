//! Which requests leave a line with their times in the log: every n-th, up to so many, of all models or of one. Off until
//! somebody asks for it; a request then pays for one look at a flag.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use base_serving::{ServingVersion, Snapshot};
use base_types::{ModelName, OutcomeClass};

use crate::{Failure, no_such_model};

/// One of so many requests is traced unless said otherwise, as Triton has it.
const RATE_DEFAULT: u32 = 1000;

/// What holds for a model, or for those without settings of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceSettings {
    /// Whether any request is traced.
    pub is_on: bool,
    /// One of so many.
    pub rate: u32,
    /// So many more; `None` without end.
    pub left: Option<u64>,
}

/// What becomes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Setting<T> {
    /// It stays.
    #[default]
    Keep,
    /// It goes: a model then follows the general setting, and that is what it was at start.
    Clear,
    /// It becomes this.
    Set(T),
}

/// What a caller wants to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TraceChange {
    /// See [`TraceSettings::is_on`].
    pub is_on: Setting<bool>,
    /// See [`TraceSettings::rate`]; at least 1.
    pub rate: Setting<u32>,
    /// See [`TraceSettings::left`].
    pub left: Setting<Option<u64>>,
}

/// How a traced request went.
pub(crate) struct Traced {
    pub(crate) outcome: OutcomeClass,
    /// When it came in, in milliseconds of Unix time.
    pub(crate) received_unix_ms: u64,
    pub(crate) queue: Duration,
    pub(crate) run: Duration,
    pub(crate) total: Duration,
}

/// Settings somebody made, and how many requests they have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Own {
    is_on: Option<bool>,
    rate: Option<u32>,
    left: Option<Option<u64>>,
    n_seen: u64,
}

impl Own {
    fn is_empty(&self) -> bool {
        (self.is_on, self.rate, self.left) == (None, None, None)
    }

    fn apply(&mut self, change: &TraceChange) {
        set(&mut self.is_on, change.is_on);
        set(&mut self.rate, change.rate);
        set(&mut self.left, change.left);
        self.n_seen = 0;
    }
}

fn set<T>(own: &mut Option<T>, change: Setting<T>) {
    match change {
        Setting::Keep => {}
        Setting::Clear => *own = None,
        Setting::Set(value) => *own = Some(value),
    }
}

#[derive(Default)]
struct State {
    general: Own,
    /// Of models that exist when a setting is made: never more of them than models.
    models: HashMap<ModelName, Own>,
}

impl State {
    fn settings(&self, model: Option<&str>) -> TraceSettings {
        let own = model.and_then(|name| self.models.get(name)).copied().unwrap_or_default();
        TraceSettings {
            is_on: own.is_on.or(self.general.is_on).unwrap_or(false),
            rate: own.rate.or(self.general.rate).unwrap_or(RATE_DEFAULT).max(1),
            left: own.left.or(self.general.left).unwrap_or(None),
        }
    }

    /// Whether this request is one of those to be traced.
    fn take(&mut self, model: &str) -> bool {
        let settings = self.settings(Some(model));
        if !settings.is_on || settings.left == Some(0) {
            return false;
        }
        let State { general, models } = self;
        let own = models.get_mut(model);
        let has_own_count = own.as_ref().is_some_and(|own| own.left.is_some());
        let counter = match own {
            Some(own) => {
                own.n_seen += 1;
                let n_seen = own.n_seen;
                if n_seen % u64::from(settings.rate) != 0 {
                    return false;
                }
                if has_own_count { own } else { general }
            }
            None => {
                general.n_seen += 1;
                if general.n_seen % u64::from(settings.rate) != 0 {
                    return false;
                }
                general
            }
        };
        if let Some(Some(left)) = &mut counter.left {
            *left -= 1;
        }
        true
    }
}

/// Decides which requests are traced.
#[derive(Default)]
pub struct Tracer {
    is_on: AtomicBool,
    state: Mutex<State>,
}

impl Tracer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What holds for a model, or in general.
    ///
    /// # Errors
    /// There is no such model.
    pub fn settings(&self, snapshot: &Snapshot, model: Option<&str>) -> Result<TraceSettings, Failure> {
        known(snapshot, model)?;
        Ok(self.lock().settings(model))
    }

    /// Changes it, and says what holds then.
    ///
    /// # Errors
    /// There is no such model.
    pub fn set(
        &self,
        snapshot: &Snapshot,
        model: Option<&str>,
        change: &TraceChange,
    ) -> Result<TraceSettings, Failure> {
        let name = known(snapshot, model)?;
        let mut state = self.lock();
        state.models.retain(|name, _| snapshot.models.contains_key(name));
        match name {
            None => state.general.apply(change),
            Some(name) => {
                state.models.entry(name.clone()).or_default().apply(change);
                state.models.retain(|_, own| !own.is_empty());
            }
        }
        let is_on = |own: &Own| own.is_on == Some(true);
        self.is_on.store(is_on(&state.general) || state.models.values().any(is_on), Ordering::Relaxed);
        Ok(state.settings(model))
    }

    /// Writes the line of a request, if it is to have one.
    pub(crate) fn trace(&self, version: &ServingVersion, traced: impl FnOnce() -> Traced) {
        let model = version.id.model.as_str();
        if !self.is_on.load(Ordering::Relaxed) || !self.lock().take(model) {
            return;
        }
        let Traced { outcome, received_unix_ms, queue, run, total } = traced();
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            model,
            version = version.id.version.get(),
            outcome = outcome.as_str(),
            received_unix_ms,
            queue_us = us(queue),
            run_us = us(run),
            total_us = us(total),
            "trace"
        );
    }
}

fn known<'a>(snapshot: &'a Snapshot, model: Option<&str>) -> Result<Option<&'a ModelName>, Failure> {
    let Some(name) = model else { return Ok(None) };
    snapshot.models.get(name).map(|model| Some(&model.name)).ok_or_else(|| no_such_model(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::sync::Arc;

    use base_serving::ModelLimits;
    use testkit::fake::serving_model;

    use super::*;
    use crate::Code;

    fn snapshot(names: &[&str]) -> Snapshot {
        let model = |name: &&str| Arc::new(serving_model(&ModelName::new(name).unwrap(), ModelLimits::default()));
        let models = names.iter().map(model).map(|m| (m.name.clone(), m)).collect();
        Snapshot { models, ..Snapshot::default() }
    }

    fn n_taken(tracer: &Tracer, model: &str, n_requests: usize) -> usize {
        (0..n_requests).filter(|_| tracer.lock().take(model)).count()
    }

    #[test]
    fn every_nth_request_is_traced_up_to_the_count() {
        let (tracer, snapshot) = (Tracer::default(), snapshot(&["a", "b"]));
        assert_eq!(n_taken(&tracer, "a", 5000), 0, "off until asked for");
        let change = TraceChange { is_on: Setting::Set(true), rate: Setting::Set(10), left: Setting::Set(Some(3)) };
        tracer.set(&snapshot, None, &change).unwrap();
        assert_eq!((n_taken(&tracer, "a", 20), n_taken(&tracer, "b", 30)), (2, 1));
        let left = TraceSettings { is_on: true, rate: 10, left: Some(0) };
        assert_eq!(tracer.settings(&snapshot, None).unwrap(), left);
        tracer.set(&snapshot, None, &TraceChange { left: Setting::Clear, ..TraceChange::default() }).unwrap();
        assert_eq!(n_taken(&tracer, "a", 100), 10);
    }

    #[test]
    fn a_setting_that_is_cleared_follows_the_general_one_and_that_is_what_it_was_at_start() {
        let (tracer, snapshot) = (Tracer::default(), snapshot(&["a"]));
        let set = |model, rate| {
            let change = TraceChange { rate, ..TraceChange::default() };
            let seen = tracer.set(&snapshot, model, &change).unwrap().rate;
            let now = |model| tracer.settings(&snapshot, model).unwrap().rate;
            assert_eq!(seen, now(model), "what is told is what holds");
            (now(None), now(Some("a")))
        };
        let both = |rate| (rate, rate);
        assert_eq!(set(None, Setting::Set(7)), both(7));
        assert_eq!(set(Some("a"), Setting::Set(3)), (7, 3));
        assert_eq!(set(Some("a"), Setting::Clear), both(7), "the general rate, not the one of the start");
        assert_eq!(set(Some("a"), Setting::Set(3)), (7, 3));
        assert_eq!(set(None, Setting::Clear), (RATE_DEFAULT, 3));
        assert_eq!(set(Some("a"), Setting::Clear), both(RATE_DEFAULT));
    }

    #[test]
    fn a_models_own_settings_win_until_they_are_cleared() {
        let (tracer, both) = (Tracer::default(), snapshot(&["a", "b"]));
        let on = TraceChange { is_on: Setting::Set(true), rate: Setting::Set(1), ..TraceChange::default() };
        tracer.set(&both, Some("a"), &on).unwrap();
        assert_eq!((n_taken(&tracer, "a", 4), n_taken(&tracer, "b", 4)), (4, 0));
        assert!(tracer.is_on.load(Ordering::Relaxed));
        let clear = TraceChange { is_on: Setting::Clear, rate: Setting::Clear, left: Setting::Clear };
        assert!(!tracer.set(&both, Some("a"), &clear).unwrap().is_on);
        assert!(!tracer.is_on.load(Ordering::Relaxed) && tracer.lock().models.is_empty());
        tracer.set(&both, Some("a"), &on).unwrap();
        tracer.set(&snapshot(&["b"]), Some("b"), &on).unwrap();
        assert_eq!(tracer.lock().models.len(), 1, "settings of models that are gone go too");
        assert_eq!(tracer.set(&both, Some("none"), &on).unwrap_err().code, Code::ModelUnknown);
    }
}
