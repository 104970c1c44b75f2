//! How soon is a faulty candidate out, and how many requests has it failed?

use control_rollout::{Guardrail, RolloutError};

use super::{BAKE_SECONDS, HEALTHY, Part, SHARE, as_percent};
use crate::peers::{Canary, Peer};
use crate::report::{Cell, Claim, Curve, Plot, Table};
use crate::runs::{Mean, Plan, Rate};
use crate::traffic::{Ending, Faults, Traffic};

/// Fault probabilities of candidates.
const CANDIDATES: [f64; 7] = [0.001, 0.005, 0.01, 0.02, 0.05, 0.5, 1.0];

/// Requests per second of both arms.
const TRAFFIC: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];

/// The candidate's requests that a run goes on for at most when time plays no part.
const REQUESTS_MAX: f64 = 200_000.0;

/// The most failed attempts that may come, on average, before a candidate of that fault probability is out.
const AIMS: [(f64, f64); 2] = [(0.5, 4.0), (0.05, 8.0)];

/// What the rules cost in requests, then beside peers in time.
pub fn simulate(plan: &Plan) -> Result<Part, RolloutError> {
    let mut part = Part::default();
    in_requests(plan, &mut part)?;
    in_time(plan, &mut part)?;
    Ok(part)
}

fn in_requests(plan: &Plan, part: &mut Part) -> Result<(), RolloutError> {
    let head = ["candidate's errors", "out", "its requests (p95)", "failed (p95)", "its requests at alpha 1 %"];
    let mut table = Table::new("detection", &head);
    let mut curves = Vec::new();
    let strict = Guardrail::default();
    let lenient = Guardrail { alpha: 0.01, ..strict.clone() };
    for fault_rate in CANDIDATES {
        let until = REQUESTS_MAX / SHARE;
        // The healthy ones go on to the end.
        let n_runs = if fault_rate < 0.01 { 2_000 } else { 10_000 };
        let found = endings(plan, (&strict, fault_rate, until), n_runs)?;
        let found_sooner = endings(plan, (&lenient, fault_rate, until), n_runs.min(4_000))?;
        let out = Rate::of(found.iter().map(|e| e.is_out));
        let is_real = out.value() > 0.5;
        let mean = |of: fn(&Ending) -> u64| Mean::of(found.iter().filter(|e| e.is_out).map(|e| of(e) as f64));
        let (requests, faults) = (mean(|e| e.requests), mean(|e| e.faults));
        let sooner = Mean::of(found_sooner.iter().filter(|e| e.is_out).map(|e| e.requests as f64));
        let spread = |mean: Option<Mean>| Cell::maybe(mean.filter(|_| is_real), Cell::Spread);
        let sooner_cell = Cell::maybe(sooner.filter(|_| is_real), Cell::Mean);
        table.row(as_percent(fault_rate), vec![Cell::Rate(out), spread(requests), spread(faults), sooner_cell]);
        for (of, aim) in AIMS {
            if let (true, Some(faults)) = (of == fault_rate, faults) {
                part.claims.push(Claim::of_mean(
                    format!("failed requests of a candidate of {}", as_percent(of)),
                    &faults,
                    aim,
                ));
            }
        }
        curves.extend(requests.zip(sooner).filter(|_| is_real).map(|(a, b)| (fault_rate, a.mean, b.mean)));
    }
    part.tables.push(table);
    let curve = |name: &str, of: fn(&(f64, f64, f64)) -> f64| Curve {
        name: name.to_owned(),
        points: curves.iter().map(|point| (point.0, of(point))).collect(),
    };
    part.plots.push(Plot {
        name: "detection-requests".to_owned(),
        title: "Requests of the candidate until it is out (stable 0.1 %, limit 1 %)".to_owned(),
        x_title: "the candidate's error rate".to_owned(),
        y_title: "its requests, mean".to_owned(),
        curves: vec![curve("alpha 0.1 %", |point| point.1), curve("alpha 1 %", |point| point.2)],
    });
    Ok(())
}

fn endings(plan: &Plan, setting: (&Guardrail, f64, f64), n_runs: u64) -> Result<Vec<Ending>, RolloutError> {
    let (guardrail, candidate, until) = setting;
    let cell = format!("detection {} {candidate} {until}", guardrail.alpha);
    let faults = Faults { candidate, stable: HEALTHY };
    plan.runs(&cell, n_runs, |chance| Ok(Traffic::new(guardrail, SHARE)?.run(chance, faults, until)))
        .into_iter()
        .collect()
}

fn in_time(plan: &Plan, part: &mut Part) -> Result<(), RolloutError> {
    let mut failed_at_100: Vec<Curve> = Vec::new();
    for fault_rate in CANDIDATES.into_iter().filter(|rate| *rate > HEALTHY) {
        let name = format!("detection-{}", as_percent(fault_rate).replace(" %", ""));
        let mut table = Table::new(&name, &["rule", "1 rps", "10 rps", "100 rps", "1,000 rps"]);
        let mut row = |label: String, cells: [Cell; 4], is_plotted: bool| {
            if let (true, Cell::Found { faults: Some(faults), .. }) = (is_plotted, &cells[2]) {
                add_point(&mut failed_at_100, &label, (fault_rate, faults.mean));
            }
            table.row(label, cells.to_vec());
        };
        let guardrail = Guardrail::default();
        let mut ours = Vec::new();
        for per_second in TRAFFIC {
            let found = endings(plan, (&guardrail, fault_rate, per_second * BAKE_SECONDS), 4_000)?;
            ours.push(Cell::Found {
                rate: Rate::of(found.iter().map(|e| e.is_out)),
                seconds: Mean::of(found.iter().filter(|e| e.is_out).map(|e| e.at / per_second)),
                faults: Mean::of(found.iter().map(|e| e.faults as f64)),
            });
        }
        if let Ok(cells) = <[Cell; 4]>::try_from(ours) {
            row("**Switchrail**".to_owned(), cells, true);
        }
        for peer in Peer::ALL {
            let cells = TRAFFIC.map(|per_second| of_peer(plan, &peer, fault_rate, per_second));
            row(peer.name(), cells, peer.is_plotted());
        }
        part.tables.push(table);
    }
    part.plots.push(Plot {
        name: "failed-requests".to_owned(),
        title: "Failed requests until the candidate is out, or half an hour is over (100 rps)".to_owned(),
        x_title: "the candidate's error rate".to_owned(),
        y_title: "failed requests, mean".to_owned(),
        curves: failed_at_100,
    });
    Ok(())
}

fn add_point(curves: &mut Vec<Curve>, label: &str, point: (f64, f64)) {
    let name = label.trim_matches('*');
    match curves.iter_mut().find(|curve| curve.name == name) {
        Some(curve) => curve.points.push(point),
        None => curves.push(Curve { name: name.to_owned(), points: vec![point] }),
    }
}

fn of_peer(plan: &Plan, peer: &Peer, fault_rate: f64, per_second: f64) -> Cell {
    let canary = Canary { fault_rate, per_second: per_second * SHARE, seconds: BAKE_SECONDS };
    let cell = format!("detection {} {fault_rate} {per_second}", peer.name());
    let outcomes = plan.runs(&cell, 4_000, |chance| peer.run(chance, canary));
    Cell::Found {
        rate: Rate::of(outcomes.iter().map(|o| o.rolled_back_at.is_some())),
        seconds: Mean::of(outcomes.iter().filter_map(|o| o.rolled_back_at)),
        faults: Mean::of(outcomes.iter().map(|o| o.faults as f64)),
    }
}
