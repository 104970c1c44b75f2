//! The measurements, one module each.

mod batch;
mod history;
mod load;
mod memory;
mod rollback;
mod rules;
mod scale;
mod shadow;
mod switch;
mod tiny;
mod wire;

use std::time::Duration;

pub use batch::batch;
pub use history::history;
pub use load::load;
pub use memory::memory;
pub use rollback::rollback;
pub use rules::rules;
pub use scale::scale;
pub use shadow::shadow;
pub use switch::switch;
pub use tiny::tiny;
pub use wire::wire;

use crate::BenchError;
use crate::closed::ClosedLoop;
use crate::gateway::Gateway;

/// The part of the capacity at which open loops run.
const LOAD_FACTOR: f64 = 0.3;
/// Callers that find the capacity.
const N_CALLERS_AT_CAPACITY: usize = 32;
/// Callers settle in before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// The rate at which an open loop takes [`LOAD_FACTOR`] of what the gateway can do with this request.
fn modest_rate(gateway: &Gateway, request: Vec<u8>, window: Duration) -> Result<f64, BenchError> {
    let callers = ClosedLoop::start(&gateway.address(), request, N_CALLERS_AT_CAPACITY)?;
    std::thread::sleep(WARM_UP);
    let before = callers.n_answered();
    std::thread::sleep(window);
    let n_answered = callers.n_answered() - before;
    callers.stop()?;
    Ok((n_answered as f64 / window.as_secs_f64() * LOAD_FACTOR).max(1.0))
}

/// A ratio of two latencies.
fn ratio(of: u64, to: u64) -> f64 {
    of as f64 / to.max(1) as f64
}
