//! The body of a classify or regress request: examples, each a map from features to their values. A feature is an
//! input of the model; its values fill that input's row.

use std::cell::Cell;

use base_types::{Signature, Tensor};
use bytes::Bytes;

use crate::error::{DecodeError, Mistake};
use crate::limits::CodecLimits;
use crate::tfs::column::{Column, Source};
use crate::tfs::flaw::Flaw;
use crate::tfs::predict::{Keys, Table, as_text, missing, position, signature_name};
use crate::tfs::scan::Scan;

/// Reads a classify or regress request to a model of this signature: its inputs in the order of the signature.
///
/// Features in `context` hold for every example that does not have them itself.
pub fn decode_examples(body: &Bytes, signature: &Signature, limits: &CodecLimits) -> Result<Vec<Tensor>, DecodeError> {
    let mut scan = Scan::new(as_text(body)?);
    let mut keys = Keys::default();
    let n_strings = Cell::default();
    let mut table = Table::new(signature, Source { body, limits, n_strings: &n_strings });
    let (mut n_rows, mut context, mut in_field) = (None, None, "");
    let result = scan.entries(|scan, key| match key {
        "signature_name" => {
            in_field = "signature_name";
            keys.once(key)?;
            signature_name(scan)
        }
        "examples" => {
            in_field = "examples";
            keys.once(key)?;
            n_rows = Some(read_examples(scan, &mut table)?);
            Ok(())
        }
        "context" => {
            in_field = "context";
            keys.once(key)?;
            // Which features the examples lack is known when they have been read.
            context = Some(*scan);
            scan.skip(limits.depth.saturating_sub(1))
        }
        _ => scan.skip(limits.depth.saturating_sub(1)),
    });
    result.and_then(|()| scan.end()).map_err(|flaw| flaw.explain(in_field))?;
    let n_rows = n_rows.ok_or_else(|| missing("`examples` (a list of objects)"))?;
    if let Some(mut scan) = context {
        read_context(&mut scan, &mut table, n_rows).map_err(|flaw| flaw.explain("context"))?;
    }
    let columns = table.columns.into_iter().filter(|column| column.n_rows > 0);
    columns.map(Column::finish_features).collect::<Result<_, _>>().map_err(|flaw| flaw.explain("examples"))
}

fn read_examples(scan: &mut Scan<'_>, table: &mut Table<'_>) -> Result<usize, Flaw> {
    if scan.peek() != Some(b'[') {
        return Err(Flaw::at(Mistake::Malformed, "expected a list of objects"));
    }
    match scan.items(|scan, at| table.read_row(scan, at, |column, scan| column.read_feature(scan)))? {
        0 => Err(Flaw::at(Mistake::Malformed, "expected at least one example")),
        n_rows => Ok(n_rows),
    }
}

fn read_context(scan: &mut Scan<'_>, table: &mut Table<'_>, n_rows: usize) -> Result<(), Flaw> {
    let is_in_examples: Vec<bool> = table.columns.iter().map(|column| column.n_rows > 0).collect();
    scan.entries(|scan, key| {
        let at = position(table.signature, key)?;
        let column = &mut table.columns[at];
        let around = || format!(".{key}");
        if is_in_examples[at] {
            return scan.skip(1).map_err(|flaw| flaw.inside(around));
        }
        if column.n_rows > 0 {
            return Err(Flaw::at(Mistake::Malformed, "the key appears twice").inside(around));
        }
        column.read_feature(scan).and_then(|()| column.repeat(n_rows)).map_err(|flaw| flaw.inside(around))
    })
}
