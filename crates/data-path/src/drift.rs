//! Into which bin a good answer falls, of the output whose distribution is watched.

use base_serving::Watch;
use base_serving::watch::{DriftBins, DriftPlan};
use base_types::{DataType, Tensor};

use crate::numbers::{largest, numbers, row_length};

/// Counts an answer of an arm. An answer without the output, or whose output has no order of size, is in no bin.
pub(crate) fn count(watch: &Watch, (arm, key): (usize, Option<u64>), outputs: &[Tensor]) {
    let Some(DriftPlan { output, bins }) = &watch.plan().drift else { return };
    let Some(output) = outputs.iter().find(|tensor| *tensor.name() == **output) else { return };
    if output.datatype() == DataType::Bool {
        return;
    }
    let bin = match bins {
        DriftBins::Classes => largest(output, row_length(output.shape())),
        DriftBins::Deciles(_) => first(output).and_then(|value| bins.decile(value)),
        DriftBins::Gather => {
            let is_stable = watch.plan().arms.get(arm).is_some_and(|arm| arm.version == watch.plan().stable);
            if let Some(value) = first(output).filter(|_| is_stable && watch.wants_sample()) {
                watch.sampled(value);
            }
            None
        }
    };
    if let Some(bin) = bin {
        watch.binned((arm, key), bin);
    }
}

fn first(output: &Tensor) -> Option<f64> {
    numbers(output)?.next()
}
