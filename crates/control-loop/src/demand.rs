//! Versions loaded because a request asks for them, and those who wait.
//!
//! Nothing of it is recorded: a version that was asked for is in memory for as long as there is room, not for longer than
//! the process. Those who wait are bounded in number, and each waits no longer than its own deadline, which its edge keeps.

use base_serving::{Demand, NotLoaded, OnDemand};
use base_types::{ModelName, Version, VersionState};
use tokio::sync::oneshot;

use crate::control::Control;
use crate::memory::MEMORY_BUDGET;
use crate::publish::is_ready;
use crate::shelved::NOT_LOADED;
use crate::state::State;
use crate::turn::{Core, Event};

/// Requests waiting for versions to be loaded.
const WAITING_MAX: usize = 1024;

/// A version that is asked for; without a number, one that may take the model's unpinned traffic.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) model: ModelName,
    pub(crate) version: Option<Version>,
}

/// A request's way to hear of the end.
pub(crate) type WishReply = oneshot::Sender<Result<(), NotLoaded>>;

/// Who waits for what.
#[derive(Default)]
pub(crate) struct Wishes(Vec<(Wish, WishReply)>);

impl Wishes {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a wish, unless it is hopeless.
    pub(crate) fn begin(&mut self, core: &Core, wish: Wish, reply: WishReply) {
        let taken = match self.0.len() < WAITING_MAX {
            true => core.ask_for(&wish),
            false => not_loaded("too many requests wait for versions to be loaded; try again"),
        };
        match taken {
            Ok(()) => self.0.push((wish, reply)),
            // The request may have been given up.
            Err(refused) => drop(reply.send(Err(refused))),
        }
    }

    /// Answers those whose version is ready or will not be. Those who left are forgotten.
    pub(crate) fn answer(&mut self, core: &Core) {
        if self.0.is_empty() {
            return;
        }
        let state = core.lock();
        let waiting = std::mem::take(&mut self.0).into_iter().filter(|(_, reply)| !reply.is_closed());
        self.0 = waiting
            .filter_map(|(wish, reply)| match end(&state, &wish) {
                None => Some((wish, reply)),
                Some(end) => {
                    // The request may have been given up.
                    let _gone = reply.send(end);
                    None
                }
            })
            .collect();
    }
}

impl Core {
    /// Notes that a version is asked for: the next look loads it.
    fn ask_for(&self, wish: &Wish) -> Result<(), NotLoaded> {
        let mut state = self.lock();
        let Some(version) = meant(&state, wish) else {
            return not_loaded("it has no version that could be loaded");
        };
        let id = State::id(&wish.model, version);
        let Some(entry) = state.entry_mut(&id).filter(|entry| entry.is_present || entry.serving.is_some()) else {
            return not_loaded("there is no such version");
        };
        // What was left out, or refused for want of memory, is weighed again; what is broken stays so.
        if entry.reason.as_ref().is_some_and(|(code, _)| code == NOT_LOADED || code == MEMORY_BUDGET) {
            (entry.state, entry.reason, entry.stamp) = (VersionState::Registered, None, None);
        }
        let mut residency = self.residency();
        residency.out.remove(&id);
        residency.asked.insert(id);
        Ok(())
    }
}

/// The version that is meant: the highest that is not broken, where no number is given.
fn meant(state: &State, wish: &Wish) -> Option<Version> {
    wish.version.or_else(|| {
        let model = state.models.get(&wish.model)?;
        let is_good = |version: &Version| {
            let id = State::id(&wish.model, *version);
            let entry = model.versions.get(version);
            !state.decisions.is_quarantined(&id)
                && entry.is_some_and(|entry| {
                    let is_short = entry.reason.as_ref().is_some_and(|(code, _)| code == MEMORY_BUDGET);
                    entry.is_present && (entry.state != VersionState::Failed || is_short)
                })
        };
        model.versions.keys().rev().copied().find(is_good)
    })
}

/// How a wish ends; `None` while its version is on its way.
fn end(state: &State, wish: &Wish) -> Option<Result<(), NotLoaded>> {
    let model = state.models.get(&wish.model)?;
    if wish.version.is_none() && model.route.is_some() {
        return Some(Ok(()));
    }
    let Some(version) = meant(state, wish) else { return Some(not_loaded("it has no version that could be loaded")) };
    if wish.version.is_some() && is_ready(state, &wish.model, version) {
        return Some(Ok(()));
    }
    let Some(entry) = model.versions.get(&version) else { return Some(not_loaded("there is no such version")) };
    let text = entry.reason.as_ref().map_or("it cannot be loaded", |(_, text)| text.as_str());
    match entry.state {
        VersionState::Failed | VersionState::Quarantined => Some(not_loaded(text)),
        _ if entry.reason.as_ref().is_some_and(|(code, _)| code == crate::reconcile::UNLOADED.0) => {
            Some(not_loaded(text))
        }
        _ => None,
    }
}

fn not_loaded<T>(text: &str) -> Result<T, NotLoaded> {
    Err(NotLoaded(text.to_owned()))
}

impl OnDemand for Control {
    fn demand<'a>(&'a self, model: &'a ModelName, version: Option<Version>) -> Demand<'a> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            if self.events().try_send(Event::Wish(Wish { model: model.clone(), version }, reply)).is_err() {
                return not_loaded("the control plane is busy or stopping; try again");
            }
            answer.await.unwrap_or_else(|_| not_loaded("the gateway is stopping"))
        })
    }
}
