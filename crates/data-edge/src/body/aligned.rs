//! A buffer in which one chosen byte lies on an aligned address.
//!
//! The first tensor of a body starts where its JSON ends, which can be anywhere. With some room left in front the
//! whole body is moved so that the tensor, not the body, lies where the runtime can read it in place.

use bytes::Bytes;

/// A cache line; no element type asks for more.
const ALIGNMENT: usize = 64;

/// Bytes gathered in one place.
pub(crate) struct Aligned {
    memory: Vec<u8>,
    /// Bytes left free in front.
    n_front: usize,
    /// The byte that is to be aligned.
    at: usize,
}

impl Aligned {
    /// An empty buffer whose byte `at` will be aligned.
    pub(crate) fn new(at: usize) -> Self {
        Self { memory: Vec::new(), n_front: 0, at }
    }

    /// Bytes gathered.
    pub(crate) fn len(&self) -> usize {
        self.memory.len() - self.n_front
    }

    /// Bytes there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.memory.capacity() - self.n_front
    }

    /// Moves to memory with room for so many bytes.
    pub(crate) fn grow_to(&mut self, capacity: usize) {
        let mut memory: Vec<u8> = Vec::with_capacity(capacity.saturating_add(ALIGNMENT));
        let chosen = memory.as_ptr().addr().wrapping_add(self.at);
        let n_front = chosen.wrapping_neg() % ALIGNMENT;
        memory.resize(n_front, 0);
        memory.extend_from_slice(&self.memory[self.n_front..]);
        (self.memory, self.n_front) = (memory, n_front);
    }

    /// Adds bytes. Only within the capacity does the chosen byte stay aligned.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.memory.extend_from_slice(bytes);
    }

    /// What was gathered. Nothing is moved.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from(self.memory).split_off(self.n_front)
    }

    /// Where the bytes lie, once there is memory for them.
    #[cfg(test)]
    pub(super) fn place(&self) -> Option<usize> {
        (self.memory.capacity() > 0).then(|| self.memory.as_ptr().addr())
    }
}
