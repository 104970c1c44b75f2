//! One fault per routing key: the bounded memory of keys that erred.
//!
//! A caller with bad inputs who sticks to one arm would otherwise look like a bad version. Only keys that erred are
//! kept. When the memory is full the key that erred longest ago is forgotten, so a caller who keeps erring stays
//! remembered, and new keys always count.

/// How many erring keys are remembered per arm.
pub const ERRING_KEYS_MAX: usize = 1024;

/// Keys that erred, the latest last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ErringKeys {
    keys: Vec<u64>,
}

impl ErringKeys {
    /// Starts with the given keys, the latest last; more than the bound are cut from the front. The room for all
    /// is taken at once: judging a fault never allocates for keys.
    pub(crate) fn new(known: &[u64]) -> Self {
        let mut keys = Vec::with_capacity(ERRING_KEYS_MAX);
        keys.extend_from_slice(&known[known.len().saturating_sub(ERRING_KEYS_MAX)..]);
        Self { keys }
    }

    /// Notes that the key erred, and tells whether that is news.
    pub(crate) fn insert(&mut self, key: u64) -> bool {
        if let Some(at) = self.keys.iter().position(|k| *k == key) {
            self.keys[at..].rotate_left(1);
            return false;
        }
        if self.keys.len() == ERRING_KEYS_MAX {
            self.keys.remove(0);
        }
        self.keys.push(key);
        true
    }

    /// The keys, the latest last.
    pub(crate) fn as_slice(&self) -> &[u64] {
        &self.keys
    }
}

#[cfg(test)]
mod tests;
