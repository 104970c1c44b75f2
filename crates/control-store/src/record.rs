//! What is kept of a version, as it stands in its file.

use std::collections::BTreeMap;

use base_types::{Digest, Label, ModelName, Version};
use serde::{Deserialize, Serialize};

/// The format this program writes.
pub(crate) const FORMAT: u32 = 1;

/// One version of a model. Never changed once it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format of this record.
    pub format: u32,
    /// The model.
    #[serde(with = "as_text")]
    pub model: ModelName,
    /// Its number within the model.
    #[serde(with = "as_number")]
    pub version: Version,
    /// What it is: the same digest a model repository with these files has.
    #[serde(with = "as_text")]
    pub digest: Digest,
    /// The files the runtime reads, the model first.
    pub files: Vec<FileRecord>,
    /// Other files that came with it, such as labels and golden inputs, by their path beside the model.
    #[serde(default)]
    pub beside: Vec<FileRecord>,
    /// The model's `config.pbtxt`, word for word.
    #[serde(default)]
    pub config_pbtxt: Option<String>,
    /// The version's `manifest.toml`, word for word.
    #[serde(default)]
    pub manifest_toml: Option<String>,
    /// The inputs and outputs of the graph.
    pub signature: SignatureRecord,
    /// What the model file says of itself.
    pub onnx: OnnxRecord,
    /// Where it came from.
    pub lineage: Lineage,
    /// A semantic version, unique within the model.
    #[serde(default)]
    pub tag: Option<String>,
    /// The labels it was pushed with; where they are now stands beside the records.
    #[serde(default, with = "as_labels")]
    pub labels: Vec<Label>,
    /// When it was put into this store, in milliseconds since 1970.
    pub pushed_at_unix_ms: u64,
    /// By whom.
    pub pushed_by: String,
    /// With which program.
    pub tool: String,
    /// Where and when it was pushed first, if it came here in a bundle.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// A file and the parts it consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Relative to the folder of the model file, with `/`.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of the whole content.
    #[serde(with = "as_text")]
    pub sha256: Digest,
    /// In the file's order.
    pub parts: Vec<PartRecord>,
}

/// A part of a file: an object of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Its name.
    #[serde(with = "as_text")]
    pub sha256: Digest,
    /// In bytes.
    pub size: u64,
}

/// The inputs and outputs of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SignatureRecord {
    /// What callers send.
    pub inputs: Vec<ValueRecord>,
    /// What they get.
    pub outputs: Vec<ValueRecord>,
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueRecord {
    /// Its name in the graph.
    pub name: String,
    /// The word of the Open Inference Protocol, such as `FP32`; for others that of ONNX.
    pub datatype: String,
    /// -1 where any size goes; `None` where the graph leaves even the number of dimensions open.
    pub shape: Option<Vec<i64>>,
}

/// What a model file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OnnxRecord {
    /// The program that wrote it.
    pub producer: String,
    /// That program's version.
    pub producer_version: String,
    /// The IR version.
    pub ir: i64,
    /// The operator sets it imports.
    pub opsets: Vec<OpsetRecord>,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// An operator set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpsetRecord {
    /// Empty for ONNX's own.
    pub domain: String,
    /// Its version.
    pub version: i64,
}

/// Where a version came from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Lineage {
    /// The working tree it was pushed from.
    #[serde(default)]
    pub git: Option<GitLineage>,
    /// What whoever pushed it said about it: data set, run and whatever else.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// What was measured offline; finite numbers.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

/// A state of a Git working tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitLineage {
    /// The commit that was checked out.
    pub commit: String,
    /// The branch, unless none was.
    pub branch: Option<String>,
    /// Whether tracked files differed from the commit.
    pub is_dirty: bool,
    /// The remote, without credentials.
    pub remote: Option<String>,
}

/// The first push of a version that came in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The model's name there.
    #[serde(with = "as_text")]
    pub model: ModelName,
    /// The number it has there.
    #[serde(with = "as_number")]
    pub version: Version,
    /// When, in milliseconds since 1970.
    pub pushed_at_unix_ms: u64,
    /// By whom.
    pub pushed_by: String,
    /// With which program.
    pub tool: String,
}

impl Record {
    /// Bytes of the files the runtime reads.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Every file, those beside the model too.
    pub fn all_files(&self) -> impl Iterator<Item = &FileRecord> {
        self.files.iter().chain(&self.beside)
    }

    /// Every part of every file; some stand in several.
    pub fn parts(&self) -> impl Iterator<Item = &PartRecord> {
        self.all_files().flat_map(|file| &file.parts)
    }
}

/// Types that are texts outside.
pub(crate) mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Labels are texts outside.
pub(crate) mod as_labels {
    use base_types::Label;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(labels: &[Label], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(labels.iter().map(Label::as_str))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Label>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| Label::new(text).map_err(D::Error::custom)).collect()
    }
}

/// Versions are numbers outside.
pub(crate) mod as_number {
    use base_types::Version;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(version.get())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Version::new(number).ok_or_else(|| D::Error::custom("zero is no version"))
    }
}
