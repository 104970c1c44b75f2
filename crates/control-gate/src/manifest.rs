//! `manifest.toml`: what lies beside a model and says what it is, where it comes from, and what it has to pass.

use std::collections::BTreeMap;

use base_types::{DataType, Digest, Signature, TensorSpec};
use serde::Deserialize;
use thiserror::Error;

/// Its name, in the version's folder.
pub const MANIFEST_FILE: &str = "manifest.toml";
/// Largest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: u64 = 256 << 10;
/// Most golden cases of one version.
const GOLDEN_MAX: usize = 256;
/// Longest path of a file it names, in bytes.
const PATH_BYTES_MAX: usize = 1_024;

/// A manifest, read and checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// A semantic version or another name for people.
    pub tag: Option<String>,
    /// The content it is about.
    pub digest: Option<Digest>,
    /// Where the version comes from: free texts by name.
    pub lineage: BTreeMap<String, String>,
    /// What was measured before it came here.
    pub metrics: BTreeMap<String, f64>,
    /// Inputs whose outputs are known.
    pub golden: Vec<GoldenCase>,
    /// How good its answers to labelled inputs have to be.
    pub quality: Option<Quality>,
    /// What it may cost.
    pub budgets: Budgets,
    /// The inputs and outputs its graph must have, in any order.
    pub signature: Option<Signature>,
    /// A signature over its content, see [`crate::sign`].
    pub signed: Option<SignatureBlock>,
}

/// Inputs whose outputs are known.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenCase {
    /// A request of the Open Inference Protocol in JSON, relative to the manifest.
    pub inputs: String,
    /// Its answer.
    pub outputs: String,
    /// How far the answer may be off.
    #[serde(default)]
    pub tolerance: Tolerance,
}

/// Each element may be off by `absolute + relative * |wanted|`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Part relative to the wanted value.
    #[serde(default)]
    pub relative: f64,
    /// Absolute part.
    #[serde(default)]
    pub absolute: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { relative: 1e-3, absolute: 1e-5 }
    }
}

/// How good answers to labelled inputs have to be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Lines of `{"inputs": […], "label": …}`, relative to the manifest.
    pub labelled: String,
    /// What is measured.
    pub metric: QualityMetric,
    /// The output that is judged; may be left out where there is one.
    pub output: Option<String>,
    /// The least it may be.
    pub at_least: Option<f64>,
    /// The most it may be.
    pub at_most: Option<f64>,
    /// How much worse than stable it may be.
    pub worse_than_stable_by_at_most: Option<f64>,
}

/// What is measured on a labelled set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityMetric {
    /// The share of right answers: the position of a row's largest value, or its only value, is the label.
    Accuracy,
    /// The mean distance between output and label.
    MeanAbsoluteError,
}

impl QualityMetric {
    /// The word in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MeanAbsoluteError => "mean_absolute_error",
        }
    }
}

/// What a version may cost.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budgets {
    /// Of 20 runs 19 take at most so long, in milliseconds, where it is measured.
    pub latency_p95_ms: Option<f64>,
    /// The same as a multiple of what stable takes there.
    pub latency_p95_times_stable: Option<f64>,
    /// What it may hold in memory, in MiB.
    pub memory_mib: Option<f64>,
}

/// A signature as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureBlock {
    /// The public key it is by, as `ed25519:…`.
    pub key: String,
    /// 128 hexadecimal digits.
    pub signature: String,
    /// Until when it holds, in seconds since 1970; for ever when not given.
    pub expires_unix_s: Option<u64>,
}

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{MANIFEST_FILE}: {0}")]
pub struct ManifestError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    tag: Option<String>,
    digest: Option<String>,
    #[serde(default)]
    lineage: BTreeMap<String, toml::Value>,
    #[serde(default)]
    metrics: BTreeMap<String, f64>,
    #[serde(default)]
    golden: Vec<GoldenCase>,
    quality: Option<Quality>,
    #[serde(default)]
    budgets: Budgets,
    signature: Option<StoredSignature>,
    signature_ed25519: Option<SignatureBlock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSignature {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let stored: Stored = toml::from_str(text).map_err(|error| ManifestError(one_line(&error.to_string())))?;
        let digest = stored.digest.as_deref().map(str::parse::<Digest>).transpose();
        let manifest = Self {
            tag: stored.tag,
            digest: digest.map_err(|error| ManifestError(format!("digest: {error}")))?,
            lineage: stored.lineage.into_iter().map(|(name, value)| (name, word(&value))).collect(),
            metrics: stored.metrics,
            golden: stored.golden,
            quality: stored.quality,
            budgets: stored.budgets,
            signature: stored.signature.map(|s| signature(&s)).transpose()?,
            signed: stored.signature_ed25519,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// The files it names, each once, in order.
    pub fn files(&self) -> Vec<&str> {
        let golden = self.golden.iter().flat_map(|case| [case.inputs.as_str(), case.outputs.as_str()]);
        let mut files: Vec<&str> = golden.chain(self.quality.as_ref().map(|q| q.labelled.as_str())).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    fn check(&self) -> Result<(), ManifestError> {
        let wrong = |text: String| Err(ManifestError(text));
        if self.golden.len() > GOLDEN_MAX {
            return wrong(format!("{} golden cases, at most {GOLDEN_MAX} are allowed", self.golden.len()));
        }
        if let Some(path) = self.files().into_iter().find(|path| !is_beside(path)) {
            return wrong(format!("{path:?} must be the path of a file beside the manifest, with / and without .."));
        }
        let tolerances = self.golden.iter().flat_map(|case| [case.tolerance.relative, case.tolerance.absolute]);
        let budgets = [self.budgets.latency_p95_ms, self.budgets.latency_p95_times_stable, self.budgets.memory_mib];
        let bounds = self.quality.iter().flat_map(|q| [q.at_least, q.at_most, q.worse_than_stable_by_at_most]);
        let numbers = tolerances.chain(budgets.into_iter().chain(bounds).flatten());
        if let Some(number) = numbers.into_iter().find(|number| !(number.is_finite() && *number >= 0.0)) {
            return wrong(format!("{number} is no tolerance, bound or budget: write a number of at least 0"));
        }
        match &self.quality {
            Some(Quality { at_least: None, at_most: None, worse_than_stable_by_at_most: None, .. }) => {
                wrong("quality: say at_least, at_most or worse_than_stable_by_at_most".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Whether a path stays below the folder of the manifest.
fn is_beside(path: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
    path.len() <= PATH_BYTES_MAX && !path.contains('\0') && path.split('/').all(is_part)
}

/// A value of the lineage as a text.
fn word(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn signature(stored: &StoredSignature) -> Result<Signature, ManifestError> {
    let side = |specs: &[String]| specs.iter().map(|text| spec(text)).collect::<Result<Vec<_>, _>>();
    Ok(Signature { inputs: side(&stored.inputs)?, outputs: side(&stored.outputs)? })
}

/// Reads `x FP32[-1,4]`.
fn spec(text: &str) -> Result<TensorSpec, ManifestError> {
    let read = || {
        let (name, rest) = text.rsplit_once(' ')?;
        let (datatype, dims) = rest.strip_suffix(']')?.split_once('[')?;
        let dims = dims.split(',').filter(|dim| !dim.is_empty());
        let dims = dims.map(|dim| match dim.trim() {
            "-1" => Some(None),
            dim => dim.parse().ok().map(Some),
        });
        Some(TensorSpec {
            name: name.to_owned(),
            datatype: DataType::parse(datatype)?,
            dims: dims.collect::<Option<Vec<_>>>()?,
        })
    };
    read().ok_or_else(|| ManifestError(format!("signature: {text:?} is not written like \"x FP32[-1,4]\"")))
}

/// The error of the parser with its place, without the drawing under it.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn a_whole_manifest_is_read() {
        let text = r#"
tag = "2.1.0"
digest = "0101010101010101010101010101010101010101010101010101010101010101"
[lineage]
dataset = "sales-2026"
run = 7
[metrics]
accuracy = 0.93
[[golden]]
inputs = "golden/0.json"
outputs = "golden/0.out.json"
tolerance = { relative = 1e-3, absolute = 1e-5 }
[[golden]]
inputs = "golden/1.json"
outputs = "golden/0.out.json"
[quality]
labelled = "labelled.jsonl"
metric = "accuracy"
at_least = 0.9
worse_than_stable_by_at_most = 0.01
[budgets]
latency_p95_ms = 20
memory_mib = 300
[signature]
inputs = ["x FP32[-1,4]"]
outputs = ["y INT64[]"]
"#;
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(manifest.digest, Some(Digest::new([1; 32])));
        assert_eq!(manifest.lineage["dataset"], "sales-2026");
        assert_eq!(manifest.lineage["run"], "7");
        assert_eq!(manifest.metrics["accuracy"], 0.93);
        assert_eq!(manifest.golden[1].tolerance, Tolerance::default());
        assert_eq!(manifest.budgets.latency_p95_ms, Some(20.0));
        assert_eq!(manifest.signature.as_ref().unwrap().to_string(), "x FP32[-1,4] -> y INT64[]");
        assert_eq!(manifest.files(), ["golden/0.json", "golden/0.out.json", "golden/1.json", "labelled.jsonl"]);
        assert_eq!(Manifest::parse("").unwrap(), Manifest::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        let check = |text: &str, expected: &str| {
            let error = Manifest::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("manifest.toml: ") && error.contains(expected), "{error}");
        };
        check("tagg = \"1\"", "unknown field `tagg`");
        check("digest = \"12\"", "64 hexadecimal digits");
        check("[[golden]]\ninputs = \"../0.json\"\noutputs = \"0.json\"", "beside the manifest");
        check("[[golden]]\ninputs = \"/0.json\"\noutputs = \"0.json\"", "beside the manifest");
        check("[[golden]]\ninputs = \"a\"\noutputs = \"b\"\ntolerance = { relative = -1.0 }", "at least 0");
        check("[budgets]\nlatency_p95_ms = nan", "at least 0");
        check("[quality]\nlabelled = \"l\"\nmetric = \"accuracy\"", "say at_least");
        check("[quality]\nlabelled = \"l\"\nmetric = \"f1\"\nat_least = 1", "unknown variant `f1`");
        check("[signature]\ninputs = [\"x FP33[1]\"]\noutputs = []", "is not written like");
        check("tag = ", "line 1");
        let many = "[[golden]]\ninputs = \"a\"\noutputs = \"b\"\n".repeat(257);
        check(&many, "at most 256");
    }
}
