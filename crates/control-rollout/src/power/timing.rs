//! How long a rollout takes if all goes well: what each step asks for, at the traffic it gives the candidate.

use std::time::Duration;

use crate::plan::{ProofOf, Step, StepKind};
use crate::power::{PowerRequest, ProofPower, share_of};
use crate::promotion::{Proof, promotion_log_e};

/// Proofs that take more requests are out of reach.
const REQUESTS_MAX: u64 = 1 << 40;

/// The steps that give the candidate requests, and the whole.
pub(super) struct Course {
    pub(super) steps: Vec<Timed>,
    pub(super) total_seconds: Option<f64>,
    pub(super) not_counted: Vec<String>,
}

/// One of them.
pub(super) struct Timed {
    pub(super) index: usize,
    pub(super) share: f64,
    pub(super) is_shadow: bool,
    pub(super) proofs: Vec<ProofPower>,
    pub(super) seconds: Option<f64>,
}

/// Requests the candidate has had so far: evidence is kept from step to step.
#[derive(Clone, Copy, Default)]
struct Seen {
    answered: f64,
    copies: f64,
}

impl Seen {
    /// How many of them a proof is made of. Copies show faults and slow answers too; only copies show disagreement.
    fn of(&self, proof: ProofOf) -> f64 {
        match proof {
            ProofOf::Errors | ProofOf::Latency => self.answered + self.copies,
            ProofOf::Disagreement => self.copies,
        }
    }
}

pub(super) fn course(request: &PowerRequest<'_>) -> Course {
    let mut course = Course { steps: Vec::new(), total_seconds: Some(0.0), not_counted: Vec::new() };
    let mut seen = Seen::default();
    for (index, step) in request.policy.steps.iter().enumerate() {
        let Some((share, is_shadow)) = share_of(&step.kind) else {
            if let StepKind::Pause { approval } = &step.kind {
                course.not_counted.push(format!("step {} waits for {approval}", index + 1));
            }
            course.add(Some(step.min.as_secs_f64()));
            continue;
        };
        let per_second = request.requests_per_second * share;
        let proofs: Vec<_> = step.proofs.iter().filter_map(|of| proof_power(request, *of, per_second)).collect();
        let seconds = duration(step, &proofs, &seen, per_second);
        if step.min_feedback > 0 {
            course.not_counted.push(format!("step {} waits for {} pieces of feedback", index + 1, step.min_feedback));
        }
        let n = seconds.unwrap_or(0.0) * per_second;
        if is_shadow {
            seen.copies += n;
        } else {
            seen.answered += n;
        }
        course.add(seconds);
        course.steps.push(Timed { index, share, is_shadow, proofs, seconds });
    }
    course
}

impl Course {
    fn add(&mut self, seconds: Option<f64>) {
        self.total_seconds = self.total_seconds.zip(seconds).map(|(sum, seconds)| sum + seconds);
    }
}

/// How long a step takes: the longest of what it asks for.
fn duration(step: &Step, proofs: &[ProofPower], seen: &Seen, per_second: f64) -> Option<f64> {
    let bake = match step.kind {
        StepKind::Promote { bake } => bake,
        _ => Duration::ZERO,
    };
    let asked = [step.min.as_secs_f64(), bake.as_secs_f64(), step.min_requests as f64 / per_second];
    let longest = asked.into_iter().fold(0.0, f64::max);
    proofs.iter().try_fold(longest, |longest, proof| {
        let missing = (proof.expected_requests? as f64 - seen.of(proof.of)).max(0.0);
        Some(longest.max(missing / per_second))
    })
}

/// What a proof takes; `None` when the guardrail has no limit for it.
fn proof_power(request: &PowerRequest<'_>, of: ProofOf, per_second: f64) -> Option<ProofPower> {
    let guardrail = request.guardrail;
    let (limit, rate) = match of {
        ProofOf::Errors => (guardrail.limit, request.stable_error_rate),
        ProofOf::Latency => {
            let rule = guardrail.latency?;
            let slow = request.latency.map_or(0.0, |shape| shape.slower_than(rule.slower_than_seconds, 1.0));
            (rule.limit, slow)
        }
        // That the versions agree is what one hopes for; how often they do nobody knows before.
        ProofOf::Disagreement => (guardrail.disagreement.as_ref()?.limit, 0.0),
    };
    let clean_requests = Proof::read(0, 0, limit, guardrail.promote_alpha).clean_requests_needed;
    let expected_requests = expected_requests(limit, rate, guardrail.promote_alpha);
    let seconds = expected_requests.map(|n| n as f64 / per_second);
    Some(ProofPower { of, clean_requests, expected_requests, seconds })
}

/// Requests until a candidate with this rate of bad events is proven below the limit, if they come evenly.
fn expected_requests(limit: f64, rate: f64, promote_alpha: f64) -> Option<u64> {
    let is_enough = |n: u64| {
        let bad = (n as f64 * rate).round() as u64;
        promotion_log_e(bad, n - bad.min(n), limit) >= -promote_alpha.ln()
    };
    let mut enough = 1_u64;
    while !is_enough(enough) {
        enough *= 2;
        if rate >= limit || enough > REQUESTS_MAX {
            return None;
        }
    }
    let mut too_few = enough / 2;
    while too_few + 1 < enough {
        let middle = too_few.midpoint(enough);
        if is_enough(middle) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    Some(enough)
}
