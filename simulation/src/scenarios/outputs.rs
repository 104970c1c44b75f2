//! A candidate that answers, but otherwise: disagreement of copies, drift of outputs, and a routing that misses its
//! shares.

use base_types::Comparison;
use control_rollout::{
    Bins, DisagreementLimit, Drift, Guardrail, OnFailure, RolloutError, Rule, SampleRatio, drift_effect,
};

use super::{Part, SHARE, as_percent};
use crate::chance::Chance;
use crate::report::{Cell, Claim, Table};
use crate::runs::{Mean, Plan, Rate};
use crate::watch::{Watch, alone, spread};

/// Of each rule.
const ALPHA: f64 = 0.001;

/// Deciles.
const BINS: usize = 10;

/// What a population stability index of more is commonly called: a change, and a large one.
const PSI_BANDS: [f64; 2] = [0.1, 0.25];

/// The candidate's outputs before the index is looked at for the first time, and at most.
const PSI_OUTPUTS: (u64, f64) = (100, 2_000.0);

/// All three.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let mut part = Part::default();
    disagreement(plan, &mut part)?;
    drift(plan, &mut part)?;
    sample_ratio(plan, &mut part)?;
    Ok(part)
}

fn disagreement(plan: &Plan, part: &mut Part) -> Result<(), RolloutError> {
    let mut table = Table::new("disagreement", &["copies answered otherwise", "found", "copies (p95)"]);
    let limit = 0.01;
    let rule = DisagreementLimit {
        limit,
        compare: Comparison::default(),
        is_redacted: true,
        weight: 1.0,
        on_failure: OnFailure::Pause,
    };
    let guardrail = Guardrail { disagreement: Some(rule), ..alone(ALPHA) };
    for rate in [0.005, 0.01, 0.02, 0.05, 0.2, 0.9] {
        let is_healthy = rate <= limit;
        let (n_runs, most, step) = if is_healthy { (20_000, 5_000.0, 25.0) } else { (2_000, 100_000.0, 1.0) };
        let run = |chance: &mut Chance| {
            let mut watch = Watch::new(&guardrail, SHARE)?;
            let mut copies = 0.0;
            while copies < most {
                copies += step;
                let [alike, other] = spread(chance, step, &[1.0 - rate, rate]);
                watch.observed.shadow.compared += alike + other;
                watch.observed.shadow.disagreed += other;
                if watch.look(Rule::Disagreement) {
                    return Ok(Some(copies));
                }
            }
            Ok(None)
        };
        let found = plan.runs(&format!("disagreement {rate}"), n_runs, run);
        let found = found.into_iter().collect::<Result<Vec<_>, RolloutError>>()?;
        let alarms = Rate::of(found.iter().map(Option::is_some));
        if is_healthy {
            let what = format!("false alarms, disagreement of {}", as_percent(rate));
            part.claims.push(Claim::of_rate(what, alarms, ALPHA));
        }
        let copies = Mean::of(found.into_iter().flatten()).filter(|_| !is_healthy);
        table.row(as_percent(rate), vec![Cell::Rate(alarms), Cell::maybe(copies, Cell::Spread)]);
    }
    part.tables.push(table);
    Ok(())
}

/// What one run of the drift scenario saw.
#[derive(Debug, Clone, Copy)]
struct Drifted {
    outputs: Option<f64>,
    has_passed: [bool; 2],
}

fn drift(plan: &Plan, part: &mut Part) -> Result<(), RolloutError> {
    let head = ["true PSI", "found", "candidate's outputs (p95)", "PSI above 0.1 at some look", "PSI above 0.25"];
    let mut table = Table::new("drift", &head);
    for tilt in [0.0, 0.25, 0.55, 0.87] {
        let cells = tilted(tilt);
        let is_healthy = tilt == 0.0;
        let (n_runs, most) = if is_healthy { (20_000, PSI_OUTPUTS.1) } else { (1_000, 12_000.0) };
        let found = plan.runs(&format!("drift {tilt}"), n_runs, |chance| drifted(chance, &cells, most));
        let found = found.into_iter().collect::<Result<Vec<_>, RolloutError>>()?;
        let alarms = Rate::of(found.iter().map(|run| run.outputs.is_some()));
        if is_healthy {
            part.claims.push(Claim::of_rate("false alarms, drift", alarms, ALPHA));
        }
        let outputs = Mean::of(found.iter().filter_map(|run| run.outputs)).filter(|_| !is_healthy);
        let passed = |band: usize| Cell::Rate(Rate::of(found.iter().map(|run| run.has_passed[band])));
        let row = vec![Cell::Rate(alarms), Cell::maybe(outputs, Cell::Spread), passed(0), passed(1)];
        table.row(format!("{:.3}", stability(&cells)), row);
    }
    part.tables.push(table);
    Ok(())
}

/// A distribution over deciles, tilted towards the upper ones.
fn tilted(tilt: f64) -> [f64; BINS] {
    let weights: [f64; BINS] = std::array::from_fn(|j| (tilt * (2.0 * j as f64 / (BINS - 1) as f64 - 1.0)).exp());
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

/// Population stability index against the deciles.
fn stability(cells: &[f64; BINS]) -> f64 {
    let even = 1.0 / BINS as f64;
    cells.iter().map(|part| (part - even) * (part / even).ln()).sum()
}

fn drifted(chance: &mut Chance, cells: &[f64; BINS], most: f64) -> Result<Drifted, RolloutError> {
    const STEP: f64 = 20.0;
    let rule = Drift { output: None, bins: Bins::Deciles, alpha: ALPHA, on_failure: OnFailure::Pause };
    let guardrail = Guardrail { drift: Some(rule), ..alone(ALPHA) };
    let mut watch = Watch::new(&guardrail, SHARE)?;
    let mut seen = Drifted { outputs: None, has_passed: [false; 2] };
    let even = tilted(0.0);
    let mut outputs = 0.0;
    while outputs < most {
        outputs += STEP;
        let news = [spread(chance, STEP, cells), spread(chance, STEP * (1.0 - SHARE) / SHARE, &even)];
        for (arm, news) in watch.arms().into_iter().zip(news) {
            arm.bins.iter_mut().zip(news).for_each(|(bin, n)| *bin += n);
        }
        if seen.outputs.is_none() && watch.look(Rule::Drift) {
            seen.outputs = Some(outputs);
        }
        let [candidate, stable] = watch.arms();
        let is_looked_at = candidate.bins.iter().sum::<u64>() >= PSI_OUTPUTS.0 && outputs <= PSI_OUTPUTS.1;
        let effect = is_looked_at.then(|| drift_effect(&candidate.bins[..BINS], &stable.bins[..BINS])).flatten();
        for (band, has_passed) in PSI_BANDS.into_iter().zip(&mut seen.has_passed) {
            *has_passed |= effect.is_some_and(|effect| effect.psi > band);
        }
        if seen.outputs.is_some() && outputs > PSI_OUTPUTS.1 {
            break;
        }
    }
    Ok(seen)
}

fn sample_ratio(plan: &Plan, part: &mut Part) -> Result<(), RolloutError> {
    let mut table = Table::new("sample-ratio", &["real share, 10 % meant", "found", "requests of both arms (p95)"]);
    let rule = SampleRatio { alpha: ALPHA, on_failure: OnFailure::Pause };
    let guardrail = Guardrail { sample_ratio: Some(rule), ..alone(ALPHA) };
    for share in [0.1, 0.098, 0.095, 0.09, 0.05] {
        let is_healthy = share == SHARE;
        let (n_runs, most) = if is_healthy { (20_000, 100_000.0) } else { (1_000, 300_000.0) };
        let run = |chance: &mut Chance| {
            const STEP: f64 = 100.0;
            let mut watch = Watch::new(&guardrail, SHARE)?;
            let mut requests = 0.0;
            while requests < most {
                requests += STEP;
                let news = spread(chance, STEP, &[share, 1.0 - share]);
                watch.arms().into_iter().zip(news).for_each(|(arm, n)| arm.assigned += n);
                if watch.look(Rule::SampleRatio) {
                    return Ok(Some(requests));
                }
            }
            Ok(None)
        };
        let found = plan.runs(&format!("sample ratio {share}"), n_runs, run);
        let found = found.into_iter().collect::<Result<Vec<_>, RolloutError>>()?;
        let alarms = Rate::of(found.iter().map(Option::is_some));
        if is_healthy {
            part.claims.push(Claim::of_rate("false alarms, sample ratio", alarms, ALPHA));
        }
        let requests = Mean::of(found.into_iter().flatten()).filter(|_| !is_healthy);
        table.row(as_percent(share), vec![Cell::Rate(alarms), Cell::maybe(requests, Cell::Spread)]);
    }
    part.tables.push(table);
    Ok(())
}
