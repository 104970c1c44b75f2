//! A bucket through object_store. The calls block the mirror's own thread, which drives a runtime of its own: neither
//! hashing nor a slow disk takes time from the threads that answer requests.

use std::future::Future;
use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectMeta, ObjectStore};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::Address;
use crate::connect::{ConnectError, connect};
use crate::source::{Source, SourceError};
use crate::wanted::{Listing, Object};

/// A store that sends nothing for so long is out of reach.
const SILENCE: Duration = Duration::from_secs(60);

const LIST: &str = "list the bucket";
const FETCH: &str = "fetch an object";

/// A bucket.
pub(crate) struct StoreSource {
    address: Address,
    /// Made at the first use, and again until it can be made.
    store: Option<Arc<dyn ObjectStore>>,
    runtime: Option<Runtime>,
    stop: watch::Receiver<bool>,
}

impl StoreSource {
    /// A source that ends its waits when `stop` says so.
    pub fn new(address: Address, stop: watch::Receiver<bool>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { address, store: None, runtime: Some(runtime), stop })
    }

    #[cfg(test)]
    pub fn of(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let (_, stop) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok();
        let address = Address::Cloud { cloud: crate::Cloud::S3, bucket: "test".to_owned(), prefix: prefix.to_owned() };
        Self { address, store: Some(store), runtime, stop }
    }

    fn store(&mut self) -> Result<Arc<dyn ObjectStore>, SourceError> {
        if let Address::Folder(folder) = &self.address {
            // A missing folder would list as an empty one, and everything would count as removed.
            let found = std::fs::read_dir(folder);
            found.map_err(|error| store_error(LIST, &format!("{}: {error}", folder.display())))?;
        }
        let store = match self.store.take() {
            Some(store) => store,
            None => connect(&self.address).map_err(|error: ConnectError| store_error(LIST, &error.to_string()))?,
        };
        Ok(self.store.insert(store).clone())
    }

    /// Waits for one step, within the limit and until the end.
    fn wait<T>(&self, what: &'static str, step: impl Future<Output = T>) -> Result<T, SourceError> {
        let Some(runtime) = &self.runtime else { return Err(SourceError::Stopped) };
        let mut stop = self.stop.clone();
        runtime.block_on(async move {
            let stopped = async move {
                // A sender that is gone never stops anybody.
                if stop.wait_for(|is_stopping| *is_stopping).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = stopped => Err(SourceError::Stopped),
                result = tokio::time::timeout(SILENCE, step) => {
                    result.map_err(|_| SourceError::Silent { what, seconds: SILENCE.as_secs() })
                }
            }
        })
    }

    fn location(&self, key: &str) -> Result<Path, SourceError> {
        let prefix = self.address.prefix();
        let full = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}/{key}") };
        Path::parse(full).map_err(|error| store_error(FETCH, &error.to_string()))
    }
}

impl Source for StoreSource {
    fn list(&mut self, objects_max: usize) -> Result<Listing, SourceError> {
        let store = self.store()?;
        let prefix = self.address.prefix().to_owned();
        let path = Path::parse(&prefix).map_err(|error| store_error(LIST, &error.to_string()))?;
        let mut stream = store.list((!prefix.is_empty()).then_some(&path));
        let mut listing = Listing::default();
        while let Some(found) = self.wait(LIST, stream.next())? {
            let found = found.map_err(|error| store_error(LIST, &told(&error)))?;
            if listing.objects.len() + listing.refused.len() >= objects_max {
                return Err(SourceError::TooMany(objects_max));
            }
            let Some(object) = object(&found, &prefix) else { continue };
            match &self.address {
                Address::Folder(folder) if has_link(folder, &object.key) => {
                    listing
                        .refused
                        .push((object.key, "it is, or lies behind, a symbolic link: put the file itself there"));
                }
                _ => listing.objects.push(object),
            }
        }
        Ok(listing)
    }

    fn fetch(&mut self, object: &Object, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), SourceError> {
        let store = self.store()?;
        if let Address::Folder(folder) = &self.address
            && has_link(folder, &object.key)
        {
            return Err(SourceError::Changed(object.key.clone()));
        }
        let location = self.location(&object.key)?;
        let options = GetOptions { if_match: object.e_tag.clone(), ..GetOptions::default() };
        let got = self.wait(FETCH, store.get_opts(&location, options))?;
        let got = got.map_err(|error| fetch_error(object, &error))?;
        if got.meta.size != object.size {
            return Err(SourceError::Changed(object.key.clone()));
        }
        let mut stream = got.into_stream();
        let mut left = object.size;
        while let Some(piece) = self.wait(FETCH, stream.next())? {
            let piece = piece.map_err(|error| fetch_error(object, &error))?;
            // Whoever sends more than was said is not believed.
            left = left.checked_sub(piece.len() as u64).ok_or_else(|| SourceError::Changed(object.key.clone()))?;
            sink(&piece).map_err(SourceError::Sink)?;
        }
        if left > 0 {
            return Err(store_error(FETCH, &format!("{} ended {left} bytes early", object.key)));
        }
        Ok(())
    }
}

impl Drop for StoreSource {
    fn drop(&mut self) {
        // A call into a hung file system must not hold up the end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What is kept of a listed object; `None` when it does not lie under the prefix.
fn object(found: &ObjectMeta, prefix: &str) -> Option<Object> {
    let key = found.location.as_ref();
    let key = if prefix.is_empty() { key } else { key.strip_prefix(prefix)?.strip_prefix('/')? };
    Some(Object {
        key: key.to_owned(),
        size: found.size,
        modified_ms: found.last_modified.timestamp_millis(),
        e_tag: found.e_tag.clone(),
    })
}

/// Whether a part of the path is a symbolic link, which the store would follow to wherever it leads.
fn has_link(folder: &FilePath, key: &str) -> bool {
    let mut path = folder.to_owned();
    key.split('/').any(|part| {
        path.push(part);
        std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink())
    })
}

fn fetch_error(object: &Object, error: &Error) -> SourceError {
    match error {
        Error::NotFound { .. } | Error::Precondition { .. } => SourceError::Changed(object.key.clone()),
        error => store_error(FETCH, &told(error)),
    }
}

/// Texts of stores are long: pages of XML, whole URLs.
pub(crate) fn told(error: &Error) -> String {
    const CHARS_MAX: usize = 400;
    let text = match error {
        Error::InvalidPath { source } => format!("{source}: rename or remove this key, which no listing gets past"),
        error => error.to_string(),
    };
    // A refused certificate, for one, is told by the innermost cause only.
    let mut innermost: Option<&dyn std::error::Error> = None;
    let mut cause = std::error::Error::source(error);
    while let Some(found) = cause {
        innermost = Some(found);
        cause = found.source();
    }
    let innermost = innermost.map(ToString::to_string).filter(|cause| !text.contains(cause.as_str()));
    let text = innermost.map_or(text.clone(), |cause| format!("{cause}: {text}"));
    text.chars().take(CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn store_error(what: &'static str, text: &str) -> SourceError {
    SourceError::Store { what, text: text.to_owned() }
}
