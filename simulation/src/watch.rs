//! Rules judged from totals: counts grow from look to look, and the product's trial is shown the sums.

use control_rollout::{ArmTotals, Cause, Guardrail, Observed, RolloutError, Rule, ShareTotals, Trial, Verdict};

use crate::chance::Chance;

/// One run of a trial that is looked at from time to time.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The judge.
    pub trial: Trial,
    /// What was counted so far, all under one share.
    pub observed: Observed,
}

impl Watch {
    /// Begins without counts.
    pub fn new(guardrail: &Guardrail, share: f64) -> Result<Self, RolloutError> {
        let shares = vec![ShareTotals { share, ..ShareTotals::default() }];
        let observed = Observed { shares, ..Observed::default() };
        Ok(Self { trial: Trial::new(guardrail.clone())?, observed })
    }

    /// The counts of both arms: the candidate's first.
    pub fn arms(&mut self) -> [&mut ArmTotals; 2] {
        // There is one share, from the beginning on.
        let totals = &mut self.observed.shares[0];
        [&mut totals.candidate, &mut totals.stable]
    }

    /// Whether the rule convicts at this look.
    pub fn look(&mut self, rule: Rule) -> bool {
        self.trial.observe(&self.observed).iter().any(|verdict| of_rule(verdict) == Some(rule))
    }
}

/// The rule that a verdict against the candidate comes from.
fn of_rule(verdict: &Verdict) -> Option<Rule> {
    match verdict {
        Verdict::RollBack(Cause::Evidence(grounds))
        | Verdict::Pause(grounds)
        | Verdict::Alert(grounds)
        | Verdict::Observe(grounds) => Some(grounds.rule),
        _ => None,
    }
}

/// A guardrail whose further rule, of weight 1, has just `alpha` to spend: half of a budget twice as large, the other
/// half of which stays with the rules on errors.
pub fn alone(alpha: f64) -> Guardrail {
    Guardrail { alpha: 2.0 * alpha, sample_ratio: None, ..Guardrail::default() }
}

/// Events of each cell of a distribution within so many requests.
pub fn spread<const N: usize>(chance: &mut Chance, requests: f64, cells: &[f64; N]) -> [u64; N] {
    cells.map(|part| chance.poisson(requests * part))
}
