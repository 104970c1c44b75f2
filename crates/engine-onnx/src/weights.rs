//! The large weights of a model that the runtime wrote: which they are, and where in the file beside it.
//!
//! The walk knows only the few fields of ONNX it needs, trusts no length, and gives up, with a reason, on whatever it does
//! not expect: then nothing is shared, and the model is loaded as any other.

use std::ops::Range;

/// Dimensions of one weight.
const RANK_MAX: usize = 16;

/// One weight whose bytes are in the file beside the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) name: String,
    /// The element type, in the numbers of ONNX, which for tensors are those of the runtime.
    pub(crate) element: i32,
    pub(crate) dims: Vec<i64>,
    /// Where its bytes are.
    pub(crate) place: Range<usize>,
}

type Refused = &'static str;
const TORN: Refused = "the model is not whole";

/// A field of a message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The weights outside the model, in the file of this name. Refuses models with graphs inside graphs: the runtime does not
/// write them as it should, and a name may mean several things in them.
pub(crate) fn weights_outside(model: &[u8], file: &str) -> Result<Vec<Weight>, Refused> {
    let mut weights = Vec::new();
    each_field(model, &mut |number, field| match (number, field) {
        // ModelProto.graph
        (7, Field::Bytes(graph)) => each_field(graph, &mut |number, field| match (number, field) {
            // GraphProto.node, .initializer, .input
            (1, Field::Bytes(node)) if has_graph(node)? => Err("it has graphs inside its graph"),
            (5, Field::Bytes(tensor)) => {
                weights.extend(weight(tensor, file)?);
                Ok(())
            }
            _ => Ok(()),
        }),
        _ => Ok(()),
    })?;
    Ok(weights)
}

/// Whether a model has graphs inside its graph, as those with loops and branches have.
pub(crate) fn has_subgraphs(model: &[u8]) -> Result<bool, Refused> {
    let mut has_subgraphs = false;
    each_field(model, &mut |number, field| match (number, field) {
        (7, Field::Bytes(graph)) => each_field(graph, &mut |number, field| {
            if let (1, Field::Bytes(node)) = (number, field) {
                has_subgraphs |= has_graph(node)?;
            }
            Ok(())
        }),
        // ModelProto.functions: their bodies are nodes.
        (25, Field::Bytes(function)) => each_field(function, &mut |number, field| {
            if let (7, Field::Bytes(node)) = (number, field) {
                has_subgraphs |= has_graph(node)?;
            }
            Ok(())
        }),
        _ => Ok(()),
    })?;
    Ok(has_subgraphs)
}

/// Whether a node has an attribute that is a graph, or a list of them.
fn has_graph(node: &[u8]) -> Result<bool, Refused> {
    let mut has_graph = false;
    each_field(node, &mut |number, field| {
        // NodeProto.attribute
        if let (5, Field::Bytes(attribute)) = (number, field) {
            each_field(attribute, &mut |number, _| {
                // AttributeProto.g and .graphs
                has_graph |= matches!(number, 6 | 11);
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(has_graph)
}

/// A tensor, if its bytes are outside the model.
fn weight(tensor: &[u8], file: &str) -> Result<Option<Weight>, Refused> {
    let (mut name, mut element, mut dims, mut is_outside) = (String::new(), 0, Vec::new(), false);
    let (mut location, mut offset, mut length) = (None, 0usize, None);
    each_field(tensor, &mut |number, field| {
        match (number, field) {
            (1, Field::Number(dim)) => dims.push(dim as i64),
            (1, Field::Bytes(packed)) => each_number(packed, &mut |dim| dims.push(dim as i64))?,
            (2, Field::Number(code)) => element = i32::try_from(code).map_err(|_| TORN)?,
            (8, Field::Bytes(text)) => name = text_of(text)?,
            (13, Field::Bytes(entry)) => match pair(entry)? {
                (key, value) if key == "location" => location = Some(value),
                (key, value) if key == "offset" => offset = value.parse().map_err(|_| TORN)?,
                (key, value) if key == "length" => length = Some(value.parse::<usize>().map_err(|_| TORN)?),
                _ => {}
            },
            (14, Field::Number(place)) => is_outside = place == 1,
            _ => {}
        }
        if dims.len() > RANK_MAX { Err("a weight has too many dimensions") } else { Ok(()) }
    })?;
    if !is_outside {
        return Ok(None);
    }
    if location.as_deref() != Some(file) {
        return Err("a weight is in another file");
    }
    let end = length.and_then(|length| offset.checked_add(length)).ok_or("a weight has no length")?;
    if name.is_empty() || dims.iter().any(|dim| *dim < 0) {
        return Err("a weight has no name, or no shape");
    }
    Ok(Some(Weight { name, element, dims, place: offset..end }))
}

fn pair(entry: &[u8]) -> Result<(String, String), Refused> {
    let (mut key, mut value) = (String::new(), String::new());
    each_field(entry, &mut |number, field| {
        match (number, field) {
            (1, Field::Bytes(text)) => key = text_of(text)?,
            (2, Field::Bytes(text)) => value = text_of(text)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((key, value))
}

fn text_of(bytes: &[u8]) -> Result<String, Refused> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "a name is not UTF-8")
}

/// Calls for each field of a message, in order.
fn each_field<'a>(
    mut rest: &'a [u8],
    take: &mut dyn FnMut(u64, Field<'a>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    while !rest.is_empty() {
        let key = number(&mut rest)?;
        let field = match key & 7 {
            0 => Field::Number(number(&mut rest)?),
            1 => skip(&mut rest, 8)?,
            2 => {
                let n_bytes = usize::try_from(number(&mut rest)?).map_err(|_| TORN)?;
                let (bytes, after) = rest.split_at_checked(n_bytes).ok_or(TORN)?;
                rest = after;
                Field::Bytes(bytes)
            }
            5 => skip(&mut rest, 4)?,
            _ => return Err(TORN),
        };
        take(key >> 3, field)?;
    }
    Ok(())
}

fn skip<'a>(rest: &mut &'a [u8], n_bytes: usize) -> Result<Field<'a>, Refused> {
    *rest = rest.get(n_bytes..).ok_or(TORN)?;
    Ok(Field::Other)
}

fn each_number(mut rest: &[u8], take: &mut dyn FnMut(u64)) -> Result<(), Refused> {
    while !rest.is_empty() {
        take(number(&mut rest)?);
    }
    Ok(())
}

/// A number of variable length.
fn number(rest: &mut &[u8]) -> Result<u64, Refused> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(TORN)?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(TORN)
}

#[cfg(test)]
mod tests;
