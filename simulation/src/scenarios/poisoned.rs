//! One client with bad inputs, whose requests fail on any version, where keys stick to an arm.

use control_rollout::{Arm, Count, Guardrail, RolloutError};

use super::{HEALTHY, Part, SHARE, as_percent};
use crate::chance::Chance;
use crate::report::{Cell, Claim, Table};
use crate::runs::{Plan, Rate};
use crate::traffic::{Traffic, is_rollback};

/// Callers; the first one is the bad one.
const CLIENTS: usize = 200;

/// Requests of all of them.
const REQUESTS: f64 = 40_000.0;

/// How many of the bad client's requests fail, on either version.
const BAD: f64 = 0.5;

/// What is known of a fault.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Knowing {
    /// The version alone.
    Plain,
    /// The caller's key too.
    Key,
    /// Stable was tried on the same input.
    Fallback,
}

/// With each of the cures and without.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let head = ["bad client's part", "every fault counts", "one fault for each key", "with fallback to stable"];
    let mut table = Table::new("poisoned", &head);
    let mut claims = Vec::new();
    for part in [0.01, 0.05] {
        let mut cells = Vec::new();
        for knowing in [Knowing::Plain, Knowing::Key, Knowing::Fallback] {
            // The same chance for all three: the same clients on the same arms.
            let out = plan.runs(&format!("poisoned {part}"), 5_000, |chance| is_out(chance, part, knowing));
            let rate = Rate::of(out.into_iter().collect::<Result<Vec<_>, RolloutError>>()?.into_iter());
            if knowing != Knowing::Plain {
                let what = format!("false rollbacks by one bad client of {}, {}", as_percent(part), knowing.cure());
                claims.push(Claim::of_rate(what, rate, Guardrail::default().alpha));
            }
            cells.push(Cell::Rate(rate));
        }
        table.row(as_percent(part), cells);
    }
    Ok(Part { tables: vec![table], claims, ..Part::default() })
}

impl Knowing {
    /// In words.
    fn cure(self) -> &'static str {
        match self {
            Self::Plain => "every fault counted",
            Self::Key => "one fault counted for each key",
            Self::Fallback => "with fallback",
        }
    }
}

fn is_out(chance: &mut Chance, part: f64, knowing: Knowing) -> Result<bool, RolloutError> {
    let arms: Vec<Arm> = (0..CLIENTS).map(|_| if chance.is(SHARE) { Arm::Candidate } else { Arm::Stable }).collect();
    let others = (CLIENTS - 1) as f64;
    let on_candidate = arms[1..].iter().filter(|arm| **arm == Arm::Candidate).count() as f64 / others;
    let of_bad = if arms[0] == Arm::Candidate { part } else { 0.0 };
    // Requests of the candidate, as a part of all; what the trial is told is the configured share.
    let real_share = of_bad + (1.0 - part) * on_candidate;
    let mut traffic = Traffic::new(&Guardrail::default(), SHARE)?;
    loop {
        let (bad_rate, noise_rate) = (part * BAD, HEALTHY);
        let wait = chance.wait(bad_rate + noise_rate);
        traffic.now += wait;
        if traffic.now > REQUESTS {
            return Ok(false);
        }
        traffic.successes.candidate += chance.poisson(wait * (real_share * (1.0 - HEALTHY) - of_bad * BAD));
        let stable_bad = if of_bad > 0.0 { 0.0 } else { part * BAD };
        traffic.successes.stable += chance.poisson(wait * ((1.0 - real_share) * (1.0 - HEALTHY) - stable_bad));
        let is_bad = chance.is(bad_rate / (bad_rate + noise_rate));
        let client = if is_bad || chance.is(part) { 0 } else { 1 + chance.below(CLIENTS - 1) };
        let (count, key) = match knowing {
            Knowing::Plain => (Count::All, None),
            Knowing::Key => (Count::All, Some(client as u64)),
            // Stable fails on the bad input too, which counts for nobody.
            Knowing::Fallback if is_bad => (Count::Nothing, None),
            Knowing::Fallback => (Count::All, None),
        };
        if is_rollback(&traffic.fault_of(arms[client], count, key)) {
            return Ok(true);
        }
    }
}
