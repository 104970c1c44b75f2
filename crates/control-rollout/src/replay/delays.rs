//! How soon an injected harm is found, over many repetitions.

use crate::chance::{Uniform, quantile};
use crate::error::RolloutError;
use crate::replay::{Recorded, Replay, ReplayRequest, replay};

/// Most repetitions.
pub const DELAY_RUNS_MAX: u32 = 10_000;

/// How soon an injected harm was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Delays {
    /// Repetitions.
    pub n_runs: u32,
    /// Those that ended in a rollback after the injection began.
    pub n_found: u32,
    /// Those that ended in a rollback before.
    pub n_before: u32,
    /// The candidate's requests from the injection to the rollback.
    pub requests: Option<Spread>,
    /// The candidate's faults among them.
    pub faults: Option<Spread>,
    /// How long it took, in seconds of recorded time.
    pub seconds: Option<Spread>,
}

/// How a number spread over the repetitions that found the harm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 95 of 100 were at most this.
    pub p95: f64,
    /// The largest.
    pub max: f64,
}

/// Replays a record again and again, with the injection drawn anew each time; `records` gives it from the beginning.
/// At most [`DELAY_RUNS_MAX`] repetitions.
pub fn delays<I: IntoIterator<Item = Recorded>>(
    request: &ReplayRequest<'_>,
    n_runs: u32,
    mut records: impl FnMut() -> I,
    draw: &mut Uniform<'_>,
) -> Result<Delays, RolloutError> {
    let n_runs = n_runs.min(DELAY_RUNS_MAX);
    let from_unix_ms = request.injection.map_or(0, |injection| injection.from_unix_ms);
    let (mut requests, mut faults, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
    let mut n_before = 0;
    for _ in 0..n_runs {
        let Replay { is_rolled_back, span_unix_ms, since_injection, .. } = replay(request, records(), draw)?;
        let Some((first, last)) = span_unix_ms.filter(|_| is_rolled_back) else { continue };
        if last < from_unix_ms {
            n_before += 1;
            continue;
        }
        requests.push(since_injection.requests as f64);
        faults.push(since_injection.faults as f64);
        seconds.push(last.saturating_sub(from_unix_ms.max(first)) as f64 / 1000.0);
    }
    let n_found = u32::try_from(requests.len()).unwrap_or(n_runs);
    let [requests, faults, seconds] = [requests, faults, seconds].map(Spread::of);
    Ok(Delays { n_runs, n_found, n_before, requests, faults, seconds })
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Some(Self { mean, p50: quantile(&values, 0.5)?, p95: quantile(&values, 0.95)?, max: *values.last()? })
    }
}
