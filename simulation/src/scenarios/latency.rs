//! A candidate that is slower: lognormal latency, a share of answers over a bound, and against stable's quantiles.

use control_rollout::{
    Frozen, Guardrail, LATENCY_QUANTILES_MAX, LatencyComparison, LatencyLimit, OnFailure, RolloutError, Rule,
};

use super::{Part, SHARE};
use crate::chance::{Chance, normal_above};
use crate::report::{Cell, Claim, Curve, Plot, Table};
use crate::runs::{Mean, Plan, Rate};
use crate::watch::{Watch, alone, spread};

/// Spread of the logarithm of the latency.
const SIGMA: f64 = 0.5;

/// How many times as slow the candidate is.
const FACTORS: [f64; 6] = [1.0, 1.05, 1.1, 1.25, 1.5, 2.0];

/// Of one rule.
const ALPHA: f64 = 0.001;

/// Quantiles of stable the candidate is compared at, and where they lie on the normal curve.
const QUANTILES: [f64; LATENCY_QUANTILES_MAX] = [0.5, 0.9, 0.99];
const QUANTILES_AT: [f64; LATENCY_QUANTILES_MAX] = [0.0, 1.281_551_565_544_600_4, 2.326_347_874_040_841];

/// Where the bound of the limit lies: half a per cent of stable's answers take longer, one per cent is tolerated.
const BOUND_AT: f64 = 2.575_829_303_548_901;
const LIMIT: f64 = 0.01;

/// The candidate's requests of the longest run.
const REQUESTS_MAX: f64 = 60_000.0;

/// Both rules, for each factor.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let head = [
        "latency",
        "against stable",
        "candidate's requests (p95)",
        "over the bound",
        "limit of 1 %",
        "candidate's requests (p95)",
    ];
    let mut table = Table::new("latency", &head);
    let mut part = Part::default();
    let mut curves = [("against stable's p50, p90, p99", Vec::new()), ("at most 1 % over a bound", Vec::new())];
    for factor in FACTORS {
        let relative = found(plan, (Rule::LatencyVsStable, factor))?;
        let limit = found(plan, (Rule::Latency, factor))?;
        if factor <= 1.0 {
            part.claims.push(Claim::of_rate("false alarms, latency against stable", relative.0, ALPHA));
            part.claims.push(Claim::of_rate("false alarms, latency limit", limit.0, ALPHA));
        } else {
            let points = curves.iter_mut().map(|(_, points)| points).zip([relative.1, limit.1]);
            points.for_each(|(points, mean)| points.extend(mean.map(|mean| (factor, mean.mean))));
        }
        let over = Cell::text_of(format!("{:.2} %", 100.0 * over_bound(factor)));
        let shown = |mean: Option<Mean>, rate: Rate| Cell::maybe(mean.filter(|_| rate.value() > 0.5), Cell::Spread);
        let cells = vec![
            Cell::Rate(relative.0),
            shown(relative.1, relative.0),
            over,
            Cell::Rate(limit.0),
            shown(limit.1, limit.0),
        ];
        table.row(format!("× {factor}"), cells);
    }
    let at_limit = at_the_limit(plan)?;
    part.claims.push(Claim::of_rate("false alarms, latency exactly at its limit", at_limit, ALPHA));
    part.tables.push(table);
    part.plots.push(Plot {
        name: "latency".to_owned(),
        title: "Requests of the candidate until it is found to be slow".to_owned(),
        x_title: "times as slow as stable".to_owned(),
        y_title: "its requests, mean".to_owned(),
        curves: curves.map(|(name, points)| Curve { name: name.to_owned(), points }).to_vec(),
    });
    Ok(part)
}

fn found(plan: &Plan, (rule, factor): (Rule, f64)) -> Result<(Rate, Option<Mean>), RolloutError> {
    let cell = format!("latency {rule:?} {factor}");
    let (n_runs, most, step) = match factor {
        f if f <= 1.0 => (20_000, 5_000.0, 25.0),
        f if f < 1.2 => (400, REQUESTS_MAX, 25.0),
        _ => (2_000, REQUESTS_MAX, 1.0),
    };
    let found = plan.runs(&cell, n_runs, |chance| run(chance, (rule, factor), (most, step)));
    let found = found.into_iter().collect::<Result<Vec<_>, RolloutError>>()?;
    let requests = Mean::of(found.iter().flatten().copied());
    Ok((Rate::of(found.iter().map(Option::is_some)), requests))
}

/// The candidate's requests until the rule convicts; nothing when it does not within the most. A look comes after so
/// many of the candidate's requests as a step has.
fn run(
    chance: &mut Chance,
    (rule, factor): (Rule, f64),
    (most, step): (f64, f64),
) -> Result<Option<f64>, RolloutError> {
    let mut watch = Watch::new(&guardrail(rule), SHARE)?;
    let seconds = QUANTILES_AT.map(|at| (SIGMA * at).exp());
    watch.trial.freeze(Frozen {
        latency_quantiles: QUANTILES.to_vec(),
        latency_seconds: seconds.to_vec(),
        decile_edges: Vec::new(),
    });
    let [of_candidate, of_stable] = [cells(factor), cells(1.0)];
    let rest = step * (1.0 - SHARE) / SHARE;
    let mut requests = 0.0;
    while requests < most {
        requests += step;
        let steps = [(step, &of_candidate), (rest, &of_stable)];
        for (arm, (n, cells)) in watch.arms().into_iter().zip(steps) {
            let [quick, middle, slow, slower, slowest] = spread(chance, n, cells);
            let counted = [middle + slow + slower + slowest, slow + slower + slowest, slower + slowest];
            arm.slow_at = std::array::from_fn(|i| arm.slow_at[i] + counted[i]);
            arm.slow += slowest;
            arm.timed += quick + counted[0];
        }
        if watch.look(rule) {
            return Ok(Some(requests));
        }
    }
    Ok(None)
}

fn guardrail(rule: Rule) -> Guardrail {
    let on_failure = OnFailure::Pause;
    match rule {
        Rule::Latency => Guardrail {
            latency: Some(LatencyLimit { slower_than_seconds: 1.0, limit: LIMIT, weight: 1.0, on_failure }),
            ..alone(ALPHA)
        },
        _ => Guardrail {
            latency_vs_stable: Some(LatencyComparison {
                quantiles: QUANTILES.to_vec(),
                freeze_after: 1000,
                tolerate_ratio: 1.1,
                weight: 1.0,
                on_failure,
            }),
            ..alone(ALPHA)
        },
    }
}

/// Parts of the answers between the quantiles and beyond the bound.
fn cells(factor: f64) -> [f64; 5] {
    let above = |at: f64| normal_above(at - factor.ln() / SIGMA);
    let at = QUANTILES_AT.map(above);
    let bound = above(BOUND_AT);
    [1.0 - at[0], at[0] - at[1], at[1] - at[2], at[2] - bound, bound]
}

fn over_bound(factor: f64) -> f64 {
    normal_above(BOUND_AT - factor.ln() / SIGMA)
}

/// How often a candidate with exactly the tolerated share of slow answers is found too slow.
fn at_the_limit(plan: &Plan) -> Result<Rate, RolloutError> {
    let alarms = plan.runs("latency at the limit", 20_000, |chance| {
        let mut watch = Watch::new(&guardrail(Rule::Latency), SHARE)?;
        for _ in 0..200 {
            let counts = spread(chance, 25.0, &[1.0 - LIMIT, LIMIT]);
            let [candidate, _] = watch.arms();
            candidate.slow += counts[1];
            candidate.timed += counts[0] + counts[1];
            if watch.look(Rule::Latency) {
                return Ok(true);
            }
        }
        Ok(false)
    });
    Ok(Rate::of(alarms.into_iter().collect::<Result<Vec<_>, RolloutError>>()?.into_iter()))
}
