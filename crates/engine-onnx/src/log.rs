//! What the runtime itself has to say, passed on to the log.
//!
//! It says something about every run that fails, and inputs can be made at which runs fail: so many lines of a second are
//! shown as what they are, the others at `debug`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base_types::{Clock, SystemClock};
use ort::logging::LogLevel;

/// Warnings and errors shown in a second.
const LINES_MAX: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

static SHOWN: Mutex<Shown> = Mutex::new(Shown { second: None });

/// Passes a message on.
pub(crate) fn log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Verbose => tracing::trace!(target: "onnxruntime", category, location, message),
        LogLevel::Info => tracing::debug!(target: "onnxruntime", category, location, message),
        LogLevel::Warning | LogLevel::Error | LogLevel::Fatal => {
            let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).line(SystemClock.now());
            let left_out = shown.filter(|n_lines| *n_lines > 0);
            match (shown, level) {
                (None, _) => tracing::debug!(target: "onnxruntime", category, location, message),
                (_, LogLevel::Warning) => {
                    tracing::warn!(target: "onnxruntime", category, location, message, left_out);
                }
                _ => tracing::error!(target: "onnxruntime", category, location, message, left_out),
            }
        }
    }
}

/// How much has been shown lately.
struct Shown {
    second: Option<Second>,
}

struct Second {
    began: Instant,
    n_shown: u32,
    n_left_out: u64,
}

impl Shown {
    /// Whether a line is shown now: the number of those left out before it.
    fn line(&mut self, now: Instant) -> Option<u64> {
        match &mut self.second {
            Some(second) if now.saturating_duration_since(second.began) < SECOND => {
                if second.n_shown < LINES_MAX {
                    second.n_shown += 1;
                    return Some(0);
                }
                second.n_left_out += 1;
                None
            }
            second => {
                let before = second.replace(Second { began: now, n_shown: 1, n_left_out: 0 });
                Some(before.map_or(0, |before| before.n_left_out))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_of_a_second_are_shown_and_the_others_are_counted() {
        let (mut shown, start) = (Shown { second: None }, SystemClock.now());
        let mut line = |ms: u64| shown.line(start + Duration::from_millis(ms));
        assert!((0..10).all(|ms| line(ms) == Some(0)));
        assert_eq!([line(10), line(500), line(999)], [None; 3]);
        assert_eq!((line(1000), line(1001)), (Some(3), Some(0)));
        assert_eq!(line(9000), Some(0));
    }
}
