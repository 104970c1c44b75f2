//! The rules, by name.

/// The rules a candidate is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The candidate's fault probability is above the limit.
    Limit,
    /// The candidate faults more often than `tolerate_ratio` times the stable version.
    Relative,
    /// The stable version's fault probability is above the limit.
    StableLimit,
    /// The candidate's share of slow answers is above its limit.
    Latency,
    /// The stable version's is.
    StableLatency,
    /// The candidate is slower than stable's frozen quantiles more often than stable.
    LatencyVsStable,
    /// The candidate answers copies of stable's requests otherwise than stable, more often than allowed.
    Disagreement,
    /// The candidate's outputs are distributed otherwise than stable's.
    Drift,
    /// The arms do not get the shares they are meant to get.
    SampleRatio,
    /// Labels show the candidate to be wrong more often than stable.
    Mistakes,
    /// Feedback reports a larger mean loss for the candidate than for stable.
    Loss,
    /// The window's error rate is above its bound.
    WindowErrorRate,
    /// The window's latency quantile is above its bound.
    WindowLatency,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 13] = [
        Self::Limit,
        Self::Relative,
        Self::StableLimit,
        Self::Latency,
        Self::StableLatency,
        Self::LatencyVsStable,
        Self::Disagreement,
        Self::Drift,
        Self::SampleRatio,
        Self::Mistakes,
        Self::Loss,
        Self::WindowErrorRate,
        Self::WindowLatency,
    ];

    /// The word used in metrics, logs and the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Relative => "relative",
            Self::StableLimit => "stable_limit",
            Self::Latency => "latency",
            Self::StableLatency => "stable_latency",
            Self::LatencyVsStable => "latency_vs_stable",
            Self::Disagreement => "disagreement",
            Self::Drift => "drift",
            Self::SampleRatio => "sample_ratio",
            Self::Mistakes => "mistakes",
            Self::Loss => "loss",
            Self::WindowErrorRate => "window_error_rate",
            Self::WindowLatency => "window_latency",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text)
    }

    /// What the rule sets against what, in words: what `RuleEvidence` counts as faults and as others.
    pub fn counts(self) -> (&'static str, &'static str) {
        match self {
            Self::Limit | Self::StableLimit | Self::WindowErrorRate => ("faults", "successes"),
            Self::Relative => ("faults", "of stable"),
            Self::Latency | Self::StableLatency | Self::WindowLatency => ("slow answers", "others"),
            Self::LatencyVsStable => ("slow answers", "of stable"),
            Self::Disagreement => ("copies answered otherwise", "alike"),
            Self::Drift => ("outputs", "of stable"),
            Self::SampleRatio => ("requests", "of stable"),
            Self::Mistakes => ("mistakes", "of stable"),
            Self::Loss => ("losses", "of stable"),
        }
    }
}
