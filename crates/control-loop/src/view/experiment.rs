//! Experiments as JSON: what their numbers say, and what is stored of them.

use control_rollout::Interval;
use control_rollout::experiment::{
    ArmCheckpoint, ArmComparison, ArmRole, ArmRow, Counted, ExperimentCheckpoint, ExperimentTotals, Finding, Measured,
    Outlook, Primary, Report, ScoreSums, Tally, Verdict,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::experiment::{Running, Shown};

/// An experiment with its report.
pub(crate) fn of(shown: &Shown) -> Value {
    let mut value = report_json(shown, &shown.report());
    if let Some(fields) = value.as_object_mut() {
        fields.insert("status".into(), if shown.is_over { "over" } else { "running" }.into());
    }
    value
}

/// What an experiment's numbers say.
pub(crate) fn report_json(shown: &Shown, report: &Report) -> Value {
    let names: Vec<&str> = report.arms.iter().map(|arm| &*arm.name).collect();
    let name_of = |at: usize| names.get(at).copied().unwrap_or_default();
    json!({
        "experiment": &*shown.name,
        "model": shown.model.as_str(),
        "layer": &*shown.block.routing.layer,
        "units": [shown.block.routing.from, shown.block.routing.to],
        "since_unix_ms": shown.since_unix_ms,
        "sentence": report.sentence,
        "verdict": verdict(&report.verdict, &name_of),
        "primary": report.primary.as_str(),
        "alpha": report.alpha,
        "arms": report.arms.iter().map(arm).collect::<Vec<_>>(),
        "comparisons": report.comparisons.iter().map(|c| comparison(c, name_of(c.arm))).collect::<Vec<_>>(),
        "sample_ratio": { "log_e": report.sample_ratio.log_e, "threshold": report.sample_ratio.threshold,
            "broken": report.sample_ratio.is_broken, "counted": counted_word(report.counted) },
        "warnings": report.warnings,
    })
}

fn verdict<'a>(verdict: &Verdict, name_of: &dyn Fn(usize) -> &'a str) -> Value {
    match verdict {
        Verdict::KeepStable => json!({ "kind": "keep_stable" }),
        Verdict::Keep(at) => json!({ "kind": "keep", "arm": name_of(*at) }),
        Verdict::Equal => json!({ "kind": "equal" }),
        Verdict::NotEnough(Outlook { requests, seconds }) => {
            json!({ "kind": "not_enough", "requests_needed": requests, "seconds_needed": seconds })
        }
        Verdict::RoutingSuspect => json!({ "kind": "routing_suspect" }),
    }
}

fn arm(arm: &ArmRow) -> Value {
    let measures = Primary::ALL.iter().zip(&arm.measures);
    let measures: serde_json::Map<String, Value> =
        measures.map(|(measure, measured)| (measure.as_str().to_owned(), measured_json(measured))).collect();
    let Tally { assigned, ok, faults, slow, right, mistakes, losses } = arm.tally;
    json!({
        "arm": &*arm.name,
        "role": arm.role.as_str(),
        "requests": assigned, "ok": ok, "faults": faults, "slow": slow,
        "labels": right + mistakes, "mistakes": mistakes, "feedback": losses.n,
        "measures": measures,
        "latency_seconds": arm.latency.map(|l| json!({ "p50": l.p50, "p90": l.p90, "p99": l.p99 })),
    })
}

fn measured_json(measured: &Measured) -> Value {
    json!({ "n": measured.n, "mean": measured.mean, "interval": interval(&measured.interval) })
}

fn comparison(comparison: &ArmComparison, name: &str) -> Value {
    let finding = match comparison.finding {
        Finding::Better => "better",
        Finding::Worse => "worse",
        Finding::Equal => "equal",
        Finding::Open => "open",
    };
    json!({
        "arm": name, "difference": comparison.difference, "interval": interval(&comparison.interval),
        "log_e_better": comparison.log_e_better, "log_e_worse": comparison.log_e_worse,
        "threshold": comparison.threshold, "finding": finding,
    })
}

fn interval(interval: &Interval) -> Value {
    json!({ "low": interval.low, "high": interval.high })
}

fn counted_word(counted: Counted) -> &'static str {
    match counted {
        Counted::Requests => "requests",
        Counted::Units => "units",
    }
}

/// Totals as stored. Names stay put, because files outlive programs.
#[derive(Serialize, Deserialize)]
struct Stored {
    since_unix_ms: u64,
    primary: String,
    arms: Vec<StoredArm>,
    ratio: (f64, Vec<f64>, Vec<u64>),
    weights: Option<Vec<f64>>,
    is_over: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredArm {
    name: String,
    role: String,
    counts: [u64; 6],
    losses: (u64, f64, f64),
    log_products: Vec<f64>,
}

/// What is stored of an experiment.
pub(crate) fn stored(running: &Running) -> Option<String> {
    let checkpoint = running.totals.checkpoint();
    let arm = |arm: &ArmCheckpoint| {
        let Tally { assigned, ok, faults, slow, right, mistakes, losses } = arm.tally;
        StoredArm {
            name: arm.name.to_string(),
            role: arm.role.as_str().to_owned(),
            counts: [assigned, ok, faults, slow, right, mistakes],
            losses: (losses.n, losses.sum, losses.sum_squares),
            log_products: arm.log_products.clone(),
        }
    };
    let stored = Stored {
        since_unix_ms: running.since_unix_ms,
        primary: checkpoint.primary.as_str().to_owned(),
        arms: checkpoint.arms.iter().map(arm).collect(),
        ratio: (checkpoint.ratio_closed, checkpoint.ratio_shares, checkpoint.ratio_counts),
        weights: running.weights.clone(),
        is_over: running.is_over,
    };
    serde_json::to_string(&stored).ok()
}

/// Takes up what was stored, where it is about the same arms and the same measure; else it begins anew.
pub(crate) fn restore(running: &mut Running, json: &str) -> Option<()> {
    let stored: Stored = serde_json::from_str(json).ok()?;
    let arm = |arm: StoredArm| {
        let [assigned, ok, faults, slow, right, mistakes] = arm.counts;
        let (n, sum, sum_squares) = arm.losses;
        Some(ArmCheckpoint {
            role: [ArmRole::Stable, ArmRole::Candidate, ArmRole::HoldOut]
                .into_iter()
                .find(|r| r.as_str() == arm.role)?,
            name: arm.name.into(),
            tally: Tally { assigned, ok, faults, slow, right, mistakes, losses: ScoreSums { n, sum, sum_squares } },
            log_products: arm.log_products,
        })
    };
    let (ratio_closed, ratio_shares, ratio_counts) = stored.ratio;
    let checkpoint = ExperimentCheckpoint {
        primary: Primary::parse(&stored.primary)?,
        counted: running.totals.counted,
        arms: stored.arms.into_iter().map(arm).collect::<Option<_>>()?,
        ratio_closed,
        ratio_shares,
        ratio_counts,
    };
    let now: Vec<_> = running.totals.arms().iter().map(|arm| (arm.name.clone(), arm.role)).collect();
    let then: Vec<_> = checkpoint.arms.iter().map(|arm| (arm.name.clone(), arm.role)).collect();
    if now != then || checkpoint.primary != running.totals.primary {
        return None;
    }
    running.totals = ExperimentTotals::restore(&checkpoint).ok()?;
    let n_arms = running.block.routing.split.arms().len();
    running.weights = stored.weights.filter(|weights| weights.len() == n_arms);
    (running.since_unix_ms, running.is_over) = (stored.since_unix_ms, stored.is_over);
    Some(())
}
