//! Metrics of captured requests.

use crate::Metrics;

/// What became of a request that was drawn to be captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaptureResult {
    /// It is in the file.
    Written,
    /// Captures came faster than they can be written.
    Dropped,
    /// It is larger than a capture may be.
    TooLarge,
    /// The disk did not take it.
    Failed,
}

impl CaptureResult {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Dropped => "dropped",
            Self::TooLarge => "too_large",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// Counts a request that was drawn to be captured.
    pub fn capture(&self, result: CaptureResult) {
        self.families.captures.with_label_values(&[result.as_str()]).inc();
    }
}
