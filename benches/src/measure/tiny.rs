//! What a tiny request costs the server: a model of four floats, JSON over kept-alive connections.
//!
//! The gateway and a bare hyper echo take turns within each round; what counts is the median of the rounds' ratios.
//! Only the servers' own processor time is counted, so the generator's does not matter.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::onnx::affine4;

use super::WARM_UP;
use crate::closed::ClosedLoop;
use crate::echo::Echo;
use crate::error::io_at;
use crate::floor::Floor;
use crate::gateway::{Gateway, House, MODEL, Tempo};
use crate::http1::Connection;
use crate::process::{cpu_time, n_threads_named};
use crate::report::{Report, median_json, with_interval};
use crate::stats::median;
use crate::traffic::infer_request;
use crate::{BenchError, Settings};

const ROW: [f32; 4] = [1.0, 2.0, 3.0, 4.0];
/// Callers at once, and the most the gateway may cost beside the echo.
const CASES: [(usize, f64); 3] = [(1, 1.6), (8, 4.0), (32, 4.0)];
/// The name of the gateway's threads that read and write requests.
const IO_THREAD: &str = "io";
/// The floor needs no connections and settles at once.
const FLOOR_WINDOW: Duration = Duration::from_millis(200);

/// What one server did in one window.
#[derive(Debug, Clone, Copy)]
struct Cost {
    cpu_us: f64,
    per_second: f64,
}

/// One round.
#[derive(Debug, Clone, Copy)]
struct Round {
    gateway: Cost,
    echo: Cost,
    run_us: f64,
}

/// Measures server time per request beside a bare echo and the model's own run.
pub fn tiny(settings: &Settings) -> Result<(), BenchError> {
    let mut report = Report::new(settings, "tiny", "server CPU per request of a 4-float model, JSON, keep-alive")?;
    let house = House::new()?;
    let model = affine4(2.0, 1.0);
    house.publish(1, &model)?;
    let gateway = Gateway::start(settings, &house, Tempo::Default)?;
    let request = infer_request(&gateway.address(), MODEL, None, &ROW);
    // The echo is given as many threads as the gateway chose.
    let n_io_threads = n_threads_named(gateway.pid(), IO_THREAD)?;
    let echo = Echo::start(&settings.echo, house.path(), answer_bytes(&gateway, &request)?, n_io_threads)?;
    let floor = Floor::load(&model, &ROW)?;
    let (n_rounds, window) = settings.pick((15, Duration::from_millis(1000)), (1, Duration::from_millis(500)));

    let mut rows = Vec::new();
    for (n_callers, aim) in CASES {
        let mut rounds = Vec::new();
        for round in 0..n_rounds {
            report.progress(&format!("{n_callers} connections, round {} of {n_rounds}", round + 1));
            let on_gateway = || cost(&gateway.address(), gateway.pid(), &request, n_callers, window);
            let on_echo = || cost(&echo.address(), echo.pid(), &request, n_callers, window);
            // Whoever goes first changes from round to round.
            let (gateway, echo) = if round % 2 == 0 {
                let gateway = on_gateway()?;
                (gateway, on_echo()?)
            } else {
                let echo = on_echo()?;
                (on_gateway()?, echo)
            };
            let run_us = floor.run_for(FLOOR_WINDOW)?.as_secs_f64() * 1e6;
            rounds.push(Round { gateway, echo, run_us });
        }
        rows.push(sum_up(&mut report, n_callers, aim, &rounds)?);
    }
    report.table(
        &["connections", "gateway µs", "echo µs", "ratio of CPU", "aim", "model run µs", "gateway /s", "echo /s"],
        &rows,
    );
    report.say("µs are processor time of the server per request, user and system; the model run is in-process.");
    Ok(())
}

fn sum_up(report: &mut Report, n_callers: usize, aim: f64, rounds: &[Round]) -> Result<Vec<String>, BenchError> {
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value));
    let ratio = of(|r| r.gateway.cpu_us / r.echo.cpu_us);
    let (gateway, echo, run) = (of(|r| r.gateway.cpu_us), of(|r| r.echo.cpu_us), of(|r| r.run_us));
    let (gateway_rate, echo_rate) = (of(|r| r.gateway.per_second), of(|r| r.echo.per_second));
    report.line(
        "cpu_per_request",
        json!({ "connections": n_callers, "rounds": rounds.len(), "aim_ratio": aim, "ratio": median_json(ratio),
            "gateway_cpu_us": median_json(gateway), "echo_cpu_us": median_json(echo), "model_run_us": median_json(run),
            "gateway_per_second": median_json(gateway_rate), "echo_per_second": median_json(echo_rate) }),
    )?;
    Ok(vec![
        n_callers.to_string(),
        format!("{:.1}", gateway.value),
        format!("{:.1}", echo.value),
        with_interval(ratio, 2),
        format!("≤ {aim}"),
        format!("{:.1}", run.value),
        format!("{:.0}", gateway_rate.value),
        format!("{:.0}", echo_rate.value),
    ])
}

fn cost(address: &str, pid: u32, request: &[u8], n_callers: usize, window: Duration) -> Result<Cost, BenchError> {
    let callers = ClosedLoop::start(address, request.to_vec(), n_callers)?;
    std::thread::sleep(WARM_UP);
    let (began, n_before, cpu_before) = (Instant::now(), callers.n_answered(), cpu_time(pid)?);
    std::thread::sleep(window);
    let (took, n_after, cpu_after) = (began.elapsed(), callers.n_answered(), cpu_time(pid)?);
    callers.stop()?;
    let n_answered = (n_after - n_before).max(1) as f64;
    let cpu_us = (cpu_after.saturating_sub(cpu_before)).as_secs_f64() * 1e6 / n_answered;
    Ok(Cost { cpu_us, per_second: n_answered / took.as_secs_f64() })
}

/// The size of the gateway's answer, so that the echo's is as large.
fn answer_bytes(gateway: &Gateway, request: &[u8]) -> Result<usize, BenchError> {
    let failed = || io_at("ask the gateway");
    let mut connection = Connection::open(&gateway.address()).map_err(failed())?;
    let answer = connection.exchange(request).map_err(failed())?;
    match answer.status {
        200 => Ok(answer.body.len()),
        status => Err(BenchError::Incorrect(format!("status {status}: {}", answer.text()))),
    }
}
