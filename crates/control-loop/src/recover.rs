//! From the journal to the first state: what was acknowledged is back, what was not confirmed is not taken for
//! confirmed, what was rolled back stays out.

use std::collections::BTreeMap;
use std::sync::Arc;

use base_types::{Change, Decisions, Digest, Phase, Quarantine, Stance, VersionId};
use control_config::RoutingConfig;
use control_registry::journal::{Action, Entry, Recovered};
use tracing::warn;

use crate::evidence::{parse_checkpoint, with_crash};
use crate::state::State;

/// The first state, and what has to be recorded about getting there.
pub(crate) fn recover(recovered: &Recovered, crashed: BTreeMap<Digest, u64>, now_unix_ms: u64) -> (State, Vec<Entry>) {
    let mut decisions = recovered.decisions.clone();
    let reason = match (recovered.boots, recovered.clean_shutdown) {
        (0 | 1, _) => "the first start".to_owned(),
        (n, true) => format!("start {n}, after an orderly end"),
        (n, false) => format!("start {n}, after an unclean end"),
    };
    let mut entries = vec![Entry { reason: Some(reason), ..Entry::new(now_unix_ms, "gateway", Action::Started) }];
    entries.extend(recovered.pending_quarantines.iter().filter_map(|d| quarantine(&decisions, *d, now_unix_ms)));
    entries.extend(interrupted(&decisions, now_unix_ms));
    entries.iter().flat_map(|e| &e.changes).for_each(|change| decisions.apply(change));
    let stored = recovered.checkpoints.iter().filter_map(|(key, json)| {
        let parsed = parse_checkpoint(json);
        if parsed.is_none() {
            warn!(key, "a checkpoint cannot be read: its evidence starts anew");
        }
        Some((key.clone(), parsed?))
    });
    let state = State {
        generation: recovered.generation_floor.0,
        reserved: recovered.generation_floor.0,
        routing: Arc::new(RoutingConfig::default()),
        problems: Vec::new(),
        decisions,
        models: BTreeMap::new(),
        checkpoints: stored.collect(),
        crashed,
        draining: Vec::new(),
        told_refusals: BTreeMap::new(),
        is_started: false,
    };
    (state, entries)
}

/// Notes in the checkpoints which trials lost requests in the crash, so that it is on disk before traffic flows: the
/// version may take the process with it again at once. Gives the checkpoints that changed, and leaves in `crashed` what
/// has no checkpoint.
pub(crate) fn note_crashes(
    checkpoints: &mut [(String, String)],
    crashed: &mut BTreeMap<Digest, u64>,
) -> Vec<(String, String)> {
    let mut changed = Vec::new();
    crashed.retain(|digest, n_requests| {
        let is_its = |(key, _): &&mut (String, String)| key.ends_with(&format!("/{digest}"));
        let Some((key, json)) = checkpoints.iter_mut().find(is_its) else { return true };
        let Some(noted) = with_crash(json, *n_requests) else { return true };
        *json = noted;
        changed.push((key.clone(), json.clone()));
        false
    });
    changed
}

/// A rollback whose row did not reach the journal: its marker did.
fn quarantine(decisions: &Decisions, digest: Digest, now_unix_ms: u64) -> Option<Entry> {
    let id: VersionId = decisions.digests.iter().find(|(_, d)| **d == digest)?.0.clone();
    let cause = "rolled back before the last end".to_owned();
    let quarantine = Quarantine { id: id.clone(), cause, since_unix_ms: now_unix_ms };
    let mut changes = vec![Change::Quarantined { digest, quarantine }];
    let stance = decisions.stances.get(&id.model).filter(|s| s.candidate.is_some_and(|c| c.version == id.version));
    if let Some(stance) = stance {
        let stance = Stance { candidate: None, phase: Phase::Settled, since_unix_ms: now_unix_ms, ..stance.clone() };
        changes.push(Change::Stance { model: id.model.clone(), stance });
    }
    Some(Entry {
        model: Some(id.model),
        version: Some(id.version),
        digest: Some(digest),
        reason: Some("a rollback took effect that could not be recorded in time".to_owned()),
        changes,
        ..Entry::new(now_unix_ms, "gateway", Action::RolledBack)
    })
}

/// Promotions that were not confirmed: the previous stable serves.
fn interrupted(decisions: &Decisions, now_unix_ms: u64) -> Vec<Entry> {
    let provisional = decisions.stances.iter().filter(|(_, s)| s.phase == Phase::Provisional);
    let entry = |(model, stance): (&base_types::ModelName, &Stance)| Entry {
        model: Some(model.clone()),
        version: stance.candidate.map(|c| c.version),
        before: stance.candidate.map(|c| format!("{}: 100 %", c.version)),
        after: Some(format!("{}: 100 %", stance.stable)),
        reason: Some("the process ended before the promotion was confirmed".to_owned()),
        changes: vec![Change::Stance {
            model: model.clone(),
            stance: Stance { phase: Phase::Interrupted, since_unix_ms: now_unix_ms, ..stance.clone() },
        }],
        ..Entry::new(now_unix_ms, "gateway", Action::Interrupted)
    };
    provisional.map(entry).collect()
}
