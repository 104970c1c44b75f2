//! The rules of others, written down from their sources, on the same traffic.
//!
//! They are given what they do not have: figures without a delay of scraping, no smoothing, analysis that starts at
//! once, a rollback that takes effect in the moment it is decided.

use std::collections::VecDeque;

use crate::chance::Chance;

/// Requests to the candidate alone.
#[derive(Debug, Clone, Copy)]
pub struct Canary {
    /// Its fault probability.
    pub fault_rate: f64,
    /// Its requests per second.
    pub per_second: f64,
    /// How long it is looked at, in seconds.
    pub seconds: f64,
}

/// What a rule came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// When it rolled back, in seconds.
    pub rolled_back_at: Option<f64>,
    /// Failed requests until then, or until the end.
    pub faults: u64,
}

/// A rule with its settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Peer {
    /// Flagger: one check each interval on the figures of that interval; failed checks add up and are never forgotten;
    /// no figures is a failed check; the rollback comes with the check after the one that reached the threshold.
    Flagger {
        /// Seconds between checks.
        interval: f64,
        /// Failed checks.
        threshold: u32,
    },
    /// Argo Rollouts, an analysis in the background: more failed measurements than the limit abort at once; no figures
    /// do not meet the condition of success.
    Argo {
        /// Seconds between measurements, and their window.
        interval: f64,
        /// Failed measurements that are allowed.
        failure_limit: u32,
    },
    /// A plain threshold, as of an alarm: the error rate of a sliding window, looked at six times in its length.
    Threshold {
        /// Length of the window in seconds.
        window: f64,
        /// Requests it must hold.
        min_requests: u64,
    },
    /// So many failures without a success between, as proxies eject a host.
    Consecutive {
        /// How many.
        failures: u32,
    },
}

/// What all of them tolerate: success of at least 99 %.
pub const LIMIT: f64 = 0.01;

/// Looks in one length of a sliding window.
const LOOKS_PER_WINDOW: usize = 6;

impl Peer {
    /// The rules that are compared.
    pub const ALL: [Self; 11] = [
        Self::Flagger { interval: 60.0, threshold: 10 },
        Self::Flagger { interval: 60.0, threshold: 5 },
        Self::Flagger { interval: 60.0, threshold: 1 },
        Self::Flagger { interval: 10.0, threshold: 5 },
        Self::Flagger { interval: 10.0, threshold: 1 },
        Self::Argo { interval: 60.0, failure_limit: 0 },
        Self::Argo { interval: 60.0, failure_limit: 3 },
        Self::Argo { interval: 300.0, failure_limit: 3 },
        Self::Threshold { window: 60.0, min_requests: 20 },
        Self::Threshold { window: 300.0, min_requests: 100 },
        Self::Consecutive { failures: 5 },
    ];

    /// Whether plots show it: as many as there are colours, of each kind the settings that differ most.
    pub fn is_plotted(&self) -> bool {
        match *self {
            Self::Flagger { interval, threshold } => {
                if interval < 60.0 {
                    threshold == 1
                } else {
                    threshold < 10
                }
            }
            Self::Argo { interval, .. } => interval <= 60.0,
            Self::Threshold { window, .. } => window <= 60.0,
            Self::Consecutive { .. } => true,
        }
    }

    /// As in a table.
    pub fn name(&self) -> String {
        match self {
            Self::Flagger { interval, threshold } => format!("Flagger, {interval} s, threshold {threshold}"),
            Self::Argo { interval, failure_limit } => {
                format!("Argo Rollouts, {interval} s, failureLimit {failure_limit}")
            }
            Self::Threshold { window, min_requests } => {
                format!("error rate over {window} s above 1 %, at least {min_requests} requests")
            }
            Self::Consecutive { failures } => format!("{failures} consecutive failures"),
        }
    }

    /// One run.
    pub fn run(&self, chance: &mut Chance, canary: Canary) -> Outcome {
        match *self {
            Self::Flagger { interval, threshold } => flagger(chance, canary, interval, threshold),
            Self::Argo { interval, failure_limit } => argo(chance, canary, interval, failure_limit),
            Self::Threshold { window, min_requests } => sliding(chance, canary, window, min_requests),
            Self::Consecutive { failures } => consecutive(chance, canary, failures),
        }
    }
}

/// Successes and faults of one stretch of time.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    successes: u64,
    faults: u64,
}

impl Counts {
    fn draw(chance: &mut Chance, canary: Canary, seconds: f64) -> Self {
        let requests = canary.per_second * seconds;
        let successes = chance.poisson(requests * (1.0 - canary.fault_rate));
        Self { successes, faults: chance.poisson(requests * canary.fault_rate) }
    }

    fn total(&self) -> u64 {
        self.successes + self.faults
    }

    fn is_over(&self) -> bool {
        self.faults as f64 > LIMIT * self.total() as f64
    }
}

fn n_ticks(canary: Canary, interval: f64) -> u64 {
    (canary.seconds / interval) as u64
}

fn flagger(chance: &mut Chance, canary: Canary, interval: f64, threshold: u32) -> Outcome {
    let (mut failed_checks, mut faults) = (0, 0);
    for tick in 1..=n_ticks(canary, interval) {
        let counts = Counts::draw(chance, canary, interval);
        faults += counts.faults;
        if failed_checks >= threshold {
            return Outcome { rolled_back_at: Some(tick as f64 * interval), faults };
        }
        failed_checks += u32::from(counts.total() == 0 || counts.is_over());
    }
    Outcome { rolled_back_at: None, faults }
}

fn argo(chance: &mut Chance, canary: Canary, interval: f64, failure_limit: u32) -> Outcome {
    let (mut failed, mut faults) = (0, 0);
    for tick in 1..=n_ticks(canary, interval) {
        let counts = Counts::draw(chance, canary, interval);
        faults += counts.faults;
        failed += u32::from(counts.total() == 0 || counts.is_over());
        if failed > failure_limit {
            return Outcome { rolled_back_at: Some(tick as f64 * interval), faults };
        }
    }
    Outcome { rolled_back_at: None, faults }
}

fn sliding(chance: &mut Chance, canary: Canary, window: f64, min_requests: u64) -> Outcome {
    let interval = window / LOOKS_PER_WINDOW as f64;
    let mut recent = VecDeque::with_capacity(LOOKS_PER_WINDOW + 1);
    let mut faults = 0;
    for tick in 1..=n_ticks(canary, interval) {
        let counts = Counts::draw(chance, canary, interval);
        faults += counts.faults;
        recent.push_back(counts);
        if recent.len() > LOOKS_PER_WINDOW {
            recent.pop_front();
        }
        let sum = recent.iter().fold(Counts::default(), |sum, c| Counts {
            successes: sum.successes + c.successes,
            faults: sum.faults + c.faults,
        });
        if sum.total() >= min_requests && sum.is_over() {
            return Outcome { rolled_back_at: Some(tick as f64 * interval), faults };
        }
    }
    Outcome { rolled_back_at: None, faults }
}

fn consecutive(chance: &mut Chance, canary: Canary, failures: u32) -> Outcome {
    let (mut now, mut faults) = (0.0, 0);
    loop {
        // A success, or the beginning, lies before each run of failures.
        for before in 0..failures {
            // Of the first failure: all successes that come before it; of the others: the next request alone.
            let is_first = before == 0;
            let wait = chance.wait(canary.per_second * if is_first { canary.fault_rate } else { 1.0 });
            now += wait;
            if now > canary.seconds {
                return Outcome { rolled_back_at: None, faults };
            }
            if !is_first && !chance.is(canary.fault_rate) {
                break;
            }
            faults += 1;
            if before + 1 == failures {
                return Outcome { rolled_back_at: Some(now), faults };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Canary, Outcome, Peer};
    use crate::chance::Chance;

    fn check(peer: Peer, canary: Canary, expected: impl Fn(Outcome) -> bool) {
        for run in 0..50 {
            let outcome = peer.run(&mut Chance::of_run(1, "peers", run), canary);
            assert!(expected(outcome), "{}: {outcome:?}", peer.name());
        }
    }

    const BROKEN: Canary = Canary { fault_rate: 1.0, per_second: 100.0, seconds: 1800.0 };
    const SILENT: Canary = Canary { fault_rate: 0.0, per_second: 0.0, seconds: 1800.0 };
    const CLEAN: Canary = Canary { fault_rate: 0.0, per_second: 100.0, seconds: 1800.0 };

    #[test]
    fn a_broken_canary_is_out_when_the_rule_says() {
        let at = |seconds: f64| move |o: Outcome| o.rolled_back_at == Some(seconds);
        check(Peer::Flagger { interval: 60.0, threshold: 5 }, BROKEN, at(360.0));
        check(Peer::Argo { interval: 60.0, failure_limit: 3 }, BROKEN, at(240.0));
        check(Peer::Threshold { window: 60.0, min_requests: 20 }, BROKEN, at(10.0));
        check(Peer::Consecutive { failures: 5 }, BROKEN, |o| o.faults == 5 && o.rolled_back_at < Some(1.0));
    }

    #[test]
    fn silence_fails_the_checks_of_two_of_them() {
        check(Peer::Flagger { interval: 60.0, threshold: 5 }, SILENT, |o| o.rolled_back_at == Some(360.0));
        check(Peer::Argo { interval: 60.0, failure_limit: 0 }, SILENT, |o| o.rolled_back_at == Some(60.0));
        check(Peer::Threshold { window: 60.0, min_requests: 20 }, SILENT, |o| o.rolled_back_at.is_none());
    }

    #[test]
    fn a_clean_canary_stays() {
        for peer in Peer::ALL {
            check(peer, CLEAN, |o| o == Outcome { rolled_back_at: None, faults: 0 });
        }
    }

    #[test]
    fn five_failures_in_a_row_take_sixty_two_requests_at_one_half() {
        let canary = Canary { fault_rate: 0.5, per_second: 1.0, seconds: 1e9 };
        let peer = Peer::Consecutive { failures: 5 };
        let total: f64 =
            (0..4000).filter_map(|run| peer.run(&mut Chance::of_run(2, "five", run), canary).rolled_back_at).sum();
        // (1 - p^5) / (p^5 (1 - p)) = 62.
        assert!((total / 4000.0 - 62.0).abs() < 5.0, "{}", total / 4000.0);
    }
}
