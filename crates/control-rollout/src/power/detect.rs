//! One harm under one share: by formula, and by running the tests on made-up traffic.

use crate::chance::{Uniform, binomial, gap};
use crate::limit::{limit_alternatives, limit_log_e};
use crate::logs::log_mean_exp;
use crate::power::{Harm, PowerRequest};
use crate::relative::{FAULT_ALTERNATIVES, LATENCY_ALTERNATIVES, ShareTally, relative_log_e_among};
use crate::rule::Rule;
use crate::trial::{Arm, Count, FaultEvent, Successes, Trial};
use crate::verdict::Verdict;

/// A run ends without a finding after so many faults,
const FAULTS_MAX: u32 = 1000;
/// or so many requests of the candidate.
const REQUESTS_MAX: f64 = 1e8;
/// A run on totals ends after so many times the estimate.
const PATIENCE: f64 = 8.0;
/// Looks at a run on totals of the estimated length.
const LOOKS: f64 = 40.0;
/// What the restart term costs a test at its start: its weight, and the half of the budget it may spend by then.
const RESTART_COST: f64 = 0.105_360_515_657_826_3 + std::f64::consts::LN_2;

/// One harm under one share.
pub(super) struct Scene<'a> {
    request: &'a PowerRequest<'a>,
    share: f64,
    harm: Harm,
    /// The bounds on latency that are judged, and what is slow by them.
    slow: Vec<SlowBound>,
}

/// One judgement of slow answers.
struct SlowBound {
    /// `None`: against stable.
    limit: Option<f64>,
    /// How much of the candidate's answers is slow.
    candidate: f64,
    /// And of stable's.
    stable: f64,
}

impl<'a> Scene<'a> {
    pub(super) fn new(request: &'a PowerRequest<'a>, share: f64, harm: Harm) -> Self {
        let slow = match harm {
            Harm::Latency(factor) => slow_bounds(request, factor),
            Harm::Errors(_) | Harm::Disagreement(_) => Vec::new(),
        };
        Self { request, share, harm, slow }
    }

    /// Requests of the candidate until the harm is found, by formula: the quicker of the tests.
    pub(super) fn estimate(&self) -> f64 {
        let guardrail = self.request.guardrail;
        match self.harm {
            Harm::Errors(rate) => {
                let stable = self.request.stable_error_rate.max(1e-9);
                let limit = self.by_limit(Rule::Limit, guardrail.limit, rate);
                limit.min(self.by_ratio(Rule::Relative, guardrail.tolerate_ratio, (rate, stable)))
            }
            Harm::Disagreement(rate) => guardrail
                .disagreement
                .as_ref()
                .map_or(f64::INFINITY, |rule| self.by_limit(Rule::Disagreement, rule.limit, rate)),
            Harm::Latency(_) => {
                let ratio = guardrail.latency_vs_stable.as_ref().map_or(1.0, |rule| rule.tolerate_ratio);
                let each = self.slow.iter().map(|bound| match bound.limit {
                    Some(limit) => self.by_limit(Rule::Latency, limit, bound.candidate),
                    None => self.by_ratio(Rule::LatencyVsStable, ratio, (bound.candidate, bound.stable)),
                });
                each.fold(f64::INFINITY, f64::min)
            }
        }
    }

    /// `ln E` that a rule needs alone.
    fn threshold(&self, rule: Rule) -> f64 {
        let guardrail = self.request.guardrail;
        RESTART_COST - guardrail.alpha_of(rule).ln() - guardrail.part(rule).ln()
    }

    /// T1: `(ln(1/alpha) + ln K) / KL(p || limit)`; without end below the limit.
    fn by_limit(&self, rule: Rule, limit: f64, rate: f64) -> f64 {
        if rate <= limit {
            return f64::INFINITY;
        }
        let of = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
        let growth = of(rate, limit) + of(1.0 - rate, 1.0 - limit);
        let cost = (limit_alternatives(limit).len() as f64).ln();
        ((self.threshold(rule) + cost) / growth).max(1.0)
    }

    /// T2: so many events, and so many requests of the candidate for them.
    fn by_ratio(&self, rule: Rule, ratio: f64, rates: (f64, f64)) -> f64 {
        let (share, (candidate, stable)) = (self.share, rates);
        if share >= 1.0 || candidate <= ratio * stable {
            return f64::INFINITY;
        }
        let at = |ratio: f64| share * ratio / (share * ratio + 1.0 - share);
        let (true_theta, null_theta) = (at(candidate / stable), at(ratio));
        let of = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
        let growth = of(true_theta, null_theta) + of(1.0 - true_theta, 1.0 - null_theta);
        let n_alternatives = if rule == Rule::Relative { FAULT_ALTERNATIVES.len() } else { LATENCY_ALTERNATIVES.len() };
        let events = (self.threshold(rule) + (n_alternatives as f64).ln()) / growth;
        // The candidate has the part `true_theta` of the events, one in each 1/rate of its requests.
        (events * true_theta / candidate).max(1.0)
    }

    /// One made-up run: the candidate's requests until the harm is found; `None` when it is not.
    pub(super) fn delay(&self, draw: &mut Uniform<'_>) -> Option<f64> {
        // What no test looks for is found by chance alone.
        if !self.estimate().is_finite() {
            return None;
        }
        match self.harm {
            Harm::Errors(rate) => self.delay_of_errors(rate, draw),
            Harm::Disagreement(rate) => {
                let rule = self.request.guardrail.disagreement.as_ref()?;
                let mut seen = (0, 0);
                self.watch(Rule::Disagreement, draw, |n, draw| {
                    let unlike = binomial(n, rate, draw);
                    seen = (seen.0 + unlike, seen.1 + n - unlike);
                    limit_log_e(seen.0, seen.1, rule.limit)
                })
            }
            Harm::Latency(_) => self.delay_of_latency(draw),
        }
    }

    /// The trial as it judges live, one fault at a time.
    fn delay_of_errors(&self, rate: f64, draw: &mut Uniform<'_>) -> Option<f64> {
        let (share, stable) = (self.share, self.request.stable_error_rate);
        let mut trial = Trial::new(self.request.guardrail.clone()).ok()?;
        let fault_rate = share * rate + (1.0 - share) * stable;
        let mut successes = Successes::default();
        let mut n_faults = 0;
        for _ in 0..FAULTS_MAX {
            let n_good = gap(fault_rate, draw);
            if n_good as f64 > REQUESTS_MAX {
                return None;
            }
            let good_share = (share * (1.0 - rate) / (1.0 - fault_rate).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
            let of_candidate = binomial(n_good, good_share, draw);
            successes.candidate += of_candidate;
            successes.stable += n_good - of_candidate;
            let is_candidate = draw() < share * rate / fault_rate;
            n_faults += u32::from(is_candidate);
            let arm = if is_candidate { Arm::Candidate } else { Arm::Stable };
            let verdict = trial.on_fault(FaultEvent { arm, share, successes, count: Count::All, key: None });
            let n_requests = successes.candidate as f64 + f64::from(n_faults);
            if !matches!(verdict, Verdict::None | Verdict::SharedIncident(_) | Verdict::StableIll(_)) {
                return Some(n_requests);
            }
            if n_requests > REQUESTS_MAX {
                return None;
            }
        }
        None
    }

    /// The quicker of the judgements on latency, on one run of traffic for each.
    fn delay_of_latency(&self, draw: &mut Uniform<'_>) -> Option<f64> {
        let limit = self.slow.iter().find_map(|bound| Some((bound.limit?, bound.candidate)));
        let by_limit = limit.and_then(|(limit, rate)| {
            let mut seen = (0, 0);
            self.watch(Rule::Latency, draw, |n, draw| {
                let slow = binomial(n, rate, draw);
                seen = (seen.0 + slow, seen.1 + n - slow);
                limit_log_e(seen.0, seen.1, limit)
            })
        });
        let by_ratio = self.delay_against_stable(draw);
        match (by_limit, by_ratio) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn delay_against_stable(&self, draw: &mut Uniform<'_>) -> Option<f64> {
        let ratio = self.request.guardrail.latency_vs_stable.as_ref()?.tolerate_ratio;
        if self.share >= 1.0 {
            return None;
        }
        let bounds: Vec<_> = self.slow.iter().filter(|bound| bound.limit.is_none()).collect();
        let tally = ShareTally { share: self.share, candidate_faults: 0, stable_faults: 0 };
        let mut tallies = vec![tally; bounds.len()];
        self.watch(Rule::LatencyVsStable, draw, |n, draw| {
            // Slower than a higher bound is slower than a lower one: each count is drawn from the one before.
            let of_stable = (n as f64 * (1.0 - self.share) / self.share).round() as u64;
            let (mut candidate, mut stable) = ((n, 1.0), (of_stable, 1.0));
            for (tally, bound) in tallies.iter_mut().zip(&bounds) {
                candidate = (binomial(candidate.0, bound.candidate / candidate.1, draw), bound.candidate);
                stable = (binomial(stable.0, bound.stable / stable.1, draw), bound.stable);
                tally.candidate_faults += candidate.0;
                tally.stable_faults += stable.0;
            }
            let log_e = |tally: &ShareTally| relative_log_e_among(&LATENCY_ALTERNATIVES, &[*tally], ratio);
            log_mean_exp(tallies.iter().map(log_e))
        })
    }

    /// Feeds a test with portions of the candidate's requests until it convicts or patience ends.
    fn watch(
        &self,
        rule: Rule,
        draw: &mut Uniform<'_>,
        mut grow: impl FnMut(u64, &mut Uniform<'_>) -> f64,
    ) -> Option<f64> {
        let estimate = self.estimate().min(REQUESTS_MAX);
        let threshold = self.threshold(rule);
        let portion = (estimate / LOOKS).ceil();
        let mut n = 0.0;
        while n < PATIENCE * estimate && n < REQUESTS_MAX {
            n += portion;
            if grow(portion as u64, draw) >= threshold {
                return Some(n);
            }
        }
        None
    }
}

/// What is slow by each judgement on latency, lowest bound first.
fn slow_bounds(request: &PowerRequest<'_>, factor: f64) -> Vec<SlowBound> {
    let Some(shape) = request.latency else { return Vec::new() };
    let slower = |bound: f64| (shape.slower_than(bound, factor), shape.slower_than(bound, 1.0));
    let limit = request.guardrail.latency.map(|rule| {
        let (candidate, stable) = slower(rule.slower_than_seconds);
        SlowBound { limit: Some(rule.limit), candidate, stable }
    });
    let mut quantiles = request.guardrail.latency_vs_stable.as_ref().map_or(Vec::new(), |rule| rule.quantiles.clone());
    quantiles.sort_by(f64::total_cmp);
    let against_stable = quantiles.into_iter().map(|quantile| {
        let (candidate, stable) = slower(shape.bound_above(1.0 - quantile));
        SlowBound { limit: None, candidate, stable }
    });
    limit.into_iter().chain(against_stable).collect()
}
