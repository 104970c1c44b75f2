//! Outputs as the answer to a predict request: by row (`predictions`) or by column (`outputs`), as the request was.

use std::io;

use base_types::Tensor;

use crate::error::EncodeError;
use crate::tfs::predict::Arrangement;
use crate::tfs::write::{check, room, separate, write_row, write_tensor, write_text};

/// Writes an answer. Who computed it has no place in it: that stands in the headers.
pub fn encode_predictions(arrangement: Arrangement, outputs: &[Tensor]) -> Result<Vec<u8>, EncodeError> {
    outputs.iter().try_for_each(check)?;
    let mut json = Vec::with_capacity(64 + outputs.iter().map(room).sum::<usize>());
    let written = match arrangement {
        Arrangement::Rows => {
            let n_rows = count_rows(outputs)?;
            write_rows(&mut json, outputs, n_rows)
        }
        Arrangement::Columns => write_columns(&mut json, outputs),
    };
    // Writing to a vector cannot fail.
    if written.is_err() {
        json.clear();
    }
    Ok(json)
}

/// The first dimension, which all outputs have to share.
fn count_rows(outputs: &[Tensor]) -> Result<usize, EncodeError> {
    let mut n_rows = None;
    for output in outputs {
        let of_output = output.shape().first().copied();
        let is_shared = of_output.is_some_and(|n| *n_rows.get_or_insert(n) == n);
        if !is_shared {
            let shape = format!("output {:?} of shape {:?}", output.name(), output.shape());
            let text = format!("{shape} has not as many rows as the others: send `inputs` in place of `instances`");
            return Err(EncodeError::Arrangement(text));
        }
    }
    Ok(n_rows.unwrap_or_default())
}

fn write_rows(json: &mut Vec<u8>, outputs: &[Tensor], n_rows: usize) -> io::Result<()> {
    json.extend_from_slice(b"{\"predictions\":[");
    for row in 0..n_rows {
        separate(json, row);
        match outputs {
            [only] => write_row(json, only, row)?,
            all => write_named(json, all, |json, output| write_row(json, output, row))?,
        }
    }
    json.extend_from_slice(b"]}");
    Ok(())
}

fn write_columns(json: &mut Vec<u8>, outputs: &[Tensor]) -> io::Result<()> {
    json.extend_from_slice(b"{\"outputs\":");
    match outputs {
        [only] => write_tensor(json, only)?,
        all => write_named(json, all, write_tensor)?,
    }
    json.push(b'}');
    Ok(())
}

/// Outputs by name.
fn write_named(
    json: &mut Vec<u8>,
    outputs: &[Tensor],
    mut write: impl FnMut(&mut Vec<u8>, &Tensor) -> io::Result<()>,
) -> io::Result<()> {
    json.push(b'{');
    for (index, output) in outputs.iter().enumerate() {
        separate(json, index);
        write_text(json, output.name())?;
        json.push(b':');
        write(json, output)?;
    }
    json.push(b'}');
    Ok(())
}
