//! The bucket as the mirror sees it: a listing, and the bytes of one object after the other.

use std::io;

use thiserror::Error;

use crate::wanted::{Listing, Object};

/// Where objects come from. Calls block, each with limits of its own.
pub(crate) trait Source {
    /// Every object under the prefix, or an error; never a part of them.
    fn list(&mut self, objects_max: usize) -> Result<Listing, SourceError>;

    /// The bytes of an object as it was listed, piece by piece.
    fn fetch(&mut self, object: &Object, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), SourceError>;
}

/// Why a source did not give what it was asked for.
#[derive(Debug, Error)]
pub(crate) enum SourceError {
    /// The store says no, or nothing.
    #[error("cannot {what}: {text}")]
    Store { what: &'static str, text: String },
    /// Nothing came for too long.
    #[error("cannot {what}: nothing came for {seconds} s")]
    Silent { what: &'static str, seconds: u64 },
    /// More than is looked at.
    #[error("the bucket lists more than {0} objects: narrow the prefix, or raise bucket.objects")]
    TooMany(usize),
    /// More models than the gateway takes.
    #[error("the bucket holds more than {0} models: narrow the prefix, or raise repository.models")]
    TooManyModels(usize),
    /// Not what was listed a moment ago; it is looked at again.
    #[error("{0} changed since it was listed")]
    Changed(String),
    /// The receiving end failed.
    #[error("cannot write to the cache")]
    Sink(#[source] io::Error),
    /// The gateway is being stopped.
    #[error("stopped")]
    Stopped,
}
