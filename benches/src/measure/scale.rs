//! Whether many models cost those who ask one of them anything: server CPU per request, memory, start-up, and what the
//! gateway does when nobody asks, by the number of models, of versions and of rules.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::onnx::affine4;

use super::WARM_UP;
use crate::closed::ClosedLoop;
use crate::error::io_at;
use crate::gateway::{Gateway, House, MODEL, Tempo};
use crate::process::{cpu_time, memory as memory_of};
use crate::report::{Report, median_json, with_interval};
use crate::stats::median;
use crate::traffic::infer_request;
use crate::{BenchError, Settings};

const ROW: [f32; 4] = [1.0, 2.0, 3.0, 4.0];
const MIB: f64 = (1 << 20) as f64;
const N_CALLERS: usize = 8;
/// Loads are slower where many wait: the gateway is asked this long after its start.
const IDLE: Duration = Duration::from_secs(4);

/// One gateway.
#[derive(Debug, Clone, Copy)]
struct Case {
    n_models: u64,
    n_versions: u64,
    /// Rules of the model that is asked, none of which matches: the last thing looked at is the split.
    n_rules: usize,
}

struct Found {
    case: Case,
    start_seconds: f64,
    resident_bytes: u64,
    status_ms: f64,
    idle_percent: f64,
}

/// The cases, the first of which all others are compared with.
const CASES: [Case; 5] = [
    Case { n_models: 1, n_versions: 1, n_rules: 0 },
    Case { n_models: 1, n_versions: 3, n_rules: 0 },
    Case { n_models: 20, n_versions: 3, n_rules: 0 },
    Case { n_models: 200, n_versions: 3, n_rules: 0 },
    Case { n_models: 200, n_versions: 3, n_rules: 10 },
];

/// Measures the cases in turn, all running at once, so that what disturbs one disturbs all.
pub fn scale(settings: &Settings) -> Result<(), BenchError> {
    let (n_rounds, window) = settings.pick((15, Duration::from_millis(700)), (1, Duration::from_millis(300)));
    let about = "server CPU per request of a 4-float model, JSON, 8 connections, by what else the gateway holds";
    let mut report = Report::new(settings, "scale", about)?;
    let mut running = Vec::new();
    for case in CASES {
        report.progress(&format!("start with {case:?}"));
        running.push(start(settings, case)?);
    }
    let mut costs: Vec<Vec<f64>> = vec![Vec::new(); CASES.len()];
    for round in 0..n_rounds {
        report.progress(&format!("round {} of {n_rounds}", round + 1));
        for (costs, (_, gateway, _)) in costs.iter_mut().zip(&running) {
            costs.push(cost_us(gateway, window)?);
        }
    }
    let mut rows = Vec::new();
    for ((_, _, found), costs_us) in running.iter().zip(&costs) {
        let cost = median(costs_us.iter().copied());
        let ratio = median(costs_us.iter().zip(&costs[0]).map(|(cost, first)| cost / first));
        let Case { n_models, n_versions, n_rules } = found.case;
        report.line(
            "case",
            json!({ "models": n_models, "versions_each": n_versions, "rules": n_rules, "cpu_us": median_json(cost),
                "ratio_to_first": median_json(ratio), "start_seconds": found.start_seconds,
                "resident_bytes": found.resident_bytes, "status_ms": found.status_ms, "idle_percent": found.idle_percent }),
        )?;
        rows.push(vec![
            format!("{n_models} × {n_versions}"),
            n_rules.to_string(),
            with_interval(cost, 1),
            with_interval(ratio, 2),
            format!("{:.2}", found.start_seconds),
            format!("{:.0}", found.resident_bytes as f64 / MIB),
            format!("{:.1}", found.status_ms),
            format!("{:.2}", found.idle_percent),
        ]);
    }
    let columns =
        ["models × versions", "rules", "CPU µs", "ratio", "start s", "resident MiB", "status ms", "idle % of a core"];
    report.table(&columns, &rows);
    Ok(())
}

fn start(settings: &Settings, case: Case) -> Result<(House, Gateway, Found), BenchError> {
    let house = House::new()?;
    for index in 0..case.n_models {
        let name = if index == 0 { MODEL.to_owned() } else { format!("other-{index}") };
        for version in 1..=case.n_versions {
            let model = affine4(index as f32 + 1.0, version as f32);
            house.repository.publish(&name, version, &model).map_err(io_at("publish a model"))?;
        }
    }
    if case.n_rules > 0 {
        let rule = |index: usize| {
            format!("[[models.{MODEL}.rules]]\nwhen = {{ header = \"x-{index}\", equals = \"yes\" }}\nuse = 1\n")
        };
        let rules: String = (0..case.n_rules).map(rule).collect();
        house.route(&format!("[models.{MODEL}]\nstable = {}\n{rules}", case.n_versions))?;
    }
    let began = Instant::now();
    let gateway = Gateway::start(settings, &house, Tempo::Settled)?;
    let start_seconds = began.elapsed().as_secs_f64();
    let before = (cpu_time(gateway.pid())?, Instant::now());
    std::thread::sleep(IDLE);
    let idle = cpu_time(gateway.pid())?.saturating_sub(before.0);
    let idle_percent = idle.as_secs_f64() / before.1.elapsed().as_secs_f64() * 100.0;
    let asked = Instant::now();
    gateway.get("/v1/status")?;
    let status_ms = asked.elapsed().as_secs_f64() * 1e3;
    let resident_bytes = memory_of(gateway.pid())?.resident_bytes;
    let found = Found { case, start_seconds, resident_bytes, status_ms, idle_percent };
    Ok((house, gateway, found))
}

/// Processor time of the gateway per request.
fn cost_us(gateway: &Gateway, window: Duration) -> Result<f64, BenchError> {
    let request = infer_request(&gateway.address(), MODEL, None, &ROW);
    let callers = ClosedLoop::start(&gateway.address(), request, N_CALLERS)?;
    std::thread::sleep(WARM_UP);
    let (answered, spent) = (callers.n_answered(), cpu_time(gateway.pid())?);
    std::thread::sleep(window);
    let (answered, spent) = (callers.n_answered() - answered, cpu_time(gateway.pid())?.saturating_sub(spent));
    callers.stop()?;
    Ok(spent.as_secs_f64() * 1e6 / answered.max(1) as f64)
}
