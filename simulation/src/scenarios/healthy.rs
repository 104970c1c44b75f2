//! How often is a healthy candidate rolled back?

use control_rollout::{Guardrail, RolloutError};

use super::{BAKE_SECONDS, Part, SHARE, alarms, as_percent, at_the_border};
use crate::chance::Chance;
use crate::peers::{Canary, LIMIT, Peer};
use crate::report::{Cell, Claim, Curve, Plot, Table};
use crate::runs::{Plan, Rate};
use crate::traffic::{Faults, Traffic};

/// Requests per second of both arms.
const TRAFFIC: [f64; 5] = [1.0, 3.0, 10.0, 100.0, 1000.0];

/// Runs of a cell that matters.
const RUNS: u64 = 20_000;

/// Faults that all runs of a cell may have together; above it fewer runs are made.
const FAULTS_MAX: f64 = 36e6;

/// Budgets of the hardest case, largest first.
const ALPHAS: [f64; 3] = [0.05, 0.01, 0.001];

/// The least rate a plot shows; nothing at all is drawn there.
const PLOT_FLOOR: f64 = 1e-4;

/// Peers' and our false rollbacks of a healthy candidate, then ours of one that stands at the border.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let mut part = Part::default();
    for fault_rate in [0.001, 0.005] {
        compare(plan, fault_rate, &mut part)?;
    }
    border(plan, &mut part)?;
    Ok(part)
}

fn compare(plan: &Plan, fault_rate: f64, part: &mut Part) -> Result<(), RolloutError> {
    let name = if fault_rate < 0.002 { "healthy" } else { "within-limit" };
    let mut table = Table::new(name, &["rule", "1 rps", "3 rps", "10 rps", "100 rps", "1,000 rps"]);
    let mut curves = Vec::new();
    for peer in Peer::ALL {
        let rates = TRAFFIC.map(|per_second| of_peer(plan, &peer, fault_rate, per_second));
        curves.extend(peer.is_plotted().then(|| curve(peer.name(), &rates)));
        table.row(peer.name(), rates.map(Cell::Rate).to_vec());
    }
    let guardrail = Guardrail::default();
    let mut ours = Vec::new();
    for per_second in TRAFFIC {
        let cell = format!("{name} ours {per_second}");
        let rate = of_ours(plan, &cell, (&guardrail, fault_rate, per_second))?;
        let what = format!("false rollbacks, truly {}, {per_second} rps", as_percent(fault_rate));
        part.claims.push(Claim::of_rate(what, rate, guardrail.alpha));
        ours.push(rate);
    }
    curves.push(curve("Switchrail".to_owned(), &ours));
    table.row("**Switchrail, alpha 0.1 %**", ours.into_iter().map(Cell::Rate).collect());
    part.tables.push(table);
    part.plots.push(Plot {
        name: format!("false-rollbacks-{name}"),
        title: format!("Rolled back although healthy: {} errors, limit 1 %, 30 minutes", as_percent(fault_rate)),
        x_title: "requests per second (a tenth of them to the candidate)".to_owned(),
        y_title: "part of the runs (0.0001: none)".to_owned(),
        curves,
    });
    Ok(())
}

fn curve(name: String, rates: &[Rate]) -> Curve {
    let height = |rate: &Rate| rate.value().max(PLOT_FLOOR);
    Curve { name, points: TRAFFIC.into_iter().zip(rates.iter().map(height)).collect() }
}

fn of_peer(plan: &Plan, peer: &Peer, fault_rate: f64, per_second: f64) -> Rate {
    let canary = Canary { fault_rate, per_second: per_second * SHARE, seconds: BAKE_SECONDS };
    let cell = format!("{} {fault_rate} {per_second}", peer.name());
    let outcomes = plan.runs(&cell, RUNS, |chance| peer.run(chance, canary).rolled_back_at.is_some());
    Rate::of(outcomes.into_iter())
}

/// How often a candidate that faults as often as stable is rolled back.
fn of_ours(plan: &Plan, cell: &str, setting: (&Guardrail, f64, f64)) -> Result<Rate, RolloutError> {
    let (guardrail, fault_rate, per_second) = setting;
    let n_runs = n_runs(fault_rate, per_second);
    let outcomes = plan.runs(cell, n_runs, |chance| is_out(chance, guardrail, (fault_rate, per_second)));
    Ok(Rate::of(outcomes.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter()))
}

fn n_runs(fault_rate: f64, per_second: f64) -> u64 {
    ((FAULTS_MAX / (per_second * BAKE_SECONDS * fault_rate)) as u64).min(RUNS)
}

fn is_out(chance: &mut Chance, guardrail: &Guardrail, setting: (f64, f64)) -> Result<bool, RolloutError> {
    let (fault_rate, per_second) = setting;
    let faults = Faults { candidate: fault_rate, stable: fault_rate };
    Ok(Traffic::new(guardrail, SHARE)?.run(chance, faults, per_second * BAKE_SECONDS).is_out)
}

fn border(plan: &Plan, part: &mut Part) -> Result<(), RolloutError> {
    let head = ["budget alpha", "1 rps", "3 rps", "10 rps", "100 rps", "1,000 rps"];
    let mut table = Table::new("at-the-limit", &head);
    let mut cells: [Vec<Cell>; ALPHAS.len()] = Default::default();
    for per_second in TRAFFIC {
        let run = |chance: &mut Chance, alpha| is_out(chance, &at_the_border(LIMIT, alpha), (LIMIT, per_second));
        let n_runs = n_runs(LIMIT, per_second);
        let found = plan.runs(&format!("border {per_second}"), n_runs, |chance| alarms(chance, ALPHAS, run));
        let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
        for (i, alpha) in ALPHAS.into_iter().enumerate() {
            let rate = Rate::of(found.iter().map(|has_alarmed| has_alarmed[i]));
            let what = format!("false rollbacks at the limit, alpha {}, {per_second} rps", as_percent(alpha));
            part.claims.push(Claim::of_rate(what, rate, alpha));
            cells[i].push(Cell::Rate(rate));
        }
    }
    for (alpha, cells) in ALPHAS.into_iter().zip(cells) {
        table.row(as_percent(alpha), cells);
    }
    part.tables.push(table);
    Ok(())
}
