//! Pieces of answers on their way through an HTTP/2 connection.
//!
//! What the windows of the peer do not let go stays in memory, out of sight of the socket and its timer: a peer that
//! opens none could keep its answers there for as long as it likes. So each piece tells when it moves. Time goes in
//! rounds, whose length is the connection's time limit: a piece that has not moved since before a round began has waited
//! for too long when that round ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes};

use crate::connection::{ConnectionState, InFlight};

/// The pieces that a connection holds, by the round in which they came or last moved.
#[derive(Debug, Default)]
pub(crate) struct Untaken {
    round: AtomicUsize,
    /// Those of even rounds and those of odd ones: what is older than the round before ends the connection.
    n_pieces: [AtomicUsize; 2],
}

impl Untaken {
    /// Whether everything has been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.n_pieces.iter().all(|n_pieces| n_pieces.load(Ordering::Acquire) == 0)
    }

    /// Ends a round and begins the next; `false` if a piece did not move in all of it.
    pub(crate) fn end_round(&self) -> bool {
        let next = self.round.load(Ordering::Acquire).wrapping_add(1);
        if self.of(next).load(Ordering::Acquire) > 0 {
            return false;
        }
        self.round.store(next, Ordering::Release);
        true
    }

    /// The pieces of a round. Those of the round before the last would be counted as the next one's.
    fn of(&self, round: usize) -> &AtomicUsize {
        &self.n_pieces[round % 2]
    }

    fn add(&self) -> usize {
        let round = self.round.load(Ordering::Acquire);
        self.of(round).fetch_add(1, Ordering::AcqRel);
        round
    }

    fn remove(&self, round: usize) {
        self.of(round).fetch_sub(1, Ordering::AcqRel);
    }
}

/// A piece of an answer, as a connection takes it.
pub struct Piece {
    bytes: Bytes,
    way: Option<Way>,
}

impl Piece {
    /// These bytes; watched where the connection may hold them back.
    pub(crate) fn new(bytes: Bytes, in_flight: Option<&InFlight>) -> Self {
        Self { bytes, way: in_flight.and_then(InFlight::h2_connection).map(Way::begin) }
    }

    /// Some of the bytes have gone.
    fn moved(&mut self) {
        match &mut self.way {
            Some(way) if self.bytes.has_remaining() => way.go_on(),
            _ => self.way = None,
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, n_bytes: usize) {
        self.bytes.advance(n_bytes);
        if n_bytes > 0 {
            self.moved();
        }
    }

    fn copy_to_bytes(&mut self, n_bytes: usize) -> Bytes {
        let bytes = self.bytes.copy_to_bytes(n_bytes);
        self.moved();
        bytes
    }
}

/// Where a piece is known. It ends with its last byte, or with its stream.
struct Way {
    connection: Arc<ConnectionState>,
    round: usize,
}

impl Way {
    fn begin(connection: Arc<ConnectionState>) -> Self {
        let round = connection.untaken.add();
        Self { connection, round }
    }

    fn go_on(&mut self) {
        let before = self.round;
        self.round = self.connection.untaken.add();
        self.connection.untaken.remove(before);
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.connection.untaken.remove(self.round);
    }
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;

    fn connection(version: Version) -> (Arc<ConnectionState>, InFlight) {
        let connection = Arc::new(ConnectionState::default());
        (connection.clone(), InFlight::begin(connection, version))
    }

    #[test]
    fn a_piece_that_does_not_move_for_a_round_is_noticed() {
        let (connection, in_flight) = connection(Version::HTTP_2);
        let mut moving = Piece::new(Bytes::from_static(b"0123456789"), Some(&in_flight));
        assert!(connection.untaken.end_round(), "it came within this round");
        for _ in 0..3 {
            moving.advance(1);
            assert!(connection.untaken.end_round(), "it moved");
        }
        let still = Piece::new(Bytes::from_static(b"x"), Some(&in_flight));
        moving.advance(1);
        assert!(connection.untaken.end_round());
        moving.advance(1);
        assert!(!connection.untaken.end_round(), "that another moves is no excuse");
        drop(still);
        assert!(connection.untaken.end_round(), "its stream has ended");
    }

    #[test]
    fn what_has_been_taken_is_gone() {
        let (connection, in_flight) = connection(Version::HTTP_2);
        let mut piece = Piece::new(Bytes::from_static(b"abc"), Some(&in_flight));
        assert!(!connection.untaken.is_empty());
        assert_eq!(piece.copy_to_bytes(1), "a");
        assert!(!connection.untaken.is_empty());
        piece.advance(2);
        assert!(connection.untaken.is_empty(), "also while the empty piece is kept");
        assert!(connection.untaken.end_round() && connection.untaken.end_round());
    }

    #[test]
    fn http_1_is_watched_at_the_socket() {
        let (connection, in_flight) = connection(Version::HTTP_11);
        let _piece = Piece::new(Bytes::from_static(b"abc"), Some(&in_flight));
        assert!(connection.untaken.is_empty());
    }
}
