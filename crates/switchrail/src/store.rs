//! The store of pushed versions, in a folder or a bucket, as commands and settings name it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use control_bucket::{Address, AddressError, BucketObjects, Kept};
use control_config::is_bucket;
use control_loop::StoreSource;
use control_registry::Limits;
use control_store::{Store, StoreError};
use thiserror::Error;

use crate::settings::ServeSettings;

/// What every store begins with.
const FORMAT_KEY: &str = "format";
/// In the state directory: what was read of a store in a bucket.
const CACHE_FOLDER: &str = "store-cache";

/// Why there is no store.
#[derive(Debug, Error)]
pub enum StoreSourceError {
    /// It cannot be opened.
    #[error("cannot use the store")]
    Open(#[from] StoreError),
    /// It is meant to be in a bucket and names none that can be reached.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// What is read of a bucket cannot be kept.
    #[error("cannot use the cache of the store at {}: check that the state directory can be written", .folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

/// Where what is read of a bucket is kept, and how many bytes of it.
pub type Cache<'a> = (&'a Path, u64);

impl StoreSourceError {
    /// Whether what was asked for makes no sense, as against what cannot be done at the moment.
    pub fn is_mistake(&self) -> bool {
        matches!(self, Self::Open(StoreError::NotAStore(_) | StoreError::Foreign(_)) | Self::Address(_))
    }
}

/// Opens a store that must be there: a path with a slip in it is told, and not made into an empty store. What is read
/// from a bucket is kept in a cache, where one is named, and what was known last stands in for one out of reach.
pub fn open_existing(place: &Path, cache: Option<Cache<'_>>) -> Result<Store, StoreSourceError> {
    let Some(objects) = bucket(place, cache)? else { return Ok(Store::open_existing(&folder(place)?)?) };
    match objects.has(FORMAT_KEY)? {
        true => Ok(Store::over(Arc::new(objects))?),
        false => Err(StoreError::NotAStore(place.to_owned()).into()),
    }
}

/// Opens a store, made if it is not there.
pub fn open(place: &Path) -> Result<Store, StoreSourceError> {
    match bucket(place, None)? {
        Some(objects) => Ok(Store::over(Arc::new(objects))?),
        None => Ok(Store::open(&folder(place)?)?),
    }
}

/// The bucket that a place names; `None` for a folder, by whichever name.
fn bucket(place: &Path, cache: Option<Cache<'_>>) -> Result<Option<BucketObjects>, StoreSourceError> {
    if !is_bucket(place) {
        return Ok(None);
    }
    let address = Address::parse(&place.to_string_lossy())?;
    if matches!(address, Address::Folder(_)) {
        return Ok(None);
    }
    let kept = cache.map(|(folder, bytes_max)| {
        let failed = |source| StoreSourceError::Cache { folder: folder.to_owned(), source };
        Kept::open(folder, bytes_max).map_err(failed)
    });
    Ok(Some(BucketObjects::open(&address, kept.transpose()?)?))
}

/// A folder as it is named, or as `file://` names it.
fn folder(place: &Path) -> Result<PathBuf, StoreSourceError> {
    if !is_bucket(place) {
        return Ok(place.to_owned());
    }
    match Address::parse(&place.to_string_lossy())? {
        Address::Folder(folder) => Ok(folder),
        Address::Cloud { .. } => Ok(place.to_owned()),
    }
}

/// The store to serve from, if one is named.
pub fn source(settings: &ServeSettings, limits: Limits) -> Result<Option<StoreSource>, StoreSourceError> {
    let Some(place) = &settings.store else { return Ok(None) };
    let config = &settings.config;
    let poll = if is_bucket(place) { config.bucket.poll } else { config.store.poll };
    let cache = settings.state_dir.join(CACHE_FOLDER);
    let store = open_existing(place, Some((&cache, config.bucket.cache_bytes)))?.with_limits(limits);
    Ok(Some(StoreSource { store: Arc::new(store), poll, versions: config.store.versions }))
}
