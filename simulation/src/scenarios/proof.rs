//! How many requests does it take to show that a candidate keeps its limit?

use control_rollout::{Guardrail, RolloutError, clean_requests_needed, promotion_log_e};

use super::{Part, as_percent};
use crate::chance::Chance;
use crate::report::{Cell, Claim, Table, number};
use crate::runs::{Mean, Plan, Rate};

/// Longest run, in requests that the shortest proof needs.
const LENGTHS_MAX: u64 = 40;

/// T10 for a few limits and true rates; a candidate at its limit must not be proven oftener than said.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let head = ["limit", "true rate", "proven", "requests (p95)", "least possible"];
    let mut table = Table::new("proof", &head);
    let mut claims = Vec::new();
    let alpha = Guardrail::default().promote_alpha;
    for (limit, part) in [(0.01, 0.0), (0.01, 0.1), (0.01, 0.5), (0.01, 1.0), (0.001, 0.0), (0.001, 0.1), (0.001, 1.0)]
    {
        let fault_rate = limit * part;
        let least = clean_requests_needed(limit, alpha);
        let cell = format!("proof {limit} {part}");
        let n_runs = if part >= 1.0 { 20_000 } else { 4_000 };
        let found = plan.runs(&cell, n_runs, |chance| prove(chance, (limit, fault_rate, alpha), least * LENGTHS_MAX));
        let rate = Rate::of(found.iter().map(Option::is_some));
        let requests = Mean::of(found.iter().flatten().map(|n| *n as f64));
        if part >= 1.0 {
            claims.push(Claim::of_rate(
                format!("proofs of a candidate at its limit of {}", as_percent(limit)),
                rate,
                alpha,
            ));
        }
        let requests = Cell::maybe(requests.filter(|_| part < 1.0), Cell::Spread);
        let cells = vec![
            Cell::text_of(as_percent(fault_rate)),
            Cell::Rate(rate),
            requests,
            Cell::text_of(number(least as f64)),
        ];
        table.row(as_percent(limit), cells);
    }
    Ok(Part { tables: vec![table], claims, ..Part::default() })
}

/// After how many requests the proof is there. Only successes move it upwards, so that each run of them is searched.
fn prove(chance: &mut Chance, (limit, fault_rate, alpha): (f64, f64, f64), most: u64) -> Option<u64> {
    let threshold = -alpha.ln();
    let (mut faults, mut successes) = (0_u64, 0_u64);
    loop {
        let left = most.saturating_sub(faults + successes);
        let misses = if fault_rate > 0.0 { chance.misses(fault_rate).min(left) } else { left };
        let is_proven = |n: u64| promotion_log_e(faults, successes + n, limit) >= threshold;
        if is_proven(misses) {
            let (mut too_few, mut enough) = (0, misses);
            while too_few + 1 < enough {
                let middle = u64::midpoint(too_few, enough);
                if is_proven(middle) { enough = middle } else { too_few = middle }
            }
            return Some(faults + successes + enough);
        }
        successes += misses;
        faults += 1;
        if faults + successes >= most {
            return None;
        }
    }
}
