//! A look that changes nothing, for those who want to know whether a bucket would serve.

use tokio::sync::watch;

use crate::source::Source;
use crate::store::StoreSource;
use crate::wanted::wanted;
use crate::{Address, Bounds};

/// What a bucket lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Models.
    pub n_models: usize,
    /// Versions, those that are refused among them.
    pub n_versions: usize,
    /// What would not be taken, and why, a line each.
    pub refused: Vec<String>,
}

/// Lists a bucket. `now_ms` is the wall clock; the error is a text for people.
pub fn examine(address: &Address, bounds: &Bounds, now_ms: u64) -> Result<Found, String> {
    let (_go_on, stop) = watch::channel(false);
    let mut source = StoreSource::new(address.clone(), stop).map_err(|error| error.to_string())?;
    let listing = source.list(bounds.objects).map_err(|error| error.to_string())?;
    let mut wishes = wanted(listing, bounds, now_ms);
    wishes.fit(bounds.cache_bytes, |_, _| false);
    Ok(Found {
        n_models: wishes.models.len(),
        n_versions: wishes.models.values().map(|wish| wish.versions.len()).sum(),
        refused: wishes.refused.iter().map(|(what, why)| format!("{what}: {why}")).collect(),
    })
}
