//! Takes every rollout on, a few times a second.

use std::sync::{Arc, Mutex};

use base_types::{ModelName, Phase, Rollout, VersionState};
use control_registry::journal::Action as JournalAction;
use control_rollout::StepKind;
use control_rollout::rollout::{Check, Event, advance};
use tracing::warn;

use crate::admissible::check_candidate;
use crate::gate;
use crate::order::{Refused, refuse};
use crate::rollout::enact::By;
use crate::rollout::facts::{counts, facts};
use crate::rollout::live::Live;
use crate::state::State;
use crate::turn::Core;
use crate::warm_up;

impl Core {
    /// Takes on every rollout under way. Control thread only.
    pub(crate) fn drive_rollouts(&self) {
        let names: Vec<ModelName> = {
            let state = self.lock();
            state.models.keys().filter(|name| state.rollout(name).is_some()).cloned().collect()
        };
        for name in &names {
            self.drive(name);
        }
    }

    fn drive(&self, name: &ModelName) {
        while let Some(event) = self.next_event(name) {
            let is_tick = matches!(event, Event::Tick(_));
            if let Err(refused) = self.take(name, &event, &By::gateway(JournalAction::RolloutAdvanced)) {
                warn!(model = %name, code = refused.code, refused.message, "the rollout stays as it is; tried again");
                return;
            }
            if is_tick {
                return;
            }
        }
    }

    /// What the rollout has to be told next; last of all, how things stand.
    fn next_event(&self, name: &ModelName) -> Option<Event> {
        let now = self.clock.unix_ms();
        let mut state = self.lock();
        let rollout = state.rollout(name)?.clone();
        let event = interference(&state, name, &rollout);
        let model = state.models.get_mut(name)?;
        if model.live.is_none() {
            model.live = Live::of(&rollout);
        }
        let counts = counts(model, &rollout);
        let Some(live) = model.live.as_mut() else {
            return Some(Event::CandidateGone {
                reason: "its policy, as recorded, cannot be read by this release".into(),
            });
        };
        live.see(&rollout, counts, now);
        if event.is_some() {
            return event;
        }
        self.check(&mut state, name, &rollout);
        let live = state.models.get_mut(name)?.live.as_mut()?;
        if !live.trips.is_empty() {
            return Some(Event::Tripped(live.trips.remove(0)));
        }
        Some(Event::Tick(facts(&state, name)))
    }

    /// Has the gate or the warm-up of the rollout's step answer, once the candidate is in memory.
    fn check(&self, state: &mut State, name: &ModelName, rollout: &Rollout) {
        let gate = match check_candidate(state, name, rollout.candidate, rollout.stable) {
            Ok(()) => {
                gate::misgiving(state, name, rollout.candidate).map_or(Check::Passed, |text| Check::Failed(text.into()))
            }
            Err(refused) if refused.code == "version_not_ready" => return,
            Err(refused) => Check::Failed(refused.message.into()),
        };
        let Some(model) = state.models.get_mut(name) else { return };
        let (limits, candidate) = (model.limits.clone(), model.serving(rollout.candidate).cloned());
        let (Some(live), Some(candidate)) = (model.live.as_mut(), candidate) else { return };
        live.gate = Some(gate);
        let step = live.policy.steps.get(rollout.step).map(|step| &step.kind);
        if let (Some(StepKind::WarmUp { runs }), None) = (step, &live.warm_up) {
            let place = Arc::new(Mutex::new(None));
            live.warm_up = Some(place.clone());
            warm_up::again(&candidate, (limits, self.clock.clone()), *runs, move |result| {
                let check = result.map_or_else(|text| Check::Failed(text.into()), |()| Check::Passed);
                *place.lock().unwrap_or_else(|e| e.into_inner()) = Some(check);
            });
        }
    }

    /// Has an event change a rollout. What it wants is put in force; an error means that nothing has changed.
    pub(crate) fn take(&self, name: &ModelName, event: &Event, by: &By) -> Result<String, Refused> {
        let (before, advanced, epoch) = {
            let mut state = self.lock();
            let Some(rollout) = state.decisions.rollouts.get(name).cloned() else {
                return refuse("no_rollout", format!("{name} has had no rollout; start one"));
            };
            // After a restart, or once it is over, the policy is read again from what was recorded of it.
            let live = state.models.get_mut(name).map(|m| &mut m.live);
            let Some(policy) = live.and_then(|live| {
                *live = live.take().or_else(|| Live::of(&rollout));
                live.as_ref().map(|live| live.policy.clone())
            }) else {
                return refuse("no_rollout", "its policy, as recorded, cannot be read by this release");
            };
            let advanced = advance(&policy, &rollout, event, self.clock.unix_ms());
            (rollout, advanced, state.epoch(name))
        };
        self.enact(name, (Some(before), epoch), advanced, by)
    }
}

/// What happened to a rollout's versions behind its back.
fn interference(state: &State, name: &ModelName, rollout: &Rollout) -> Option<Event> {
    let model = state.models.get(name)?;
    let id = State::id(name, rollout.candidate);
    if let Some(quarantine) = state.decisions.quarantine.get(&rollout.digest) {
        let reason = format!("its content was quarantined: {}", quarantine.cause);
        return Some(Event::CandidateGone { reason: reason.into() });
    }
    match state.entry(&id) {
        None => return Some(Event::CandidateGone { reason: "its folder is gone".into() }),
        Some(entry) if entry.state == VersionState::Failed && entry.serving.is_none() => {
            let why = entry.reason.as_ref().map_or("it could not be loaded", |(_, text)| text);
            return Some(Event::CandidateGone { reason: why.into() });
        }
        Some(_) => {}
    }
    let stable = model.route.as_ref().map(|route| route.stable)?;
    if stable != rollout.stable {
        return Some(Event::StableChanged { version: stable });
    }
    let stance = state.stance(name);
    let candidate = stance.and_then(|s| s.candidate).map(|c| c.version);
    let is_cut_short = stance.is_some_and(|s| s.phase == Phase::Interrupted);
    if rollout.share > 0.0 && candidate != Some(rollout.candidate) && !is_cut_short {
        let reason = "routing.toml, or an order, gives its traffic to others";
        return Some(Event::CandidateGone { reason: reason.into() });
    }
    None
}
