//! Removes what no version consists of any more: parts of pushes that were broken off.

use std::collections::BTreeSet;

use base_types::Digest;

use crate::objects::Listed;
use crate::{Store, StoreError};

/// How to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectOptions {
    /// What was written within this time stays, in milliseconds: it may be part of a push under way elsewhere.
    pub grace_ms: u64,
    /// Only say what would be removed.
    pub is_dry_run: bool,
    /// The wall clock, in milliseconds since 1970.
    pub now_unix_ms: u64,
}

/// What was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// Keys of the objects.
    pub removed: Vec<String>,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Objects that no version refers to, too young to go.
    pub n_young: usize,
    /// Objects that versions refer to.
    pub n_kept: usize,
    /// Their bytes.
    pub kept_bytes: u64,
}

impl Store {
    /// Removes the objects that no record refers to and that are older than the grace. A record that cannot be read
    /// stops everything: what it refers to is not known.
    pub fn collect_garbage(&self, options: &CollectOptions) -> Result<Collected, StoreError> {
        // No push writes meanwhile, so what is referred to now is referred to when it would be removed.
        let _guard = self.objects.lock()?;
        let mut needed = BTreeSet::new();
        for model in self.list()?.models.keys() {
            for record in self.records(model)? {
                needed.extend(record.parts().map(|part| part.sha256));
            }
        }
        let mut collected = Collected::default();
        for listed in self.objects.list("objects/")? {
            match fate(&listed, &needed, options) {
                Fate::Needed => {
                    collected.n_kept += 1;
                    collected.kept_bytes += listed.size;
                }
                Fate::Young => collected.n_young += 1,
                Fate::Garbage => {
                    if !options.is_dry_run {
                        self.objects.delete(&listed.key)?;
                    }
                    collected.removed_bytes += listed.size;
                    collected.removed.push(listed.key);
                }
            }
        }
        self.objects.sync()?;
        Ok(collected)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Needed,
    Young,
    Garbage,
}

fn fate(listed: &Listed, needed: &BTreeSet<Digest>, options: &CollectOptions) -> Fate {
    let name: Option<Digest> = listed.key.rsplit('/').next().and_then(|name| name.parse().ok());
    if name.is_some_and(|name| needed.contains(&name)) {
        return Fate::Needed;
    }
    // One from the future is young: clocks of machines that share a folder differ.
    let age_ms = options.now_unix_ms.saturating_sub(listed.written_unix_ms);
    if age_ms < options.grace_ms || listed.written_unix_ms > options.now_unix_ms { Fate::Young } else { Fate::Garbage }
}
