//! What is wrong with a body, and where: the place is put together on the way out, from the inside to the outside.

use base_types::TensorError;

use crate::error::{DecodeError, Mistake};

/// Why a value was not taken. Boxed, because it seldom exists and results carry it everywhere.
#[derive(Debug)]
pub(super) struct Flaw(Box<Kind>);

#[derive(Debug)]
enum Kind {
    /// The text is no JSON.
    Syntax(String),
    /// A value is not what it should be. The place is relative to whoever holds the flaw.
    Value { place: String, mistake: Mistake, text: String },
}

impl Flaw {
    pub(super) fn syntax(text: String) -> Self {
        Self(Box::new(Kind::Syntax(text)))
    }

    /// A value right here is wrong.
    pub(super) fn at(mistake: Mistake, text: impl Into<String>) -> Self {
        Self(Box::new(Kind::Value { place: String::new(), mistake, text: text.into() }))
    }

    /// A value right here does not fit the model's signature or its neighbours.
    pub(super) fn mismatch(text: impl Into<String>) -> Self {
        Self::at(Mistake::Mismatch, text)
    }

    /// Puts what is around the value in front of its place.
    pub(super) fn inside(mut self, around: impl FnOnce() -> String) -> Self {
        if let Kind::Value { place, .. } = self.0.as_mut() {
            place.insert_str(0, &around());
        }
        self
    }

    /// As the caller is told: `field` is the outermost one.
    pub(super) fn explain(self, field: &str) -> DecodeError {
        match *self.0 {
            Kind::Syntax(text) => DecodeError::Json(text),
            Kind::Value { place, mistake, text } => {
                DecodeError::Place { place: format!("{field}{place}"), mistake, text }
            }
        }
    }
}

impl From<TensorError> for Flaw {
    fn from(error: TensorError) -> Self {
        Self::mismatch(error.to_string())
    }
}
