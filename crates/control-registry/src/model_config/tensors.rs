//! The inputs and outputs of a `config.pbtxt`.

use std::collections::BTreeSet;

use super::ConfiguredTensor;
use super::text::Field;
use super::values::{data_type, dim, fields, file_name, mismatch, only_false, text, unsupported, warn};
use crate::Refusal;

/// Reads an input or output.
pub(super) fn tensor(warnings: &mut Vec<String>, field: &Field, side: &str) -> Result<ConfiguredTensor, Refusal> {
    let (mut name, mut datatype, mut dims) = (None, None, Vec::new());
    let (mut reshaped, mut label_file) = (None, None);
    let mut seen = BTreeSet::new();
    for inner in fields(field)? {
        if inner.name != "dims" && !seen.insert(inner.name.as_str()) {
            return Err(mismatch(inner, "is given twice"));
        }
        match inner.name.as_str() {
            "name" => name = Some(text(inner)?.to_owned()),
            "data_type" => datatype = Some(data_type(inner)?),
            "dims" => dims.push(dim(inner)?),
            "format" if side == "input" => warn(warnings, inner),
            "label_filename" if side == "output" => label_file = Some(file_name(inner)?.to_owned()),
            "is_shape_tensor" | "is_non_linear_format_io" => only_false(inner, &[&inner.name])?,
            "allow_ragged_batch" | "optional" if side == "input" => only_false(inner, &[&inner.name])?,
            "reshape" => reshaped = Some(inner),
            _ => return Err(unsupported(inner, &format!("is not a known field of an {side}"))),
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| mismatch(field, "has no name"))?;
    let datatype = datatype.ok_or_else(|| mismatch(field, &format!("{name:?} has no data_type")))?;
    let reshape = reshaped.map(|field| reshape(field, &dims)).transpose()?.flatten();
    Ok(ConfiguredTensor { name, datatype, dims, reshape, label_file, line: field.line })
}

/// The shape the graph has, where it is another one. Dimensions of 1 may come and go; anything else would have to move
/// elements between rows, or cannot be undone where sizes are open.
fn reshape(field: &Field, dims: &[Option<usize>]) -> Result<Option<Vec<Option<usize>>>, Refusal> {
    let mut shape = Vec::new();
    for inner in fields(field)? {
        if inner.name != "shape" {
            return Err(unsupported(inner, "is not a known field of reshape"));
        }
        shape.push(dim(inner)?);
    }
    let without_ones = |dims: &[Option<usize>]| dims.iter().filter(|d| **d != Some(1)).copied().collect::<Vec<_>>();
    if without_ones(&shape) != without_ones(dims) {
        let what =
            "may only add or take away dimensions of 1, anything else is not supported: give the dims the model has";
        return Err(unsupported(field, what));
    }
    Ok(Some(shape).filter(|shape| shape != dims))
}
