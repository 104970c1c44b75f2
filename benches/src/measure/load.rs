//! What callers of one version notice while others load: p99 under an open loop while large versions of the same model
//! are read, hashed, loaded and warmed, beside windows at rest before and the ratio of two windows at rest. One more window
//! has a foreign process of the lowest priority that only spins: what the kernel itself makes of a busy neighbour.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::onnx::{affine4, large};

use super::{modest_rate, ratio};
use crate::gateway::{Gateway, House, MODEL, Tempo, version_of};
use crate::open::{Latency, OpenLoop, Record, Sample, Window};
use crate::process::Spinner;
use crate::report::{Report, median_json, us, with_interval};
use crate::stats::median;
use crate::traffic::{Affine, infer_request};
use crate::{BenchError, Settings};

const MIB: usize = 1 << 20;
/// Loaded one after another in one window, so that nearly all of it is loading.
const LARGE_VERSIONS: [u64; 3] = [2, 3, 4];
const AIM: f64 = 1.5;
/// The time between two looks at the admin API, in all windows alike.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// What was freed has gone back to the system by then.
const PAUSE: Duration = Duration::from_millis(500);

/// Two windows at rest, one beside a process that spins, then one full of loading.
#[derive(Debug)]
struct Pair {
    rest: [Window; 2],
    spinning: Window,
    loading: Window,
    /// What the gateway says its loads took.
    load_seconds: Vec<f64>,
}

/// Measures the tail while versions load.
pub fn load(settings: &Settings) -> Result<(), BenchError> {
    let (n_pairs, model_mib, window) = settings.pick((15, 100, 2000), (2, 20, 300));
    let about = format!("p99 at 30 % of capacity while versions of {model_mib} MB load, three per window");
    let mut report = Report::new(settings, "load", &about)?;
    let house = House::new()?;
    house.publish(1, &affine4(2.0, 1.0))?;
    let gateway = Gateway::start(settings, &house, Tempo::Brisk)?;
    for version in LARGE_VERSIONS {
        house.publish(version, &large(model_mib * MIB, version))?;
    }
    wait_loaded(&gateway)?;
    let request = infer_request(&gateway.address(), MODEL, None, &[1.0; 4]);
    let rate = modest_rate(&gateway, request, Duration::from_millis(window))?;

    let load = OpenLoop::start(&gateway.address(), rate, Arc::new(Affine::new(&gateway.address(), MODEL, 2.0, 1.0)))?;
    let mut pairs: Vec<Pair> = Vec::new();
    // The first pair tells how long the windows at rest have to be and is not counted.
    let mut length = Duration::from_millis(window);
    for pair in 0..=n_pairs {
        report.progress(&format!("pair {pair} of {n_pairs}"));
        let withdrawn: Result<Vec<_>, _> = LARGE_VERSIONS.into_iter().map(|v| house.withdraw(v)).collect();
        for version in LARGE_VERSIONS {
            gateway.wait_gone(version)?;
        }
        std::thread::sleep(PAUSE);
        let rest = [watch(&gateway, &load, length)?, watch(&gateway, &load, length)?];
        let spinner = Spinner::start()?;
        let spinning = watch(&gateway, &load, length)?;
        drop(spinner);
        let from_ns = load.now_ns();
        for version in withdrawn? {
            version.put_back()?;
        }
        let load_seconds = wait_loaded(&gateway)?;
        let loading = Window { from_ns, to_ns: load.now_ns() };
        length = loading.duration();
        pairs.push(Pair { rest, spinning, loading, load_seconds });
    }
    let record = load.stop()?;
    record.check()?;
    tell(&mut report, rate, &record, &pairs[1..])
}

/// A window at rest, with the admin API asked as often as during a load.
fn watch(gateway: &Gateway, load: &OpenLoop, length: Duration) -> Result<Window, BenchError> {
    let (began, from_ns) = (Instant::now(), load.now_ns());
    while began.elapsed() < length {
        gateway.get(&format!("/v1/models/{MODEL}"))?;
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(Window { from_ns, to_ns: load.now_ns() })
}

/// Waits until all large versions are ready and says how long each load took.
fn wait_loaded(gateway: &Gateway) -> Result<Vec<f64>, BenchError> {
    let ready = |model: &Value, version: u64| {
        let version = version_of(model, version).filter(|v| v["state"] == "ready")?;
        Some(version["load_seconds"].as_f64().unwrap_or(0.0))
    };
    let path = format!("/v1/models/{MODEL}");
    let model = gateway.wait_for(&path, LOOK_INTERVAL, "the large versions are ready", |model| {
        LARGE_VERSIONS.iter().all(|version| ready(model, *version).is_some())
    })?;
    Ok(LARGE_VERSIONS.iter().filter_map(|version| ready(&model, *version)).collect())
}

fn tell(report: &mut Report, rate: f64, record: &Record, pairs: &[Pair]) -> Result<(), BenchError> {
    let latency = |window: &Window| Latency::of(record.due_in(window).iter().map(Sample::latency_ns));
    for pair in pairs {
        let [a, b, c, d] = [&pair.rest[0], &pair.rest[1], &pair.loading, &pair.spinning].map(latency);
        report.line(
            "pair",
            json!({ "rest_p99_ns": a.p99, "rest_again_p99_ns": b.p99, "loading_p99_ns": c.p99, "spinning_p99_ns": d.p99,
                "requests_loading": c.n, "window_seconds": pair.loading.duration().as_secs_f64(), "load_seconds": pair.load_seconds }),
        )?;
    }
    let mut rows = Vec::new();
    for (index, name) in ["rest", "rest again", "a spinner beside", "loading"].into_iter().enumerate() {
        let windows: Vec<Window> = pairs.iter().map(|p| [p.rest[0], p.rest[1], p.spinning, p.loading][index]).collect();
        let all = Latency::of(windows.iter().flat_map(|w| record.due_in(w)).map(Sample::latency_ns));
        let typical = median(windows.iter().map(|w| latency(w).p99 as f64 / 1e3));
        let at_rest = pairs.iter().map(|p| latency(&p.rest[0]).p99);
        let ratios = median(windows.iter().zip(at_rest).map(|(w, at_rest)| ratio(latency(w).p99, at_rest)));
        let shown = if name == "rest" { "1".to_owned() } else { with_interval(ratios, 2) };
        rows.push(vec![
            name.to_owned(),
            all.n.to_string(),
            us(all.p50),
            format!("{:.0}", typical.value),
            shown,
            us(all.p999),
            us(all.max),
        ]);
        report.line(
            "windows",
            json!({ "of": name, "requests": all.n, "p50_ns": all.p50, "p99_ns": all.p99, "p999_ns": all.p999,
                "max_ns": all.max, "p99_us_of_windows": median_json(typical), "p99_ratio_to_rest": median_json(ratios) }),
        )?;
    }
    report.table(&["", "requests", "p50 µs", "p99 µs", "p99 over rest", "p99.9 µs", "max µs"], &rows);
    let window = median(pairs.iter().map(|p| p.loading.duration().as_secs_f64()));
    let loads = median(pairs.iter().flat_map(|p| p.load_seconds.iter().copied()));
    report.say(&format!(
        "{} pairs at {rate:.0}/s, windows of {:.2} s, one load {:.2} s; p99 is the median of the windows'; aim: at most {AIM} times.",
        pairs.len(),
        window.value,
        loads.value
    ));
    Ok(())
}
