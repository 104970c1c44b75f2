//! Names of inputs or outputs as C strings, made once at load.

use std::borrow::Cow;
use std::ffi::{CString, c_char};

use super::Message;

/// Names in the model's order.
pub(crate) struct Names {
    /// Owns what `pointers` point at; never changed after `new`.
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers lead to strings that `_owned` keeps in place and nobody changes.
unsafe impl Send for Names {}
// SAFETY: as above; sharing only reads.
unsafe impl Sync for Names {}

/// Some of the names, valid as long as their owner.
pub(crate) struct Selection<'a>(Cow<'a, [*const c_char]>);

impl Names {
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, Message> {
        let owned: Result<Vec<CString>, _> = names.map(CString::new).collect();
        let owned = owned.map_err(|_| "a name holds a NUL".to_owned())?;
        // The text of a `CString` stays where it is when the string or its vector moves.
        let pointers = owned.iter().map(|name| name.as_ptr()).collect();
        Ok(Self { _owned: owned, pointers })
    }

    pub(crate) fn all(&self) -> Selection<'_> {
        Selection(Cow::Borrowed(&self.pointers))
    }

    /// The names at these positions; `None` when there is no such position.
    pub(crate) fn select(&self, positions: &[usize]) -> Option<Selection<'_>> {
        if positions.len() == self.pointers.len() && positions.iter().enumerate().all(|(i, p)| i == *p) {
            return Some(self.all());
        }
        let pointers: Option<Vec<_>> = positions.iter().map(|p| self.pointers.get(*p).copied()).collect();
        pointers.map(|pointers| Selection(Cow::Owned(pointers)))
    }
}

impl Selection<'_> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.0.as_ptr()
    }
}
