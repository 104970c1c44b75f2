//! Which number a content gets.

use std::collections::BTreeMap;

use base_types::{Digest, ModelName, Version};

use crate::StoreError;

/// What is known of a model's numbers.
pub(super) struct Known<'a> {
    pub model: &'a ModelName,
    /// Those of the store.
    pub stored: BTreeMap<Version, Digest>,
    /// Those of a model repository, with the digest where it is known.
    pub held: &'a BTreeMap<Version, Option<Digest>>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// The store has the content.
    Existing(Version),
    /// It gets this number.
    New(Version),
}

/// Decides by the content. `wanted` is insisted on; `wish` is what a bundle was elsewhere.
pub(super) fn decide(
    known: &Known<'_>,
    wanted: Option<Version>,
    wish: Option<Version>,
    here: Digest,
) -> Result<Decision, StoreError> {
    let model = known.model;
    if let Some((there, _)) = known.stored.iter().find(|(_, digest)| **digest == here) {
        return match wanted {
            Some(wanted) if wanted != *there => {
                Err(StoreError::OtherNumber { model: model.clone(), there: *there, wanted })
            }
            _ => Ok(Decision::Existing(*there)),
        };
    }
    if let Some(version) = wanted {
        return match (known.stored.get(&version), known.held.get(&version)) {
            (Some(there), _) | (None, Some(Some(there))) if *there != here => {
                Err(StoreError::VersionTaken { model: model.clone(), version, there: *there, here })
            }
            (None, Some(None)) => Err(StoreError::NumberHeld { model: model.clone(), version }),
            _ => Ok(Decision::New(version)),
        };
    }
    // The number that the repository has it under, the one it had elsewhere, the next.
    let same = known.held.iter().find(|(_, digest)| **digest == Some(here)).map(|(version, _)| *version);
    let is_free = |version: &Version| !known.stored.contains_key(version) && !known.held.contains_key(version);
    if let Some(version) = same.filter(|version| !known.stored.contains_key(version)).or(wish.filter(is_free)) {
        return Ok(Decision::New(version));
    }
    let highest = known.stored.keys().chain(known.held.keys()).max().map_or(0, |version| version.get());
    let next = highest.checked_add(1).filter(|next| i64::try_from(*next).is_ok()).and_then(Version::new);
    next.map(Decision::New).ok_or_else(|| StoreError::TooLarge {
        what: format!("the next number of a version of {model}"),
        limit: i64::MAX as u64,
        remedy: "choose a free number with --version",
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    fn digest(n: u8) -> Digest {
        Digest::new([n; 32])
    }

    fn version(n: u64) -> Version {
        Version::new(n).unwrap()
    }

    type Numbers<'a> = &'a [(u64, u8)];

    /// Stored and held numbers with their contents, the number wanted, and the code of a refusal or what is decided.
    #[track_caller]
    fn check(
        (stored, held): (Numbers<'_>, Numbers<'_>),
        (wanted, wish, here): (Option<u64>, Option<u64>, u8),
        expected: Result<Decision, &str>,
    ) {
        let model = ModelName::new("m").unwrap();
        let held = held.iter().map(|(n, d)| (version(*n), (*d > 0).then(|| digest(*d)))).collect();
        let stored = stored.iter().map(|(n, d)| (version(*n), digest(*d))).collect();
        let known = Known { model: &model, stored, held: &held };
        let decided = decide(&known, wanted.map(version), wish.map(version), digest(here));
        assert_eq!(decided.map_err(|error| error.code()), expected);
    }

    #[test]
    fn a_number_belongs_to_one_content_and_a_content_to_one_number() {
        let new = |n| Ok(Decision::New(version(n)));
        let existing = |n| Ok(Decision::Existing(version(n)));
        check((&[], &[]), (None, None, 1), new(1));
        check((&[(1, 1)], &[]), (None, None, 2), new(2));
        check((&[(1, 1), (7, 7)], &[]), (None, None, 2), new(8));
        check((&[(1, 1)], &[]), (None, None, 1), existing(1));
        check((&[(1, 1)], &[]), (Some(1), None, 1), existing(1));
        check((&[(1, 1)], &[]), (Some(2), None, 1), Err("version_differs"));
        check((&[(1, 1)], &[]), (Some(1), None, 2), Err("version_taken"));
        check((&[(1, 1)], &[]), (Some(5), None, 2), new(5));
        // Numbers of a repository.
        check((&[(1, 1)], &[(4, 4)]), (None, None, 2), new(5));
        check((&[(1, 1)], &[(4, 4)]), (None, None, 4), new(4));
        check((&[(1, 1)], &[(4, 4)]), (Some(4), None, 4), new(4));
        check((&[(1, 1)], &[(4, 4)]), (Some(4), None, 2), Err("version_taken"));
        check((&[], &[(4, 0)]), (Some(4), None, 2), Err("version_taken"));
        check((&[], &[(4, 0)]), (None, None, 2), new(5));
        check((&[], &[(4, 4)]), (Some(9), None, 4), new(9));
        // Bundles.
        check((&[(1, 1)], &[]), (None, Some(7), 2), new(7));
        check((&[(7, 1)], &[]), (None, Some(7), 2), new(8));
        check((&[], &[(7, 1)]), (None, Some(7), 2), new(8));
        check((&[], &[(7, 2)]), (None, Some(7), 2), new(7));
        check((&[], &[(7, 2)]), (Some(3), Some(7), 2), new(3));
        check((&[(i64::MAX as u64, 1)], &[]), (None, None, 2), Err("too_large"));
    }
}
