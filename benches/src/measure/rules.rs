//! What the rules cost: a healthy request while ten of them are armed, and the way from a fault that convicts to the
//! table without the candidate.
//!
//! Both are parts of the real program, run in this process behind models that answer at once, because neither can be
//! seen from outside: they are shorter than a journey over the socket. Armed and unarmed take turns, batch by batch.

mod counting;
mod decision;
mod plane;
mod swap;

use serde_json::json;

use counting::{Case, Cost};
use decision::{Decision, Way};

use crate::report::{Report, median_json, with_interval};
use crate::stats::{median, quantile};
use crate::{BenchError, Settings};

/// The most a healthy request may pay for ten rules.
const COST_AIM_NS: f64 = 200.0;
/// The longest time from the call of the judge to the swapped table, at p99.
const SWAP_AIM_US: f64 = 50.0;
/// How many threads record at once.
const THREADS: [usize; 2] = [1, 2];

/// Measures what armed rules cost, and how soon a verdict is in force.
pub fn rules(settings: &Settings) -> Result<(), BenchError> {
    let mut report = Report::new(settings, "rules", "ten rules armed: a healthy request, and a fault that convicts")?;
    healthy(settings, &mut report)?;
    convicting(settings, &mut report)
}

fn healthy(settings: &Settings, report: &mut Report) -> Result<(), BenchError> {
    let n_rounds = settings.pick(301, 21);
    let mut rows = Vec::new();
    for case in Case::ALL {
        for n_threads in THREADS {
            report.progress(&format!("{}, {n_threads} threads", case.name()));
            let costs = counting::measure(case, n_threads, n_rounds)?;
            rows.push(sum_up(report, (case, n_threads), &costs)?);
        }
    }
    report.table(&["healthy", "threads", "unarmed ns", "armed ns", "difference ns", "aim"], &rows);
    report.say("ns per request, medians of batches in turn; the difference is the median of pairs of batches.");
    Ok(())
}

fn sum_up(report: &mut Report, (case, n_threads): (Case, usize), costs: &[Cost]) -> Result<Vec<String>, BenchError> {
    let unarmed = median(costs.iter().map(|cost| cost.unarmed_ns));
    let armed = median(costs.iter().map(|cost| cost.armed_ns));
    let difference = median(costs.iter().map(|cost| cost.armed_ns - cost.unarmed_ns));
    report.line(
        "healthy",
        json!({ "of": case.name(), "threads": n_threads, "batches": costs.len(), "unarmed_ns": median_json(unarmed),
            "armed_ns": median_json(armed), "difference_ns": median_json(difference), "aim_ns": COST_AIM_NS }),
    )?;
    Ok(vec![
        case.name().to_owned(),
        n_threads.to_string(),
        format!("{:.0}", unarmed.value),
        format!("{:.0}", armed.value),
        with_interval(difference, 0),
        format!("< {COST_AIM_NS}"),
    ])
}

fn convicting(settings: &Settings, report: &mut Report) -> Result<(), BenchError> {
    let mut rows = Vec::new();
    for (way, n_candidates) in [(Way::Canary, settings.pick(400, 10)), (Way::Rollout, settings.pick(100, 5))] {
        let decisions = decision::measure(way, n_candidates, |n| {
            report.progress(&format!("{}, candidate {n} of {n_candidates}", way.name()));
        })?;
        for (name, of) in [
            ("to the swapped table", (|d| d.swapped_ns) as fn(&Decision) -> u64),
            ("  of it on the processor", |d| d.swapped_cpu_ns),
            ("until the request goes on", |d| d.returned_ns),
        ] {
            let mut sorted: Vec<u64> = decisions.iter().map(of).collect();
            sorted.sort_unstable();
            let at = |q| quantile(&sorted, q) as f64 / 1e3;
            report.line(
                "decision",
                json!({ "of": way.name(), "time": name.trim(), "candidates": sorted.len(), "p50_us": at(0.5),
                    "p90_us": at(0.9), "p99_us": at(0.99), "max_us": at(1.0), "aim_p99_us": SWAP_AIM_US }),
            )?;
            let row = [0.5, 0.9, 0.99, 1.0].map(|q| format!("{:.1}", at(q)));
            let mut cells = vec![format!("{}: {}", way.name(), name.trim()), sorted.len().to_string()];
            cells.extend(row);
            rows.push(cells);
        }
    }
    report.table(&["the fault that convicts", "candidates", "p50 µs", "p90 µs", "p99 µs", "max µs"], &rows);
    report.say(&format!(
        "From the call that records the fault, the weighing included; {} other models; aim: swapped within {SWAP_AIM_US} µs at p99.",
        decision::N_OTHERS
    ));
    Ok(())
}
