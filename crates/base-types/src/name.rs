//! Names that may appear in URLs, files, labels of metrics and logs without escaping.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// The longest model name or label, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Says why a text is not a valid name, label or version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// The text is empty or longer than 128 bytes.
    #[error("a name has 1 to 128 characters, this one has {0}")]
    Length(usize),
    /// The text holds a character outside `[A-Za-z0-9._-]`, or starts with one of `._-`.
    #[error("a name starts with a letter or digit and holds only letters, digits, '.', '_' and '-': {0:?}")]
    Character(String),
    /// A label consists of digits only and would be mistaken for a version.
    #[error("a label may not be all digits, because digits always mean a version: {0:?}")]
    LabelIsNumber(String),
    /// The text is not a positive integer.
    #[error("a version is a positive integer without sign or leading zero: {0:?}")]
    Version(String),
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Err(NameError::Length(text.len()));
    }
    let is_word = |b: u8| b.is_ascii_alphanumeric();
    let valid = text.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'_' | b'-')) && is_word(text.as_bytes()[0]);
    if valid { Ok(()) } else { Err(NameError::Character(text.to_owned())) }
}

/// The name of a model: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(Arc<str>);

impl ModelName {
    /// Checks and takes a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check(text).map(|()| Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModelName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

/// A movable name of a version, such as `stable` or `champion`. Never all digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// Checks and takes a label.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check(text)?;
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NameError::LabelIsNumber(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Label {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a version within its model: a positive integer, as Triton and TensorFlow Serving require.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(NonZeroU64);

impl Version {
    /// Takes a number; zero is no version.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError::Version(text.to_owned());
        if text.starts_with(['0', '+']) {
            return Err(error());
        }
        text.parse().ok().and_then(Self::new).ok_or_else(error)
    }
}

/// How a person or a caller points at a version: by number or by label. Digits always mean the number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// A version by its number.
    Version(Version),
    /// Whatever version the label names at the moment.
    Label(Label),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Label(label) => label.fmt(f),
        }
    }
}

impl FromStr for Selector {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            text.parse().map(Self::Version)
        } else {
            Label::new(text).map(Self::Label)
        }
    }
}

/// A version or label that a caller put into the path: it bypasses the split.
pub type Pin = Selector;
