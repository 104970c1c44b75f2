//! What a version may cost: time and memory, as measured here.

use std::time::Duration;

use base_types::Tensor;

use crate::quality::Labelled;
use crate::report::Finding;
use crate::run::{Asking, Halt};
use crate::subject::Subject;
use crate::tensors::{read_tensors, tensors_of};

/// Runs that are not counted: the first ones pay for memory and caches.
const WARM_UP_RUNS: usize = 5;
/// Most runs that are counted.
const RUNS_MAX: usize = 200;
/// Fewest: a quantile of less says nothing.
const RUNS_MIN: usize = 20;
/// Beyond the fewest, runs end after so long.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Most different inputs.
const INPUTS_MAX: usize = 64;
const QUANTILE: f64 = 0.95;
const MIB: f64 = 1_048_576.0;

pub(crate) fn latency(asking: &Asking<'_>) -> Option<Finding> {
    let budgets = asking.manifest.budgets;
    if budgets.latency_p95_ms.is_none() && budgets.latency_p95_times_stable.is_none() {
        return None;
    }
    let inputs = match inputs(asking) {
        Ok(inputs) => inputs,
        Err(text) => return Some(Finding::failed(text)),
    };
    let stable = asking.asked.stable.filter(|_| budgets.latency_p95_times_stable.is_some());
    let measured = measure(asking, &inputs, stable.map(|(_, subject)| subject));
    let (ours, theirs) = match measured {
        Ok(measured) => measured,
        Err(halt) => return Some(Finding::failed(asking.told(&halt))),
    };
    let value = quantile_ms(&ours);
    let n_runs = ours.len();
    let mut text = format!("19 of 20 runs take at most {value:.3} ms ({n_runs} runs, measured here)");
    let mut holds = true;
    if let Some(most) = budgets.latency_p95_ms {
        holds &= value <= most;
        text.push_str(&format!(", wanted are at most {most} ms"));
    }
    let mut threshold = budgets.latency_p95_ms;
    match (budgets.latency_p95_times_stable, stable) {
        (None, _) => {}
        (Some(_), None) => {
            text.push_str("; there is no stable version to compare with");
            if threshold.is_none() {
                return Some(Finding::skipped(text).measured(value, None));
            }
        }
        (Some(times), Some((version, _))) => {
            let theirs = quantile_ms(&theirs);
            holds &= value <= theirs * times;
            threshold = threshold.or(Some(theirs * times));
            text.push_str(&format!(
                "; stable version {version} takes {theirs:.3} ms, wanted are at most {times} times that"
            ));
        }
    }
    Some(Finding::of(holds, text).measured(value, threshold))
}

pub(crate) fn memory(asking: &Asking<'_>) -> Option<Finding> {
    let most = asking.manifest.budgets.memory_mib?;
    let value = asking.asked.candidate.memory_bytes() as f64 / MIB;
    let text = format!("it holds {value:.2} MiB, wanted are at most {most} MiB");
    Some(Finding::of(value <= most, text).measured(value, Some(most)))
}

/// Golden inputs, or labelled ones where there are none.
fn inputs(asking: &Asking<'_>) -> Result<Vec<Vec<Tensor>>, String> {
    let (manifest, beside) = (asking.manifest, asking.asked.beside);
    let golden = manifest.golden.iter().take(INPUTS_MAX).map(|case| {
        read_tensors(beside.file(&case.inputs)?, "inputs").map_err(|error| format!("{}: {error}", case.inputs))
    });
    let mut inputs = golden.collect::<Result<Vec<_>, String>>()?;
    if let (true, Some(quality)) = (inputs.is_empty(), &manifest.quality) {
        let text = String::from_utf8_lossy(beside.file(&quality.labelled)?);
        for line in text.lines().filter(|line| !line.trim().is_empty()).take(INPUTS_MAX) {
            let told = |error: String| format!("{}: {error}", quality.labelled);
            let line: Labelled<'_> = serde_json::from_str(line).map_err(|error| told(error.to_string()))?;
            inputs.push(tensors_of(&line.inputs).map_err(|error| told(error.to_string()))?);
        }
    }
    match inputs.is_empty() {
        true => Err("there is nothing to run: give [[golden]] cases or a [quality] set in manifest.toml".to_owned()),
        false => Ok(inputs),
    }
}

type Times = Vec<Duration>;

/// Runs the candidate, and stable in turns with it, so that what else the machine does weighs on both.
fn measure(asking: &Asking<'_>, inputs: &[Vec<Tensor>], stable: Option<&dyn Subject>) -> Result<(Times, Times), Halt> {
    let candidate = asking.asked.candidate;
    let (mut ours, mut theirs) = (Times::new(), Times::new());
    let clock = asking.asked.clock;
    let began = clock.now();
    for (run, inputs) in inputs.iter().cycle().take(WARM_UP_RUNS + RUNS_MAX).enumerate() {
        let is_long = clock.now().saturating_duration_since(began) > TIME_MAX;
        if is_long && ours.len() >= RUNS_MIN {
            break;
        }
        let took = asking.answer(candidate, inputs)?.took;
        let of_stable = stable.map(|stable| asking.answer(stable, inputs)).transpose()?;
        if run >= WARM_UP_RUNS {
            ours.push(took);
            theirs.extend(of_stable.map(|ran| ran.took));
        }
    }
    Ok((ours, theirs))
}

/// The smallest time that 95 of 100 runs do not exceed, in milliseconds.
fn quantile_ms(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    let rank = (QUANTILE * times.len() as f64).ceil() as usize;
    times.get(rank.saturating_sub(1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_of_twenty_runs_do_not_exceed_the_quantile() {
        let times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile_ms(&times), 95.0);
        assert_eq!(quantile_ms(&times[..1]), 100.0);
        assert!(quantile_ms(&[]).is_nan());
    }
}
