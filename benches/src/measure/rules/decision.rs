//! From the recording of a fault that convicts to the table without the candidate.

use std::time::Instant;

use control_loop::{Operation, RolloutOrder};

use super::plane::{Plane, selector};
use super::swap;
use crate::BenchError;

/// Models beside the one whose candidates fail.
pub(super) const N_OTHERS: usize = 20;
const SHARE: f64 = 0.25;
/// Good answers before the first fault: of stable, and of the candidate.
const N_GOOD: [usize; 2] = [1_500, 200];
/// No candidate is borne for so many faults.
const FAULTS_MAX: usize = 1_000;

/// All ten rules, and rollouts that go on after however many rollbacks.
const ROUTING: &str = r#"
[defaults]
policy = "quick"
[defaults.guardrail]
latency = { slower_than_ms = 80 }
latency_vs_stable = {}
disagreement = { limit = 0.02 }
drift = { bins = "deciles", on_failure = "observe" }
sample_ratio = { alpha = 0.001, on_failure = "observe" }
mistakes = {}
loss = {}
steady_state = {}
[policies.quick]
steps = [{ weight = 0.25, min = "1h" }, { promote = true, bake = "1h" }]
freeze_after = { rollbacks = 1000, within = "1h" }
"#;

/// How a candidate came into traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By a command.
    Canary,
    /// By a policy: the verdict ends its rollout, too.
    Rollout,
}

impl Way {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Canary => "a canary",
            Self::Rollout => "a rollout",
        }
    }
}

/// One verdict. Times count from the call that recorded the fault.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decision {
    /// Until the new table was in force and the lock was let go.
    pub(super) swapped_ns: u64,
    /// Processor time of the thread until then: what is left when others keep it from running.
    pub(super) swapped_cpu_ns: u64,
    /// Until the request went on: everybody told, too.
    pub(super) returned_ns: u64,
}

/// Convicts so many candidates, one after another.
pub(super) fn measure(way: Way, n_candidates: u64, mut progress: impl FnMut(u64)) -> Result<Vec<Decision>, BenchError> {
    let plane = Plane::start(ROUTING, N_OTHERS)?;
    swap::listen();
    let mut decisions = Vec::new();
    for n in 1..=n_candidates {
        if n % 50 == 1 {
            progress(n);
        }
        // Version 1 is stable.
        let candidate = n + 1;
        plane.publish(candidate)?;
        let version = selector(candidate)?;
        plane.order(match way {
            Way::Canary => Operation::Canary { version, share: SHARE },
            Way::Rollout => Operation::Rollout(RolloutOrder::Start { version, policy: None, is_forced: false }),
        })?;
        plane.wait_share(candidate)?;
        decisions.push(convict(&plane, candidate)?);
        plane.remove(candidate)?;
    }
    Ok(decisions)
}

/// Lets a candidate answer well, and then not at all.
fn convict(plane: &Plane, candidate: u64) -> Result<Decision, BenchError> {
    let gone = || BenchError::InProcess("the model is gone".to_owned());
    for (version, n_good) in [1, candidate].into_iter().zip(N_GOOD) {
        let model = plane.serving().ok_or_else(gone)?;
        (0..n_good).try_for_each(|_| plane.attempt(&model, version, true))?;
    }
    for _ in 0..FAULTS_MAX {
        let model = plane.serving().ok_or_else(gone)?;
        let mut took = None;
        let swapped = swap::during(&plane.cell, || {
            let (cpu_before, began) = (swap::thread_cpu(), Instant::now());
            let recorded = plane.attempt(&model, candidate, false);
            took = Some((began, cpu_before, began.elapsed(), recorded));
        });
        let Some((began, cpu_before, returned, recorded)) = took else { continue };
        recorded?;
        let is_out = plane.serving().is_some_and(|now| now.versions.len() < model.versions.len());
        if let Some(swapped) = swapped.filter(|_| is_out) {
            let swapped_ns = swapped.at.saturating_duration_since(began).as_nanos() as u64;
            let swapped_cpu_ns = swapped.cpu.saturating_sub(cpu_before).as_nanos() as u64;
            return Ok(Decision { swapped_ns, swapped_cpu_ns, returned_ns: returned.as_nanos() as u64 });
        }
        if is_out {
            return Err(BenchError::InProcess("a verdict was carried out and nobody saw the swap".to_owned()));
        }
    }
    Err(BenchError::Incorrect(format!("{FAULTS_MAX} faults in a row did not convict version {candidate}")))
}
