//! What can go wrong with the store, and how to mend it.

use std::io;
use std::path::PathBuf;

use base_types::{Digest, ModelName, Version};
use control_registry::Refusal;
use thiserror::Error;

/// Why the store did not do what was asked. What was in it before is still there.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk or the bucket did not let us.
    #[error("cannot {what} {place}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or object.
        place: String,
        /// Why not.
        source: io::Error,
    },
    /// There is no store.
    #[error("{} is no store: name the folder that `switchrail push --store` made, or push a version first", .0.display())]
    NotAStore(PathBuf),
    /// Something else lies there.
    #[error("{} holds other files and is no store: name an empty folder, or one that does not exist yet", .0.display())]
    Foreign(PathBuf),
    /// A newer program wrote it.
    #[error(
        "{place} has the format {found:?}, this program reads {known:?}: use the program that wrote it, or a newer one"
    )]
    Format {
        /// The file.
        place: String,
        /// What it says.
        found: String,
        /// What would be understood.
        known: String,
    },
    /// Another writer did not finish in time.
    #[error("the store {place} is being written to by another process{}: try again when it is done", pid.map(|pid| format!(" ({pid})")).unwrap_or_default())]
    Busy {
        /// The store.
        place: String,
        /// The other process, where it is known.
        pid: Option<u32>,
    },
    /// What is stored is not what was stored.
    #[error(
        "{key} in the store is damaged: {reason}; push the version's files again, which mends parts, or bring the file back from a backup"
    )]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model has no such version.
    #[error("the store holds no version {version} of {model}: `switchrail versions {model}` lists those it holds")]
    UnknownVersion {
        /// The model.
        model: ModelName,
        /// The version.
        version: Version,
    },
    /// No version has this label.
    #[error("no version of {model} has the label {label:?}: `switchrail versions {model}` shows labels")]
    UnknownLabel {
        /// The model.
        model: ModelName,
        /// The label.
        label: String,
    },
    /// A name that is none.
    #[error("{text:?} cannot be {what}: {reason}{}", suggestion.as_ref().map(|s| format!("; use {s:?}")).unwrap_or_default())]
    Name {
        /// What it was to be.
        what: &'static str,
        /// The text.
        text: String,
        /// Why not.
        reason: String,
        /// A name that would do.
        suggestion: Option<String>,
    },
    /// The number belongs to other content.
    #[error(
        "version {version} of {model} is other content already ({there}, not {here}): leave --version away for the next free number"
    )]
    VersionTaken {
        /// The model.
        model: ModelName,
        /// The number.
        version: Version,
        /// The digest in the store or repository.
        there: Digest,
        /// The digest of what was to be pushed.
        here: Digest,
    },
    /// The content has a number already, and another was asked for.
    #[error(
        "the same content is version {there} of {model} already, so it cannot be version {wanted}: leave --version away"
    )]
    OtherNumber {
        /// The model.
        model: ModelName,
        /// The number it has.
        there: Version,
        /// The number it was to have.
        wanted: Version,
    },
    /// The number is held by something that could not be read.
    #[error(
        "version {version} of {model} is in the model repository and cannot be compared: leave --version away for the next free number"
    )]
    NumberHeld {
        /// The model.
        model: ModelName,
        /// The number.
        version: Version,
    },
    /// Another version has the tag.
    #[error("the tag {tag} belongs to version {version} of {model}: a tag names one version for ever, choose another")]
    TagTaken {
        /// The tag.
        tag: String,
        /// The model.
        model: ModelName,
        /// Who has it.
        version: Version,
    },
    /// The preflight refuses the model.
    #[error("refused [{}]: {}", .0.code, .0.text)]
    Refused(Refusal),
    /// What is to be pushed cannot be.
    #[error("{}: {reason}", .path.display())]
    Source {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// More than the store takes.
    #[error("{what} is over the limit of {limit}: {remedy}")]
    TooLarge {
        /// What.
        what: String,
        /// The bound.
        limit: u64,
        /// What to do.
        remedy: &'static str,
    },
}

impl StoreError {
    /// A stable word for scripts and APIs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "store_io",
            Self::NotAStore(_) | Self::Foreign(_) => "store_missing",
            Self::Format { .. } => "store_format",
            Self::Busy { .. } => "store_busy",
            Self::Damaged { .. } => "store_damaged",
            Self::UnknownVersion { .. } => "version_unknown",
            Self::UnknownLabel { .. } => "label_unknown",
            Self::Name { .. } => "bad_name",
            Self::VersionTaken { .. } | Self::NumberHeld { .. } => "version_taken",
            Self::OtherNumber { .. } => "version_differs",
            Self::TagTaken { .. } => "tag_taken",
            Self::Refused(_) => "refused",
            Self::Source { .. } => "bad_source",
            Self::TooLarge { .. } => "too_large",
        }
    }
}
