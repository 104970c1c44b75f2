//! What a request costs the server on each wire: JSON, binary REST and gRPC, for four floats, an image and strings.
//!
//! Beside each stands a bare hyper handler that reads the same body, over the same version of HTTP, into one buffer.
//! What the gateway takes beyond that handler and beyond the model's own run is what the wire costs; for the image
//! it is compared with copying its bytes once and with parsing its numbers into a vector.

mod requests;

use std::time::{Duration, Instant};

use serde_json::json;

use super::WARM_UP;
use crate::closed::{ClosedLoop, Http2Request};
use crate::echo::Echo;
use crate::gateway::{Gateway, House, Tempo};
use crate::process::{cpu_time, n_threads_named};
use crate::report::{Report, median_json, with_interval};
use crate::stats::{Median, median};
use crate::{BenchError, Settings};

use requests::{Payload, Request};

/// Callers at once: enough that the server seldom waits, few enough that large bodies do not pile up.
const N_CALLERS: usize = 4;
/// Bytes of the echo's answer; answers are small throughout.
const ANSWER_BYTES: usize = 256;
const IO_THREAD: &str = "io";
/// How often the yardsticks are taken in a round.
const YARDSTICK_RUNS: u32 = 20;

/// One round of one payload on one wire, in microseconds of processor time per request.
#[derive(Debug, Clone, Copy)]
struct Round {
    gateway: f64,
    bare: f64,
    run: f64,
}

impl Round {
    /// What reading and writing the tensors costs.
    fn beyond(&self) -> f64 {
        self.gateway - self.bare - self.run
    }
}

/// What the image's cost is compared with, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Yardsticks {
    copy: f64,
    parse: f64,
}

/// Measures every payload on every wire.
pub fn wire(settings: &Settings) -> Result<(), BenchError> {
    let mut report = Report::new(settings, "wire", "server CPU per request on every wire, four callers")?;
    let (n_rounds, window) = settings.pick((9, Duration::from_millis(1000)), (1, Duration::from_millis(300)));
    let mut rows = Vec::new();
    for payload in Payload::ALL {
        let house = House::new()?;
        house.publish(1, &payload.model())?;
        let gateway = Gateway::start(settings, &house, Tempo::Default)?;
        let n_io_threads = n_threads_named(gateway.pid(), IO_THREAD)?;
        let echo = Echo::start(&settings.echo, house.path(), ANSWER_BYTES, n_io_threads)?;
        let floor = payload.floor()?;
        for request in payload.requests(&gateway.address()) {
            let (mut rounds, mut yardsticks) = (Vec::new(), Vec::new());
            for round in 0..n_rounds {
                let place = format!("{} as {}, round {} of {n_rounds}", payload.name(), request.wire(), round + 1);
                report.progress(&place);
                let to = if request.is_grpc() { gateway.grpc_address() } else { gateway.address() };
                let gateway = cost(&to, gateway.pid(), &request, window)?;
                let bare = cost(&echo.address(), echo.pid(), &request, window)?;
                let run = floor.run_for(window / 10)?.as_secs_f64() * 1e6;
                rounds.push(Round { gateway, bare, run });
                yardsticks.push(take_yardsticks(payload)?);
            }
            rows.push(sum_up(&mut report, (payload, &request), &rounds, &yardsticks)?);
        }
    }
    report.table(&["payload", "wire", "body", "gateway µs", "bare µs", "run µs", "beyond µs", "compared"], &rows);
    report.say(
        "µs are processor time of the server per request; beyond = gateway - bare - run; a copy is one memcpy of the\n  \
         image's 602,112 bytes, a parse is serde_json reading its 150,528 numbers into a Vec<f32>. Aims: at most 2 copies\n  \
         for a binary image, at most 1.5 parses for a JSON one.",
    );
    Ok(())
}

fn sum_up(
    report: &mut Report,
    (payload, request): (Payload, &Request),
    rounds: &[Round],
    yardsticks: &[Yardsticks],
) -> Result<Vec<String>, BenchError> {
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value));
    let (gateway, bare, run, beyond) =
        (of(|r| r.gateway), of(|r| r.bare), of(|r| r.run), median(rounds.iter().map(Round::beyond)));
    let against = |unit: fn(&Yardsticks) -> f64| {
        median(rounds.iter().zip(yardsticks).map(|(round, yardstick)| round.beyond() / unit(yardstick)))
    };
    let compared: Option<(&str, Median)> = match (payload, request.is_json()) {
        (Payload::Image, true) => Some(("parses", against(|y| y.parse))),
        (Payload::Image, false) => Some(("copies", against(|y| y.copy))),
        _ => None,
    };
    report.line(
        "wire_cpu",
        json!({ "payload": payload.name(), "wire": request.wire(), "body_bytes": request.body_bytes(),
            "rounds": rounds.len(), "gateway_cpu_us": median_json(gateway), "bare_cpu_us": median_json(bare),
            "model_run_us": median_json(run), "beyond_us": median_json(beyond),
            "compared_unit": compared.map(|(unit, _)| unit), "compared": compared.map(|(_, n)| median_json(n)) }),
    )?;
    Ok(vec![
        payload.name().to_owned(),
        request.wire().to_owned(),
        request.body_bytes().to_string(),
        format!("{:.1}", gateway.value),
        format!("{:.1}", bare.value),
        format!("{:.1}", run.value),
        format!("{:.1}", beyond.value),
        compared.map_or_else(String::new, |(unit, n)| format!("{} {unit}", with_interval(n, 2))),
    ])
}

fn cost(address: &str, pid: u32, request: &Request, window: Duration) -> Result<f64, BenchError> {
    let callers = match request {
        Request::Http1 { bytes, .. } => ClosedLoop::start(address, bytes.clone(), N_CALLERS)?,
        Request::Grpc { path, body } => {
            let (path, body) = (path.clone(), body.clone());
            ClosedLoop::start_http2(address, Http2Request { path, content_type: "application/grpc", body }, N_CALLERS)?
        }
    };
    std::thread::sleep(WARM_UP);
    let (n_before, cpu_before) = (callers.n_answered(), cpu_time(pid)?);
    std::thread::sleep(window);
    let (n_after, cpu_after) = (callers.n_answered(), cpu_time(pid)?);
    callers.stop()?;
    let n_answered = (n_after - n_before).max(1) as f64;
    Ok(cpu_after.saturating_sub(cpu_before).as_secs_f64() * 1e6 / n_answered)
}

/// One thread that does nothing else, so the time is processor time too.
fn take_yardsticks(payload: Payload) -> Result<Yardsticks, BenchError> {
    if payload != Payload::Image {
        return Ok(Yardsticks { copy: f64::NAN, parse: f64::NAN });
    }
    let raw = payload.raw();
    let mut copy = vec![0u8; raw.len()];
    let copy_us = timed(|| {
        copy.copy_from_slice(std::hint::black_box(&raw));
        std::hint::black_box(&mut copy);
        Ok(())
    })?;
    let text = payload.numbers_json();
    let parse_us = timed(|| {
        let numbers: Vec<f32> =
            serde_json::from_str(&text).map_err(|e| BenchError::Incorrect(format!("the image's numbers: {e}")))?;
        std::hint::black_box(numbers);
        Ok(())
    })?;
    Ok(Yardsticks { copy: copy_us, parse: parse_us })
}

fn timed(mut once: impl FnMut() -> Result<(), BenchError>) -> Result<f64, BenchError> {
    once()?;
    let began = Instant::now();
    for _ in 0..YARDSTICK_RUNS {
        once()?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(YARDSTICK_RUNS))
}
