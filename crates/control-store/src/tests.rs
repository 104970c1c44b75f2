//! The store as a whole, over real model files.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

mod bundles;
mod damage;
mod faults;
mod power;
mod pushes;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base_types::{DataType, Digest, Label, ModelName, Version};
use tempfile::TempDir;
use testkit::onnx::{Graph, Init, Shape, affine4};

use crate::{Push, Pushed, Store, StoreError};

/// A store, and a folder for what is pushed into it.
struct Bench {
    folder: TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file to push.
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn push(&self, path: &Path) -> Result<Pushed, StoreError> {
        self.store.push(&push(path))
    }

    fn push_model(&self, content: &[u8]) -> Pushed {
        self.push(&self.file("m.onnx", content)).unwrap()
    }

    /// Bytes of all objects.
    fn object_bytes(&self) -> u64 {
        self.store.objects.list("objects/").unwrap().iter().map(|listed| listed.size).sum()
    }

    /// Everything in the store's folder but the lock.
    fn content(&self) -> BTreeMap<String, Vec<u8>> {
        files_below(&self.path("store")).into_iter().filter(|(name, _)| name != "lock").collect()
    }
}

fn push(path: &Path) -> Push {
    Push { by: "ann".to_owned(), tool: "test".to_owned(), ..Push::new(path, Some(model()), 1_000) }
}

fn model() -> ModelName {
    ModelName::new("m").unwrap()
}

fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn affine(n: u32) -> Vec<u8> {
    affine4(n as f32, 0.0)
}

/// Ten tensors of 100 KiB; the first `n_other` of them hold other values.
fn ten_tensors(n_other: usize) -> Vec<u8> {
    tensors(10, n_other)
}

fn tensors(n_tensors: usize, n_other: usize) -> Vec<u8> {
    const ELEMENTS: usize = 25_600;
    let mut graph = Graph::new("tensors")
        .input("x", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .output("y", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .node("Identity", "x", "y", &[]);
    for n in 0..n_tensors {
        let seed = if n < n_other { n as f32 + 0.5 } else { n as f32 };
        let values: Vec<f32> = (0..ELEMENTS).map(|i| seed * 1_000.0 + i as f32).collect();
        graph = graph.init(&format!("w{n}"), &[ELEMENTS as i64], Init::Floats(&values));
    }
    graph.model()
}

fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The digest a model repository would find, computed here once more by hand.
fn digest_by_hand(files: &[(&str, &[u8])]) -> Digest {
    let hashes = files.iter().map(|(path, content)| {
        ((*path).to_owned(), content.len() as u64, *crate::envelope::sha256(content).as_bytes())
    });
    control_registry::repository::digest_of(hashes.collect())
}
