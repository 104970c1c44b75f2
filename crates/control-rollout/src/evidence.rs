//! What the rules say at one moment, and T4: how they are weighed together.
//!
//! A weighted mean of e-values is an e-value, so the candidate is rolled back when the weighted sum over the rules
//! reaches 1/alpha. That is at least as strong as giving each rule its part of alpha, and needs no correction. Rules
//! that would do anything else than roll back stand outside the sum, each with its own part.

use crate::drift::DriftEffect;
use crate::frozen::Frozen;
use crate::horizon::Stage;
use crate::interval::Interval;
use crate::limit::LimitTest;
use crate::logs::log_add;
use crate::observed::{ShadowTotals, ShareTotals};
use crate::plan::ProofOf;
use crate::policy::{Guardrail, OnFailure};
use crate::promotion::Proof;
use crate::relative::{RelativeTest, ShareTally};
use crate::rule::Rule;
use crate::verdict::CrashCounts;

/// What one sequential rule says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuleEvidence {
    /// The rule.
    pub rule: Rule,
    /// Its part of alpha; 1 for a rule with an alpha of its own.
    pub weight: f64,
    /// Bad events of the arm it judges: faults, slow answers, copies answered otherwise, mistakes, losses. For the
    /// two-sided rules all of the candidate's events.
    pub faults: u64,
    /// What they are set against: the arm's good events, or the same events of stable. See [`Rule::counts`].
    pub others: u64,
    /// `ln E` of the plain test; for the limit rules it follows from the counts alone.
    pub log_plain: f64,
    /// Log of the mean restart value; `None` while nothing was seen, and for the two-sided rules, which have none.
    pub log_restart: Option<f64>,
    /// What the restart value is divided by: the end of the stage the rule is in. Its steps are requests or faults
    /// for the rules on errors, and looks at the totals for the others.
    pub horizon: f64,
    /// The part of the rule's budget which that stage may spend.
    pub stage_budget: f64,
    /// The statistic, `ln(0.9*E + 0.1*M/horizon)`; for the two-sided rules the plain one.
    pub log_e: f64,
    /// `ln(1/(alpha * weight * stage_budget))`: the rule is over it alone, without help from the others.
    pub threshold: f64,
    /// Whether the rule is over its threshold, or carries the most of a sum that is over the common one.
    pub is_tripped: bool,
    /// What follows then.
    pub on_failure: OnFailure,
    /// The share of bad events the counts do not rule out; for rules on one arm, and only where evidence is shown.
    pub interval: Option<Interval>,
}

/// What the sequential rules say at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The limit rule on the candidate.
    pub limit: RuleEvidence,
    /// The relative rule.
    pub relative: RuleEvidence,
    /// The limit rule on the stable version. It is not part of the sum.
    pub stable_limit: RuleEvidence,
    /// The rules judged from totals, as of the last look at them.
    pub further: Vec<RuleEvidence>,
    /// `ln` of the weighted sum over all rules that would roll back; the smallest number when there are none.
    pub log_e: f64,
    /// `ln(1/alpha)`.
    pub threshold: f64,
    /// Whether the sum reaches it.
    pub is_tripped: bool,
    /// The rule that carries the most of the sum.
    pub blamed: Rule,
}

/// The counts behind the rules judged from totals, so that a person can compute them again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Basis {
    /// Both arms by share, for the shares that are not over.
    pub shares: Vec<ShareTotals>,
    /// What the shares that are over have left.
    pub over: Over,
    /// What copies of stable's requests showed.
    pub shadow: ShadowTotals,
    /// Bounds taken from stable.
    pub frozen: Frozen,
    /// The comparison of losses.
    pub loss: Option<LossBasis>,
}

/// What shares that are over have left: their counts as one sum, and the two-sided evidence they gave.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Over {
    /// The sums; the share is that of none of them.
    pub totals: ShareTotals,
    /// The sum of `ln E` on drift.
    pub drift_log_e: f64,
    /// The sum of `ln E` on the sample ratio.
    pub sample_ratio_log_e: f64,
}

/// The state of the bet on losses.
#[derive(Debug, Clone, PartialEq)]
pub struct LossBasis {
    /// Mean of (the candidate's loss - stable's); `None` before the first comparison.
    pub mean_difference: Option<f64>,
    /// The parts of the capital that are staked.
    pub stakes: Vec<f64>,
    /// `ln` of what each stake has made of a capital of 1.
    pub log_capital: Vec<f64>,
}

/// Everything there is to show about a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The rules.
    pub findings: Findings,
    /// The candidate's faults and the stable version's by the share they fell under.
    pub shares: Vec<ShareTally>,
    /// The counts behind the rules judged from totals.
    pub basis: Basis,
    /// The proof on errors, from traffic and copies.
    pub proof: Proof,
    /// Every proof there can be under the guardrail, the one on errors among them.
    pub proofs: Vec<(ProofOf, Proof)>,
    /// The candidate's fault probability.
    pub candidate_interval: Interval,
    /// The stable version's fault probability.
    pub stable_interval: Interval,
    /// How large the drift is, whatever its certainty.
    pub drift: Option<DriftEffect>,
    /// Unclean exits of the process with the candidate's requests in flight.
    pub crashes: CrashCounts,
}

impl Evidence {
    /// How far a proof has come; `None` when the guardrail has no such rule.
    pub fn proof_of(&self, what: ProofOf) -> Option<Proof> {
        self.proofs.iter().find(|(of, _)| *of == what).map(|(_, proof)| *proof)
    }
}

/// The tests on errors.
pub(crate) struct ErrorTests<'a> {
    pub(crate) candidate: &'a LimitTest,
    pub(crate) stable: &'a LimitTest,
    pub(crate) relative: &'a RelativeTest,
}

/// The weighted sum over some of the rules.
pub(crate) struct Sum {
    /// Log of the sum over the common threshold: convicts from 0 on.
    pub(crate) log_excess: f64,
    /// The rule that carries the most of it.
    pub(crate) blamed: Rule,
}

impl Findings {
    /// The sequential rules on errors, for those who show them one by one.
    pub fn rules(&self) -> [&RuleEvidence; 3] {
        [&self.limit, &self.relative, &self.stable_limit]
    }

    /// Every sequential rule.
    pub fn all(&self) -> impl Iterator<Item = &RuleEvidence> {
        self.rules().into_iter().chain(&self.further)
    }

    /// What one rule says; `None` when the guardrail has it not, or it is none of the sequential ones.
    pub fn get(&self, rule: Rule) -> Option<&RuleEvidence> {
        self.all().find(|evidence| evidence.rule == rule)
    }

    /// Weighs the tests on errors together with what the rules judged from totals said last.
    pub(crate) fn weigh(guardrail: &Guardrail, tests: &ErrorTests<'_>, further: Vec<RuleEvidence>) -> Self {
        let mut findings = Self {
            limit: of_limit(guardrail, Rule::Limit, tests.candidate),
            relative: of_relative(guardrail, tests.relative),
            stable_limit: of_limit(guardrail, Rule::StableLimit, tests.stable),
            further,
            log_e: f64::MIN,
            threshold: -guardrail.alpha.ln(),
            is_tripped: false,
            blamed: Rule::Limit,
        };
        let sum = findings.sum(|rule| guardrail.is_summed(rule));
        findings.log_e = (findings.threshold + sum.log_excess).max(f64::MIN);
        findings.is_tripped = sum.log_excess >= 0.0;
        findings.blamed = sum.blamed;
        if findings.is_tripped {
            let own = [&mut findings.limit, &mut findings.relative].into_iter();
            own.chain(&mut findings.further).filter(|e| e.rule == sum.blamed).for_each(|e| e.is_tripped = true);
        }
        findings
    }

    /// The sum over the rules that are asked for.
    pub(crate) fn sum(&self, is_wanted: impl Fn(Rule) -> bool) -> Sum {
        let mut sum = Sum { log_excess: f64::NEG_INFINITY, blamed: Rule::Limit };
        let mut largest = f64::NEG_INFINITY;
        for evidence in self.all().filter(|e| is_wanted(e.rule)) {
            // A rule's term is above or below the common threshold by as much as the rule is by its own.
            let excess = evidence.log_e - evidence.threshold;
            sum.log_excess = log_add(sum.log_excess, excess);
            if excess > largest {
                (largest, sum.blamed) = (excess, evidence.rule);
            }
        }
        sum
    }
}

/// What a test has seen and says.
pub(crate) struct Reading {
    pub(crate) faults: u64,
    pub(crate) others: u64,
    /// The steps its restart term made.
    pub(crate) n_steps: u64,
    pub(crate) log_plain: f64,
    pub(crate) log_restart: Option<f64>,
}

impl RuleEvidence {
    /// Reads a test with a restart term, in the stage it is in.
    pub(crate) fn read(guardrail: &Guardrail, rule: Rule, reading: &Reading) -> Self {
        let planned = match rule {
            Rule::Relative | Rule::LatencyVsStable | Rule::Mistakes | Rule::Loss => guardrail.planned_events,
            _ => guardrail.planned_requests,
        };
        let stage = Stage::at(reading.n_steps, planned);
        let log_e = stage.log_g(reading.log_plain, reading.log_restart);
        let horizon = (stage.ends_at, stage.log_budget);
        Self::at(guardrail, rule, reading, (log_e, horizon))
    }

    /// Reads a two-sided test: there is no restart term, and nothing is staged.
    pub(crate) fn two_sided(guardrail: &Guardrail, rule: Rule, reading: &Reading) -> Self {
        Self::at(guardrail, rule, reading, (reading.log_plain, (1.0, 0.0)))
    }

    fn at(guardrail: &Guardrail, rule: Rule, reading: &Reading, staged: (f64, (f64, f64))) -> Self {
        let (log_e, (horizon, log_budget)) = staged;
        let weight = guardrail.part(rule);
        let threshold = -guardrail.alpha_of(rule).ln() - weight.ln() - log_budget;
        Self {
            rule,
            weight,
            faults: reading.faults,
            others: reading.others,
            log_plain: reading.log_plain,
            log_restart: reading.log_restart,
            horizon,
            stage_budget: log_budget.exp(),
            log_e,
            threshold,
            is_tripped: log_e >= threshold,
            on_failure: guardrail.on_failure_of(rule),
            interval: None,
        }
    }
}

fn of_limit(guardrail: &Guardrail, rule: Rule, test: &LimitTest) -> RuleEvidence {
    let (faults, others) = (test.n_faults(), test.n_successes());
    let n_steps = faults.saturating_add(others);
    let log_restart = test.restart().log_mean();
    RuleEvidence::read(guardrail, rule, &Reading { faults, others, n_steps, log_plain: test.log_e(), log_restart })
}

fn of_relative(guardrail: &Guardrail, test: &RelativeTest) -> RuleEvidence {
    let (faults, others) = (test.candidate_faults(), test.stable_faults());
    let n_steps = faults.saturating_add(others);
    let log_restart = test.restart().log_mean();
    let reading = Reading { faults, others, n_steps, log_plain: test.log_e(), log_restart };
    RuleEvidence::read(guardrail, Rule::Relative, &reading)
}

#[cfg(test)]
mod tests;
