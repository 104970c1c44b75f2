//! The bytes of a message in the pieces they came in, so that a tensor is cut out of them with one copy at most.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Pieces smaller than this are put together on arrival, so that a body in tiny pieces costs no more than its bytes.
const SMALL_PIECE_BYTES: usize = 1024;

/// Bytes in pieces. What is read out of them shares their memory where it lies in one piece, and is copied once into
/// memory of its own, aligned as the allocator does it, where it does not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    pieces: VecDeque<Bytes>,
    /// Small pieces that came last.
    tail: BytesMut,
    n_bytes: usize,
}

impl Frames {
    /// Adds bytes at the end.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.n_bytes += piece.len();
        if piece.len() < SMALL_PIECE_BYTES {
            self.tail.extend_from_slice(&piece);
            return;
        }
        self.seal();
        self.pieces.push_back(piece);
    }

    /// Adds all of another's bytes at the end.
    pub(crate) fn append(&mut self, mut other: Self) {
        other.seal();
        other.pieces.into_iter().for_each(|piece| self.push(piece));
    }

    /// Cuts off the first bytes; `None` where there are fewer.
    pub(crate) fn split_to(&mut self, n_bytes: usize) -> Option<Self> {
        if n_bytes > self.n_bytes {
            return None;
        }
        self.seal();
        let mut first = Self { n_bytes, ..Self::default() };
        let mut left = n_bytes;
        while left > 0 {
            let piece = self.pieces.front_mut()?;
            if piece.len() > left {
                first.pieces.push_back(piece.split_to(left));
                break;
            }
            left -= piece.len();
            first.pieces.extend(self.pieces.pop_front());
        }
        self.n_bytes -= n_bytes;
        Some(first)
    }

    /// All of it in one piece.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        self.copy_to_bytes(self.n_bytes)
    }

    /// Ends the piece that small ones are gathered in.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }
}

impl From<Bytes> for Frames {
    fn from(bytes: Bytes) -> Self {
        Self { n_bytes: bytes.len(), pieces: [bytes].into(), tail: BytesMut::new() }
    }
}

impl Buf for Frames {
    fn remaining(&self) -> usize {
        self.n_bytes
    }

    fn chunk(&self) -> &[u8] {
        let pieces = self.pieces.iter().map(AsRef::as_ref).chain([self.tail.as_ref()]);
        pieces.into_iter().find(|piece: &&[u8]| !piece.is_empty()).unwrap_or_default()
    }

    /// # Panics
    /// Never: beyond the end there is nothing, and nothing is skipped.
    fn advance(&mut self, n_bytes: usize) {
        // In place: every number of variable length comes by here, and there may be one for each byte of a body.
        let mut left = n_bytes.min(self.n_bytes);
        self.n_bytes -= left;
        while let Some(piece) = self.pieces.front_mut() {
            if piece.len() > left {
                piece.advance(left);
                return;
            }
            left -= piece.len();
            self.pieces.pop_front();
        }
        self.tail.advance(left);
    }

    fn copy_to_bytes(&mut self, n_bytes: usize) -> Bytes {
        let n_bytes = n_bytes.min(self.n_bytes);
        let Some(mut part) = self.split_to(n_bytes) else { return Bytes::new() };
        if part.pieces.len() < 2 {
            return part.pieces.pop_front().unwrap_or_default();
        }
        // A vector of its own starts where the allocator aligned it; the pieces go as they are copied.
        let mut whole = Vec::with_capacity(n_bytes);
        for piece in part.pieces.drain(..) {
            whole.extend_from_slice(&piece);
        }
        whole.into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    fn frames(pieces: &[usize]) -> (Frames, Vec<u8>) {
        let whole: Vec<u8> = (0..pieces.iter().sum::<usize>()).map(|n| n as u8).collect();
        let (mut frames, mut from) = (Frames::default(), 0);
        for n in pieces {
            frames.push(Bytes::copy_from_slice(&whole[from..from + n]));
            from += n;
        }
        (frames, whole)
    }

    #[test]
    fn what_is_cut_out_is_what_went_in() {
        for pieces in [&[][..], &[0], &[1, 1, 1], &[5000, 3, 4, 2000, 1], &[1024, 1023, 1024]] {
            let (all, whole) = frames(pieces);
            assert_eq!(all.remaining(), whole.len());
            assert_eq!(all.clone().into_bytes(), whole);
            for at in [0, 1, whole.len() / 2, whole.len()] {
                let at = at.min(whole.len());
                let mut rest = all.clone();
                let first = rest.split_to(at).unwrap();
                assert_eq!((first.remaining(), rest.remaining()), (at, whole.len() - at));
                assert_eq!(
                    (first.into_bytes(), rest.into_bytes()),
                    (whole[..at].to_vec().into(), whole[at..].to_vec().into())
                );
            }
            assert!(all.clone().split_to(whole.len() + 1).is_none());
        }
    }

    #[test]
    fn one_piece_is_shared_and_several_are_copied_to_an_aligned_place() {
        let piece = Bytes::from(vec![7; 4096]);
        let mut one = Frames::from(piece.clone());
        one.advance(3);
        assert_eq!(one.copy_to_bytes(4000).as_ptr(), piece[3..].as_ptr());
        let (mut several, whole) = frames(&[4097; 40]);
        several.advance(5);
        let tensor = several.copy_to_bytes(4097 * 39);
        assert_eq!(tensor, whole[5..5 + 4097 * 39]);
        assert_eq!(tensor.as_ptr().addr() % 8, 0);
    }

    #[test]
    fn skipping_is_cutting_off() {
        for pieces in [&[][..], &[1, 1, 1], &[5000, 3, 4, 2000, 1], &[1024, 1023, 1024]] {
            for step in [1, 3, 1024, 5001] {
                let (mut all, whole) = frames(pieces);
                for at in (0..whole.len()).step_by(step) {
                    assert_eq!((all.remaining(), all.chunk()[0]), (whole.len() - at, whole[at]));
                    all.advance(step);
                }
                assert_eq!((all.remaining(), all.chunk()), (0, &[][..]));
            }
        }
    }

    #[test]
    fn skipping_makes_no_piece_and_gives_up_those_it_has_passed() {
        let (mut all, _) = frames(&[2000, 3]);
        all.advance(1);
        assert_eq!((all.pieces.len(), all.tail.len()), (1, 3), "nothing is sealed on the way");
        all.advance(2000);
        assert_eq!((all.pieces.len(), all.tail.len()), (0, 2));
    }

    #[test]
    fn tiny_pieces_are_gathered() {
        let (several, whole) = frames(&[1; 5000]);
        assert!(several.pieces.is_empty());
        assert_eq!(several.into_bytes(), whole);
    }
}
