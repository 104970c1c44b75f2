//! The classification of an output: its largest values with their places, as text, for callers who want no tensor.

mod number;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;

use base_types::{Data, DataType, Tensor, TensorError};
use bytes::Bytes;
use thiserror::Error;

/// Elements of a classification, over all rows. Each costs a handle and its text.
pub const CLASSES_MAX: usize = 65_536;
/// Bytes of a classification: labels may be long, and each may be repeated for every row.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// Why an output cannot be classified.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClassifyError {
    /// No class was asked for.
    #[error("output {name:?} cannot be classified: ask for 1 class at least")]
    NoClasses {
        /// The output.
        name: String,
    },
    /// The type has no order of size.
    #[error("output {name:?} is {datatype}, which cannot be classified: ask for the output itself")]
    NoNumbers {
        /// The output.
        name: String,
        /// Its type.
        datatype: DataType,
    },
    /// The classification would have too many elements.
    #[error("output {name:?} has {rows} rows: {k} classes each are more than {CLASSES_MAX} elements")]
    TooMany {
        /// The output.
        name: String,
        /// Rows of the output.
        rows: usize,
        /// Classes for each.
        k: usize,
    },
    /// The labels make the answer too long.
    #[error(
        "output {name:?} has labels so long that the answer has more than {TEXT_BYTES_MAX} bytes: ask for fewer classes"
    )]
    TooLong {
        /// The output.
        name: String,
    },
    /// The result is no tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// The `k` largest values of an output as a BYTES tensor of `value:index`, or `value:index:label` where the index has
/// a label, largest first, NaN last, the lower index first among equals. Where `is_batched`, each row of the first dimension has its own and the shape is `[rows, k]`,
/// else `[k]`. A row of fewer values gives as many as it has.
pub fn classify(output: &Tensor, k: usize, is_batched: bool, labels: &[String]) -> Result<Tensor, ClassifyError> {
    let name = || output.name().to_owned();
    if k == 0 {
        return Err(ClassifyError::NoClasses { name: name() });
    }
    let datatype = output.datatype();
    let raw = match (output.data(), datatype) {
        (Data::Raw(raw), datatype) if datatype != DataType::Bool => raw,
        _ => return Err(ClassifyError::NoNumbers { name: name(), datatype }),
    };
    let element_bytes = datatype.element_bytes().unwrap_or(1);
    let rows = output.shape().first().copied().filter(|_| is_batched).unwrap_or(1);
    let row_len = output.element_count().checked_div(rows).unwrap_or(0);
    let k = k.min(row_len);
    if rows.checked_mul(k).is_none_or(|n| n > CLASSES_MAX) {
        return Err(ClassifyError::TooMany { name: name(), rows, k });
    }
    let mut texts = Texts::with_capacity(rows * k);
    if k > 0 {
        for row in raw.chunks_exact(row_len * element_bytes) {
            write_row(&mut texts, (row, datatype), k, labels);
            if texts.text.len() > TEXT_BYTES_MAX {
                return Err(ClassifyError::TooLong { name: name() });
            }
        }
    }
    let shape = if is_batched { vec![rows, k] } else { vec![k] };
    Ok(Tensor::new(name(), DataType::Bytes, shape, Data::Strings(texts.into_strings()))?)
}

fn write_row(texts: &mut Texts, (row, datatype): (&[u8], DataType), k: usize, labels: &[String]) {
    let element_bytes = datatype.element_bytes().unwrap_or(1);
    // The least of the largest so far lies on top, the higher index of equals above the lower.
    let mut largest = BinaryHeap::with_capacity(k + 1);
    for (index, element) in row.chunks_exact(element_bytes).enumerate() {
        let candidate = Reverse((number::rank(datatype, element), Reverse(index)));
        if largest.len() < k {
            largest.push(candidate);
        } else if largest.peek().is_some_and(|least| candidate < *least) {
            largest.pop();
            largest.push(candidate);
        }
    }
    for Reverse((_, Reverse(index))) in largest.into_sorted_vec() {
        let element = &row[index * element_bytes..][..element_bytes];
        texts.push(|text| {
            number::write(text, datatype, element)?;
            write!(text, ":{index}")?;
            labels.get(index).map_or(Ok(()), |label| write!(text, ":{label}"))
        });
    }
}

/// Texts behind each other in one buffer.
struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    fn with_capacity(n: usize) -> Self {
        Self { text: String::new(), ends: Vec::with_capacity(n) }
    }

    fn push(&mut self, write: impl FnOnce(&mut String) -> std::fmt::Result) {
        // Writing to a string cannot fail.
        let _infallible = write(&mut self.text);
        self.ends.push(self.text.len());
    }

    fn into_strings(self) -> Vec<Bytes> {
        let text = Bytes::from(self.text);
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| text.slice(start..*end)).collect()
    }
}

#[cfg(test)]
mod tests;
