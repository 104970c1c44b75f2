//! Who stays in memory when it is short: decided purely, from what is there, what comes, and the operator's bounds.
//!
//! What traffic, a rollback, a trial, a label or routing.toml needs never goes. Beside it stay, while there is room, versions
//! that nobody needs now: whoever asked for one last keeps it longest. A version that makes others go stays out of the way
//! itself: those that went come back when they are needed or asked for, not because they lie in the repository.

use std::collections::{BTreeMap, BTreeSet};

use base_types::{ModelName, VersionId};

/// What a version takes beside the size of its files once it is loaded, of 100: what the runtime keeps of a graph.
const LOADED_PERCENT: u64 = 110;
/// The most a version takes while it is being loaded, of 100: its files, the runtime's reading of them, weights and what
/// is packed of them. Measured by `cargo xtask bench memory`.
const LOADING_PERCENT: u64 = 360;
/// Names of versions in one message.
const NAMED_MAX: usize = 5;

/// The operator's bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryBounds {
    /// For all loaded versions together; `None` sets no bound.
    pub budget_bytes: Option<u64>,
    /// Of each model, so many versions that nothing needs stay, however short memory is.
    pub keep_warm: usize,
    /// Versions that nothing needs are loaded when they are asked for, and not before.
    pub on_demand: bool,
}

/// How much a version is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Want {
    /// It lies there.
    Present,
    /// It is the highest version of its model: the next one to be routed.
    Newest,
    /// A caller asked for it.
    Asked,
    /// Traffic, a rollback, a trial, a label or routing.toml needs it.
    Needed,
}

/// A version in memory, or on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) id: VersionId,
    pub(crate) bytes: u64,
    pub(crate) want: Want,
    /// When it was last asked for, on any clock; older is smaller.
    pub(crate) last_used: u64,
    /// Whether it goes already, so that its memory will come back.
    pub(crate) is_leaving: bool,
}

/// A version that is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coming {
    pub(crate) id: VersionId,
    pub(crate) need: Need,
    pub(crate) want: Want,
}

/// What a load takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Need {
    /// Once it is loaded.
    pub(crate) loaded: u64,
    /// While it is being loaded.
    pub(crate) loading: u64,
}

impl Need {
    /// By the size of its files, and by what it took when it was loaded before.
    pub(crate) fn of(file_bytes: u64, measured: Option<u64>) -> Self {
        let percent = |percent: u64| (file_bytes / 100).saturating_mul(percent).max(file_bytes);
        let loaded = measured.unwrap_or_else(|| percent(LOADED_PERCENT));
        Self { loaded, loading: percent(LOADING_PERCENT).max(loaded) }
    }
}

/// What becomes of a version that is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is room.
    Load,
    /// These make room; it is asked for again when they are gone. None when enough are leaving already.
    After(Vec<VersionId>),
    /// There is no room, and nothing that may go: why, naming what holds memory.
    Refuse(String),
}

/// Decides about one version. `underway` is what loads take that were let through and are not over: they are made one at
/// a time, so that only the largest takes more than it will hold.
pub(crate) fn decide(
    coming: &Coming,
    held: &[Held],
    underway: &BTreeMap<VersionId, Need>,
    bounds: &MemoryBounds,
) -> Verdict {
    let Some(budget) = bounds.budget_bytes else { return Verdict::Load };
    let needs = || underway.values().chain([&coming.need]);
    let loads: u64 = needs().map(|need| need.loaded).sum();
    let passing = needs().map(|need| need.loading - need.loaded).max().unwrap_or_default();
    let taken = |held: &mut dyn Iterator<Item = &Held>| loads + passing + held.map(|held| held.bytes).sum::<u64>();
    if taken(&mut held.iter()) <= budget {
        return Verdict::Load;
    }
    let mut staying: Vec<&Held> = held.iter().filter(|held| !held.is_leaving).collect();
    // Once the loads before it are over, only its own peak counts.
    let passing_then = coming.need.loading - coming.need.loaded;
    let taken_then = loads + passing_then + staying.iter().map(|held| held.bytes).sum::<u64>();
    if taken(&mut staying.iter().copied()) <= budget || taken_then <= budget {
        return Verdict::After(Vec::new());
    }
    let mut going = Vec::new();
    for victim in victims(coming, &staying, bounds.keep_warm) {
        staying.retain(|held| held.id != victim.id);
        going.push(victim.id.clone());
        if taken(&mut staying.iter().copied()) <= budget {
            return Verdict::After(going);
        }
    }
    Verdict::Refuse(refusal(coming, budget, (held, underway)))
}

/// Those that may go for another, in the order they go.
fn victims<'a>(coming: &Coming, staying: &[&'a Held], keep_warm: usize) -> Vec<&'a Held> {
    if coming.want == Want::Present {
        return Vec::new();
    }
    let mut unneeded: Vec<&Held> = staying.iter().copied().filter(|held| held.want != Want::Needed).collect();
    unneeded.sort_by(|a, b| b.last_used.cmp(&a.last_used).then(b.id.version.cmp(&a.id.version)));
    let mut n_warm = BTreeMap::new();
    unneeded.retain(|held| {
        let n_warm: &mut usize = n_warm.entry(&held.id.model).or_default();
        *n_warm += 1;
        *n_warm > keep_warm
    });
    unneeded.reverse();
    unneeded
}

fn refusal(coming: &Coming, budget: u64, (held, underway): (&[Held], &BTreeMap<VersionId, Need>)) -> String {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let mut holders: Vec<(u64, &VersionId)> = held.iter().map(|held| (held.bytes, &held.id)).collect();
    holders.extend(underway.iter().map(|(id, need)| (need.loaded, id)));
    holders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let named = holders.iter().take(NAMED_MAX).map(|(bytes, id)| format!("{id} {} MiB", mib(*bytes)));
    let mut named: Vec<String> = named.collect();
    if holders.len() > NAMED_MAX {
        named.push(format!("{} more", holders.len() - NAMED_MAX));
    }
    let holders = if named.is_empty() { "nothing".to_owned() } else { named.join(", ") };
    let why = if coming.want == Want::Present { "may go for a version that nobody asked for" } else { "may go" };
    format!(
        "loading it takes up to {} MiB of the {} MiB of memory.budget_mib; held: {holders}; nothing of it {why}. Raise the \
         budget, take versions out of routing, or unload them",
        mib(coming.need.loading),
        mib(budget),
    )
}

/// What is remembered between decisions.
#[derive(Debug, Default)]
pub(crate) struct Residency {
    /// Let through to the loader, and not back yet.
    pub(crate) underway: BTreeMap<VersionId, Need>,
    /// Sent out of memory to make room; back when needed or asked for.
    pub(crate) out: BTreeSet<VersionId>,
    /// Models with a version that waits for others to make room.
    pub(crate) waiting: BTreeSet<ModelName>,
    /// Asked for by callers.
    pub(crate) asked: BTreeSet<VersionId>,
    /// Counts of requests when last looked at, and when that changed.
    pub(crate) used: BTreeMap<VersionId, (u64, u64)>,
    /// What versions took when they were loaded last.
    pub(crate) measured: BTreeMap<VersionId, u64>,
}

impl Residency {
    /// Notes how many requests a version has had by now. One that was never seen counts as used now.
    pub(crate) fn note_use(&mut self, id: &VersionId, n_requests: u64, now: u64) {
        let entry = self.used.entry(id.clone()).or_insert((n_requests, now));
        if entry.0 != n_requests {
            *entry = (n_requests, now);
        }
    }

    pub(crate) fn last_used(&self, id: &VersionId) -> u64 {
        self.used.get(id).map_or(0, |(_, at)| *at)
    }

    /// Forgets versions that are gone from everywhere.
    pub(crate) fn forget(&mut self, is_known: impl Fn(&VersionId) -> bool) {
        self.out.retain(&is_known);
        self.asked.retain(&is_known);
        self.used.retain(|id, _| is_known(id));
        self.measured.retain(|id, _| is_known(id));
    }
}

#[cfg(test)]
mod tests;
