//! From what a rollout wants to what is in force: one journal entry, one publication.
//!
//! Toward risk (more traffic, a promotion, a release): durable first. Toward safety (out of traffic): in force first.

use base_types::{Candidate, Change, ModelName, NextCandidate, OPERATOR, Phase, Quarantine, Rollout, Selector, Stance};
use control_registry::journal::{Action as JournalAction, Entry};
use control_rollout::rollout::{Action, Advanced, NotifyKind, OutCause};
use serde_json::json;
use tracing::{info, warn};

use crate::effect::{Effect, RolledBack, Why};
use crate::evidence::{self, Shown};
use crate::operate::Plan;
use crate::order::{Operation, Order, Refused, RolloutOrder, refuse};
use crate::rollout::facts::counts;
use crate::rollout::live::Counts;
use crate::rollout::report;
use crate::state::State;
use crate::traffic::{Traffic, percent};
use crate::turn::Core;

/// On whose account a rollout changes.
#[derive(Debug, Clone)]
pub(crate) struct By {
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    /// What the journal calls it, unless the rollout ends by it.
    pub(crate) action: JournalAction,
}

impl By {
    pub(crate) fn gateway(action: JournalAction) -> Self {
        Self { actor: "rollout".to_owned(), reason: None, action }
    }
}

/// A rollout as it was when the event came, and the state's epoch then.
pub(crate) type Before = (Option<Rollout>, u64);

impl Core {
    /// Puts in force what a rollout wants. Says in words what was done.
    pub(crate) fn enact(
        &self,
        name: &ModelName,
        (before, epoch): Before,
        advanced: Advanced,
        by: &By,
    ) -> Result<String, Refused> {
        let Advanced { rollout, actions, refusal } = advanced;
        if let Some(refusal) = refusal {
            return refuse(refusal.code.as_str(), refusal.text.to_string());
        }
        if before.as_ref() == Some(&rollout) && actions.is_empty() {
            return Ok(String::new());
        }
        let (counts, message) = (self.counts_of(name, &rollout), told(&actions, &rollout));
        let out = actions.iter().find_map(|action| match action {
            Action::RollBack { cause, is_quarantined } => Some((cause.clone(), *is_quarantined)),
            _ => None,
        });
        match out {
            Some((cause, is_quarantined)) => {
                self.take_out(name, (before.as_ref(), &rollout), (&cause, is_quarantined), by)?;
            }
            None => {
                let is_same = before.as_ref().is_some_and(|before| is_same_on_disk(before, &rollout));
                let plan = self.plan(name, (&rollout, &actions), by, epoch);
                match is_same && plan.entries.iter().all(|e| e.changes.len() == 1) {
                    // Clocks alone moved: nothing a restart would miss.
                    true => self.keep(name, (before.as_ref(), &rollout)),
                    false => drop(self.record_and_apply(plan, false)?),
                }
            }
        }
        if let Some(live) = self.lock().models.get_mut(name).and_then(|m| m.live.as_mut()) {
            live.see(&rollout, counts, self.clock.unix_ms());
        }
        self.follow_up(name, &rollout, actions, &by.actor);
        Ok(message)
    }

    /// What the candidate has answered until now: where the counts of a step that begins now begin.
    fn counts_of(&self, name: &ModelName, rollout: &Rollout) -> Counts {
        self.lock().models.get(name).map_or_else(Counts::default, |model| counts(model, rollout))
    }

    /// Takes a change over without recording it.
    fn keep(&self, name: &ModelName, (before, rollout): (Option<&Rollout>, &Rollout)) {
        let change = Change::Rollout { model: name.clone(), rollout: Box::new(rollout.clone()) };
        let mut state = self.lock();
        // What came in between, an end above all, stands.
        if state.decisions.rollouts.get(name) == before {
            state.decisions.apply(&change);
        }
    }

    /// The entry that takes a rollout on, and what it changes.
    fn plan(&self, name: &ModelName, (rollout, actions): (&Rollout, &[Action]), by: &By, epoch: u64) -> Plan {
        let state = self.lock();
        let now = self.clock.unix_ms();
        let mut changes = vec![Change::Rollout { model: name.clone(), rollout: Box::new(rollout.clone()) }];
        for action in actions {
            changes.extend(changes_of(&state, name, rollout, action, now));
        }
        let action = if rollout.status.is_over() { JournalAction::RolloutEnded } else { by.action };
        let open = state.models.get(name).and_then(|m| m.trials.get(&rollout.candidate));
        let is_over = rollout.status.is_over();
        let evidence = open.map(evidence::of_trial);
        let evidence = if is_over { Some(report::of(rollout, evidence)) } else { evidence };
        let entry = Entry {
            model: Some(name.clone()),
            version: Some(rollout.candidate),
            digest: Some(rollout.digest),
            before: Some(Traffic::of(&state, name).to_string()),
            after: Some(shares(rollout)),
            reason: Some(reason(by, &told(actions, rollout))),
            evidence_json: evidence.map(|e| e.to_string()),
            changes,
            ..Entry::new(now, by.actor.clone(), action)
        };
        Plan { entries: vec![entry], message: rollout.note.to_string(), epoch }
    }

    /// Takes the candidate out of traffic: in force first, then recorded.
    fn take_out(
        &self,
        name: &ModelName,
        (before, rollout): (Option<&Rollout>, &Rollout),
        (cause, is_quarantined): (&OutCause, bool),
        by: &By,
    ) -> Result<(), Refused> {
        let mut effects = Vec::new();
        let mut state = self.lock();
        if before.is_some_and(|before| state.decisions.rollouts.get(name) != Some(before)) {
            return refuse("superseded", "the rollout changed in the meantime; look again");
        }
        let now = self.clock.unix_ms();
        let id = State::id(name, rollout.candidate);
        let traffic = Traffic::of(&state, name);
        // A promotion that a restart cut short has no traffic, but a stance.
        let has_stance = state.stance(name).and_then(|s| s.candidate).is_some_and(|c| c.version == rollout.candidate);
        let had_traffic = has_stance || before.is_some_and(|before| before.share > 0.0);
        let open = state.models.get(name).and_then(|m| m.trials.get(&rollout.candidate));
        let evidence = report::of(rollout, open.map(evidence::of_trial));
        let word = out_word(cause);
        let mut changes = vec![Change::Rollout { model: name.clone(), rollout: Box::new(rollout.clone()) }];
        if is_quarantined {
            let quarantine = Quarantine { id: id.clone(), cause: word.clone(), since_unix_ms: now };
            changes.push(Change::Quarantined { digest: rollout.digest, quarantine });
        }
        if had_traffic {
            let stance = Stance { since_unix_ms: now, ..state.new_stance(name, rollout.stable, now) };
            changes.push(Change::Stance { model: name.clone(), stance });
        }
        changes.iter().for_each(|change| state.decisions.apply(change));
        state.end_epoch(name);
        if let Some(model) = state.models.get_mut(name) {
            model.is_rolled_back = had_traffic;
        }
        let at = effects.len();
        self.publish_barred(&mut state, name, rollout.digest, &mut effects);
        let after = Traffic::of(&state, name);
        let generation = state.generation;
        if had_traffic {
            let rolled_back = RolledBack {
                id,
                digest: rollout.digest,
                stable: rollout.stable,
                cause: word,
                reason: Why::Said(reason(by, &rollout.note)),
                evidence: Shown::Written(evidence),
                before: traffic,
                after,
                generation,
                changes,
                actor: by.actor.clone(),
                // What it has to tell is told by the caller, and its report is the evidence here.
                rollout: None,
            };
            effects.insert(at, Effect::RolledBack(Box::new(rolled_back)));
        } else {
            let entry = Entry {
                model: Some(name.clone()),
                version: Some(rollout.candidate),
                digest: Some(rollout.digest),
                generation: Some(base_types::Generation(generation)),
                before: Some(traffic.to_string()),
                after: Some(after.to_string()),
                reason: Some(reason(by, &rollout.note)),
                evidence_json: Some(evidence.to_string()),
                changes,
                ..Entry::new(now, by.actor.clone(), JournalAction::RolloutEnded)
            };
            effects.insert(at, Effect::Record(Box::new(entry)));
        }
        drop(state);
        self.perform(effects);
        Ok(())
    }

    /// Does what is neither traffic nor journal.
    pub(crate) fn follow_up(&self, name: &ModelName, rollout: &Rollout, actions: Vec<Action>, actor: &str) {
        for action in actions {
            match action {
                // Done with the next tick that finds the candidate in memory.
                Action::RunGate | Action::WarmUp { .. } => {
                    if let Some(live) = self.lock().models.get_mut(name).and_then(|m| m.live.as_mut()) {
                        live.forget_checks();
                    }
                }
                Action::Notify { kind, text } => self.tell(name, rollout, kind, &text),
                Action::StartNext(next) => self.start_next(name, next, actor),
                Action::Finish
                | Action::SetTraffic { .. }
                | Action::Promote { .. }
                | Action::Confirm
                | Action::RollBack { .. }
                | Action::Release => {}
            }
        }
        let mut state = self.lock();
        if state.rollout(name).is_none()
            && let Some(model) = state.models.get_mut(name)
        {
            model.live = None;
        }
    }

    fn tell(&self, name: &ModelName, rollout: &Rollout, kind: NotifyKind, text: &str) {
        let (version, number, status) = (rollout.candidate.get(), rollout.number, rollout.status.as_str());
        match kind {
            NotifyKind::Alert
            | NotifyKind::Held
            | NotifyKind::NoTraffic
            | NotifyKind::SharedIncident
            | NotifyKind::Interrupted => {
                warn!(model = %name, version, rollout = number, status, event = kind.as_str(), text, "rollout");
            }
            _ => info!(model = %name, version, rollout = number, status, event = kind.as_str(), text, "rollout"),
        }
        self.notify(json!({ "event": kind.as_str(), "model": name.as_str(), "version": version, "rollout": number,
            "status": status, "step": rollout.step, "share": rollout.share, "reason": text }));
    }

    fn start_next(&self, name: &ModelName, next: NextCandidate, actor: &str) {
        let version = next.version;
        let order = Order {
            model: name.clone(),
            operation: Operation::Rollout(RolloutOrder::Start {
                version: Selector::Version(version),
                policy: next.policy.as_deref().map(str::to_owned),
                is_forced: false,
            }),
            actor: actor.to_owned(),
            reason: Some("it waited for the rollout before it".to_owned()),
        };
        if let Err(refused) = self.carry_out(&order) {
            warn!(model = %name, %version, code = refused.code, refused.message, "the candidate that waited did not begin");
        }
    }
}

/// What one action changes of what is decided.
fn changes_of(state: &State, name: &ModelName, rollout: &Rollout, action: &Action, now: u64) -> Vec<Change> {
    let stance = |candidate: Option<f64>, phase| {
        let candidate = candidate.map(|share| Candidate { version: rollout.candidate, share });
        let stance = Stance { candidate, phase, ..state.new_stance(name, rollout.stable, now) };
        Change::Stance { model: name.clone(), stance }
    };
    match action {
        Action::SetTraffic { share, .. } if *share > 0.0 => vec![stance(Some(*share), Phase::Canary)],
        // Without traffic before, there is nothing to take back.
        Action::SetTraffic { .. } if state.stance(name).is_none_or(|s| s.candidate.is_none()) => Vec::new(),
        Action::SetTraffic { .. } => vec![stance(None, Phase::Settled)],
        Action::Promote { .. } => vec![stance(Some(1.0), Phase::Provisional)],
        Action::Confirm => {
            let stance = state.new_stance(name, rollout.candidate, now);
            let id = State::id(name, rollout.candidate);
            vec![Change::Stance { model: name.clone(), stance }, Change::Confirmed { id }]
        }
        Action::Release if state.decisions.quarantine.contains_key(&rollout.digest) => {
            vec![Change::Released { digest: rollout.digest }]
        }
        _ => Vec::new(),
    }
}

/// Whether two states of a rollout differ in nothing that must survive a restart.
fn is_same_on_disk(before: &Rollout, after: &Rollout) -> bool {
    let clocks = |rollout: &Rollout| Rollout {
        step_since_unix_ms: 0,
        limit_since_unix_ms: 0,
        status_since_unix_ms: 0,
        ..rollout.clone()
    };
    clocks(before) == clocks(after)
}

fn out_word(cause: &OutCause) -> String {
    match cause {
        OutCause::Order { .. } => OPERATOR.to_owned(),
        other => other.as_str().to_owned(),
    }
}

/// Everything that is told of a change, in one line; the rollout's own note where nothing is.
fn told(actions: &[Action], rollout: &Rollout) -> String {
    let texts = actions.iter().filter_map(|action| match action {
        Action::Notify { text, .. } => Some(&**text),
        _ => None,
    });
    let told = texts.collect::<Vec<_>>().join("; ");
    if told.is_empty() { rollout.note.to_string() } else { told }
}

fn reason(by: &By, note: &str) -> String {
    by.reason.as_ref().map_or_else(|| note.to_owned(), |reason| format!("{note} ({reason})"))
}

/// Who takes which share by a rollout, in a few words.
fn shares(rollout: &Rollout) -> String {
    let Rollout { candidate, stable, share, shadow_share, .. } = rollout;
    let mut text = match *share {
        share if share >= 1.0 => format!("{candidate}: 100 %, fallback {stable}"),
        share if share > 0.0 => format!("{stable}: {}, {candidate}: {}", percent(1.0 - share), percent(share)),
        _ => format!("{stable}: 100 %"),
    };
    if *shadow_share > 0.0 {
        text.push_str(&format!(", {} copied to {candidate}", percent(*shadow_share)));
    }
    text
}
