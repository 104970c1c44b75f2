//! From a listing to what the view should hold. Pure: listing, bounds and time in, wishes out.
//!
//! What is odd, too large or still being uploaded is *kept*: the view stays there as it is, so that a refusal never
//! takes anything away. Only what a complete listing does not have is unwanted.

use std::collections::{BTreeMap, BTreeSet};

use base_types::{ModelName, Version};

use crate::key::{Place, place};

/// A model's own files are texts and samples of input, not weights.
pub(crate) const MODEL_FILE_BYTES_MAX: u64 = 64 << 20;

/// More refusals are counted by nobody.
const REFUSED_MAX: usize = 256;

/// What a mirror may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most objects of a listing.
    pub objects: usize,
    /// The most models.
    pub models: usize,
    /// The most versions of one model.
    pub versions_per_model: usize,
    /// The largest sum of the objects of one version, in bytes.
    pub version_bytes: u64,
    /// The most bytes of the cache.
    pub cache_bytes: u64,
    /// A version is fetched when nothing in it changed for so long, in milliseconds.
    pub settle_ms: u64,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// The key without the prefix.
    pub key: String,
    /// The size in bytes.
    pub size: u64,
    /// When it was written, in milliseconds since 1970 by the clock of the store.
    pub modified_ms: i64,
    /// The store's name of this content, if it has names.
    pub e_tag: Option<String>,
}

/// A listing: objects, and keys the source itself refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub objects: Vec<Object>,
    pub refused: Vec<(String, &'static str)>,
}

/// What the view should hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub models: BTreeMap<ModelName, WantedModel>,
    /// What was refused, by key or folder, and why.
    pub refused: BTreeMap<String, String>,
    /// Whether something changed a moment ago and will be wanted soon.
    pub is_settling: bool,
}

/// What the view should hold of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WantedModel {
    pub files: BTreeMap<String, WantedFile>,
    pub versions: BTreeMap<Version, WantedVersion>,
}

/// A file beside the versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WantedFile {
    /// This content.
    Now(Object),
    /// Whatever is there.
    Kept,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WantedVersion {
    /// These files, by their paths in the folder.
    Now(BTreeMap<String, Object>),
    /// Whatever is there.
    Kept,
}

/// Sorts a listing. `now_ms` is the wall clock.
pub(crate) fn wanted(listing: Listing, bounds: &Bounds, now_ms: u64) -> Wanted {
    let mut wanted = Wanted::default();
    let mut spoiled = Vec::new();
    for (key, why) in listing.refused {
        match place(&key) {
            Place::Version { model, version, .. } | Place::RefusedVersion { model, version, .. } => {
                spoiled.push((model, version));
            }
            Place::Model { model, file } => {
                wanted.model(model).files.insert(file, WantedFile::Kept);
            }
            Place::Passed | Place::Folder | Place::Refused(_) => {}
        }
        wanted.refuse(key, why);
    }
    for object in without_markers(listing.objects) {
        match place(&object.key) {
            Place::Version { model, version, file } => wanted.add(model, version, (file, object)),
            Place::Model { model, file } => wanted.add_file((model, file), object, bounds, now_ms),
            Place::Passed => {}
            Place::Folder if object.size == 0 => {}
            Place::Folder => wanted.refuse(object.key, "it is an object where a folder belongs"),
            Place::Refused(why) => wanted.refuse(object.key, why),
            Place::RefusedVersion { model, version, why } => {
                wanted.refuse(object.key, why);
                spoiled.push((model, version));
            }
        }
    }
    for (model, version) in spoiled {
        wanted.model(model).versions.insert(version, WantedVersion::Kept);
    }
    wanted.judge_versions(bounds, now_ms);
    wanted
}

/// Consoles put an empty object where a person makes a "folder". The library lists it without its last slash.
fn without_markers(objects: Vec<Object>) -> impl Iterator<Item = Object> {
    let folders: BTreeSet<String> = objects
        .iter()
        .flat_map(|object| object.key.match_indices('/').map(|(end, _)| object.key[..end].to_owned()))
        .collect();
    objects.into_iter().filter(move |object| object.size > 0 || !folders.contains(&object.key))
}

impl Wanted {
    fn model(&mut self, model: ModelName) -> &mut WantedModel {
        self.models.entry(model).or_default()
    }

    /// Notes a refusal.
    pub fn refuse(&mut self, what: String, why: impl Into<String>) {
        if self.refused.len() < REFUSED_MAX {
            self.refused.insert(what, why.into());
        }
    }

    fn add(&mut self, model: ModelName, version: Version, (file, object): (String, Object)) {
        let versions = &mut self.model(model).versions;
        let files = versions.entry(version).or_insert_with(|| WantedVersion::Now(BTreeMap::new()));
        if let WantedVersion::Now(files) = files {
            files.insert(file, object);
        }
    }

    fn add_file(&mut self, (model, file): (ModelName, String), object: Object, bounds: &Bounds, now_ms: u64) {
        let is_settled = is_settled(&object, bounds, now_ms);
        self.is_settling |= !is_settled;
        let is_small = object.size <= MODEL_FILE_BYTES_MAX;
        if !is_small {
            let why = format!("it has {} bytes, a file beside versions at most {MODEL_FILE_BYTES_MAX}", object.size);
            self.refuse(object.key.clone(), why);
        }
        let wish = if is_settled && is_small { WantedFile::Now(object) } else { WantedFile::Kept };
        self.model(model).files.insert(file, wish);
    }

    fn judge_versions(&mut self, bounds: &Bounds, now_ms: u64) {
        let mut refused = Vec::new();
        for (model, wishes) in &mut self.models {
            let n_surplus = wishes.versions.len().saturating_sub(bounds.versions_per_model);
            for (index, (version, wish)) in wishes.versions.iter_mut().enumerate() {
                let WantedVersion::Now(files) = wish else { continue };
                let why = if index < n_surplus {
                    Some(format!("the model has more than {} versions: remove some", bounds.versions_per_model))
                } else {
                    flaw(files, bounds)
                };
                let is_settled = files.values().all(|object| is_settled(object, bounds, now_ms));
                self.is_settling |= !is_settled;
                if why.is_some() || !is_settled {
                    *wish = WantedVersion::Kept;
                }
                refused.extend(why.map(|why| (format!("{model}/{version}"), why)));
            }
        }
        for (what, why) in refused {
            self.refuse(what, why);
        }
    }

    /// Keeps the wishes within the bound of the cache: what `is_there` says is in the view already goes first, then
    /// high versions before low ones. What does not fit is refused.
    pub fn fit(&mut self, cache_bytes: u64, is_there: impl Fn(&ModelName, Version) -> bool) {
        let mut room = cache_bytes;
        let mut order = Vec::new();
        for (model, wishes) in &self.models {
            let files = wishes.files.values();
            let bytes = files.map(|file| if let WantedFile::Now(object) = file { object.size } else { 0 });
            room = bytes.fold(room, u64::saturating_sub);
            for (version, wish) in &wishes.versions {
                let WantedVersion::Now(files) = wish else { continue };
                order.push((!is_there(model, *version), std::cmp::Reverse(*version), model.clone(), sum(files)));
            }
        }
        order.sort();
        for (_, std::cmp::Reverse(version), model, bytes) in order {
            if bytes <= room {
                room -= bytes;
                continue;
            }
            let why = format!("its {bytes} bytes do not fit into the cache of {cache_bytes}: raise bucket.cache_bytes");
            self.refuse(format!("{model}/{version}"), why);
            self.model(model).versions.insert(version, WantedVersion::Kept);
        }
    }
}

/// What makes the files of a version unfit to be fetched.
fn flaw(files: &BTreeMap<String, Object>, bounds: &Bounds) -> Option<String> {
    let bytes = sum(files);
    if bytes > bounds.version_bytes {
        return Some(format!("its objects have {bytes} bytes, the limit is {}", bounds.version_bytes));
    }
    // A bucket may have both; a file system cannot.
    let is_both = |name: &String| {
        let folder = format!("{name}/");
        files.range(folder.clone()..).next().is_some_and(|(other, _)| other.starts_with(&folder))
    };
    let both = files.keys().find(|name| is_both(name))?;
    Some(format!("{both} is both an object and a folder: remove one of them"))
}

fn sum(files: &BTreeMap<String, Object>) -> u64 {
    files.values().map(|object| object.size).fold(0, u64::saturating_add)
}

/// As on disk: a time far in the future comes from another clock and must not hold anything up for ever.
fn is_settled(object: &Object, bounds: &Bounds, now_ms: u64) -> bool {
    let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
    now.abs_diff(object.modified_ms) >= bounds.settle_ms
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    const NOW: u64 = 1_000_000;
    const BOUNDS: Bounds = Bounds {
        objects: 100,
        models: 10,
        versions_per_model: 2,
        version_bytes: 1_000,
        cache_bytes: 10_000,
        settle_ms: 2_000,
    };

    fn object(key: &str, size: u64, modified_ms: i64) -> Object {
        Object { key: key.to_owned(), size, modified_ms, e_tag: None }
    }

    fn sorted(objects: &[(&str, u64, i64)]) -> Wanted {
        let objects = objects.iter().map(|(key, size, modified)| object(key, *size, *modified)).collect();
        wanted(Listing { objects, refused: Vec::new() }, &BOUNDS, NOW)
    }

    fn wished(wanted: &Wanted) -> Vec<String> {
        let versions = wanted.models.iter().flat_map(|(model, wishes)| {
            let now = wishes.versions.iter().filter(|(_, wish)| matches!(wish, WantedVersion::Now(_)));
            now.map(move |(version, _)| format!("{model}/{version}"))
        });
        versions.collect()
    }

    #[test]
    fn versions_are_wanted_once_they_are_left_alone() {
        let found = sorted(&[("a/1/model.onnx", 1, 0), ("a/2/model.onnx", 1, 0), ("a/2/w", 1, NOW as i64 - 1_999)]);
        assert_eq!(wished(&found), ["a/1"]);
        assert!(found.is_settling);
        assert_eq!(found.models.values().next().unwrap().versions.values().last(), Some(&WantedVersion::Kept));
        let found = sorted(&[("a/2/model.onnx", 1, NOW as i64 * 9)]);
        assert_eq!(wished(&found), ["a/2"], "another clock holds nothing up");
        assert!(!found.is_settling);
    }

    #[test]
    fn a_refused_key_spoils_its_version_and_takes_nothing_away() {
        let found =
            sorted(&[("a/1/model.onnx", 1, 0), ("a/1/../x", 1, 0), ("a/2/model.onnx", 1, 0), ("b c/1/m", 1, 0)]);
        assert_eq!(wished(&found), ["a/2"]);
        assert_eq!(found.models.values().next().unwrap().versions.values().next(), Some(&WantedVersion::Kept));
        assert_eq!(found.refused.keys().collect::<Vec<_>>(), ["a/1/../x", "b c/1/m"]);
    }

    #[test]
    fn markers_of_folders_are_nothing() {
        let found = sorted(&[
            ("a", 0, 0),
            ("a/1", 0, 0),
            ("a/1/model.onnx", 0, 0),
            ("a/1/model.onnx/model.onnx", 1, 0),
            ("a/2", 0, 0),
            ("a/warmup", 0, 0),
        ]);
        assert_eq!((wished(&found), found.refused.len()), (vec!["a/1".to_owned()], 0));
        let found = sorted(&[("a/2", 5, 0)]);
        assert!(found.refused["a/2"].contains("where a folder belongs"));
    }

    #[test]
    fn bounds_refuse_by_name() {
        let found = sorted(&[("a/1/m", 1, 0), ("a/2/m", 1, 0), ("a/3/m", 900, 0), ("a/3/w", 101, 0)]);
        assert_eq!(wished(&found), ["a/2"]);
        assert_eq!(found.refused.keys().collect::<Vec<_>>(), ["a/1", "a/3"]);
        let found = sorted(&[("a/1/model.onnx", 1, 0), ("a/1/model.onnx/w", 1, 0), ("a/1/model.onnx-", 1, 0)]);
        assert!(found.refused["a/1"].contains("both an object and a folder"));
        let found = sorted(&[("a/config.pbtxt", MODEL_FILE_BYTES_MAX + 1, 0)]);
        assert_eq!(found.refused.len(), 1);
    }

    #[test]
    fn what_is_there_has_room_before_what_is_new() {
        let objects = [("a/1/m", 600, 0), ("a/2/m", 500, 0), ("b/7/m", 500, 0)];
        let mut found = sorted(&objects);
        found.fit(1_100, |model, _| model.as_str() == "a");
        assert_eq!(wished(&found), ["a/1", "a/2"]);
        assert!(found.refused["b/7"].contains("cache_bytes"));
        let mut found = sorted(&objects);
        found.fit(1_100, |_, _| false);
        assert_eq!(wished(&found), ["a/2", "b/7"], "high versions first");
    }
}
