//! The values of one input, gathered from wherever they stand in the body. The shape is what the nesting says; the
//! type is what the model says.

use std::cell::Cell;

use base_types::{DataType, Tensor, TensorSpec};
use bytes::Bytes;

use crate::error::Mistake;
use crate::limits::CodecLimits;
use crate::tfs::element::Elements;
use crate::tfs::flaw::Flaw;
use crate::tfs::scan::Scan;

/// What all columns of a request share.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) body: &'a Bytes,
    pub(super) limits: &'a CodecLimits,
    /// Elements of all BYTES tensors so far, which are bounded together.
    pub(super) n_strings: &'a Cell<usize>,
}

/// One input under way.
pub(super) struct Column<'a> {
    pub(super) spec: &'a TensorSpec,
    source: Source<'a>,
    elements: Elements,
    /// The sizes of the dimensions whose arrays have been closed.
    dims: Vec<Option<usize>>,
    /// How deep the elements stand; unknown before the first one.
    rank: Option<usize>,
    /// Rows that have a value of this input.
    pub(super) n_rows: usize,
}

impl<'a> Column<'a> {
    pub(super) fn new(spec: &'a TensorSpec, source: Source<'a>) -> Self {
        let elements = Elements::new(spec.datatype);
        Self { spec, source, elements, dims: Vec::new(), rank: None, n_rows: 0 }
    }

    /// Reads a value that is a tensor, or part of one at this depth.
    pub(super) fn read(&mut self, scan: &mut Scan<'_>, depth: usize) -> Result<(), Flaw> {
        if scan.peek() != Some(b'[') {
            self.settle_rank(depth)?;
            return self.element(scan);
        }
        if depth == self.source.limits.rank {
            return Err(Flaw::at(Mistake::Malformed, format!("more than {depth} dimensions")));
        }
        if self.rank.is_some_and(|rank| depth >= rank) {
            return Err(Flaw::mismatch("an array, where the values before are elements"));
        }
        self.make_room(*scan);
        let n_items = scan.items(|scan, _| self.read(scan, depth + 1))?;
        self.close(depth, n_items)
    }

    /// Reads a feature of an example: an element or a flat list of them. All rows have equally many.
    pub(super) fn read_feature(&mut self, scan: &mut Scan<'_>) -> Result<(), Flaw> {
        let before = self.elements.len();
        if scan.peek() == Some(b'[') {
            self.make_room(*scan);
            scan.items(|scan, _| self.element(scan))?;
        } else {
            self.element(scan)?;
        }
        self.close(1, self.elements.len() - before)
    }

    /// The value of one row holds for as many rows.
    pub(super) fn repeat(&mut self, n_rows: usize) -> Result<(), Flaw> {
        /// What a small body may become, in elements.
        const SMALL: usize = 16_384;
        /// The same in bytes of text.
        const SMALL_TEXT: usize = 512 << 10;
        let n_elements = self.elements.len().saturating_mul(n_rows);
        if n_elements > SMALL.max(self.source.body.len() / 4).min(self.n_elements_max()) {
            let text = format!("{n_elements} elements when repeated for every example: put them into the examples");
            return Err(Flaw::at(Mistake::Unsupported, text));
        }
        // Here the repeated text is shared, but the runtime makes a copy for each element.
        let n_text_bytes = self.elements.text_bytes().saturating_mul(n_rows);
        if n_text_bytes > SMALL_TEXT.max(self.source.body.len()) {
            let text =
                format!("{n_text_bytes} bytes of text when repeated for every example: put them into the examples");
            return Err(Flaw::at(Mistake::Unsupported, text));
        }
        self.count(n_elements.saturating_sub(self.elements.len()));
        self.elements.repeat(n_rows);
        self.n_rows = n_rows;
        Ok(())
    }

    /// The tensor, in the shape of its nesting. Rows that were read one by one are its first dimension.
    pub(super) fn finish(mut self) -> Result<Tensor, Flaw> {
        if self.n_rows > 0 {
            self.close(0, self.n_rows)?;
        }
        let shape = self.dims.iter().copied().collect::<Option<Vec<_>>>().unwrap_or_default();
        Ok(Tensor::new(self.spec.name.as_str(), self.spec.datatype, shape, self.elements.into_data()?)?)
    }

    /// The tensor of features: each row's flat list in the shape the model says.
    pub(super) fn finish_features(self) -> Result<Tensor, Flaw> {
        let n_values = self.dims.get(1).copied().flatten().unwrap_or_default();
        let Some((_, row)) = self.spec.dims.split_first() else {
            let text = format!("input {} has no dimension for examples: use predict", self.spec);
            return Err(Flaw::at(Mistake::Unsupported, text));
        };
        let misfit = || Flaw::mismatch(format!("{n_values} values in each example, input {} takes others", self.spec));
        let known = row.iter().flatten().try_fold(1usize, |n, size| n.checked_mul(*size)).ok_or_else(misfit)?;
        let n_open = row.iter().filter(|size| size.is_none()).count();
        let open = match n_open {
            0 if known == n_values => 1,
            1 if known > 0 && n_values.is_multiple_of(known) => n_values / known,
            _ => return Err(misfit()),
        };
        let shape = std::iter::once(self.n_rows).chain(row.iter().map(|size| size.unwrap_or(open))).collect();
        Ok(Tensor::new(self.spec.name.as_str(), self.spec.datatype, shape, self.elements.into_data()?)?)
    }

    /// Elements this tensor may have, with those of the other BYTES tensors as they are now.
    fn n_elements_max(&self) -> usize {
        let Source { limits, n_strings, .. } = self.source;
        match self.spec.datatype {
            DataType::Bytes => {
                let n_left = limits.strings.saturating_sub(n_strings.get());
                limits.elements.min(self.elements.len() + n_left)
            }
            _ => limits.elements,
        }
    }

    fn element(&mut self, scan: &mut Scan<'_>) -> Result<(), Flaw> {
        if self.elements.len() == self.n_elements_max() {
            return Err(self.too_many());
        }
        self.count(1);
        self.elements.read(scan, self.source.body)
    }

    /// Counts elements where all tensors share a bound.
    fn count(&self, n_elements: usize) {
        if self.spec.datatype == DataType::Bytes {
            let n_strings = self.source.n_strings;
            n_strings.set(n_strings.get().saturating_add(n_elements));
        }
    }

    fn too_many(&self) -> Flaw {
        let CodecLimits { elements, strings, .. } = *self.source.limits;
        let text = match self.elements.len() == elements {
            true => format!("more than {elements} elements in a tensor"),
            false => format!("more than {strings} elements in BYTES tensors"),
        };
        Flaw::at(Mistake::Malformed, text)
    }

    /// All elements stand equally deep.
    fn settle_rank(&mut self, depth: usize) -> Result<(), Flaw> {
        match self.rank {
            Some(rank) if rank == depth => Ok(()),
            None if self.dims.len() <= depth => {
                self.rank = Some(depth);
                Ok(())
            }
            _ => Err(Flaw::mismatch("an element, where the values before are arrays")),
        }
    }

    /// All arrays of a depth are equally long.
    fn close(&mut self, depth: usize, n_items: usize) -> Result<(), Flaw> {
        if self.dims.len() <= depth {
            self.dims.resize(depth + 1, None);
        }
        match self.dims[depth] {
            Some(expected) if expected != n_items => {
                Err(Flaw::mismatch(format!("{n_items} items, where the arrays before have {expected}")))
            }
            _ => {
                self.dims[depth] = Some(n_items);
                Ok(())
            }
        }
    }

    /// An innermost array ends at the next bracket, and has a comma between each two elements. Where text holds
    /// brackets, commas or quotes this is a wrong guess and nothing worse.
    fn make_room(&mut self, mut scan: Scan<'_>) {
        scan.take(b'[');
        if matches!(scan.peek(), Some(b'[' | b'{')) {
            return;
        }
        let rest = scan.rest();
        let end = rest.iter().position(|b| *b == b']').unwrap_or(rest.len());
        let count = |byte: u8| rest[..end].iter().filter(|b| **b == byte).count();
        let n_most = match self.spec.datatype {
            DataType::Bytes => count(b'"') / 2,
            _ => end / 2 + 1,
        };
        let n_left = self.n_elements_max().saturating_sub(self.elements.len());
        self.elements.reserve((count(b',') + 1).min(n_most).min(n_left), rest.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The room made for a value, whether it was taken or not, in bytes for each byte of the body.
    fn room(datatype: DataType, body: &str) -> f64 {
        let spec = TensorSpec { name: "x".to_owned(), datatype, dims: Vec::new() };
        let (bytes, limits) = (Bytes::copy_from_slice(body.as_bytes()), CodecLimits::default());
        let n_strings = Cell::default();
        let mut column = Column::new(&spec, Source { body: &bytes, limits: &limits, n_strings: &n_strings });
        let _read_or_refused = column.read(&mut Scan::new(std::str::from_utf8(&bytes).unwrap_or_default()), 0);
        column.elements.room_bytes() as f64 / body.len() as f64
    }

    #[test]
    fn room_follows_what_is_there_and_not_what_seems_to_come() {
        const N: usize = 100_000;
        let nested = |inner: usize| {
            let row = format!("[{}]", vec!["1"; inner].join(","));
            format!("[{}]", vec![row; N / inner].join(","))
        };
        for body in [nested(1), nested(7), nested(1000), nested(33_333), nested(N), format!("[{}", ",".repeat(N))] {
            let factor = room(DataType::Fp64, &body);
            assert!(factor <= 4.1, "{factor} for {}...", &body[..20]);
        }
        // Each handle of a text takes 32 bytes; their number has a bound of its own.
        let text = format!("[{}]", vec!["\"\""; N].join(","));
        let commas = format!("[\"{}\"]", ",".repeat(N));
        let quotes = format!("[\"{}\"]", "\\\",".repeat(N));
        for (body, most) in [(text, 10.7), (commas, 0.1), (quotes, 7.0)] {
            let factor = room(DataType::Bytes, &body);
            assert!(factor <= most, "{factor} for {}...", &body[..20]);
        }
    }
}
