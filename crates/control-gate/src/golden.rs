//! Known inputs get the known outputs.

use base_types::{Comparison, Match, Tensor};

use crate::difference::compare;
use crate::manifest::GoldenCase;
use crate::report::Finding;
use crate::run::{Asking, Halt};
use crate::subject::to_callers;
use crate::tensors::read_tensors;

/// The outputs of so many cases that are off are named.
const SHOWN_MAX: usize = 3;

pub(crate) fn ask(asking: &Asking<'_>) -> Option<Finding> {
    let cases = &asking.manifest.golden;
    if cases.is_empty() {
        return None;
    }
    let mut flaws = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let result = one(asking, case);
        let told = |text: String| format!("case {number} ({}): {text}", case.inputs);
        match result {
            Ok(None) => {}
            Ok(Some(text)) => flaws.push(told(text)),
            Err(halt) => {
                flaws.push(told(asking.told(&halt)));
                if halt == Halt::OutOfTime {
                    break;
                }
            }
        }
    }
    let n_cases = cases.len();
    let share = 1.0 - flaws.len() as f64 / n_cases as f64;
    if flaws.is_empty() {
        return Some(Finding::passed(format!("all {n_cases} answers are as expected")).measured(share, Some(1.0)));
    }
    let shown: Vec<&str> = flaws.iter().take(SHOWN_MAX).map(String::as_str).collect();
    let rest = match flaws.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        n => format!("; and {n} more"),
    };
    let text = format!("{} of {n_cases} answers are not as expected: {}{rest}", flaws.len(), shown.join("; "));
    Some(Finding::failed(text).measured(share, Some(1.0)))
}

/// Asks one case; says how its answer is off.
fn one(asking: &Asking<'_>, case: &GoldenCase) -> Result<Option<String>, Halt> {
    let read = |path: &str, field: &str| -> Result<Vec<Tensor>, String> {
        read_tensors(asking.asked.beside.file(path)?, field).map_err(|error| format!("{path}: {error}"))
    };
    let candidate = asking.asked.candidate;
    let (inputs, wanted) = match (read(&case.inputs, "inputs"), read(&case.outputs, "outputs")) {
        (Ok(inputs), Ok(wanted)) => (inputs, to_callers(candidate, wanted)),
        (Err(text), _) | (_, Err(text)) => return Ok(Some(text)),
    };
    if wanted.is_empty() {
        return Ok(Some(format!("{}: it expects no outputs", case.outputs)));
    }
    let ran = asking.answer(candidate, &inputs)?;
    let otherwise = Match::Tolerance { absolute: case.tolerance.absolute, relative: case.tolerance.relative };
    let comparison = Comparison { otherwise, ..Comparison::default() };
    let difference = compare(&comparison, &wanted, &ran.outputs);
    Ok(difference.map(|difference| format!("output {:?} {}", difference.output, difference.text)))
}
