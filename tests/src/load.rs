//! Callers that keep asking while a test does something.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::Client;

/// Lets `n_callers` ask again and again, each over a connection of its own, while `during` runs. `ask` gets a number
/// that no other call gets. Returns what each caller saw, in its order, and what `during` returned.
pub fn under_load<T: Send, R>(
    address: SocketAddr,
    n_callers: usize,
    ask: impl Fn(&mut Client, u64) -> T + Sync,
    during: impl FnOnce() -> R,
) -> (Vec<Vec<T>>, R) {
    let (is_over, number, n_begun) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let call = || {
        let (mut client, mut seen) = (Client::new(address), Vec::new());
        while !is_over.load(Ordering::Acquire) {
            seen.push(ask(&mut client, number.fetch_add(1, Ordering::Relaxed)));
            n_begun.fetch_add(1, Ordering::Release);
        }
        seen
    };
    // Ends the callers also when `during` panics; the scope would wait for them for ever.
    struct EndOnDrop<'a>(&'a AtomicBool);
    impl Drop for EndOnDrop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    thread::scope(|scope| {
        let end = EndOnDrop(&is_over);
        let callers: Vec<_> = (0..n_callers).map(|_| scope.spawn(call)).collect();
        crate::wait_until("the callers have begun", || n_begun.load(Ordering::Acquire) >= n_callers as u64);
        let result = during();
        drop(end);
        let seen = callers.into_iter().map(|caller| caller.join().unwrap_or_else(|_| panic!("a caller failed")));
        (seen.collect(), result)
    })
}
