//! Recorded requests, answered again by the candidate and by stable.

use base_types::Tensor;

use crate::difference::compare;
use crate::report::Finding;
use crate::run::{Asking, Halt};

/// A request that was answered before.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The id of its answer.
    pub id: String,
    /// Its inputs, under the names callers use.
    pub inputs: Vec<Tensor>,
}

pub(crate) fn ask(asking: &Asking<'_>) -> Option<Finding> {
    let rule = asking.asked.rules.replay?;
    let Some((version, stable)) = asking.asked.stable else {
        return Some(Finding::skipped("there is no stable version to compare with"));
    };
    let recorded: Vec<&Recorded> = asking.asked.recorded.iter().take(rule.captures).collect();
    if recorded.is_empty() {
        return Some(Finding::skipped("no requests are recorded that could be answered again; see docs/reproduce.md"));
    }
    let (mut n_same, mut n_judged, mut example) = (0_u64, 0_u64, None);
    for recorded in &recorded {
        let theirs = match asking.answer(stable, &recorded.inputs) {
            Ok(ran) => ran,
            // What stable cannot answer says nothing about the candidate.
            Err(Halt::Fault(_)) => continue,
            Err(halt) => return Some(Finding::failed(asking.told(&halt))),
        };
        let other = match asking.answer(asking.asked.candidate, &recorded.inputs) {
            Ok(ours) => compare(asking.asked.comparison, &theirs.outputs, &ours.outputs)
                .map(|difference| format!("output {:?} {}", difference.output, difference.text)),
            Err(Halt::Fault(fault)) => Some(fault.to_string()),
            Err(halt) => return Some(Finding::failed(asking.told(&halt))),
        };
        n_judged += 1;
        match other {
            None => n_same += 1,
            Some(text) => drop(example.get_or_insert_with(|| format!("request {}: {text}", recorded.id))),
        }
    }
    if n_judged == 0 {
        let text = format!("stable version {version} could answer none of {} recorded requests", recorded.len());
        return Some(Finding::skipped(text));
    }
    let share = n_same as f64 / n_judged as f64;
    let mut text = format!(
        "{n_same} of {n_judged} recorded requests are answered as by stable version {version}, wanted is a share of at least {}",
        rule.agreement_at_least
    );
    text.push_str(&example.map(|example| format!("; {example}")).unwrap_or_default());
    Some(Finding::of(share >= rule.agreement_at_least, text).measured(share, Some(rule.agreement_at_least)))
}
