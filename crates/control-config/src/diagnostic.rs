//! What is wrong with a file, where, and how to mend it.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// One remark on a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as it was named to us.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// What kind of problem; stable, for scripts.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// How to mend it, where that can be said.
    pub hint: Option<String>,
}

/// Whether a file with this remark can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted, and probably does not do what was meant.
    Warning,
}

/// The kind of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The file is larger than the bound.
    TooLarge,
    /// The file is not UTF-8.
    NotUtf8,
    /// A key is nested too deeply.
    TooDeep,
    /// The file is not TOML.
    Syntax,
    /// The key is not known here.
    UnknownKey,
    /// The value has another type than the key takes.
    WrongType,
    /// A key that must be there is not.
    MissingKey,
    /// The same thing stands twice.
    Duplicate,
    /// Two keys exclude each other.
    Conflict,
    /// A list or table that must hold something is empty.
    Empty,
    /// There is more of it than the bound allows.
    TooMany,
    /// The number is outside its range.
    OutOfRange,
    /// The text is no valid name.
    BadName,
    /// Not a version.
    BadVersion,
    /// Weights that make no split.
    BadWeight,
    /// The label is not in the model's `labels`.
    UnknownLabel,
    /// The text is none of the words the key takes.
    UnknownWord,
    /// There is no rollout policy of that name.
    UnknownPolicy,
    /// A rollout could not follow the policy.
    BadPolicy,
    /// A rollout can follow the policy, and probably does not do what was meant.
    DoubtfulPolicy,
    /// Not a duration.
    BadDuration,
    /// Two experiments of one layer would share units.
    Overlap,
    /// Not an address to listen on.
    BadAddress,
    /// Not a URL that may be called.
    BadUrl,
    /// An earlier rule matches whatever this one matches.
    ShadowedRule,
    /// The conditions of a rule exclude each other.
    NeverMatches,
    /// The stable version takes no traffic, so nothing can be compared with it.
    IdleStable,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 27] = [
        Self::TooLarge,
        Self::NotUtf8,
        Self::TooDeep,
        Self::Syntax,
        Self::UnknownKey,
        Self::WrongType,
        Self::MissingKey,
        Self::Duplicate,
        Self::Conflict,
        Self::Empty,
        Self::TooMany,
        Self::OutOfRange,
        Self::BadName,
        Self::BadVersion,
        Self::BadWeight,
        Self::UnknownLabel,
        Self::UnknownWord,
        Self::UnknownPolicy,
        Self::BadPolicy,
        Self::DoubtfulPolicy,
        Self::BadDuration,
        Self::Overlap,
        Self::BadAddress,
        Self::BadUrl,
        Self::ShadowedRule,
        Self::NeverMatches,
        Self::IdleStable,
    ];

    /// The code as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::NotUtf8 => "not-utf8",
            Self::TooDeep => "too-deep",
            Self::Syntax => "syntax",
            Self::UnknownKey => "unknown-key",
            Self::WrongType => "wrong-type",
            Self::MissingKey => "missing-key",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Empty => "empty",
            Self::TooMany => "too-many",
            Self::OutOfRange => "out-of-range",
            Self::BadName => "bad-name",
            Self::BadVersion => "bad-version",
            Self::BadWeight => "bad-weight",
            Self::UnknownLabel => "unknown-label",
            Self::UnknownWord => "unknown-word",
            Self::UnknownPolicy => "unknown-policy",
            Self::BadPolicy => "bad-policy",
            Self::DoubtfulPolicy => "doubtful-policy",
            Self::BadDuration => "bad-duration",
            Self::Overlap => "overlap",
            Self::BadAddress => "bad-address",
            Self::BadUrl => "bad-url",
            Self::ShadowedRule => "shadowed-rule",
            Self::NeverMatches => "never-matches",
            Self::IdleStable => "idle-stable",
        }
    }

    /// Whether a problem of this kind makes the file unusable.
    pub fn severity(self) -> Severity {
        match self {
            Self::ShadowedRule | Self::NeverMatches | Self::IdleStable | Self::DoubtfulPolicy => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

/// A file that was understood, and what is odd about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<T> {
    /// What the file says.
    pub value: T,
    /// Remarks that do not stand in the way.
    pub warnings: Vec<Diagnostic>,
}

/// A file that is refused, with everything that is wrong with it, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Invalid {
    /// Errors and warnings; at least one error.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            write!(f, "{}{diagnostic}", if index > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, severity, code, message, .. } = self;
        write!(f, "{}:{line}:{column}: {severity}[{code}]: {message}", self.file.display())?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n  hint: {hint}"))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
