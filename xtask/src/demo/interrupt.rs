//! Ctrl-C and SIGTERM end the demo in an orderly way: the gateway is stopped before the program goes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::DemoError;

/// How often a wait looks whether it was interrupted.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Starts to listen.
pub fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        IS_INTERRUPTED.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// Whether a signal came.
pub fn is_interrupted() -> bool {
    IS_INTERRUPTED.load(Ordering::Relaxed)
}

/// Waits, unless a signal comes.
pub fn pause(wait: Duration) -> Result<(), DemoError> {
    let until = Instant::now() + wait;
    loop {
        if is_interrupted() {
            return Err(DemoError::Interrupted);
        }
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(());
        }
        thread::sleep(rest.min(LOOK_INTERVAL));
    }
}
