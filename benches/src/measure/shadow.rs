//! What callers notice of copies: p99 under an open loop while a candidate gets a copy of every request, beside windows
//! at rest before and after, and the ratio of those two. Then callers that take all there is, and the copies go first.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testkit::onnx::derive::annotated;
use testkit::onnx::slow;

use super::{N_CALLERS_AT_CAPACITY, modest_rate, ratio};
use crate::closed::ClosedLoop;
use crate::floor::Floor;
use crate::gateway::{Gateway, House, MODEL, Tempo};
use crate::open::{Latency, OpenLoop, Record, Sample, Window};
use crate::process::cpu_time;
use crate::report::{Report, median_json, us, with_interval};
use crate::stats::median;
use crate::traffic::{Affine, infer_request};
use crate::{BenchError, Settings};

/// The most that copies of everything may do to the p99, as a ratio.
const AIM: f64 = 1.2;
const CANDIDATE: u64 = 2;
const SCALE: f32 = 2.0;
const BIAS: f32 = 1.0;
const WIDTH: usize = 64;
/// What a run of the model should take.
const RUN: Duration = Duration::from_millis(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Copies that wait when a window ends are done by then.
const SETTLE: Duration = Duration::from_millis(300);

/// How copies ended so far.
#[derive(Debug, Clone, Copy, Default)]
struct Copies {
    compared: u64,
    shed: u64,
    /// Disagreed, failed or took too long: the candidate computes the same, so there should be none.
    odd: u64,
}

/// One window.
#[derive(Debug, Clone, Copy)]
struct Seen {
    window: Window,
    /// Processor time of the gateway.
    cpu: Duration,
    copies: Copies,
}

/// At rest, with copies, at rest.
type Round = [Seen; 3];

/// Measures what copies do to the tail, and what becomes of them where there is no room.
pub fn shadow(settings: &Settings) -> Result<(), BenchError> {
    let (n_rounds, window) = settings.pick((15, 3000), (2, 500));
    let window = Duration::from_millis(window);
    let about = "p99 at 30 % of capacity while a candidate gets copies of all requests; a model of about 1 ms";
    let mut report = Report::new(settings, "shadow", about)?;
    let (house, run) = house()?;
    let gateway = Gateway::start(settings, &house, Tempo::Brisk)?;
    gateway.wait_state(CANDIDATE, "ready")?;
    let request = infer_request(&gateway.address(), MODEL, None, &[1.0; 4]);
    let rate = modest_rate(&gateway, request.clone(), window)?;
    let traffic = Arc::new(Affine::new(&gateway.address(), MODEL, SCALE, BIAS));
    let load = OpenLoop::start(&gateway.address(), rate, traffic)?;
    let mut rounds: Vec<Round> = Vec::new();
    for round in 0..n_rounds {
        report.progress(&format!("round {} of {n_rounds}", round + 1));
        let before = watch(&gateway, &load, window)?;
        begin(&gateway)?;
        let copied = watch(&gateway, &load, window)?;
        end(&gateway)?;
        rounds.push([before, copied, watch(&gateway, &load, window)?]);
    }
    let record = load.stop()?;
    record.check()?;
    report.say(&format!("{rate:.0} requests/s; one run takes {:.2} ms by itself.", run.as_secs_f64() * 1e3));
    tell(&mut report, rate, &record, &rounds)?;
    overload(&mut report, &gateway, &request, window)
}

/// A stable version that takes its time, and a candidate that computes the same.
fn house() -> Result<(House, Duration), BenchError> {
    const STEPS_TRIED: usize = 16;
    const TRY_FOR: Duration = Duration::from_millis(300);
    let floor = Floor::load(&slow(STEPS_TRIED, WIDTH, SCALE, BIAS), &[1.0; 4])?;
    let step = floor.run_for(TRY_FOR)?.div_f64(STEPS_TRIED as f64);
    let n_steps = (RUN.as_secs_f64() / step.as_secs_f64().max(1e-7)).round().max(1.0) as usize;
    let model = slow(n_steps, WIDTH, SCALE, BIAS);
    let run = Floor::load(&model, &[1.0; 4])?.run_for(TRY_FOR)?;
    let house = House::new()?;
    house.publish(1, &model)?;
    let candidate = annotated(&model, "the same again").map_err(|e| BenchError::Floor(e.to_string()))?;
    house.publish(CANDIDATE, &candidate)?;
    house.route(&format!(
        "[models.{MODEL}]\nstable = 1\npolicy = \"look\"\nguardrail = {{ disagreement = {{ on_failure = \"observe\" }} }}\n\
         [policies.look]\nsteps = [{{ shadow = 1.0, min = \"1h\" }}, {{ weight = 0.5, min = \"1h\" }}]\n"
    ))?;
    Ok((house, run))
}

/// The candidate gets copies from now on.
fn begin(gateway: &Gateway) -> Result<(), BenchError> {
    let n_before = copies(gateway)?.all();
    let order = json!({ "version": CANDIDATE.to_string(), "actor": "bench" });
    gateway.post(&format!("/v1/models/{MODEL}/rollout/start"), &order)?;
    wait(gateway, "copies are made", |copies| copies.all() > n_before)
}

/// And no more.
fn end(gateway: &Gateway) -> Result<(), BenchError> {
    let order = json!({ "reason": "the window is over", "actor": "bench" });
    gateway.post(&format!("/v1/models/{MODEL}/rollout/abort"), &order)?;
    std::thread::sleep(SETTLE);
    let mut n_last = copies(gateway)?.all();
    wait(gateway, "no more copies are made", |copies| std::mem::replace(&mut n_last, copies.all()) == copies.all())
}

fn wait(gateway: &Gateway, what: &str, mut is_so: impl FnMut(Copies) -> bool) -> Result<(), BenchError> {
    const LOOKS_MAX: u32 = 1_000;
    for _ in 0..LOOKS_MAX {
        std::thread::sleep(LOOK_INTERVAL);
        if is_so(copies(gateway)?) {
            return Ok(());
        }
    }
    let seen = gateway.get(&format!("/v1/models/{MODEL}/rollout"))?.to_string();
    Err(BenchError::Timeout { what: what.to_owned(), seconds: (LOOK_INTERVAL * LOOKS_MAX).as_secs(), seen })
}

fn watch(gateway: &Gateway, load: &OpenLoop, length: Duration) -> Result<Seen, BenchError> {
    let (copies_before, cpu_before) = (copies(gateway)?, cpu_time(gateway.pid())?);
    let window = load.window(length);
    let cpu = cpu_time(gateway.pid())?.saturating_sub(cpu_before);
    let copies = copies(gateway)?.since(copies_before);
    Ok(Seen { window, cpu, copies })
}

impl Copies {
    fn all(self) -> u64 {
        self.compared + self.shed + self.odd
    }

    fn since(self, before: Self) -> Self {
        let (compared, shed) = (self.compared - before.compared, self.shed - before.shed);
        Self { compared, shed, odd: self.odd - before.odd }
    }
}

fn copies(gateway: &Gateway) -> Result<Copies, BenchError> {
    const METRIC: &str = "switchrail_shadow_requests_total{";
    let text = gateway.metrics()?;
    let mut copies = Copies::default();
    for line in text.lines().filter(|line| line.starts_with(METRIC)) {
        let n = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0) as u64;
        match line {
            _ if line.contains("result=\"agreed\"") => copies.compared += n,
            _ if line.contains("result=\"shed\"") => copies.shed += n,
            _ => copies.odd += n,
        }
    }
    Ok(copies)
}

fn tell(report: &mut Report, rate: f64, record: &Record, rounds: &[Round]) -> Result<(), BenchError> {
    let latency = |seen: &Seen| Latency::of(record.due_in(&seen.window).iter().map(Sample::latency_ns));
    let mut rows = Vec::new();
    for (index, name) in ["at rest", "copies of all requests", "at rest again (control)"].into_iter().enumerate() {
        let windows: Vec<Seen> = rounds.iter().map(|round| round[index]).collect();
        let all = Latency::of(windows.iter().flat_map(|w| record.due_in(&w.window)).map(Sample::latency_ns));
        let p99s = median(windows.iter().map(|w| latency(w).p99 as f64 / 1e3));
        let ratios = median(rounds.iter().map(|round| ratio(latency(&round[index]).p99, latency(&round[0]).p99)));
        let cpu: Duration = windows.iter().map(|w| w.cpu).sum();
        let cpu_us = cpu.as_secs_f64() * 1e6 / all.n.max(1) as f64;
        let sum = |of: fn(Copies) -> u64| windows.iter().map(|w| of(w.copies)).sum::<u64>();
        let (compared, shed, odd) = (sum(|c| c.compared), sum(|c| c.shed), sum(|c| c.odd));
        if odd > 0 || (index != 1 && compared + shed > 0) {
            return Err(BenchError::Incorrect(format!("{name}: {compared} copies agreed, {shed} shed, {odd} neither")));
        }
        report.line(
            "windows",
            json!({ "of": name, "requests": all.n, "p50_ns": all.p50, "p99_ns": all.p99, "p999_ns": all.p999,
                "max_ns": all.max, "p99_us_of_windows": median_json(p99s), "p99_ratio_to_rest": median_json(ratios),
                "aim_ratio": AIM, "cpu_us_per_request": cpu_us, "copies_compared": compared, "copies_shed": shed,
                "per_second": rate, "failed": 0 }),
        )?;
        rows.push(vec![
            name.to_owned(),
            all.n.to_string(),
            us(all.p50),
            format!("{:.0}", p99s.value),
            if index == 0 { "1".to_owned() } else { with_interval(ratios, 2) },
            us(all.p999),
            format!("{cpu_us:.0}"),
            compared.to_string(),
            shed.to_string(),
        ]);
    }
    let columns =
        ["", "requests", "p50 µs", "p99 µs", "p99 over rest", "p99.9 µs", "CPU µs/request", "copies compared", "shed"];
    report.table(&columns, &rows);
    report.say(&format!(
        "p99 is the median of {} windows; aim: at most {AIM} times, or within the control.",
        rounds.len()
    ));
    Ok(())
}

/// Callers that take all there is, without and with copies.
fn overload(report: &mut Report, gateway: &Gateway, request: &[u8], window: Duration) -> Result<(), BenchError> {
    let mut served = Vec::new();
    for is_copied in [false, true] {
        report.progress(if is_copied { "all there is, with copies" } else { "all there is" });
        let callers = ClosedLoop::start(&gateway.address(), request.to_vec(), N_CALLERS_AT_CAPACITY)?;
        if is_copied {
            begin(gateway)?;
        }
        let (copies_before, n_before) = (copies(gateway)?, callers.n_answered());
        std::thread::sleep(window);
        let (n_answered, copies) = (callers.n_answered() - n_before, copies(gateway)?.since(copies_before));
        // An answer that is not good is an error here.
        callers.stop()?;
        served.push((n_answered as f64 / window.as_secs_f64(), copies));
    }
    end(gateway)?;
    let [(without, _), (with, copies)] = served.as_slice() else { return Ok(()) };
    report.line(
        "overload",
        json!({ "callers": N_CALLERS_AT_CAPACITY, "per_second_without": without, "per_second_with": with,
            "copies_compared": copies.compared, "copies_shed": copies.shed, "failed": 0 }),
    )?;
    report.say(&format!(
        "{N_CALLERS_AT_CAPACITY} callers without a pause: {without:.0}/s without copies, {with:.0}/s with; {} copies shed, {} compared, 0 callers failed.",
        copies.shed, copies.compared
    ));
    if copies.shed == 0 {
        return Err(BenchError::Incorrect("no copy was shed although callers took all there is".to_owned()));
    }
    Ok(())
}
