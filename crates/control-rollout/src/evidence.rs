//! What the rules say at one moment, and T4: how they are weighed together.
//!
//! A weighted mean of e-values is an e-value, so the candidate is rolled back when the weighted sum over the rules
//! reaches 1/alpha. That is at least as strong as giving each rule its part of alpha, and needs no correction.

use crate::horizon::Stage;
use crate::interval::Interval;
use crate::limit::LimitTest;
use crate::logs::log_add;
use crate::policy::Guardrail;
use crate::promotion::Proof;
use crate::relative::{RelativeTest, ShareTally};
use crate::restart::Restart;
use crate::verdict::CrashCounts;

/// The rules a candidate is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The candidate's fault probability is above the limit.
    Limit,
    /// The candidate faults more often than `tolerate_ratio` times the stable version.
    Relative,
    /// The stable version's fault probability is above the limit.
    StableLimit,
    /// The window's error rate is above its bound.
    WindowErrorRate,
    /// The window's latency quantile is above its bound.
    WindowLatency,
}

/// What one sequential rule says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuleEvidence {
    /// The rule.
    pub rule: Rule,
    /// Its part of alpha.
    pub weight: f64,
    /// Faults of the arm it judges.
    pub faults: u64,
    /// What the faults are set against: successes of the same arm, or for `Relative` the stable version's faults.
    pub others: u64,
    /// `ln E` of the plain test; for the limit rules it follows from the counts alone.
    pub log_plain: f64,
    /// Log of the mean restart value; `None` while nothing was seen.
    pub log_restart: Option<f64>,
    /// What the restart value is divided by: the end of the stage the rule is in, in requests or events.
    pub horizon: f64,
    /// The part of the rule's budget which that stage may spend.
    pub stage_budget: f64,
    /// The statistic, `ln(0.9*E + 0.1*M/horizon)`.
    pub log_e: f64,
    /// `ln(1/(alpha * weight * stage_budget))`: the rule is over it alone, without help from the others.
    pub threshold: f64,
    /// Whether the rule is over its threshold, or carries the most of a sum that is over the common one.
    pub is_tripped: bool,
}

/// What the sequential rules say at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Findings {
    /// The limit rule on the candidate.
    pub limit: RuleEvidence,
    /// The relative rule.
    pub relative: RuleEvidence,
    /// The limit rule on the stable version. It is not part of the sum.
    pub stable_limit: RuleEvidence,
    /// `ln` of the weighted sum over `limit` and `relative`.
    pub log_e: f64,
    /// `ln(1/alpha)`.
    pub threshold: f64,
    /// Whether the sum reaches it.
    pub is_tripped: bool,
    /// The rule that carries the most of the sum.
    pub blamed: Rule,
}

/// Everything there is to show about a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The rules.
    pub findings: Findings,
    /// The candidate's faults and the stable version's by the share they fell under.
    pub shares: Vec<ShareTally>,
    /// The proof for promotion.
    pub proof: Proof,
    /// The candidate's fault probability.
    pub candidate_interval: Interval,
    /// The stable version's fault probability.
    pub stable_interval: Interval,
    /// Unclean exits of the process with the candidate's requests in flight.
    pub crashes: CrashCounts,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 5] =
        [Self::Limit, Self::Relative, Self::StableLimit, Self::WindowErrorRate, Self::WindowLatency];

    /// The word used in metrics, logs and the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Relative => "relative",
            Self::StableLimit => "stable_limit",
            Self::WindowErrorRate => "window_error_rate",
            Self::WindowLatency => "window_latency",
        }
    }
}

impl Findings {
    /// The three sequential rules, for those who show them one by one.
    pub fn rules(&self) -> [&RuleEvidence; 3] {
        [&self.limit, &self.relative, &self.stable_limit]
    }

    /// Weighs the tests of a trial.
    pub(crate) fn weigh(
        guardrail: &Guardrail,
        candidate: &LimitTest,
        relative: &RelativeTest,
        stable: &LimitTest,
    ) -> Self {
        let mut limit = of_limit(guardrail, Rule::Limit, candidate);
        let mut relative = of_relative(guardrail, relative);
        let stable_limit = of_limit(guardrail, Rule::StableLimit, stable);
        let threshold = -guardrail.alpha.ln();
        // A rule's term in the sum is above or below the common threshold by as much as the rule is by its own.
        let (limit_excess, relative_excess) = (limit.log_e - limit.threshold, relative.log_e - relative.threshold);
        let log_excess = log_add(limit_excess, relative_excess);
        let is_tripped = log_excess >= 0.0;
        let blamed = if relative_excess > limit_excess { Rule::Relative } else { Rule::Limit };
        limit.is_tripped |= is_tripped && blamed == Rule::Limit;
        relative.is_tripped |= is_tripped && blamed == Rule::Relative;
        Self { limit, relative, stable_limit, log_e: threshold + log_excess, threshold, is_tripped, blamed }
    }
}

impl RuleEvidence {
    /// Reads one test in the stage it is in.
    fn read(guardrail: &Guardrail, rule: Rule, counts: Counts, log_plain: f64, restart: &Restart) -> Self {
        let n_steps = counts.faults.saturating_add(counts.others);
        let (weight, planned) = match rule {
            Rule::Relative => (guardrail.weights.relative, guardrail.planned_events),
            Rule::Limit => (guardrail.weights.limit, guardrail.planned_requests),
            // The stable version's rule guards against blaming the candidate: it has a budget of its own.
            Rule::StableLimit | Rule::WindowErrorRate | Rule::WindowLatency => (1.0, guardrail.planned_requests),
        };
        let stage = Stage::at(n_steps, planned);
        let log_restart = restart.log_mean();
        let log_e = stage.log_g(log_plain, log_restart);
        let threshold = -guardrail.alpha.ln() - weight.ln() - stage.log_budget;
        Self {
            rule,
            weight,
            faults: counts.faults,
            others: counts.others,
            log_plain,
            log_restart,
            horizon: stage.ends_at,
            stage_budget: stage.log_budget.exp(),
            log_e,
            threshold,
            is_tripped: log_e >= threshold,
        }
    }
}

/// What a test has counted.
struct Counts {
    faults: u64,
    others: u64,
}

fn of_limit(guardrail: &Guardrail, rule: Rule, test: &LimitTest) -> RuleEvidence {
    let counts = Counts { faults: test.n_faults(), others: test.n_successes() };
    RuleEvidence::read(guardrail, rule, counts, test.log_e(), test.restart())
}

fn of_relative(guardrail: &Guardrail, test: &RelativeTest) -> RuleEvidence {
    let counts = Counts { faults: test.candidate_faults(), others: test.stable_faults() };
    RuleEvidence::read(guardrail, Rule::Relative, counts, test.log_e(), test.restart())
}

#[cfg(test)]
mod tests;
