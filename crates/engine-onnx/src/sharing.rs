//! Versions with equal weights hold them once.
//!
//! The runtime is asked to write a model as it has optimised it, large weights in a file beside the graph. What serves is
//! then that graph, made into a session without further changes, over weights that are lent to it: equal ones are the
//! same bytes in memory, and so is what kernels pack of them. A model alone costs what it costs otherwise: packed
//! weights are in memory, those they were made of in a file without a name, whose pages the system gives and takes.
//!
//! Whatever does not work out (a model with graphs inside its graph, a full disk, an answer that is not the original's) is
//! no fault of the version: it is loaded as if there were no sharing.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use base_serving::engine::Artifact;
use ort::environment::Environment;
use sha2::{Digest, Sha256};

use crate::memory::free_memory_to_system;
use crate::raw::{Content, ElementCode, Lent, Mapping, Packed, Session, Shared};
use crate::runner::OnnxRunner;
use crate::weights::{Weight, has_subgraphs, weights_outside};
use keep::Keeper;

mod derive;
mod keep;
mod sample;

/// Smaller weights stay with their graph.
const WEIGHT_BYTES_MIN: usize = 64 << 10;
/// Models with less than this are not worth the work.
const MODEL_BYTES_MIN: usize = 1 << 20;

/// What a weight is found again by.
type Hash = [u8; 32];

/// What loaded versions hold in common.
pub(crate) struct Sharing {
    folder: PathBuf,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    contents: HashMap<Hash, Weak<Content>>,
    groups: Vec<Group>,
    n_derived: u64,
}

/// Sessions that share packed weights. What is packed goes when the last of them does, and not before.
struct Group {
    packed: Weak<Packed>,
    /// Weights that were packed for it, with their sizes.
    holds: HashMap<Hash, u64>,
}

/// Why weights are not shared.
type Unshared = String;

impl Sharing {
    /// Shares weights through files in a folder of this process alone, which is made, and emptied of what a process that
    /// died left in it.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        Ok(Self { folder: folder.to_owned(), table: Mutex::default() })
    }

    /// A runner over shared weights; `None` where there is nothing worth sharing.
    pub(crate) fn load(
        &self,
        environment: &Environment,
        artifact: &Artifact,
        external: &[(CString, &[u8])],
    ) -> Result<Option<OnnxRunner>, Unshared> {
        let model = &artifact.model.content;
        let n_bytes = model.len() + external.iter().map(|(_, content)| content.len()).sum::<usize>();
        if n_bytes < MODEL_BYTES_MIN || has_subgraphs(model)? {
            return Ok(None);
        }
        let mut table = self.table.lock().unwrap_or_else(|e| e.into_inner());
        table.forget();
        table.n_derived += 1;
        let place = self.folder.join(format!("derived-{}", table.n_derived));
        let derived = derive::derive(environment, (model, external), &place)?;
        // What the original took on its way goes back before the same is taken once more.
        free_memory_to_system();
        let weights = weights_outside(&derived.model, derive::WEIGHTS)?;
        if weights.iter().map(|w| w.place.len()).sum::<usize>() < MODEL_BYTES_MIN {
            return Ok(None);
        }
        let found = find(&weights, derived.weights.bytes())?;
        let kept = table.keep(&found, &self.folder).map_err(|e| format!("a file for weights: {e}"))?;
        derived.weights.let_go_of_pages();
        let packed = table.join(&found)?;
        let lend = |(weight, content): (Weight, Arc<Content>)| {
            let name = CString::new(weight.name).map_err(|e| e.to_string())?;
            Ok(Shared { name, element: ElementCode(weight.element), dims: weight.dims, content })
        };
        let lent = weights.into_iter().zip(kept.iter().cloned()).map(lend).collect::<Result<Vec<_>, Unshared>>()?;
        let session = Session::over(environment, &derived.model, Lent::new(lent, packed)?)?;
        let runner = OnnxRunner::new(session)?;
        derived.expected.compare(&runner)?;
        // Packed weights are in memory of their own; those that are not come back as they are read.
        kept.iter().for_each(|content| content.mapping().let_go_of_pages());
        Ok(Some(runner))
    }
}

/// Each weight's bytes, and what they are found again by.
fn find<'a>(weights: &[Weight], bytes: &'a [u8]) -> Result<Vec<(Hash, &'a [u8])>, Unshared> {
    let found = weights.iter().map(|weight| {
        let bytes = bytes.get(weight.place.clone())?;
        Some((Sha256::digest(bytes).into(), bytes))
    });
    found.collect::<Option<_>>().ok_or_else(|| "a weight lies beyond the end of its file".to_owned())
}

impl Table {
    /// Forgets what nobody holds any more.
    fn forget(&mut self) {
        self.contents.retain(|_, content| content.strong_count() > 0);
        self.groups.retain(|group| group.packed.strong_count() > 0);
    }

    /// The contents in memory that are equal; those nobody has yet go into a new file.
    fn keep(&mut self, found: &[(Hash, &[u8])], folder: &Path) -> io::Result<Vec<Arc<Content>>> {
        let mut keeper = Keeper::new(folder);
        let mut places = HashMap::new();
        for (hash, bytes) in found.iter().filter(|(hash, _)| !self.is_alive(hash)) {
            if !places.contains_key(hash) {
                places.insert(*hash, keeper.write(bytes)?);
            }
        }
        let mapping = keeper.finish()?.map(|file| Mapping::read_only(&file)).transpose()?.map(Arc::new);
        let mut added = HashMap::new();
        for (hash, place) in places {
            let content = mapping.clone().and_then(|mapping| Content::new(mapping, place));
            added.insert(hash, Arc::new(content.ok_or_else(|| io::Error::other("the file is shorter than written"))?));
        }
        self.contents.extend(added.iter().map(|(hash, content)| (*hash, Arc::downgrade(content))));
        let kept = found.iter().map(|(hash, _)| {
            let known = || self.contents.get(hash).and_then(Weak::upgrade);
            added.get(hash).cloned().or_else(known).ok_or_else(|| io::Error::other("a weight was lost"))
        });
        kept.collect()
    }

    /// The group whose packed weights a model shares; a new one where it shares too little with any.
    fn join(&mut self, found: &[(Hash, &[u8])]) -> Result<Arc<Packed>, Unshared> {
        let wanted: HashMap<Hash, u64> = found.iter().map(|(hash, bytes)| (*hash, bytes.len() as u64)).collect();
        let overlaps: Vec<Overlap> = self.groups.iter().map(|group| self.overlap(group, &wanted)).collect();
        let joined = choose(&overlaps).and_then(|index| self.groups.get_mut(index));
        if let Some((packed, group)) = joined.and_then(|group| Some((group.packed.upgrade()?, group))) {
            group.holds.extend(wanted);
            return Ok(packed);
        }
        let packed = Arc::new(Packed::new()?);
        self.groups.push(Group { packed: Arc::downgrade(&packed), holds: wanted });
        Ok(packed)
    }

    fn is_alive(&self, hash: &Hash) -> bool {
        self.contents.get(hash).is_some_and(|content| content.strong_count() > 0)
    }

    fn overlap(&self, group: &Group, wanted: &HashMap<Hash, u64>) -> Overlap {
        let mut overlap = Overlap::default();
        for (hash, n_bytes) in &group.holds {
            if wanted.contains_key(hash) {
                overlap.shared_bytes += n_bytes;
            } else if !self.is_alive(hash) {
                overlap.dead_bytes += n_bytes;
            }
        }
        overlap
    }
}

/// What a model and a group have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Overlap {
    /// Packed already, and wanted.
    shared_bytes: u64,
    /// Packed for versions that are gone, and kept in memory by the others of the group.
    dead_bytes: u64,
}

/// The group to join: the one that saves most, unless so much of it is dead that it would better come to its end. So
/// the packed weights of a group are never more than those of its living members and half as much again.
fn choose(groups: &[Overlap]) -> Option<usize> {
    let saves = |overlap: &Overlap| overlap.shared_bytes > 0 && overlap.dead_bytes <= overlap.shared_bytes / 2;
    let saving = groups.iter().enumerate().filter(|(_, overlap)| saves(overlap));
    saving.max_by_key(|(_, overlap)| overlap.shared_bytes - overlap.dead_bytes).map(|(index, _)| index)
}

#[cfg(test)]
mod tests;
