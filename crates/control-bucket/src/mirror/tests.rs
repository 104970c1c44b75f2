#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

mod ends;
mod looks;

use std::fs;
use std::io;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::store::StoreSource;
use crate::wanted::Listing;

const BOUNDS: Bounds = Bounds {
    objects: 1_000,
    models: 10,
    versions_per_model: 10,
    version_bytes: 1 << 20,
    cache_bytes: 1 << 20,
    settle_ms: 0,
};

const NOW: u64 = 4_000_000_000_000;

/// A bucket in memory, a source that may fail, and a cache.
struct World {
    store: Arc<InMemory>,
    runtime: Runtime,
    source: Faulty,
    home: TempDir,
    bounds: Bounds,
}

/// A source that fails when told to, and remembers what was fetched through it.
struct Faulty {
    inner: StoreSource,
    is_down: bool,
    /// Fetches of keys that contain this fail.
    broken: Option<String>,
    /// Fetches of keys that contain this end early, or give other bytes.
    cut: Option<String>,
    /// Keys that contain this are not listed, as if they were removed.
    hidden: Option<String>,
    fetched: Vec<String>,
}

impl Source for Faulty {
    fn list(&mut self, objects_max: usize) -> Result<Listing, SourceError> {
        if self.is_down {
            return Err(refused());
        }
        let mut listing = self.inner.list(objects_max)?;
        let hidden = self.hidden.as_deref();
        listing.objects.retain(|object| hidden.is_none_or(|text| !object.key.contains(text)));
        Ok(listing)
    }

    fn fetch(&mut self, object: &Object, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), SourceError> {
        self.fetched.push(object.key.clone());
        let is_meant = |text: &Option<String>| text.as_ref().is_some_and(|text| object.key.contains(text));
        if self.is_down || is_meant(&self.broken) {
            return Err(refused());
        }
        if is_meant(&self.cut) {
            let mut whole = Vec::new();
            self.inner.fetch(object, &mut |piece| {
                whole.extend_from_slice(piece);
                Ok(())
            })?;
            return sink(&whole[..whole.len() - 1]).map_err(SourceError::Sink);
        }
        self.inner.fetch(object, sink)
    }
}

fn refused() -> SourceError {
    SourceError::Store { what: "reach the store", text: "it is down".to_owned() }
}

impl World {
    fn new() -> Self {
        let store = Arc::new(InMemory::new());
        let inner = StoreSource::of(store.clone(), "models/here");
        let source = Faulty { inner, is_down: false, broken: None, cut: None, hidden: None, fetched: Vec::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { store, runtime, source, home: TempDir::new().unwrap(), bounds: BOUNDS }
    }

    fn put(&self, key: &str, content: &[u8]) {
        let key = Key::parse(format!("models/here/{key}")).unwrap();
        self.runtime.block_on(self.store.put(&key, PutPayload::from(content.to_vec()))).unwrap();
    }

    fn delete(&self, key: &str) {
        let key = Key::parse(format!("models/here/{key}")).unwrap();
        self.runtime.block_on(self.store.delete(&key)).unwrap();
    }

    fn open(&self) -> Folder {
        Folder::open(&self.home.path().join("cache"), "s3://test/models/here", self.bounds).unwrap()
    }

    fn path(&self, below: &str) -> PathBuf {
        self.home.path().join("cache").join(below)
    }

    /// A file as the reader of repositories sees it.
    fn seen(&self, below: &str) -> Option<Vec<u8>> {
        fs::read(self.path("view").join(below)).ok()
    }

    /// Looks once and gives the keys that were fetched for it.
    fn look(&mut self, folder: &mut Folder) -> Vec<String> {
        self.source.fetched.clear();
        folder.look(&mut self.source, NOW).unwrap();
        self.source.fetched.clone()
    }
}
