//! Policies that are there by themselves. The file may define one of the same name, which then holds.

use std::time::Duration;

use control_rollout::{FreezeAfter, Policy, ProofOf, Step, StepKind};

/// Names of the policies that are there by themselves.
pub const BUILTIN_POLICIES: [&str; 3] = ["default", "cautious", "fast"];

/// A policy that is there by itself.
pub fn builtin_policy(name: &str) -> Option<Policy> {
    match name {
        "default" => Some(Policy::default()),
        "cautious" => Some(cautious()),
        "fast" => Some(fast()),
        _ => None,
    }
}

/// Shadow first, longer steps, and a person's word before a quarter of the traffic.
fn cautious() -> Policy {
    let shadow = Step { min_requests: 100, ..step(StepKind::Shadow { share: 0.1 }, minutes(5)) };
    let approval = "whoever answers for the model".into();
    Policy {
        steps: vec![
            step(StepKind::Gate, Duration::ZERO),
            step(StepKind::WarmUp { runs: 50 }, Duration::ZERO),
            shadow,
            weight(0.01, minutes(5)),
            weight(0.05, minutes(15)),
            step(StepKind::Pause { approval }, Duration::ZERO),
            weight(0.25, minutes(30)),
            weight(0.5, minutes(60)),
            step(StepKind::Promote { bake: minutes(6 * 60) }, Duration::ZERO),
        ],
        max_duration: minutes(7 * 24 * 60),
        cooldown: minutes(60),
        retries: 0,
        freeze_after: FreezeAfter { rollbacks: 2, within: minutes(24 * 60) },
        ..Policy::default()
    }
}

/// Few and short steps, each still with its proof.
fn fast() -> Policy {
    Policy {
        steps: vec![
            step(StepKind::Gate, Duration::ZERO),
            step(StepKind::WarmUp { runs: 10 }, Duration::ZERO),
            weight(0.1, Duration::from_secs(30)),
            weight(0.5, minutes(1)),
            step(StepKind::Promote { bake: minutes(10) }, Duration::ZERO),
        ],
        max_duration: minutes(6 * 60),
        progress_deadline: minutes(2),
        ..Policy::default()
    }
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn weight(share: f64, min: Duration) -> Step {
    Step { proofs: vec![ProofOf::Errors], ..step(StepKind::Weight { share }, min) }
}

fn step(kind: StepKind, min: Duration) -> Step {
    Step { kind, min, max: None, proofs: Vec::new(), min_requests: 0, min_feedback: 0 }
}
