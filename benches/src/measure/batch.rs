//! What batching gains and costs: two models of about 8 ms, one that gains from more rows in a run and one that does
//! not, asked by 8 and by 32 callers, each by a gateway that puts requests together and by one that does not.
//!
//! The floor is the same model run in-process, one row at a time, by as many threads as there are cores. Gateways and
//! floor take turns within each round; what counts is the median of the rounds' ratios.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::onnx::{large, per_row};

use super::WARM_UP;
use crate::closed::ClosedLoop;
use crate::floor::Floor;
use crate::gateway::{Gateway, House, MODEL, Tempo};
use crate::report::{Report, median_json, with_interval};
use crate::stats::median;
use crate::traffic::infer_request;
use crate::{BenchError, Settings};

const ROW: [f32; 4] = [1.0, 2.0, 3.0, 4.0];
const N_CALLERS: [usize; 2] = [8, 32];
/// What a run is to take.
const RUN_SECONDS: f64 = 0.008;
/// Weights of the model that gains: reading them takes the time, whatever the rows.
const WEIGHT_BYTES: usize = 100 << 20;
/// Values of each row of the model that does not gain: computing them takes the time.
const ROW_VALUES: usize = 4096;
const ALONE: &str = "[models.measured]\nstable = 1\nbatching = false\n";
const BATCHED: &str = "[models.measured]\nstable = 1\n[models.measured.batching]\nmax_size = 16\n";

/// One round.
#[derive(Debug, Clone, Copy)]
struct Round {
    floor: f64,
    alone: f64,
    batched: f64,
    rows: f64,
}

/// A gateway and its folders.
struct Served {
    _house: House,
    gateway: Gateway,
}

/// Measures both models.
pub fn batch(settings: &Settings) -> Result<(), BenchError> {
    let mut report = Report::new(settings, "batch", "requests per second of 8 ms models, with and without batching")?;
    let models = [("gains", large(WEIGHT_BYTES, 7)), ("does not gain", per_row(n_steps()?, ROW_VALUES))];
    let mut rows = Vec::new();
    for (name, model) in &models {
        let alone = serve(settings, model, ALONE)?;
        let batched = serve(settings, model, BATCHED)?;
        let floor = Floor::load(model, &ROW)?;
        for n_callers in N_CALLERS {
            let rounds = rounds(&report, settings, (&alone, &batched, &floor), (name, n_callers))?;
            rows.push(sum_up(&mut report, (name, n_callers), &rounds)?);
        }
    }
    let columns = ["model", "connections", "floor /s", "alone /s", "to floor", "batched /s", "to floor", "rows"];
    report.table(&columns, &rows);
    report.say("The floor runs one row at a time in-process on all cores; rows are those of a batched run on average.");
    Ok(())
}

/// Steps for which a run of one row takes about [`RUN_SECONDS`] on this machine.
fn n_steps() -> Result<usize, BenchError> {
    const PROBE_STEPS: usize = 100;
    let probe = Floor::load(&per_row(PROBE_STEPS, ROW_VALUES), &ROW)?;
    let per_second = probe.per_second(1, Duration::from_millis(300))?;
    Ok(((RUN_SECONDS * per_second * PROBE_STEPS as f64) as usize).max(1))
}

fn serve(settings: &Settings, model: &[u8], routing: &str) -> Result<Served, BenchError> {
    let house = House::new()?;
    house.publish(1, model)?;
    house.route(routing)?;
    let gateway = Gateway::start(settings, &house, Tempo::Default)?;
    Ok(Served { _house: house, gateway })
}

fn rounds(
    report: &Report,
    settings: &Settings,
    (alone, batched, floor): (&Served, &Served, &Floor),
    (name, n_callers): (&str, usize),
) -> Result<Vec<Round>, BenchError> {
    let (n_rounds, window) = settings.pick((11, Duration::from_millis(1500)), (1, Duration::from_millis(700)));
    let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
    (0..n_rounds)
        .map(|round| {
            report.progress(&format!("{name}, {n_callers} connections, round {} of {n_rounds}", round + 1));
            let (on_alone, on_batched) = (|| rate(alone, n_callers, window), || rate(batched, n_callers, window));
            let before = batches(&batched.gateway)?;
            // Whoever goes first changes from round to round.
            let (alone, batched_rate) = if round % 2 == 0 {
                let first = on_alone()?;
                (first, on_batched()?)
            } else {
                let first = on_batched()?;
                (on_alone()?, first)
            };
            let after = batches(&batched.gateway)?;
            let rows = (after.1 - before.1) / (after.0 - before.0).max(1.0);
            Ok(Round { floor: floor.per_second(n_cores, window)?, alone, batched: batched_rate, rows })
        })
        .collect()
}

fn rate(served: &Served, n_callers: usize, window: Duration) -> Result<f64, BenchError> {
    let address = served.gateway.address();
    let callers = ClosedLoop::start(&address, infer_request(&address, MODEL, None, &ROW), n_callers)?;
    std::thread::sleep(WARM_UP);
    let (began, n_before) = (Instant::now(), callers.n_answered());
    std::thread::sleep(window);
    let (took, n_after) = (began.elapsed(), callers.n_answered());
    callers.stop()?;
    Ok((n_after - n_before) as f64 / took.as_secs_f64())
}

/// Batches so far, and their rows.
fn batches(gateway: &Gateway) -> Result<(f64, f64), BenchError> {
    let text = gateway.metrics()?;
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    };
    Ok((value("switchrail_batch_rows_count"), value("switchrail_batch_rows_sum")))
}

fn sum_up(report: &mut Report, (name, n_callers): (&str, usize), rounds: &[Round]) -> Result<Vec<String>, BenchError> {
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value));
    let (alone, batched) = (of(|r| r.alone / r.floor), of(|r| r.batched / r.floor));
    let (floor, alone_rate, batched_rate, rows) = (of(|r| r.floor), of(|r| r.alone), of(|r| r.batched), of(|r| r.rows));
    report.line(
        "throughput",
        json!({ "model": name, "connections": n_callers, "rounds": rounds.len(), "floor_per_second": median_json(floor),
            "alone_per_second": median_json(alone_rate), "batched_per_second": median_json(batched_rate),
            "alone_to_floor": median_json(alone), "batched_to_floor": median_json(batched), "rows": median_json(rows) }),
    )?;
    Ok(vec![
        name.to_owned(),
        n_callers.to_string(),
        format!("{:.0}", floor.value),
        format!("{:.0}", alone_rate.value),
        with_interval(alone, 2),
        format!("{:.0}", batched_rate.value),
        with_interval(batched, 2),
        format!("{:.1}", rows.value),
    ])
}
