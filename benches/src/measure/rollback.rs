//! How fast a bad canary is caught, and what callers see of it: from the first fault to the swap, in requests of the
//! canary and in time.
//!
//! A canary takes a quarter of the traffic of an open loop and fails on a part of its inputs; stable answers those
//! requests in its place. Both ends are taken from the callers' side, so the time holds two journeys over the socket:
//! from the sending of the first request that failed to the first answer under the generation of the rollback.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::onnx::derive::annotated;
use testkit::onnx::{affine4, failing_when};

use crate::gateway::{Gateway, House, MODEL, Tempo};
use crate::open::{OpenLoop, Record, Sample};
use crate::report::{Report, median_json, with_interval};
use crate::stats::{Median, median};
use crate::traffic::Affine;
use crate::{BenchError, Settings};

/// The parts of its inputs on which a canary fails.
const FAULT_RATES: [f32; 3] = [1.0, 0.5, 0.05];
const SHARE: f64 = 0.25;
const PER_SECOND: f64 = 2000.0;
/// Requests before the canary starts and after it is out.
const MARGIN: Duration = Duration::from_millis(200);

/// One canary's end.
#[derive(Debug)]
struct Caught {
    /// Attempts at the canary from the first fault to the swap.
    n_attempts: usize,
    /// Faults among them.
    n_faults: usize,
    /// Faults the verdict rests on, as journalled.
    n_judged: Option<u64>,
    /// From the first fault to the swap.
    time_us: f64,
    /// Attempts that were answered after the first answer under the new generation: under way when it came.
    n_under_way: usize,
    /// Attempts routed to the canary by the new generation.
    n_after: usize,
}

/// Measures rollbacks of canaries of several degrees of badness.
pub fn rollback(settings: &Settings) -> Result<(), BenchError> {
    let n_canaries = settings.pick(20, 2);
    let about = format!("from a canary's first fault to the swap; {SHARE} of {PER_SECOND} requests/s, open loop");
    let mut report = Report::new(settings, "rollback", &about)?;
    let house = House::new()?;
    house.publish(1, &affine4(2.0, 1.0))?;
    let gateway = Gateway::start(settings, &house, Tempo::Brisk)?;
    let mut version = 1;
    let mut rows = Vec::new();
    for fault_rate in FAULT_RATES {
        let mut caught = Vec::new();
        for canary in 0..n_canaries {
            version += 1;
            report.progress(&format!("{} % faults, canary {} of {n_canaries}", fault_rate * 100.0, canary + 1));
            house.publish(version, &bad_version(fault_rate, version)?)?;
            gateway.wait_state(version, "ready")?;
            caught.push(catch(&gateway, version)?);
        }
        rows.push(sum_up(&mut report, fault_rate, &caught)?);
    }
    report.table(
        &[
            "faults",
            "canaries",
            "canary requests to swap",
            "faults to swap",
            "judged",
            "ms to swap",
            "under way",
            "after",
            "callers failed",
        ],
        &rows,
    );
    report.say("Requests and times are medians with intervals; 'under way' and 'after' are sums over all canaries.");
    report.say("'after' counts requests that the generation of the rollback or a later one routed to the canary.");
    Ok(())
}

/// A version that fails on this part of the inputs of [`Affine`], with content of its own.
fn bad_version(fault_rate: f32, version: u64) -> Result<Vec<u8>, BenchError> {
    // The inputs' first floats are spread evenly between 0 and 1. Zeros pass, or the version would not survive its
    // warm-up.
    let model = failing_when(1.0 - fault_rate, 2.0, 1.0);
    annotated(&model, &format!("canary {version}")).map_err(|e| BenchError::Floor(e.to_string()))
}

/// Runs one canary until it is caught.
fn catch(gateway: &Gateway, version: u64) -> Result<Caught, BenchError> {
    let traffic = Arc::new(Affine::new(&gateway.address(), MODEL, 2.0, 1.0));
    let load = OpenLoop::start(&gateway.address(), PER_SECOND, traffic)?;
    load.window(MARGIN);
    let order = json!({ "version": version.to_string(), "share": SHARE, "reason": "measurement", "actor": "bench" });
    gateway.post(&format!("/v1/models/{MODEL}/canary"), &order)?;
    gateway.wait_state(version, "quarantined")?;
    load.window(MARGIN);
    let record = load.stop()?;
    record.check()?;
    let path = format!("/v1/history?model={MODEL}&limit=20");
    let history = gateway
        .wait_for(&path, MARGIN, "the rollback is journalled", |history| rollback_of(history, version).is_some())?;
    let entry = rollback_of(&history, version).unwrap_or(&Value::Null);
    judge(&record, version, entry)
}

/// The journal's entry about the rollback of a version.
fn rollback_of(history: &Value, version: u64) -> Option<&Value> {
    let entries = history["rows"].as_array()?;
    let is_it = |entry: &&Value| {
        entry["action"] == "rolled_back" && entry["version"].to_string().trim_matches('"') == version.to_string()
    };
    entries.iter().find(is_it)
}

fn judge(record: &Record, version: u64, entry: &Value) -> Result<Caught, BenchError> {
    let unexpected = || BenchError::Answer { request: "the journal".to_owned(), answer: entry.to_string() };
    let generation = entry["generation"].as_u64().ok_or_else(unexpected)?;
    // Within one run, only this canary's faults make stable answer in place of another.
    let is_attempt = |s: &&Sample| s.origin.version == version || s.origin.is_fallback;
    let faults: Vec<&Sample> = record.samples.iter().filter(|s| s.origin.is_fallback).collect();
    let first_ns = faults.iter().map(|s| s.sent_ns).min().ok_or_else(unexpected)?;
    let after = || record.samples.iter().filter(|s| s.origin.generation >= generation);
    let swap_ns = after().map(|s| s.answered_ns).min().ok_or_else(unexpected)?;
    let before = || record.samples.iter().filter(|s| s.origin.generation < generation).filter(is_attempt);
    Ok(Caught {
        n_attempts: before().filter(|s| s.answered_ns >= first_ns).count(),
        n_faults: faults.len(),
        n_judged: faults_judged(&entry["evidence"]),
        time_us: swap_ns.saturating_sub(first_ns) as f64 / 1e3,
        n_under_way: before().filter(|s| s.answered_ns > swap_ns).count(),
        n_after: after().filter(is_attempt).count(),
    })
}

/// The canary's faults on which a verdict rests.
fn faults_judged(evidence: &Value) -> Option<u64> {
    let rules = evidence["rules"].as_array()?;
    rules.iter().find(|rule| rule["rule"] == "limit")?["faults"].as_u64()
}

fn sum_up(report: &mut Report, fault_rate: f32, caught: &[Caught]) -> Result<Vec<String>, BenchError> {
    let of = |value: fn(&Caught) -> f64| median(caught.iter().map(value));
    let (attempts, faults) = (of(|c| c.n_attempts as f64), of(|c| c.n_faults as f64));
    let time_ms = of(|c| c.time_us / 1e3);
    let judged: Option<Median> = caught
        .iter()
        .map(|c| c.n_judged)
        .collect::<Option<Vec<u64>>>()
        .map(|n| median(n.into_iter().map(|n| n as f64)));
    let (under_way, after): (usize, usize) =
        (caught.iter().map(|c| c.n_under_way).sum(), caught.iter().map(|c| c.n_after).sum());
    report.line(
        "rollback",
        json!({ "fault_rate": fault_rate, "canaries": caught.len(), "attempts_to_swap": median_json(attempts),
            "faults_to_swap": median_json(faults), "faults_judged": judged.map(median_json),
            "ms_to_swap": median_json(time_ms), "under_way": under_way, "after": after, "callers_failed": 0 }),
    )?;
    if after > 0 {
        return Err(BenchError::Incorrect(format!("{after} requests were routed to a canary after its rollback")));
    }
    Ok(vec![
        format!("{} %", fault_rate * 100.0),
        caught.len().to_string(),
        with_interval(attempts, 0),
        with_interval(faults, 0),
        judged.map_or_else(|| "–".to_owned(), |n| format!("{:.0}", n.value)),
        with_interval(time_ms, 1),
        under_way.to_string(),
        after.to_string(),
        "0".to_owned(),
    ])
}
