//! The body of a predict request: tensors by row (`instances`) or by column (`inputs`).

use std::cell::Cell;

use base_types::{DataType, Signature, Tensor};
use bytes::Bytes;

use crate::error::{DecodeError, Mistake};
use crate::limits::CodecLimits;
use crate::tfs::column::{Column, Source};
use crate::tfs::element::is_base64;
use crate::tfs::flaw::Flaw;
use crate::tfs::scan::{Scalar, Scan};
use crate::tfs::signature::SIGNATURE_NAME;

/// How the tensors of a request are arranged, and so those of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// A list of rows; the first dimension of every tensor counts them.
    Rows,
    /// Whole tensors.
    Columns,
}

/// A predict request.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedPredict {
    /// How the answer is to be arranged.
    pub arrangement: Arrangement,
    /// The inputs that were sent, in the order of the signature. Whether any is missing is for others to see.
    pub inputs: Vec<Tensor>,
}

/// Reads a predict request to a model of this signature.
///
/// Text elements that hold no escapes share the memory of `body`. What is allocated is bounded by a small multiple
/// of the body.
pub fn decode_predict(
    body: &Bytes,
    signature: &Signature,
    limits: &CodecLimits,
) -> Result<DecodedPredict, DecodeError> {
    let n_strings = Cell::default();
    let source = Source { body, limits, n_strings: &n_strings };
    let mut scan = Scan::new(as_text(body)?);
    let mut keys = Keys::default();
    let mut found: Option<DecodedPredict> = None;
    let mut in_field = "";
    let result = scan.entries(|scan, key| {
        let (field, arrangement) = match key {
            "signature_name" => {
                in_field = "signature_name";
                keys.once(key)?;
                return signature_name(scan);
            }
            "instances" => ("instances", Arrangement::Rows),
            "inputs" => ("inputs", Arrangement::Columns),
            _ => return scan.skip(limits.depth.saturating_sub(1)),
        };
        in_field = field;
        keys.once(field)?;
        if found.is_some() {
            return Err(Flaw::at(Mistake::Malformed, ": a request has either `instances` or `inputs`, not both"));
        }
        let inputs = match arrangement {
            Arrangement::Rows => rows(scan, signature, source)?,
            Arrangement::Columns => columns(scan, signature, source)?,
        };
        found = Some(DecodedPredict { arrangement, inputs });
        Ok(())
    });
    result.and_then(|()| scan.end()).map_err(|flaw| flaw.explain(in_field))?;
    found.ok_or_else(|| missing("`instances` (a list of rows) or `inputs` (whole tensors)"))
}

/// Keys of the outer object that may be there once.
#[derive(Default)]
pub(super) struct Keys(Vec<String>);

impl Keys {
    pub(super) fn once(&mut self, key: &str) -> Result<(), Flaw> {
        if self.0.iter().any(|seen| seen == key) {
            return Err(Flaw::at(Mistake::Malformed, "the key appears twice"));
        }
        self.0.push(key.to_owned());
        Ok(())
    }
}

pub(super) fn as_text(body: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(body).map_err(|error| DecodeError::Json(format!("not UTF-8 text: {error}")))
}

pub(super) fn missing(what: &str) -> DecodeError {
    DecodeError::Json(format!("it lacks {what}"))
}

/// There is one signature, by whatever way it is named.
pub(super) fn signature_name(scan: &mut Scan<'_>) -> Result<(), Flaw> {
    match scan.scalar()? {
        Scalar::Text(name) if name == SIGNATURE_NAME || name.is_empty() => Ok(()),
        Scalar::Text(name) => {
            let shown: String = name.chars().take(64).collect();
            let text = format!("{shown:?} is no signature of this model, {SIGNATURE_NAME:?} is the only one");
            Err(Flaw::at(Mistake::Malformed, text))
        }
        other => Err(Flaw::at(Mistake::Malformed, format!("{}, expected a string", other.found()))),
    }
}

/// Whether a value is an object of inputs by name: any object but the form of one binary text where the only input
/// is text.
fn is_named(scan: &mut Scan<'_>, signature: &Signature) -> bool {
    let has_only_text = matches!(signature.inputs.as_slice(), [only] if only.datatype == DataType::Bytes);
    scan.peek() == Some(b'{') && !(has_only_text && is_base64(*scan))
}

/// The one input of a model whose tensor comes without a name.
fn only_input<'a>(signature: &'a Signature, source: Source<'a>, what: &str) -> Result<Column<'a>, Flaw> {
    match signature.inputs.as_slice() {
        [only] => Ok(Column::new(only, source)),
        all => {
            let names: Vec<&str> = all.iter().map(|spec| spec.name.as_str()).collect();
            Err(Flaw::mismatch(format!("the model has the inputs {names:?}: {what} is an object that names them")))
        }
    }
}

fn columns(scan: &mut Scan<'_>, signature: &Signature, source: Source<'_>) -> Result<Vec<Tensor>, Flaw> {
    if !is_named(scan, signature) {
        let mut column = only_input(signature, source, "`inputs`")?;
        column.read(scan, 0)?;
        return Ok(vec![column.finish()?]);
    }
    let mut table: Vec<Option<Tensor>> = vec![None; signature.inputs.len()];
    scan.entries(|scan, key| {
        let around = || format!(".{key}");
        let at = position(signature, key)?;
        if table[at].is_some() {
            return Err(twice().inside(around));
        }
        let mut column = Column::new(&signature.inputs[at], source);
        let tensor = column.read(scan, 0).and_then(|()| column.finish()).map_err(|flaw| flaw.inside(around))?;
        table[at] = Some(tensor);
        Ok(())
    })?;
    Ok(table.into_iter().flatten().collect())
}

fn rows(scan: &mut Scan<'_>, signature: &Signature, source: Source<'_>) -> Result<Vec<Tensor>, Flaw> {
    let mut first = *scan;
    if !first.take(b'[') {
        return Err(Flaw::at(Mistake::Malformed, "expected a list of rows"));
    }
    if first.peek() == Some(b']') {
        return Err(Flaw::at(Mistake::Malformed, "expected at least one row"));
    }
    if !is_named(&mut first, signature) {
        let mut column = only_input(signature, source, "each row")?;
        column.read(scan, 0)?;
        return Ok(vec![column.finish()?]);
    }
    let mut table = Table::new(signature, source);
    scan.items(|scan, at| table.read_row(scan, at, |column, scan| column.read(scan, 1)))?;
    table.columns.into_iter().filter(|column| column.n_rows > 0).map(Column::finish).collect()
}

/// All inputs of a model, read row by row from objects.
pub(super) struct Table<'a> {
    pub(super) signature: &'a Signature,
    pub(super) columns: Vec<Column<'a>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(signature: &'a Signature, source: Source<'a>) -> Self {
        let columns = signature.inputs.iter().map(|spec| Column::new(spec, source)).collect();
        Self { signature, columns }
    }

    /// Reads the object of the row at a position.
    pub(super) fn read_row(
        &mut self,
        scan: &mut Scan<'_>,
        row: usize,
        mut read: impl FnMut(&mut Column<'a>, &mut Scan<'_>) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        if scan.peek() != Some(b'{') {
            return Err(Flaw::mismatch("expected an object of inputs by name, as the rows before"));
        }
        scan.entries(|scan, key| {
            let around = || format!(".{key}");
            let column = &mut self.columns[position(self.signature, key)?];
            if column.n_rows > row {
                return Err(twice().inside(around));
            }
            if column.n_rows < row {
                return Err(Flaw::mismatch("the rows before do not have it").inside(around));
            }
            column.n_rows += 1;
            read(column, scan).map_err(|flaw| flaw.inside(around))
        })?;
        match self.columns.iter().find(|column| column.n_rows == row && row > 0) {
            Some(column) => {
                let text = format!("the row lacks {:?}, which the rows before have", column.spec.name);
                Err(Flaw::mismatch(text))
            }
            None => Ok(()),
        }
    }
}

pub(super) fn position(signature: &Signature, name: &str) -> Result<usize, Flaw> {
    signature.inputs.iter().position(|spec| spec.name == name).ok_or_else(|| {
        let known: Vec<&str> = signature.inputs.iter().map(|spec| spec.name.as_str()).collect();
        let shown: String = name.chars().take(64).collect();
        Flaw::at(Mistake::UnknownInput, format!("the model has no input {shown:?}; its inputs are {known:?}"))
    })
}

fn twice() -> Flaw {
    Flaw::at(Mistake::Malformed, "the key appears twice")
}
