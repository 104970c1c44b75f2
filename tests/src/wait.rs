//! Waiting for what will happen, without guessing how long it takes.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a test waits for something before it fails. Generous: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(10);

/// Waits until a condition holds, and fails naming it when that takes too long.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Waits until there is something, and fails naming it when that takes too long.
pub fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain: {what}", PATIENCE.as_secs());
        sleep(POLL);
    }
}
