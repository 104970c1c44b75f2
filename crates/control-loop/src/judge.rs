//! The judge: a fault is weighed on the thread that saw it, and a rollback is published before that thread goes on.

use std::sync::Arc;

use base_routing::SplitId;
use base_serving::{Attempt, FaultReport, Judge, Rerun, ServingVersion};
use base_types::{Change, Digest, ModelName, Phase, Quarantine, Stance, Version, VersionId};
use control_rollout::rollout::Trip;
use control_rollout::{
    Arm, Blame, Cause, Count, Decision, FaultEvent, Grounds, OnFailure, Verdict, WindowTotals, decide,
};
use tracing::trace;

use crate::effect::{Effect, RolledBack, Why};
use crate::evidence::Shown;
use crate::rollout::Ended;
use crate::state::{Model, OpenTrial, State};
use crate::traffic::Traffic;
use crate::turn::Core;

impl Judge for Core {
    fn on_fault(&self, report: &FaultReport<'_>) {
        let mut effects = Vec::new();
        let mut state = self.lock();
        self.weigh(&mut state, report, &mut effects);
        self.watch_stable(&mut state, report, &mut effects);
        drop(state);
        // What it led to is in force by now; everything after this is telling.
        trace!(model = %report.attempt.model.name, "fault weighed");
        self.perform(effects);
    }
}

impl Core {
    fn weigh(&self, state: &mut State, report: &FaultReport<'_>, effects: &mut Vec<Effect>) {
        let attempt = report.attempt;
        let name = &attempt.model.name;
        let Some(route) = &attempt.model.route else { return };
        let is_faulty = |version: &Arc<ServingVersion>| std::ptr::eq(attempt.version, Arc::as_ptr(version));
        let Some(model) = state.models.get_mut(name) else { return };
        let mut verdicts: Vec<(Version, Verdict)> = Vec::new();
        for (candidate, open) in &mut model.trials {
            // By identity: a run of an earlier load of the same number is nobody's evidence here.
            let arm = match () {
                () if is_faulty(&open.candidate) => Arm::Candidate,
                () if is_faulty(&open.stable) => Arm::Stable,
                () => continue,
            };
            let split = route.split(attempt.assignment.split.unwrap_or(SplitId::Default));
            let event = FaultEvent {
                arm,
                share: split.pair_share(*candidate, route.stable),
                successes: open.successes(),
                count: count(report),
                key: if attempt.rerun == Rerun::None { attempt.assignment.key } else { None },
            };
            verdicts.push((*candidate, open.trial.on_fault(event)));
            if arm == Arm::Candidate {
                verdicts.push((*candidate, self.window_verdict(open)));
            }
        }
        for (candidate, verdict) in verdicts {
            self.act(state, name, candidate, verdict, effects);
        }
    }

    /// What the classic window says of a candidate now.
    pub(crate) fn window_verdict(&self, open: &OpenTrial) -> Verdict {
        let Some(window) = open.trial.guardrail().window else { return Verdict::None };
        let now_seconds = self.clock.now().saturating_duration_since(self.started).as_secs();
        let quantile = window.latency.map(|l| l.quantile);
        let totals = open.candidate.tally.window(now_seconds, window.seconds, quantile);
        open.trial.window_verdict(&WindowTotals {
            requests: totals.successes + totals.faults,
            faults: totals.faults,
            latency_seconds: totals.latency_seconds,
        })
    }

    /// Does what a verdict calls for under the trial's guardrail.
    pub(crate) fn act(
        &self,
        state: &mut State,
        name: &ModelName,
        candidate: Version,
        verdict: Verdict,
        effects: &mut Vec<Effect>,
    ) {
        let Some(open) = state.models.get_mut(name).and_then(|m| m.trials.get_mut(&candidate)) else { return };
        match decide(verdict, open.trial.guardrail()) {
            Decision::None => {}
            Decision::RollBack(cause) => self.roll_back(state, name, candidate, cause, effects),
            Decision::WouldRollBack(cause) => {
                tell_once(open, name, ("would_roll_back", cause.as_str()), cause.to_string(), effects);
            }
            Decision::Hold(grounds) => tell_once(open, name, (grounds.as_str(), ""), grounds.to_string(), effects),
            Decision::Pause(grounds) => self.trip(state, (name, candidate), (OnFailure::Pause, &grounds), effects),
            Decision::Alert(grounds) if grounds.blame != Blame::Candidate => {
                tell_once(open, name, (grounds.as_str(), ""), grounds.to_string(), effects);
            }
            Decision::Alert(grounds) => self.trip(state, (name, candidate), (OnFailure::Alert, &grounds), effects),
            Decision::Observe(grounds) => self.trip(state, (name, candidate), (OnFailure::Observe, &grounds), effects),
        }
    }

    /// A rule convicts that moves no traffic: it is told, and the rollout under way takes it in at its next turn.
    fn trip(
        &self,
        state: &mut State,
        (name, candidate): (&ModelName, Version),
        (on_failure, grounds): (OnFailure, &Grounds),
        effects: &mut Vec<Effect>,
    ) {
        let is_rolled_out = state.rollout(name).is_some_and(|rollout| rollout.candidate == candidate);
        let Some(model) = state.models.get_mut(name) else { return };
        let (rule, text) = (grounds.rule.as_str(), grounds.to_string());
        if let Some(live) = model.live.as_mut().filter(|_| is_rolled_out) {
            // The rollout names the rule itself.
            let numbers = text.strip_prefix(rule).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text);
            live.trip(Trip { rule: rule.into(), text: numbers.into(), on_failure });
        }
        if let Some(open) = model.trials.get_mut(&candidate) {
            tell_once(open, name, (on_failure.as_str(), rule), text, effects);
        }
    }

    /// Takes a candidate out: quarantined, its traffic to stable, published; recorded afterwards.
    fn roll_back(
        &self,
        state: &mut State,
        name: &ModelName,
        candidate: Version,
        cause: Cause,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut rolled_back) = self.convict(state, name, candidate, cause) else { return };
        // The rollback is recorded before the trial it closes is forgotten.
        let at = effects.len();
        self.publish_barred(state, name, rolled_back.digest, effects);
        rolled_back.after = Traffic::of(state, name);
        rolled_back.generation = state.generation;
        effects.insert(at, Effect::RolledBack(rolled_back));
    }

    /// Publishes after a digest was barred: the model, or all of them where another one has the same content.
    pub(crate) fn publish_barred(
        &self,
        state: &mut State,
        name: &ModelName,
        digest: Digest,
        effects: &mut Vec<Effect>,
    ) {
        let is_elsewhere = |(other, model): (&ModelName, &Model)| {
            model.versions.values().any(|entry| entry.digest == Some(digest)) && other != name
        };
        if state.models.iter().any(is_elsewhere) {
            self.publish(state, effects);
        } else {
            self.publish_model(state, name, effects);
        }
    }

    /// Decides that a candidate is out. The caller compiles and publishes, and says what came of it.
    pub(crate) fn convict(
        &self,
        state: &mut State,
        name: &ModelName,
        candidate: Version,
        cause: Cause,
    ) -> Option<Box<RolledBack>> {
        let open = state.models.get(name).and_then(|m| m.trials.get(&candidate))?;
        let digest = open.candidate.digest;
        let id = open.candidate.id.clone();
        let stable = open.stable.id.version;
        let before = Traffic::of(state, name);
        let cause = Arc::new(cause);
        let word = cause.as_str();
        let evidence = Shown::of_trial(open, Some(cause.clone()));
        let mut changes = self.bar(state, &id, digest, word);
        let ended = Ended::Rule { rule: word, cause: &cause };
        let rollout = self.end_rollout(state, (name, candidate), ended, &mut changes);
        Some(Box::new(RolledBack {
            id,
            digest,
            stable,
            cause: word.to_owned(),
            reason: Why::Verdict(cause),
            evidence,
            before,
            after: Traffic::default(),
            generation: state.generation + 1,
            changes,
            actor: "guardrail".to_owned(),
            rollout,
        }))
    }

    /// Decides, in memory, that a digest is barred and that its trial is over. The caller publishes and records.
    pub(crate) fn bar(&self, state: &mut State, id: &VersionId, digest: Digest, cause: &str) -> Vec<Change> {
        let now = self.clock.unix_ms();
        state.end_epoch(&id.model);
        if let Some(model) = state.models.get_mut(&id.model) {
            model.is_rolled_back = true;
        }
        let quarantine = Quarantine { id: id.clone(), cause: cause.to_owned(), since_unix_ms: now };
        let mut changes = vec![Change::Quarantined { digest, quarantine }];
        let stance = state.decisions.stances.get(&id.model);
        if let Some(stance) = stance.filter(|s| s.candidate.is_some_and(|c| c.version == id.version)) {
            let stance = Stance { candidate: None, phase: Phase::Settled, since_unix_ms: now, ..stance.clone() };
            changes.push(Change::Stance { model: id.model.clone(), stance });
        }
        changes.iter().for_each(|change| state.decisions.apply(change));
        changes
    }
}

/// Which rules a fault enters.
fn count(report: &FaultReport<'_>) -> Count {
    let Attempt { model, version, assignment, rerun } = report.attempt;
    let is_stable = model.route.as_ref().is_some_and(|r| r.stable == version.id.version);
    match (rerun, assignment.split) {
        (Rerun::Failed, _) => Count::Nothing,
        // Stable should have tried the same input and could not. A fault of unknown blame counts once per caller, and
        // not at all where callers cannot be told apart: one of them could convict a healthy candidate.
        (Rerun::None, _) if model.limits.has_fallback && !is_stable && assignment.key.is_none() => Count::Nothing,
        (_, None) => Count::LimitOnly,
        // Who is held out of an experiment is in none of the arms that are compared.
        (_, Some(_)) if assignment.is_held_out => Count::LimitOnly,
        (_, Some(_)) => Count::All,
    }
}

/// Tells a verdict that moves no traffic, each by its word and rule once in a trial.
fn tell_once(
    open: &mut OpenTrial,
    name: &ModelName,
    (verdict, rule): (&'static str, &str),
    text: String,
    effects: &mut Vec<Effect>,
) {
    if open.told.insert(format!("{verdict}/{rule}")) {
        let evidence = Shown::of_trial(open, None);
        let id = open.candidate.id.clone();
        effects.push(Effect::Verdict { model: name.clone(), id, verdict, text, evidence });
    }
}
