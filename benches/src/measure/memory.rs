//! Whether memory comes back: what the gateway holds after 5 and after 100 cycles of loading and unloading a version; and
//! what versions with the same weights cost together.

mod sharing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testkit::onnx::{affine4, large};

use crate::error::io_at;
use crate::gateway::{Gateway, House, MODEL, Tempo, Withdrawn};
use crate::http1::Connection;
use crate::open::OpenLoop;
use crate::process::{Memory, memory as memory_of};
use crate::report::Report;
use crate::traffic::{Affine, infer_request};
use crate::{BenchError, Settings};

const MIB: usize = 1 << 20;
/// Taken up in turn.
const VERSIONS: [u64; 2] = [2, 3];
/// Others go on being served meanwhile, at this rate.
const BACKGROUND_PER_SECOND: f64 = 200.0;
/// Asked of each version while it is loaded.
const N_REQUESTS: usize = 20;
/// Callers open their connections at the start, and many are first used when a load holds the others up.
const PATIENT: &str = "[limits]\nheader_timeout_ms = 3600000\nidle_timeout_ms = 3600000\n";
/// What was freed has gone back to the system by then.
const PAUSE: Duration = Duration::from_millis(500);
/// After so many cycles everything that is allocated once has been.
const N_WARM: usize = 5;

/// Measures memory over load and unload cycles.
pub fn memory(settings: &Settings) -> Result<(), BenchError> {
    let (n_cycles, model_mib) = settings.pick((100, 50), (15, 10));
    let about = format!("memory over {n_cycles} cycles of loading and unloading a version of {model_mib} MB");
    let mut report = Report::new(settings, "memory", &about)?;
    let house = House::new()?;
    house.publish(1, &affine4(2.0, 1.0))?;
    let gateway = Gateway::start_with(settings, &house, Tempo::Brisk, PATIENT)?;
    let traffic = Arc::new(Affine::new(&gateway.address(), MODEL, 2.0, 1.0));
    let background = OpenLoop::start(&gateway.address(), BACKGROUND_PER_SECOND, traffic)?;
    let mut aside: VecDeque<(u64, Withdrawn)> = VecDeque::new();
    for version in VERSIONS {
        house.publish(version, &large(model_mib * MIB, version))?;
        gateway.wait_state(version, "ready")?;
        aside.push_back((version, house.withdraw(version)?));
        gateway.wait_gone(version)?;
    }
    std::thread::sleep(PAUSE);
    let empty = memory_of(gateway.pid())?;
    let mut found = vec![(0, empty, empty)];
    let mut n_done = 0;
    while let Some((version, withdrawn)) = aside.pop_front().filter(|_| n_done < n_cycles) {
        withdrawn.put_back()?;
        gateway.wait_state(version, "ready")?;
        ask(&gateway, version)?;
        let full = memory_of(gateway.pid())?;
        aside.push_back((version, house.withdraw(version)?));
        gateway.wait_gone(version)?;
        n_done += 1;
        if n_done == N_WARM || n_done % 10 == 0 || n_done == n_cycles {
            report.progress(&format!("cycle {n_done} of {n_cycles}"));
            std::thread::sleep(PAUSE);
            found.push((n_done, memory_of(gateway.pid())?, full));
        }
    }
    background.stop()?.check()?;
    tell(&mut report, &found)?;
    drop(gateway);
    sharing::sharing(settings, &mut report)
}

/// Asks a version by its number, as its callers would.
fn ask(gateway: &Gateway, version: u64) -> Result<(), BenchError> {
    let failed = || io_at("ask the gateway");
    let request = infer_request(&gateway.address(), MODEL, Some(version), &[1.0; 4]);
    let mut connection = Connection::open(&gateway.address()).map_err(failed())?;
    for _ in 0..N_REQUESTS {
        let answer = connection.exchange(&request).map_err(failed())?;
        if answer.status != 200 {
            return Err(BenchError::Incorrect(format!("status {}: {}", answer.status, answer.text())));
        }
    }
    Ok(())
}

fn tell(report: &mut Report, found: &[(usize, Memory, Memory)]) -> Result<(), BenchError> {
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / MIB as f64);
    let mut rows = Vec::new();
    for (cycle, empty, full) in found {
        let row = [empty.resident_bytes, empty.anonymous_bytes, full.resident_bytes].map(mib);
        rows.push([vec![cycle.to_string()], row.to_vec()].concat());
        report.line(
            "cycle",
            json!({ "cycle": cycle, "resident_bytes": empty.resident_bytes, "anonymous_bytes": empty.anonymous_bytes,
                "resident_bytes_loaded": full.resident_bytes }),
        )?;
    }
    report.table(&["cycles", "resident MiB", "allocated MiB", "resident while loaded MiB"], &rows);
    let warm = found.iter().find(|(cycle, ..)| *cycle == N_WARM).map(|(_, memory, _)| *memory);
    if let (Some(warm), Some((n_cycles, last, _))) = (warm, found.last()) {
        let change = |of: u64, to: u64| (of as f64 / to.max(1) as f64 - 1.0) * 100.0;
        let resident = change(last.resident_bytes, warm.resident_bytes);
        let anonymous = change(last.anonymous_bytes, warm.anonymous_bytes);
        report.line("change", json!({ "from_cycle": N_WARM, "to_cycle": n_cycles, "resident_percent": resident, "anonymous_percent": anonymous }))?;
        report.say(&format!(
            "after {n_cycles} cycles beside after {N_WARM}: resident {resident:+.1} %, allocated {anonymous:+.1} %; aim: within 5 %."
        ));
    }
    Ok(())
}
