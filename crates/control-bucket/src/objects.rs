//! A bucket as the place of a store of pushed versions: whole objects by their keys, a name never given twice.
//!
//! With a cache, as a gateway has one, what never changes is fetched once, and what was known last stands in for a
//! bucket that is out of reach. Without one, as commands that write have it, a bucket out of reach is an error.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use control_store::{Guard, Listed, Objects, Put, StoreError};
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::runtime::Runtime;
use tracing::warn;

use crate::Address;
use crate::connect::connect;
use crate::kept::Kept;
use crate::store::told;

/// A bucket that sends or takes nothing of an object for so long is out of reach.
const PATIENCE: Duration = Duration::from_secs(600);
/// Most objects of one listing.
const LISTED_MAX: usize = 1_000_000;

/// A bucket that holds a store.
pub struct BucketObjects {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    place: String,
    runtime: Option<Runtime>,
    kept: Option<Kept>,
    #[cfg(test)]
    pub(crate) is_away: std::sync::atomic::AtomicBool,
}

impl BucketObjects {
    /// Takes the bucket at an address; asks nothing of it yet.
    pub fn open(address: &Address, kept: Option<Kept>) -> Result<Self, StoreError> {
        let place = address.to_string();
        let store = connect(address).map_err(|error| failed("open", &place, error.to_string()))?;
        Self::over(store, (address.prefix(), place), kept)
    }

    fn over(
        store: Arc<dyn ObjectStore>,
        (prefix, place): (&str, String),
        kept: Option<Kept>,
    ) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| StoreError::Io { what: "open", place: place.clone(), source })?;
        Ok(Self {
            store,
            prefix: prefix.to_owned(),
            place,
            runtime: Some(runtime),
            kept,
            #[cfg(test)]
            is_away: false.into(),
        })
    }

    /// Whether something lies at a key.
    pub fn has(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.get(key, 1 << 20)?.is_some())
    }

    fn location(&self, key: &str) -> Result<Path, StoreError> {
        let full = if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) };
        Path::parse(full).map_err(|error| failed("name", key, error.to_string()))
    }

    /// Waits for one step, within the limit.
    fn wait<T>(&self, what: &'static str, key: &str, step: impl Future<Output = T>) -> Result<T, StoreError> {
        #[cfg(test)]
        if self.is_away.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(failed(what, key, "out of reach".to_owned()));
        }
        let Some(runtime) = &self.runtime else { return Err(failed(what, key, "it is being closed".to_owned())) };
        let waited = runtime.block_on(async { tokio::time::timeout(PATIENCE, step).await });
        waited.map_err(|_| failed(what, key, format!("nothing came for {} s", PATIENCE.as_secs())))
    }

    fn fetch(&self, key: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let location = self.location(key)?;
        let read = async {
            let got = self.store.get(&location).await?;
            // What is said to be too large is not even fetched.
            let size = got.meta.size;
            Ok((size, if size > bytes_max { None } else { Some(got.bytes().await?) }))
        };
        match self.wait("fetch", key, read)? {
            Ok((_, Some(content))) => Ok(Some(content.to_vec())),
            Ok((size, None)) => {
                let reason = format!("it has {size} bytes, more than the {bytes_max} it may have");
                Err(StoreError::Damaged { key: key.to_owned(), reason })
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("fetch", key, told(&error))),
        }
    }

    fn put(&self, key: &str, content: &[u8], mode: PutMode) -> Result<Put, StoreError> {
        let location = self.location(key)?;
        let payload = PutPayload::from(content.to_vec());
        match self.wait("write", key, self.store.put_opts(&location, payload, mode.into()))? {
            Ok(_) => Ok(Put::New),
            Err(Error::AlreadyExists { .. }) => Ok(Put::Existed),
            Err(error) => Err(failed("write", key, told(&error))),
        }
    }

    fn fetch_list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let location = self.location(folder.trim_end_matches('/'))?;
        let n_before = location.as_ref().len() - folder.trim_end_matches('/').len();
        let mut stream = self.store.list(Some(&location));
        let mut found = Vec::new();
        while let Some(object) = self.wait("list", folder, stream.next())? {
            let object = object.map_err(|error| failed("list", folder, told(&error)))?;
            let Some(key) = object.location.as_ref().get(n_before..) else { continue };
            let written_unix_ms = u64::try_from(object.last_modified.timestamp_millis()).unwrap_or(0);
            found.push(Listed { key: key.to_owned(), size: object.size, written_unix_ms });
            if found.len() > LISTED_MAX {
                let remedy = "remove what does not belong to the store";
                return Err(StoreError::TooLarge { what: folder.to_owned(), limit: LISTED_MAX as u64, remedy });
            }
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }
}

/// Nothing to let go of: a bucket knows no locks.
struct Unlocked;

impl Guard for Unlocked {}

impl Objects for BucketObjects {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn lock(&self) -> Result<Box<dyn Guard>, StoreError> {
        Ok(Box::new(Unlocked))
    }

    fn put_if_absent(&self, key: &str, content: &[u8]) -> Result<Put, StoreError> {
        self.put(key, content, PutMode::Create)
    }

    fn replace(&self, key: &str, content: &[u8]) -> Result<(), StoreError> {
        self.put(key, content, PutMode::Overwrite).map(drop)
    }

    fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(kept) = &self.kept else { return self.fetch(key, bytes_max) };
        if never_changes(key)
            && let Some(content) = kept.get(key).filter(|content| content.len() as u64 <= bytes_max)
        {
            return Ok(Some(content));
        }
        match self.fetch(key, bytes_max) {
            Ok(Some(content)) => {
                kept.put(key, &content);
                Ok(Some(content))
            }
            Err(error @ StoreError::Io { .. }) => match kept.get(key) {
                Some(content) if content.len() as u64 <= bytes_max => Ok(Some(content)),
                _ => Err(error),
            },
            other => other,
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let Some(kept) = &self.kept else { return self.fetch_list(folder) };
        let key = format!("{folder}*");
        match self.fetch_list(folder) {
            Ok(found) => {
                kept.put(&key, as_text(&found).as_bytes());
                kept.set_away(false);
                Ok(found)
            }
            Err(error) => {
                let Some(found) = kept.get(&key).and_then(|content| from_text(&content)) else { return Err(error) };
                if kept.set_away(true) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(place = self.place, %error, cause, "the bucket of the store is out of reach: what was there last serves");
                }
                Ok(found)
            }
        }
    }

    fn delete(&self, key: &str) -> Result<(), StoreError> {
        let location = self.location(key)?;
        match self.wait("remove", key, self.store.delete(&location))? {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("remove", key, told(&error))),
        }
    }

    fn sync(&self) -> Result<(), StoreError> {
        // What a bucket has taken is durable.
        Ok(())
    }
}

impl Drop for BucketObjects {
    fn drop(&mut self) {
        // A call into a hung network must not hold up the end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Parts are named by their content, and records are written once.
fn never_changes(key: &str) -> bool {
    key.starts_with("objects/") || key.starts_with("models/") && key.contains("/versions/")
}

/// A listing as it is kept: a line for each object.
fn as_text(listed: &[Listed]) -> String {
    listed.iter().map(|found| format!("{} {} {}\n", found.size, found.written_unix_ms, found.key)).collect()
}

fn from_text(content: &[u8]) -> Option<Vec<Listed>> {
    let line = |line: &str| {
        let (size, rest) = line.split_once(' ')?;
        let (written, key) = rest.split_once(' ')?;
        Some(Listed { key: key.to_owned(), size: size.parse().ok()?, written_unix_ms: written.parse().ok()? })
    };
    std::str::from_utf8(content).ok()?.lines().map(line).collect()
}

fn failed(what: &'static str, place: &str, text: String) -> StoreError {
    StoreError::Io { what, place: place.to_owned(), source: io::Error::other(text) }
}

#[cfg(test)]
mod tests;
