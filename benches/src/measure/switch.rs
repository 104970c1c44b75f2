//! What callers notice of a version switch: nothing fails, no answer is misattributed, and how long requests take
//! that are under way while the switch happens.
//!
//! Routing.toml is rewritten again and again under an open loop. When a switch happened is concluded from the answers:
//! it lies between the last sending of a request that was answered under the old generation and the first answer under
//! a newer one. If there is no such moment, an answer was computed by a version that was no longer routed to. A moment
//! catches long requests more often than short ones, so the requests under way at a switch are compared with those
//! under way at moments of rest, chosen in the same manner.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::onnx::{Tag, self_identifying};

use super::{modest_rate, ratio};
use crate::gateway::{Gateway, House, MODEL, Tempo};
use crate::open::{Latency, OpenLoop, Record, Sample, Window};
use crate::report::{Report, median_json, us, with_interval};
use crate::stats::median;
use crate::traffic::{SelfIdentifying, infer_request};
use crate::{BenchError, Settings};

/// How long a switch may take to show in the answers.
const SWITCH_MAX: Duration = Duration::from_secs(10);
/// The time between a switch and the next order.
const HOLD: Duration = Duration::from_millis(20);

/// One block: two windows at rest, then one full of switches.
#[derive(Debug)]
struct Block {
    rest: [Window; 2],
    switching: Window,
}

/// Measures 500 switches under load.
pub fn switch(settings: &Settings) -> Result<(), BenchError> {
    let mut report = Report::new(settings, "switch", "version switches under an open loop at 30 % of capacity")?;
    let house = House::new()?;
    for version in [1, 2] {
        house.publish(u64::from(version), &self_identifying(version))?;
    }
    house.route(&routing(1))?;
    let gateway = Gateway::start(settings, &house, Tempo::Brisk)?;
    gateway.wait_state(2, "ready")?;
    let (n_blocks, n_switches, window) = settings.pick((10, 50, 2000), (2, 10, 500));
    let window = Duration::from_millis(window);
    let request = infer_request(&gateway.address(), MODEL, None, &Tag::input(1));
    let rate = modest_rate(&gateway, request, window)?;

    let traffic = Arc::new(SelfIdentifying::new(&gateway.address(), MODEL));
    let load = OpenLoop::start(&gateway.address(), rate, traffic)?;
    load.window(window);
    let mut blocks = Vec::new();
    let mut version = 1;
    for block in 0..n_blocks {
        report.progress(&format!("block {} of {n_blocks}", block + 1));
        let rest = [load.window(window), load.window(window)];
        let from_ns = load.now_ns();
        for _ in 0..n_switches {
            version = 3 - version;
            house.route(&routing(version))?;
            wait_for(&load, version)?;
            std::thread::sleep(HOLD);
        }
        blocks.push(Block { rest, switching: Window { from_ns, to_ns: load.now_ns() } });
    }
    let record = load.stop()?;
    record.check()?;
    let moments = moments(&record.samples)?;
    if moments.len() != n_blocks * n_switches {
        let text = format!("{} switches were ordered and {} seen", n_blocks * n_switches, moments.len());
        return Err(BenchError::Incorrect(text));
    }
    tell(&mut report, rate, &record, &blocks, &moments)
}

fn routing(version: u64) -> String {
    format!("[models.{MODEL}]\nstable = {version}\n")
}

fn wait_for(load: &OpenLoop, version: u64) -> Result<(), BenchError> {
    let began = Instant::now();
    while load.last_version() != version {
        if began.elapsed() > SWITCH_MAX {
            let what = format!("version {version} answers");
            let seen = format!("version {}", load.last_version());
            return Err(BenchError::Timeout { what, seconds: SWITCH_MAX.as_secs(), seen });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The narrowest span in which each change of the answering version must have happened.
fn moments(samples: &[Sample]) -> Result<Vec<Window>, BenchError> {
    /// What is known of one generation.
    struct Seen {
        version: u64,
        last_sent_ns: u64,
        first_answered_ns: u64,
    }
    let mut generations: BTreeMap<u64, Seen> = BTreeMap::new();
    for sample in samples {
        let (version, sent_ns, answered_ns) = (sample.origin.version, sample.sent_ns, sample.answered_ns);
        let seen = generations.entry(sample.origin.generation).or_insert(Seen {
            version,
            last_sent_ns: sent_ns,
            first_answered_ns: answered_ns,
        });
        if seen.version != version {
            let text = format!("generation {} routes to {} and to {version}", sample.origin.generation, seen.version);
            return Err(BenchError::Incorrect(text));
        }
        seen.last_sent_ns = seen.last_sent_ns.max(sent_ns);
        seen.first_answered_ns = seen.first_answered_ns.min(answered_ns);
    }
    let generations: Vec<(u64, Seen)> = generations.into_iter().collect();
    let mut last_sent_ns = 0;
    let mut moments = Vec::new();
    for (index, pair) in generations.windows(2).enumerate() {
        let [(_, before), (number, after)] = pair else { continue };
        last_sent_ns = last_sent_ns.max(before.last_sent_ns);
        let newer = generations[index + 1..].iter().map(|(_, seen)| seen.first_answered_ns);
        // Later generations cannot answer before earlier ones by much: a few are enough.
        let first_answered_ns = newer.take(64).min().unwrap_or(u64::MAX);
        if last_sent_ns > first_answered_ns {
            let late_us = (last_sent_ns - first_answered_ns) / 1000;
            let text = format!(
                "a request sent {late_us} us after generation {number} had answered was routed by an older one"
            );
            return Err(BenchError::Incorrect(text));
        }
        if before.version != after.version {
            moments.push(Window { from_ns: last_sent_ns, to_ns: first_answered_ns });
        }
    }
    Ok(moments)
}

/// Spans around moments of rest: from the last sending before to the first answer after.
fn moments_of_rest(record: &Record, blocks: &[Block], n: usize) -> Vec<Window> {
    let n_per_window = n / (2 * blocks.len()).max(1);
    let mut moments = Vec::new();
    for window in blocks.iter().flat_map(|block| block.rest) {
        let samples = record.due_in(&window);
        let length_ns = window.to_ns - window.from_ns;
        for index in 0..n_per_window as u64 {
            let at_ns = window.from_ns + length_ns * (2 * index + 1) / (2 * n_per_window as u64);
            let from_ns = samples.iter().map(|s| s.sent_ns).filter(|ns| *ns <= at_ns).max();
            let to_ns = samples.iter().map(|s| s.answered_ns).filter(|ns| *ns >= at_ns).min();
            moments.extend(from_ns.zip(to_ns).map(|(from_ns, to_ns)| Window { from_ns, to_ns }));
        }
    }
    moments
}

/// The latencies of requests that were under way in any of the spans.
fn under_way(record: &Record, moments: &[Window]) -> Latency {
    /// No request that matters was due longer before.
    const DUE_BEFORE_NS: u64 = 2_000_000_000;
    let mut latencies = BTreeMap::new();
    for moment in moments {
        let near = Window { from_ns: moment.from_ns.saturating_sub(DUE_BEFORE_NS), to_ns: moment.to_ns + 1 };
        let caught = record.due_in(&near).iter();
        let caught = caught.filter(|s| s.sent_ns <= moment.to_ns && s.answered_ns >= moment.from_ns);
        latencies.extend(caught.map(|s| (s.id, s.latency_ns())));
    }
    Latency::of(latencies.into_values())
}

/// The longest time without an answer to requests due in a window.
fn longest_gap_ns(samples: &[Sample]) -> u64 {
    let mut answered: Vec<u64> = samples.iter().map(|sample| sample.answered_ns).collect();
    answered.sort_unstable();
    answered.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}

fn tell(
    report: &mut Report,
    rate: f64,
    record: &Record,
    blocks: &[Block],
    moments: &[Window],
) -> Result<(), BenchError> {
    let all = |windows: &[Window]| {
        let latencies: Vec<u64> = windows.iter().flat_map(|w| record.due_in(w)).map(Sample::latency_ns).collect();
        let gap_ns = windows.iter().map(|w| longest_gap_ns(record.due_in(w))).max().unwrap_or(0);
        (Latency::of(latencies), Some(gap_ns))
    };
    let rest: Vec<Window> = blocks.iter().flat_map(|block| block.rest).collect();
    let switching: Vec<Window> = blocks.iter().map(|block| block.switching).collect();
    let parts = [
        ("all requests at rest", all(&rest)),
        ("all requests while switching", all(&switching)),
        ("under way at a moment of rest", (under_way(record, &moments_of_rest(record, blocks, moments.len())), None)),
        ("under way at a switch", (under_way(record, moments), None)),
    ];
    let mut rows = Vec::new();
    for (name, (latency, gap_ns)) in parts {
        let gap = gap_ns.map_or_else(|| "–".to_owned(), us);
        rows.push(vec![
            name.to_owned(),
            latency.n.to_string(),
            us(latency.p50),
            us(latency.p99),
            us(latency.p999),
            us(latency.max),
            gap,
        ]);
        report.line("latency", latency_json(name, &latency, gap_ns))?;
    }
    report.table(&["", "requests", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "longest gap µs"], &rows);
    let p99 = |window: &Window| Latency::of(record.due_in(window).iter().map(Sample::latency_ns)).p99;
    let ratios = median(blocks.iter().map(|b| ratio(p99(&b.switching), p99(&b.rest[0]))));
    let control = median(blocks.iter().map(|b| ratio(p99(&b.rest[1]), p99(&b.rest[0]))));
    let n_requests = record.samples.len();
    report.line(
        "switches",
        json!({ "switches": moments.len(), "requests": n_requests, "failed": 0, "misattributed": 0, "per_second": rate,
            "p99_ratio": median_json(ratios), "p99_control": median_json(control) }),
    )?;
    report.say(&format!(
        "{} switches, {n_requests} requests at {rate:.0}/s: 0 failed, 0 misattributed, 0 routed by an older generation.",
        moments.len()
    ));
    report.say(&format!(
        "p99 while switching over p99 at rest, median of {} blocks: {}; rest over rest: {}.",
        blocks.len(),
        with_interval(ratios, 2),
        with_interval(control, 2)
    ));
    Ok(())
}

fn latency_json(name: &str, latency: &Latency, gap_ns: Option<u64>) -> Value {
    json!({ "of": name, "requests": latency.n, "p50_ns": latency.p50, "p99_ns": latency.p99, "p999_ns": latency.p999,
        "max_ns": latency.max, "longest_gap_ns": gap_ns })
}

#[cfg(test)]
mod tests;
