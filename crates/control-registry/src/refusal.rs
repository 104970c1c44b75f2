//! Why an entry of the repository is not taken up: a stable code for machines, a text for people.

use std::fmt;

use thiserror::Error;

/// One refused entry. The text says what is wrong and, where it is not plain, how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Refusal {
    /// The stable code.
    pub code: RefusalCode,
    /// What is wrong with it.
    pub text: String,
}

impl Refusal {
    /// Puts a refusal together.
    pub fn new(code: RefusalCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// Every reason to refuse an entry. The words are part of the API and the journal: never rename one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RefusalCode {
            $($(#[doc = $doc])+ $name,)+
        }

        impl RefusalCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable word used in the API, journal, metrics and logs.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

codes! {
    /// A folder of the repository is not named as a model may be.
    BadModelName = "bad_model_name",
    /// A folder consists of digits but is no version number.
    BadVersion = "bad_version",
    /// A model folder holds no version.
    NoVersions = "no_versions",
    /// A bound on the number of versions, folder entries or files was passed.
    TooMany = "too_many",
    /// The version folder holds no `.onnx` file.
    NoModelFile = "no_model_file",
    /// The version folder holds several `.onnx` files and none is `model.onnx`.
    SeveralModelFiles = "several_model_files",
    /// A file is a symbolic link, a hard link from elsewhere, or not a regular file.
    NotContained = "not_contained",
    /// The operating system did not let us read it.
    Unreadable = "unreadable",
    /// A file, or all files together, are over the limit.
    TooLarge = "too_large",
    /// The files changed while they were read.
    ChangedWhileReading = "changed_while_reading",
    /// The file is not an ONNX model: empty, cut short, or not protobuf.
    Malformed = "malformed",
    /// The file is a Git LFS pointer instead of a model.
    LfsPointer = "lfs_pointer",
    /// The IR version is newer than the runtime, or missing.
    IrVersion = "ir_version",
    /// An operator set is newer than the runtime.
    Opset = "opset",
    /// An operator belongs to a domain the runtime does not have built in.
    OpDomain = "op_domain",
    /// The model carries native or interpreted code, or work compiled for one machine.
    ForeignCode = "foreign_code",
    /// Functions of the model call each other in a circle, or expand beyond the node limit.
    FunctionCycle = "function_cycle",
    /// External data have an unknown key, or a location outside the folder.
    ExternalData = "external_data",
    /// An external data file is not there.
    ExternalMissing = "external_missing",
    /// Dimensions are negative or overflow.
    Dimensions = "dimensions",
    /// A tensor's bytes do not match its dimensions and type.
    TensorBytes = "tensor_bytes",
    /// Too many nodes.
    TooManyNodes = "too_many_nodes",
    /// Subgraphs or types are nested too deeply.
    TooDeep = "too_deep",
    /// Names, texts or metadata are over their limits.
    TextTooLong = "text_too_long",
    /// `config.pbtxt` cannot be parsed.
    ConfigSyntax = "config_syntax",
    /// `config.pbtxt` asks for something that would change answers and is not honoured.
    ConfigUnsupported = "config_unsupported",
    /// `config.pbtxt` contradicts the folder or itself.
    ConfigMismatch = "config_mismatch",
    /// What the store holds under this number is not what was pushed.
    StoreDamaged = "store_damaged",
    /// The store holds other content under a number that stands for something already.
    ContentConflict = "content_conflict",
}

impl RefusalCode {
    /// Whether the same folder may be fine a moment later without anybody mending it.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::ChangedWhileReading | Self::Unreadable)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
