//! Requests of one version put together into one run: what is asked for, where it cannot be, and what it says of a run.

use std::time::Duration;

use base_types::{Signature, TensorSpec};

use crate::Declaration;

/// How far an output may lie from that of a run alone, as a part of the output's largest number.
pub const BATCH_TOLERANCE: f64 = 0.001;

/// How requests are put together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batching {
    /// Most rows of one run.
    pub max_rows: usize,
    /// The longest that a request is held back for others to come. Nobody is held back while the lane is idle.
    pub delay_max: Duration,
    /// Numbers of rows that are taken as soon as they are there, in ascending order.
    pub preferred_rows: Vec<usize>,
    /// How far a row's outputs may lie from those of a run alone, as a part of the output's largest number. Beyond it
    /// the rows depend on each other, and the version is not batched.
    pub tolerance: f64,
}

impl Default for Batching {
    fn default() -> Self {
        Self { max_rows: 32, delay_max: Duration::ZERO, preferred_rows: Vec::new(), tolerance: BATCH_TOLERANCE }
    }
}

/// What an operator says about batching.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum BatchingRule {
    /// Nothing: what config.pbtxt declares holds.
    #[default]
    AsDeclared,
    /// Each request runs by itself, whatever config.pbtxt declares.
    Off,
    /// Requests are put together.
    On(Batching),
}

impl BatchingRule {
    /// The settings, where requests are put together.
    pub fn on(&self) -> Option<&Batching> {
        match self {
            Self::On(batching) => Some(batching),
            Self::AsDeclared | Self::Off => None,
        }
    }

    /// The rule with what config.pbtxt declares: its batching where the rule leaves that open, and its `max_batch_size`
    /// as a bound in any case.
    #[must_use]
    pub fn settled(&self, declared: &Declaration) -> Self {
        let bound = declared.max_batch_size as usize;
        let batching = match (self, &declared.batching) {
            (Self::Off, _) | (Self::AsDeclared, None) => return self.clone(),
            (Self::AsDeclared, Some(_)) if bound < 2 => return Self::Off,
            (Self::AsDeclared, Some(asked)) => {
                let mut sizes: Vec<usize> = asked.preferred_sizes.iter().map(|size| *size as usize).collect();
                sizes.sort_unstable();
                sizes.dedup();
                Batching { max_rows: bound, delay_max: asked.delay_max, preferred_rows: sizes, ..Batching::default() }
            }
            (Self::On(batching), _) => batching.clone(),
        };
        let max_rows = if bound == 0 { batching.max_rows } else { batching.max_rows.min(bound) };
        if max_rows < 2 {
            return Self::Off;
        }
        let preferred_rows = batching.preferred_rows.iter().copied().filter(|rows| (1..=max_rows).contains(rows));
        Self::On(Batching { max_rows, preferred_rows: preferred_rows.collect(), ..batching })
    }
}

/// Why requests of a model with this signature can never be put together; `None` where they can.
pub fn unfit(signature: &Signature) -> Option<String> {
    if signature.inputs.is_empty() {
        return Some("it has no inputs".to_owned());
    }
    let flaw = |side: &str, spec: &TensorSpec| match spec.dims.first() {
        Some(None) => None,
        Some(Some(size)) => Some(format!("the first dimension of its {side} {spec} is fixed at {size}")),
        None => Some(format!("its {side} {spec} has no dimensions")),
    };
    let inputs = signature.inputs.iter().find_map(|spec| flaw("input", spec));
    inputs.or_else(|| signature.outputs.iter().find_map(|spec| flaw("output", spec)))
}

/// The run that a request shared with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batched {
    /// Rows of the whole run.
    pub n_rows: usize,
    /// Whether this request is the one by which the run is counted.
    pub is_counted: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_types::DataType;

    use super::*;
    use crate::DeclaredBatching;

    fn declared(max_batch_size: u32, preferred: Option<&[u32]>) -> Declaration {
        let delay_max = Duration::from_micros(70);
        let batching = preferred.map(|sizes| DeclaredBatching { preferred_sizes: sizes.to_vec(), delay_max });
        Declaration { max_batch_size, batching, ..Declaration::default() }
    }

    #[test]
    fn what_the_operator_says_holds_and_what_is_declared_fills_the_gap() {
        let on = |rows| BatchingRule::On(Batching { max_rows: rows, ..Batching::default() });
        assert_eq!(BatchingRule::AsDeclared.settled(&declared(8, None)).on(), None);
        assert_eq!(BatchingRule::Off.settled(&declared(8, Some(&[4]))).on(), None);
        let asked = BatchingRule::AsDeclared.settled(&declared(8, Some(&[4, 16, 2, 4])));
        let asked = asked.on().unwrap();
        assert_eq!((asked.max_rows, &asked.preferred_rows[..]), (8, &[2, 4][..]));
        assert_eq!(asked.delay_max, Duration::from_micros(70));
        assert_eq!(on(32).settled(&declared(8, None)).on().unwrap().max_rows, 8);
        assert_eq!(on(32).settled(&declared(0, None)).on().unwrap().max_rows, 32);
        // A model whose batch axis is not open cannot be batched by its declaration.
        assert_eq!(BatchingRule::AsDeclared.settled(&declared(0, Some(&[4]))).on(), None);
        assert_eq!(on(32).settled(&declared(1, None)).on(), None);
    }

    #[test]
    fn every_input_and_output_needs_an_open_first_dimension() {
        let spec =
            |dims: &[Option<usize>]| TensorSpec { name: "t".to_owned(), datatype: DataType::Fp32, dims: dims.to_vec() };
        let open = || spec(&[None, Some(4)]);
        let with = |inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>| unfit(&Signature { inputs, outputs });
        assert_eq!(with(vec![open(), open()], vec![open()]), None);
        assert!(with(vec![open(), spec(&[Some(1), None])], vec![open()]).unwrap().contains("fixed at 1"));
        assert!(with(vec![open()], vec![spec(&[])]).unwrap().contains("output t FP32[] has no dimensions"));
        assert!(with(vec![], vec![open()]).is_some());
    }
}
