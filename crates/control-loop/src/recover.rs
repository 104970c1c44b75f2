//! From the journal to the first state: what was acknowledged is back, what was not confirmed is not taken for
//! confirmed, what was rolled back stays out.

use std::collections::BTreeMap;
use std::sync::Arc;

use base_types::{Change, Decisions, Digest, Phase, Quarantine, Rollout, Stance, VersionId};
use control_config::RoutingConfig;
use control_registry::journal::{Action, Entry, Recovered};
use control_rollout::rollout::{Event, advance};
use tracing::warn;

use crate::checkpoint::parse as parse_checkpoint;
use crate::gate;
use crate::rollout::Live;
use crate::routing_source::LiveText;
use crate::state::{LOAD_CRASH, State, crash_key, load_crash_key};

/// Unclean ends in the middle of loading the same content, with no load that succeeded between, after which it is
/// barred. One more than a canary gets: a kill at start hits whatever is being loaded.
const LOAD_CRASHES_MAX: u32 = 3;

/// Lost requests of open trials, and how often loads did not survive; by content.
pub(crate) type Crashes = (BTreeMap<Digest, Vec<u64>>, BTreeMap<Digest, u32>);

/// The first state, and what has to be recorded about getting there.
pub(crate) fn recover(
    recovered: &Recovered,
    (crashes, load_crashes): Crashes,
    now_unix_ms: u64,
) -> (State, Vec<Entry>) {
    let mut decisions = recovered.decisions.clone();
    let reason = match (recovered.boots, recovered.clean_shutdown) {
        (0 | 1, _) => "the first start".to_owned(),
        (n, true) => format!("start {n}, after an orderly end"),
        (n, false) => format!("start {n}, after an unclean end"),
    };
    let evidence_json = recovered.last_seen_unix_ms.map(|ms| format!("{{\"last_seen_unix_ms\":{ms}}}"));
    let started = Entry { reason: Some(reason), evidence_json, ..Entry::new(now_unix_ms, "gateway", Action::Started) };
    let mut entries = vec![started];
    entries.extend(recovered.pending_quarantines.iter().filter_map(|d| quarantine(&decisions, *d, now_unix_ms)));
    entries.extend(interrupted(&decisions, now_unix_ms));
    entries.extend(recovered.interrupted_loads.iter().filter_map(|(digest, id)| {
        let n_crashes = load_crashes.get(digest).copied().unwrap_or_default();
        bar_load(&decisions, (*digest, id), n_crashes, now_unix_ms)
    }));
    entries.iter().flat_map(|e| &e.changes).for_each(|change| decisions.apply(change));
    let restarted = restarted(&decisions, now_unix_ms);
    restarted.iter().flat_map(|e| &e.changes).for_each(|change| decisions.apply(change));
    entries.extend(restarted);
    let trials = recovered.checkpoints.iter().filter(|(key, _)| key.starts_with("trial/"));
    let stored = trials.filter_map(|(key, json)| {
        let parsed = parse_checkpoint(json);
        if parsed.is_none() {
            warn!(key, "a checkpoint cannot be read: its evidence starts anew");
        }
        Some((key.clone(), parsed?))
    });
    let stored_under = |prefix| {
        let of_prefix = recovered.checkpoints.iter().filter(move |(key, _)| key.starts_with(prefix));
        of_prefix.cloned().collect()
    };
    let state = State {
        generation: recovered.generation_floor.0,
        routing: Arc::new(RoutingConfig::default()),
        problems: Vec::new(),
        decisions,
        models: BTreeMap::new(),
        checkpoints: stored.collect(),
        steady_checkpoints: stored_under("steady/"),
        experiment_checkpoints: stored_under("experiment/"),
        crashes,
        load_crashes,
        epochs: BTreeMap::new(),
        unrecorded_routing: None,
        live_text: LiveText::default(),
        draining: Vec::new(),
        gates: gate::stored(&recovered.checkpoints),
        told_refusals: BTreeMap::new(),
        is_started: false,
    };
    (state, entries)
}

/// A note to be stored under a key, `None` to forget it.
pub(crate) type ChangedNote = (String, Option<String>);

/// Which open trials lost requests in unclean ends, this last one included: noted on disk before traffic flows, because
/// the version may take the process with it again at once. Gives what has to be stored, `None` to forget it.
pub(crate) fn note_crashes(
    recovered: &Recovered,
    crashed: &BTreeMap<Digest, u64>,
) -> (BTreeMap<Digest, Vec<u64>>, Vec<ChangedNote>) {
    let stored = |digest: &Digest| {
        let (_, json) = recovered.checkpoints.iter().find(|(key, _)| *key == crash_key(*digest))?;
        serde_json::from_str::<Vec<u64>>(json).ok()
    };
    let (mut crashes, mut changes) = (BTreeMap::new(), Vec::new());
    for digest in &recovered.open_trials {
        let mut lost = stored(digest).unwrap_or_default();
        if let Some(n_requests) = crashed.get(digest).filter(|_| !recovered.clean_shutdown) {
            lost.push(*n_requests);
            // Plain numbers: there is nothing that could fail to be written.
            changes.push((crash_key(*digest), serde_json::to_string(&lost).ok()));
        }
        crashes.insert(*digest, lost);
    }
    let is_stale = |key: &&String| key.starts_with("crash/") && !crashes.keys().any(|d| crash_key(*d) == **key);
    let keys = recovered.checkpoints.iter().map(|(key, _)| key);
    changes.extend(keys.filter(is_stale).map(|key| (key.clone(), None)));
    (crashes, changes)
}

/// How often the process ended uncleanly in the middle of loading some content, this last time included. What was
/// being loaded when it ended in order is not to blame.
pub(crate) fn note_load_crashes(recovered: &Recovered) -> (BTreeMap<Digest, u32>, Vec<ChangedNote>) {
    let digest = |key: &str| key.strip_prefix(LOAD_CRASH)?.parse::<Digest>().ok();
    let noted = recovered.checkpoints.iter().filter_map(|(key, json)| Some((digest(key)?, json.parse().ok()?)));
    let mut crashes: BTreeMap<Digest, u32> = noted.collect();
    let mut changes = Vec::new();
    let interrupted = recovered.interrupted_loads.iter().filter(|_| !recovered.clean_shutdown);
    for (digest, _) in interrupted {
        let n = crashes.entry(*digest).or_default();
        *n += 1;
        changes.push((load_crash_key(*digest), Some(n.to_string())));
    }
    (crashes, changes)
}

/// Content that takes the process with it whenever it is loaded is barred, so that everything else can serve.
fn bar_load(
    decisions: &Decisions,
    (digest, id): (Digest, &VersionId),
    n_crashes: u32,
    now_unix_ms: u64,
) -> Option<Entry> {
    if n_crashes < LOAD_CRASHES_MAX || decisions.quarantine.contains_key(&digest) {
        return None;
    }
    let cause = "crash_loop".to_owned();
    let quarantine = Quarantine { id: id.clone(), cause, since_unix_ms: now_unix_ms };
    Some(Entry {
        model: Some(id.model.clone()),
        version: Some(id.version),
        digest: Some(digest),
        reason: Some(format!("the process ended {n_crashes} times in the middle of loading it")),
        changes: vec![Change::Quarantined { digest, quarantine }],
        ..Entry::new(now_unix_ms, "gateway", Action::LoadRefused)
    })
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

/// Rollouts under way: where they were, or somewhere safer. What was quarantined above is found out at the first tick.
fn restarted(decisions: &Decisions, now_unix_ms: u64) -> Vec<Entry> {
    let entry = |(model, rollout): (&base_types::ModelName, &Rollout)| {
        let live = Live::of(rollout).filter(|_| !rollout.status.is_over())?;
        let rollout = advance(&live.policy, rollout, &Event::Restarted, now_unix_ms).rollout;
        Some(Entry {
            model: Some(model.clone()),
            version: Some(rollout.candidate),
            digest: Some(rollout.digest),
            reason: Some("the gateway started again".to_owned()),
            changes: vec![Change::Rollout { model: model.clone(), rollout: Box::new(rollout) }],
            ..Entry::new(now_unix_ms, "gateway", Action::RolloutAdvanced)
        })
    };
    decisions.rollouts.iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_types::{Generation, ModelName, Version};

    use super::*;

    fn recovered(noted: &[(String, String)], is_clean: bool) -> Recovered {
        let id = VersionId { model: ModelName::new("m").unwrap(), version: Version::new(2).unwrap() };
        Recovered {
            decisions: Decisions::default(),
            generation_floor: Generation(1),
            boots: 2,
            last_seen_unix_ms: None,
            clean_shutdown: is_clean,
            accepted_routing: None,
            checkpoints: noted.to_vec(),
            open_trials: Vec::new(),
            pending_quarantines: Vec::new(),
            interrupted_loads: vec![(Digest::new([7; 32]), id)],
        }
    }

    #[test]
    fn content_that_ends_the_process_three_times_while_it_is_loaded_is_barred() {
        let mut noted = Vec::new();
        for n_crashes in 1..=LOAD_CRASHES_MAX {
            let recovered = recovered(&noted, false);
            let (crashes, changes) = note_load_crashes(&recovered);
            assert_eq!(crashes[&Digest::new([7; 32])], n_crashes);
            noted = changes.into_iter().map(|(key, json)| (key, json.unwrap())).collect();
            let (state, entries) = recover(&recovered, (BTreeMap::new(), crashes), 5);
            let is_barred = state.decisions.quarantine.contains_key(&Digest::new([7; 32]));
            assert_eq!(is_barred, n_crashes == LOAD_CRASHES_MAX, "{n_crashes}");
            assert_eq!(entries.len(), if is_barred { 2 } else { 1 });
        }
    }

    #[test]
    fn an_orderly_end_in_the_middle_of_a_load_is_nobodys_fault() {
        let (crashes, changes) = note_load_crashes(&recovered(&[], true));
        assert!(crashes.is_empty() && changes.is_empty());
    }
}
