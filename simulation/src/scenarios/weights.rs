//! Shares that move while the comparison runs: by a bandit, at random, and by somebody who wants a false alarm.

use control_rollout::{Guardrail, RolloutError};

use super::{Part, alarms, as_percent, at_the_border};
use crate::chance::Chance;
use crate::report::{Cell, Claim, Table};
use crate::runs::{Plan, Rate};
use crate::traffic::{Faults, Traffic};

/// Fault probability of both arms, and the limit: the hardest healthy candidate.
const FAULT_RATE: f64 = 0.01;

/// Requests of both arms in a run.
const REQUESTS: f64 = 30_000.0;

/// Requests of both arms between moves of the share.
const BLOCK: f64 = 200.0;

/// Budgets, largest first.
const ALPHAS: [f64; 2] = [0.01, 0.001];

/// Bounds of the share.
const FLOOR: f64 = 0.05;
const CAP: f64 = 0.95;

/// Draws of a Thompson allocation.
const DRAWS: u32 = 32;

/// How the share moves.
#[derive(Debug, Clone, Copy)]
enum Mover {
    /// Not at all.
    Nobody,
    /// Thompson sampling: the probability, as believed so far, that the candidate faults less.
    Thompson,
    /// Uniformly at random.
    Random,
    /// Up after the candidate's faults outnumber its share of them, down otherwise.
    Chaser,
    /// The other way round.
    Fleer,
}

/// Counts so far, which a mover may look at.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    candidate_faults: f64,
    candidate_successes: f64,
    stable_faults: f64,
    stable_successes: f64,
}

/// False rollbacks of a candidate at the border, for each way of moving and two budgets.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let mut table = Table::new("moving-shares", &["share", "budget 1 %", "budget 0.1 %"]);
    let mut claims = Vec::new();
    let movers = [
        (Mover::Nobody, "stands at 10 %"),
        (Mover::Thompson, "Thompson sampling, every 200 requests"),
        (Mover::Random, "at random from 5 to 95 %, every 200 requests"),
        (Mover::Chaser, "raised when the candidate has more than its part of the faults"),
        (Mover::Fleer, "lowered when the candidate has more than its part of the faults"),
    ];
    for (mover, name) in movers {
        let mut cells = Vec::new();
        let run = |chance: &mut Chance, alpha| is_out(chance, &at_the_border(FAULT_RATE, alpha), mover);
        let found = plan.runs(&format!("weights {mover:?}"), 20_000, |chance| alarms(chance, ALPHAS, run));
        let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
        for (i, alpha) in ALPHAS.into_iter().enumerate() {
            let rate = Rate::of(found.iter().map(|has_alarmed| has_alarmed[i]));
            claims.push(Claim::of_rate(
                format!("false rollbacks, share {name}, alpha {}", as_percent(alpha)),
                rate,
                alpha,
            ));
            cells.push(Cell::Rate(rate));
        }
        table.row(name, cells);
    }
    Ok(Part { tables: vec![table], claims, ..Part::default() })
}

fn is_out(chance: &mut Chance, guardrail: &Guardrail, mover: Mover) -> Result<bool, RolloutError> {
    let faults = Faults { candidate: FAULT_RATE, stable: FAULT_RATE };
    let mut traffic = Traffic::new(guardrail, 0.1)?;
    while traffic.now < REQUESTS {
        traffic.share = mover.share(chance, &traffic);
        if traffic.run(chance, faults, traffic.now + BLOCK).is_out {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Mover {
    /// The share of the next block, decided by what came before it.
    fn share(self, chance: &mut Chance, traffic: &Traffic) -> f64 {
        let counts = Counts::of(traffic);
        let excess = counts.candidate_faults * (1.0 - FLOOR) - counts.stable_faults * FLOOR;
        match self {
            Self::Nobody => traffic.share,
            Self::Thompson => {
                let better = (0..DRAWS).filter(|_| counts.candidate_rate(chance) < counts.stable_rate(chance)).count();
                (better as f64 / f64::from(DRAWS)).clamp(FLOOR, CAP)
            }
            Self::Random => FLOOR + (CAP - FLOOR) * chance.unit(),
            Self::Chaser => {
                if excess > 0.0 {
                    CAP
                } else {
                    FLOOR
                }
            }
            Self::Fleer => {
                if excess > 0.0 {
                    FLOOR
                } else {
                    CAP
                }
            }
        }
    }
}

impl Counts {
    fn of(traffic: &Traffic) -> Self {
        Self {
            candidate_faults: traffic.candidate_faults as f64,
            candidate_successes: traffic.successes.candidate as f64,
            stable_faults: traffic.stable_faults as f64,
            stable_successes: traffic.successes.stable as f64,
        }
    }

    /// One draw of what the candidate's fault probability may be.
    fn candidate_rate(&self, chance: &mut Chance) -> f64 {
        chance.beta(1.0 + self.candidate_faults, 1.0 + self.candidate_successes)
    }

    fn stable_rate(&self, chance: &mut Chance) -> f64 {
        chance.beta(1.0 + self.stable_faults, 1.0 + self.stable_successes)
    }
}
