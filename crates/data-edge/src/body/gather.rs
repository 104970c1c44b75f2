//! Frames put together in one place.
//!
//! An announced length is believed in proportion to what has come: until then frames are kept as they are, so that
//! none is copied twice. A body without announced length, or one that comes in tiny frames, is copied as it grows.

use std::sync::Arc;

use bytes::Bytes;
use data_path::Failure;

use super::{Aligned, BodyBudget, Collected, Held};

/// Memory made is at most so many times what has come, as long as the announced length allows.
const BELIEF: usize = 8;
/// Frames kept as they are before memory is made for them.
const WAITING_FRAMES: usize = 128;
/// Their bytes.
const WAITING_BYTES: usize = 1024 * 1024;

/// A body that comes in several frames.
pub(super) struct Gather<'a> {
    budget: &'a Arc<BodyBudget>,
    held: Vec<Held>,
    announced: Option<usize>,
    waiting: Vec<Bytes>,
    n_bytes: usize,
    whole: Aligned,
}

impl<'a> Gather<'a> {
    /// Nothing yet. The byte `aligned_at` of the whole will be aligned.
    pub(super) fn new(budget: &'a Arc<BodyBudget>, announced: Option<usize>, aligned_at: usize) -> Self {
        let whole = Aligned::new(aligned_at);
        Self { budget, held: Vec::new(), announced, waiting: Vec::new(), n_bytes: 0, whole }
    }

    /// Takes the next frame.
    pub(super) fn push(&mut self, frame: Bytes) -> Result<(), Failure> {
        self.n_bytes += frame.len();
        if self.whole.capacity() == 0 && self.may_wait() {
            self.waiting.push(frame);
            return self.hold(self.n_bytes);
        }
        if self.n_bytes > self.whole.capacity() {
            let wished = self.n_bytes.saturating_mul(if self.announced.is_some() { BELIEF } else { 2 });
            // A peer that sends more than announced is cut off before this.
            self.grow_to(self.announced.map_or(wished, |n| wished.min(n)).max(self.n_bytes))?;
        }
        self.whole.extend(&frame);
        Ok(())
    }

    fn may_wait(&self) -> bool {
        let is_believable = self.announced.is_some_and(|n| self.n_bytes.saturating_mul(BELIEF) >= n);
        !is_believable && self.waiting.len() < WAITING_FRAMES && self.n_bytes <= WAITING_BYTES
    }

    fn grow_to(&mut self, capacity: usize) -> Result<(), Failure> {
        self.hold(capacity)?;
        self.whole.grow_to(capacity);
        for frame in self.waiting.drain(..) {
            self.whole.extend(&frame);
        }
        Ok(())
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Failure> {
        let share = self.budget.cover(&self.held, bytes)?;
        self.held.extend(share);
        Ok(())
    }

    /// The whole body.
    pub(super) fn finish(mut self) -> Result<Collected, Failure> {
        if let ([only], 0) = (self.waiting.as_slice(), self.whole.capacity()) {
            return Ok(Collected { bytes: only.clone(), _held: self.held });
        }
        if !self.waiting.is_empty() {
            self.grow_to(self.n_bytes)?;
        }
        Ok(Collected { bytes: self.whole.into_bytes(), _held: self.held })
    }

    /// Bytes of memory in use.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.waiting.iter().map(Bytes::len).sum::<usize>() + self.whole.capacity()
    }

    /// Where the whole lies, once it does.
    #[cfg(test)]
    pub(super) fn place(&self) -> Option<usize> {
        self.whole.place()
    }
}
