//! When two answers to the same request are the same: what a shadow's answers are compared by.

use std::collections::BTreeMap;

/// How each output is compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Outputs that are compared in a way of their own, by the name callers use.
    pub outputs: BTreeMap<Box<str>, Match>,
    /// How all others are.
    pub otherwise: Match,
}

/// When two tensors are the same answer. Shapes must always be equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Match {
    /// Bit for bit.
    Exact,
    /// Each pair of elements differs by at most `absolute + relative * |stable's|`; elements that are not numbers are
    /// equal bit for bit.
    Tolerance {
        /// Absolute part.
        absolute: f64,
        /// Part relative to stable's value.
        relative: f64,
    },
    /// Each row has its largest value at the same position.
    Argmax,
    /// Of the `k` largest values of each row, at least the share `overlap` stands at the same positions, in any order.
    TopK {
        /// How many, at least 1.
        k: usize,
        /// In (0, 1].
        overlap: f64,
    },
    /// It may be anything.
    Ignore,
}

impl Default for Match {
    fn default() -> Self {
        Self::Tolerance { absolute: 1e-5, relative: 1e-3 }
    }
}

impl Comparison {
    /// How an output is compared.
    pub fn of(&self, output: &str) -> Match {
        self.outputs.get(output).copied().unwrap_or(self.otherwise)
    }
}
