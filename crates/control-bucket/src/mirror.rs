//! One look at the bucket: list, fetch what is new, show it, hide what is gone, tidy up.
//!
//! Every step leaves a state that can be served and that the next start understands. Nothing is hidden unless a whole
//! listing was seen without it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use base_types::{ModelName, Version};
use tracing::{info, warn};

use crate::Bounds;
use crate::cache::{Cache, hash, make_folder, remove_folder};
use crate::index::{Index, replace};
use crate::source::{Source, SourceError};
use crate::tree::{BuildError, Content, Manifest, Trees};
use crate::view::View;
use crate::wanted::{Object, Wanted, WantedFile, WantedModel, WantedVersion, wanted};

/// How long a content that nobody refers to is kept, in milliseconds: a version that comes back needs no download.
pub(crate) const GRACE_MS: u64 = 86_400_000;

/// After so many failures in a row a look fetches nothing more.
const FAILURES_MAX: usize = 3;

const INDEX: &str = "index.json";
const ADDRESS: &str = "address";

/// The folder on disk, and what is known of it.
pub(crate) struct Folder {
    root: PathBuf,
    bounds: Bounds,
    cache: Cache,
    trees: Trees,
    view: View,
    index: Index,
    /// The hash of the index as it was last written.
    written: String,
    /// Bytes fetched and not asked for yet.
    bytes_fetched: u64,
}

/// What came of a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// What was not taken, by key or folder, and why.
    pub refused: BTreeMap<String, String>,
    /// What could not be fetched or shown, and is tried again.
    pub failed: BTreeMap<String, String>,
    /// Whether something will be wanted in a moment.
    pub is_settling: bool,
}

/// One look under way.
struct Turn<'a, S> {
    source: &'a mut S,
    folder: &'a mut Folder,
    look: Look,
    now_ms: u64,
    /// Contents that what is wanted refers to.
    used: BTreeSet<String>,
    n_failures: usize,
}

impl Folder {
    /// Opens the folder as whatever ended last left it. A view of another bucket is not shown.
    pub fn open(root: &Path, address: &str, bounds: Bounds) -> io::Result<Self> {
        make_folder(root)?;
        let mark = root.join(ADDRESS);
        if !std::fs::read_to_string(&mark).is_ok_and(|found| found == address) {
            remove_folder(&root.join("view"))?;
            replace(&mark, address.as_bytes())?;
        }
        let mut cache = Cache::open(root)?;
        let trees = Trees::open(root, &mut cache)?;
        let view = View::open(root, |tree| trees.has(tree))?;
        let index = Index::read(&root.join(INDEX), address);
        Ok(Self { root: root.to_owned(), bounds, cache, trees, view, index, written: String::new(), bytes_fetched: 0 })
    }

    /// What is shown.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The bytes on disk, but for the small copies of files beside versions.
    pub fn bytes(&self) -> u64 {
        self.cache.bytes() + self.trees.bytes()
    }

    /// The bytes fetched since this was last asked for.
    pub fn take_bytes_fetched(&mut self) -> u64 {
        std::mem::take(&mut self.bytes_fetched)
    }

    /// Looks once. `now_ms` is the wall clock.
    pub fn look<S: Source>(&mut self, source: &mut S, now_ms: u64) -> Result<Look, SourceError> {
        let listing = source.list(self.bounds.objects)?;
        let mut wishes = wanted(listing, &self.bounds, now_ms);
        if wishes.models.len() > self.bounds.models {
            return Err(SourceError::TooManyModels(self.bounds.models));
        }
        wishes.fit(self.bounds.cache_bytes, |model, version| self.view.tree(model, version).is_some());
        let used = self.used(&wishes);
        let mut turn = Turn { source, folder: self, look: Look::default(), now_ms, used, n_failures: 0 };
        let brought = turn.bring(&wishes);
        let mut look = turn.look;
        // Fetched and shown is fetched and shown, also when the look ends early.
        let tidied = self.hide_unwanted(&wishes).and_then(|()| self.tidy(&wishes, now_ms));
        brought?;
        tidied.map_err(SourceError::Sink)?;
        (look.refused, look.is_settling) = (wishes.refused, wishes.is_settling);
        Ok(look)
    }

    /// The contents known of everything wanted, but for those that a tree holds.
    fn used(&self, wishes: &Wanted) -> BTreeSet<String> {
        let contents = objects(wishes).filter_map(|object| self.index.content(object));
        contents.filter(|sha256| !self.trees.has_content(sha256)).map(str::to_owned).collect()
    }

    fn hide_unwanted(&mut self, wishes: &Wanted) -> io::Result<()> {
        let (mut models, mut versions, mut files) = (Vec::new(), Vec::new(), Vec::new());
        for (model, shown) in self.view.models() {
            let Some(wish) = wishes.models.get(model) else {
                models.push(model.clone());
                continue;
            };
            let gone = shown.versions.keys().filter(|version| !wish.versions.contains_key(version));
            versions.extend(gone.map(|version| (model.clone(), *version)));
            let gone = shown.files.keys().filter(|file| !wish.files.contains_key(*file));
            files.extend(gone.map(|file| (model.clone(), file.clone())));
        }
        for (model, version) in versions {
            info!(%model, %version, "version removed from the bucket");
            self.view.hide(&model, version)?;
        }
        for (model, file) in files {
            self.view.take(&model, &file)?;
        }
        for model in models {
            info!(%model, "model removed from the bucket");
            self.view.remove_model(&model)?;
        }
        Ok(())
    }

    /// Takes trees apart that nothing shows, throws away what nobody has referred to for the time of grace, and writes
    /// down what is known.
    fn tidy(&mut self, wishes: &Wanted, now_ms: u64) -> io::Result<()> {
        let shown: BTreeSet<&String> = self.view.models().values().flat_map(|shown| shown.versions.values()).collect();
        let unseen: Vec<String> = self.trees.ids().filter(|id| !shown.contains(id)).cloned().collect();
        for id in unseen {
            self.trees.remove(&id, &mut self.cache)?;
        }
        let used = self.used(wishes);
        let loose: Vec<String> = self.cache.names().cloned().collect();
        for sha256 in loose {
            if used.contains(&sha256) {
                self.index.unused_since.remove(&sha256);
                continue;
            }
            let since = *self.index.unused_since.entry(sha256.clone()).or_insert(now_ms);
            if now_ms.saturating_sub(since) >= GRACE_MS {
                self.cache.remove(&sha256)?;
            }
        }
        self.make_room(0, &used)?;
        self.remember()
    }

    /// Throws away unused contents, the longest unused first, until there is room for so many bytes more.
    fn make_room(&mut self, bytes: u64, used: &BTreeSet<String>) -> io::Result<()> {
        let mut unused: Vec<(u64, String)> = self
            .cache
            .names()
            .filter(|sha256| !used.contains(*sha256))
            .cloned()
            .map(|sha256| (self.index.unused_since.get(&sha256).copied().unwrap_or(0), sha256))
            .collect();
        unused.sort();
        for (_, sha256) in unused {
            if self.bytes().saturating_add(bytes) <= self.bounds.cache_bytes {
                break;
            }
            self.cache.remove(&sha256)?;
        }
        Ok(())
    }

    fn has(&self, sha256: &str) -> bool {
        self.cache.has(sha256) || self.trees.has_content(sha256)
    }

    fn remember(&mut self) -> io::Result<()> {
        let (cache, trees) = (&self.cache, &self.trees);
        self.index.forget_missing(|sha256| cache.has(sha256) || trees.has_content(sha256));
        let bytes = self.index.bytes()?;
        let found = hash(&bytes);
        if found != self.written {
            replace(&self.root.join(INDEX), &bytes)?;
            self.written = found;
        }
        Ok(())
    }
}

impl<S: Source> Turn<'_, S> {
    /// Fetches and shows everything wanted. A failure of one version leaves the others; several in a row end the look.
    fn bring(&mut self, wishes: &Wanted) -> Result<(), SourceError> {
        for (model, wish) in &wishes.models {
            // Before the versions, which must not be looked at without the settings that belong to them.
            for (file, object) in now_files(wish) {
                let brought = self.bring_file(model, file, object);
                self.note(format!("{model}/{file}"), brought)?;
            }
            // High versions first: they are what is waited for.
            for (version, files) in now_versions(wish).rev() {
                let brought = self.bring_version(model, version, files);
                self.note(format!("{model}/{version}"), brought)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, what: String, result: Result<(), SourceError>) -> Result<(), SourceError> {
        match result {
            Ok(()) => self.n_failures = 0,
            Err(error @ SourceError::Changed(_)) => {
                self.look.failed.insert(what, error.to_string());
            }
            Err(error @ (SourceError::Store { .. } | SourceError::Silent { .. }))
                if self.n_failures + 1 < FAILURES_MAX =>
            {
                self.n_failures += 1;
                self.look.failed.insert(what, error.to_string());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn bring_file(&mut self, model: &ModelName, file: &str, object: &Object) -> Result<(), SourceError> {
        let known = self.folder.index.content(object);
        if known.is_some() && self.folder.view.file(model, file) == known {
            return Ok(());
        }
        let content = self.content(object)?;
        if !self.folder.cache.has(&content.sha256) {
            // A version holds the same content; a file of its own is small and simply fetched.
            self.fetch(object)?;
        }
        let from = self.folder.cache.path(&content.sha256);
        let put = self.folder.view.put(model, file, (&from, &content.sha256)).map_err(SourceError::Sink)?;
        if put {
            info!(%model, file, "file fetched from the bucket");
            return Ok(());
        }
        self.folder.cache.remove(&content.sha256).map_err(SourceError::Sink)?;
        Err(SourceError::Changed(object.key.clone()))
    }

    fn bring_version(
        &mut self,
        model: &ModelName,
        version: Version,
        files: &BTreeMap<String, Object>,
    ) -> Result<(), SourceError> {
        let mut manifest = Manifest::new();
        for (path, object) in files {
            manifest.insert(path.clone(), self.content(object)?);
        }
        let tree = self.build(&manifest, files)?;
        if self.folder.view.tree(model, version) == Some(tree.as_str()) {
            return Ok(());
        }
        // Known before it is shown, so that a start without the bucket finds it.
        self.folder.remember().map_err(SourceError::Sink)?;
        self.folder.view.show(model, version, &tree).map_err(SourceError::Sink)?;
        info!(%model, %version, n_files = files.len(), "version fetched from the bucket");
        Ok(())
    }

    /// Builds the tree; a content that rotted in the cache is fetched again, each once.
    fn build(&mut self, manifest: &Manifest, files: &BTreeMap<String, Object>) -> Result<String, SourceError> {
        for _ in 0..=manifest.len() {
            match self.folder.trees.build(manifest, &mut self.folder.cache) {
                Ok(tree) => return Ok(tree),
                Err(BuildError::Io(error)) => return Err(SourceError::Sink(error)),
                Err(BuildError::Missing(sha256)) => {
                    let found = manifest.iter().find(|(_, content)| content.sha256 == sha256);
                    let object = found.and_then(|(path, _)| files.get(path));
                    let Some(object) = object else { break };
                    warn!(key = object.key, "a content of the cache was damaged and is fetched again");
                    if self.fetch(object)? != sha256 {
                        return Err(SourceError::Changed(object.key.clone()));
                    }
                }
            }
        }
        Err(SourceError::Changed("a version".to_owned()))
    }

    /// What an object contains; fetched, if that is not known or is not here any more.
    fn content(&mut self, object: &Object) -> Result<Content, SourceError> {
        let known = self.folder.index.content(object).filter(|sha256| self.folder.has(sha256)).map(str::to_owned);
        let sha256 = match known {
            Some(sha256) => sha256,
            None => self.fetch(object)?,
        };
        Ok(Content { sha256, bytes: object.size })
    }

    fn fetch(&mut self, object: &Object) -> Result<String, SourceError> {
        self.folder.make_room(object.size, &self.used).map_err(SourceError::Sink)?;
        let source = &mut *self.source;
        let sha256 = self.folder.cache.take_in(object.size, |sink| source.fetch(object, sink))?;
        self.folder.bytes_fetched += object.size;
        self.folder.index.remember(object, &sha256);
        self.used.insert(sha256.clone());
        self.folder.index.unused_since.entry(sha256.clone()).or_insert(self.now_ms);
        Ok(sha256)
    }
}

fn now_files(wish: &WantedModel) -> impl Iterator<Item = (&String, &Object)> {
    wish.files.iter().filter_map(|(file, wish)| match wish {
        WantedFile::Now(object) => Some((file, object)),
        WantedFile::Kept => None,
    })
}

fn now_versions(wish: &WantedModel) -> impl DoubleEndedIterator<Item = (Version, &BTreeMap<String, Object>)> {
    wish.versions.iter().filter_map(|(version, wish)| match wish {
        WantedVersion::Now(files) => Some((*version, files)),
        WantedVersion::Kept => None,
    })
}

fn objects(wishes: &Wanted) -> impl Iterator<Item = &Object> {
    wishes.models.values().flat_map(|wish| {
        let of_versions = now_versions(wish).flat_map(|(_, files)| files.values());
        now_files(wish).map(|(_, object)| object).chain(of_versions)
    })
}

#[cfg(test)]
mod tests;
