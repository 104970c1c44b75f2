//! Rows to change log.

use std::collections::BTreeMap;

use base_types::{Change, Version};
use control_registry::journal::{Action, ModelLife, Row, Table};
use serde_json::Value;

use super::{Changelog, EVENTS_MAX, Event, STRETCHES_MAX, Stretch, VersionLog};

/// What is being gathered.
struct Folding {
    versions: BTreeMap<u64, VersionLog>,
    /// Who has which share since when; empty while the gateway does not run.
    open: BTreeMap<u64, (u64, f64)>,
    stable: Option<u64>,
    /// The generation of the last table taken in: one written late is of before it.
    generation: u64,
    /// Barred content, and why.
    barred: BTreeMap<String, String>,
    /// The time of the last row: when a life that ended without saying so was surely there.
    last_unix_ms: u64,
}

pub(super) fn fold(life: &ModelLife, now_unix_ms: u64) -> Changelog {
    let mut folding = Folding {
        versions: BTreeMap::new(),
        open: BTreeMap::new(),
        stable: None,
        generation: 0,
        barred: BTreeMap::new(),
        last_unix_ms: 0,
    };
    life.rows.iter().for_each(|row| folding.row(row));
    let Folding { mut versions, open, stable, barred, .. } = folding;
    for (version, (from_unix_ms, share)) in &open {
        let stretch = Stretch { from_unix_ms: *from_unix_ms, until_unix_ms: None, share: *share };
        let about = versions.entry(*version).or_default();
        about.served_ms += now_unix_ms.saturating_sub(*from_unix_ms);
        about.served.push(stretch);
    }
    for (key, sums) in &life.performance {
        let about = versions.entry(key.version.get()).or_default();
        // Of several contents under one number the one that the number stands for.
        if about.digest.as_ref().is_none_or(|digest| *digest == key.digest.to_string()) {
            about.performance = Some(sums.clone());
        }
    }
    let shares: BTreeMap<u64, f64> = open.iter().map(|(version, (_, share))| (*version, *share)).collect();
    let mut before: Option<(u64, VersionLog)> = None;
    for (version, about) in &mut versions {
        about.fate = fate(*version, about, (&shares, stable, &barred));
        about.changed = before.iter().flat_map(|(number, earlier)| changed((*number, earlier), about)).collect();
        let n_events = about.events.len().saturating_sub(EVENTS_MAX);
        about.events.drain(..n_events);
        let n_stretches = about.served.len().saturating_sub(STRETCHES_MAX);
        about.served.drain(..n_stretches);
        before = Some((*version, about.clone()));
    }
    Changelog { model: life.model.to_string(), is_cut: life.is_cut, versions }
}

impl Folding {
    fn row(&mut self, row: &Row) {
        let entry = &row.entry;
        match entry.action {
            Action::Stopped => {
                self.close_all(entry.at_unix_ms);
                self.stable = None;
            }
            Action::Started => {
                self.stable = None;
                self.close_all(seen(row).unwrap_or_default().max(self.last_unix_ms).min(entry.at_unix_ms));
                self.generation = 0;
            }
            Action::Published => self.published(row),
            _ => self.event(row),
        }
        self.last_unix_ms = self.last_unix_ms.max(entry.at_unix_ms);
        for change in &entry.changes {
            match change {
                Change::Quarantined { digest, quarantine } => {
                    self.barred.insert(digest.to_string(), quarantine.cause.clone());
                }
                Change::Released { digest } => drop(self.barred.remove(&digest.to_string())),
                _ => {}
            }
        }
    }

    fn published(&mut self, row: &Row) {
        let generation = row.entry.generation.map_or(0, |generation| generation.0);
        let Some(table) = Table::of_row(row).filter(|_| generation >= self.generation) else { return };
        self.generation = generation;
        let table = table.unwrap_or_default();
        let shares = table.shares();
        let is_over = |version: &u64, share: f64| shares.get(version).is_none_or(|now| (now - share).abs() > 1e-9);
        let ended: Vec<u64> = self
            .open
            .iter()
            .filter(|(version, (_, share))| is_over(version, *share))
            .map(|(version, _)| *version)
            .collect();
        ended.into_iter().for_each(|version| self.close(version, row.entry.at_unix_ms));
        for (version, share) in shares {
            self.open.entry(version).or_insert((row.entry.at_unix_ms, share));
        }
        for (version, digest) in &table.versions {
            self.versions.entry(*version).or_default().digest.get_or_insert_with(|| digest.clone());
        }
        self.stable = table.stable;
    }

    fn close(&mut self, version: u64, at_unix_ms: u64) {
        let Some((from_unix_ms, share)) = self.open.remove(&version) else { return };
        let about = self.versions.entry(version).or_default();
        about.served_ms += at_unix_ms.saturating_sub(from_unix_ms);
        about.served.push(Stretch { from_unix_ms, until_unix_ms: Some(at_unix_ms.max(from_unix_ms)), share });
    }

    fn close_all(&mut self, at_unix_ms: u64) {
        let versions: Vec<u64> = self.open.keys().copied().collect();
        versions.into_iter().for_each(|version| self.close(version, at_unix_ms));
    }

    fn event(&mut self, row: &Row) {
        let entry = &row.entry;
        let Some(version) = entry.version.map(Version::get) else { return };
        let about = self.versions.entry(version).or_default();
        if let Some(digest) = entry.digest.filter(|_| entry.action != Action::ContentChanged) {
            about.digest = Some(digest.to_string());
        }
        let evidence = entry.evidence_json.as_deref().and_then(|json| serde_json::from_str::<Value>(json).ok());
        match entry.action {
            Action::Registered | Action::Loaded => {
                about.registered.get_or_insert_with(|| (entry.at_unix_ms, entry.actor.clone()));
                let evidence = evidence.unwrap_or_default();
                about.signature =
                    Some(evidence["signature"].clone()).filter(Value::is_object).or(about.signature.take());
                about.pushed = Some(evidence["pushed"].clone()).filter(Value::is_object).or(about.pushed.take());
                let tag = about.pushed.as_ref().and_then(|pushed| pushed["tag"].as_str());
                about.tag = tag.map(str::to_owned);
            }
            // Comings and goings of memory, and steps of a rollout, whose beginning and end are told.
            Action::Unloaded | Action::LoadOrdered | Action::UnloadOrdered | Action::RolloutAdvanced => {}
            action => about.events.push(Event {
                at_unix_ms: entry.at_unix_ms,
                seq: row.seq,
                action: action.as_str(),
                actor: entry.actor.clone(),
                before: entry.before.clone(),
                after: entry.after.clone(),
                reason: entry.reason.clone(),
            }),
        }
    }
}

/// When the life before a start was seen alive last.
fn seen(row: &Row) -> Option<u64> {
    let json = row.entry.evidence_json.as_deref()?;
    serde_json::from_str::<Value>(json).ok()?["last_seen_unix_ms"].as_u64()
}

/// What became of a version, in a few words.
fn fate(
    version: u64,
    about: &VersionLog,
    (shares, stable, barred): (&BTreeMap<u64, f64>, Option<u64>, &BTreeMap<String, String>),
) -> String {
    if let Some(cause) = about.digest.as_ref().and_then(|digest| barred.get(digest)) {
        return format!("quarantined ({cause})");
    }
    if let Some(share) = shares.get(&version) {
        let role = if stable == Some(version) { "stable" } else { "candidate" };
        return format!("{role}, serves {}", percent(*share));
    }
    let last = |actions: &[Action]| {
        let is_one = |event: &&Event| actions.iter().any(|action| action.as_str() == event.action);
        about.events.iter().rev().find(is_one)
    };
    match last(&[Action::RolledBack, Action::Confirmed, Action::LoadRefused, Action::GateFailed, Action::Removed]) {
        Some(event) if event.action == Action::RolledBack.as_str() => "rolled back".to_owned(),
        Some(event) if event.action == Action::LoadRefused.as_str() => "refused".to_owned(),
        Some(event) if event.action == Action::GateFailed.as_str() => "kept out by a gate".to_owned(),
        Some(event) if event.action == Action::Removed.as_str() => "removed".to_owned(),
        _ if about.served.is_empty() => "never took unpinned traffic".to_owned(),
        _ => match stable {
            Some(stable) => format!("served, then replaced; version {stable} is stable now"),
            None => "served; nothing does now".to_owned(),
        },
    }
}

/// What differs from the version before, one sentence each.
fn changed((number, before): (u64, &VersionLog), about: &VersionLog) -> Vec<String> {
    let mut told = Vec::new();
    match (&before.digest, &about.digest) {
        (Some(a), Some(b)) if a == b => told.push(format!("the same content as version {number}")),
        _ => {}
    }
    if let (Some(a), Some(b)) = (&before.signature, &about.signature) {
        for part in ["inputs", "outputs"] {
            if a[part] != b[part] {
                told.push(format!("{part}: {} → {}", list(&a[part]), list(&b[part])));
            }
        }
    }
    let lineage = |about: &VersionLog| flat(about.pushed.as_ref().map_or(&Value::Null, |pushed| &pushed["lineage"]));
    let (a, b) = (lineage(before), lineage(about));
    for (key, value) in &b {
        match a.get(key) {
            Some(earlier) if earlier == value => {}
            Some(earlier) => told.push(format!("{key}: {earlier} → {value}")),
            None => told.push(format!("{key}: {value}")),
        }
    }
    let gone = a.iter().filter(|(key, _)| !b.contains_key(*key));
    told.extend(gone.map(|(key, earlier)| format!("{key}: {earlier} → nothing")));
    told
}

/// The leaves of an object by their path, without empty ones.
fn flat(value: &Value) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    let mut left: Vec<(String, &Value)> = vec![(String::new(), value)];
    while let Some((path, value)) = left.pop() {
        match value {
            Value::Null => {}
            Value::Object(fields) => {
                let below = |key: &String| if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                left.extend(fields.iter().map(|(key, value)| (below(key), value)));
            }
            Value::String(text) => drop(leaves.insert(path, text.clone())),
            other => drop(leaves.insert(path, other.to_string())),
        }
    }
    leaves
}

fn list(value: &Value) -> String {
    let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.collect::<Vec<_>>().join(", ")
}

/// A share for people.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}
