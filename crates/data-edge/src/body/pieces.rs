//! A body read piece by piece under the same limits, for edges that keep the pieces as they came.

use std::sync::Arc;

use bytes::Bytes;
use data_path::Failure;

use super::{Arriving, BodyBudget, Collected, Held, Reader, SMALL_BODY_BYTES};
use crate::options::HttpLimits;

/// One body, or one message of it, while it arrives.
pub struct Pieces<'a> {
    budget: &'a Arc<BodyBudget>,
    reader: Reader<'a>,
    held: Vec<Held>,
}

/// The share of the budget that bytes which have arrived take. It has to be kept as long as they are.
#[derive(Default)]
pub struct Share(Vec<Held>);

impl<'a> Pieces<'a> {
    /// Nothing has arrived yet.
    pub fn new(limits: &'a HttpLimits, budget: &'a Arc<BodyBudget>) -> Self {
        let reader = Reader { limits, timer: None, began: None, n_bytes: 0, n_chunks: 0, is_chunked: true };
        Self { budget, reader, held: Vec::new() }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// The body is too large, too slow, in too many pieces, or broken off.
    pub async fn next<B: Arriving>(&mut self, body: &mut B) -> Result<Option<Bytes>, Failure> {
        let piece = self.reader.next(body).await?;
        // What has arrived is doubled at most, so that there are few shares; beyond the limit nothing will arrive.
        if self.reader.n_bytes > SMALL_BODY_BYTES {
            let bytes = self.reader.n_bytes.next_power_of_two().min(self.reader.limits.body_bytes);
            self.held.extend(self.budget.cover(&self.held, bytes)?);
        }
        Ok(piece)
    }

    /// What has arrived is kept from now on.
    pub fn finish(self) -> Share {
        Share(self.held)
    }
}

impl Share {
    /// Bytes with the share that they take.
    pub fn of(self, bytes: Bytes) -> Collected {
        Collected { bytes, _held: self.0 }
    }
}

impl Collected {
    /// The bytes, and the share to be kept as long as they are.
    pub fn into_parts(self) -> (Bytes, Share) {
        (self.bytes, Share(self._held))
    }
}
