//! The bytes of a tensor as they are in memory, wherever and however the file keeps them.

use std::borrow::Cow;

use super::describe::{TensorInfo, TensorPlace};
use super::wire::{Value, packed, read_field};

/// ONNX's numbers of element types, the protocol's word for each, and the size of an element in bytes. Types that take
/// less than a byte, and texts, are not among them.
const TYPES: [(u64, &str, u64); 13] = [
    (1, "FP32", 4),
    (2, "UINT8", 1),
    (3, "INT8", 1),
    (4, "UINT16", 2),
    (5, "INT16", 2),
    (6, "INT32", 4),
    (7, "INT64", 8),
    (9, "BOOL", 1),
    (10, "FP16", 2),
    (11, "FP64", 8),
    (12, "UINT32", 4),
    (13, "UINT64", 8),
    (16, "BF16", 2),
];

/// The protocol's word for an element type and the size of an element in bytes; `None` for types without one.
pub fn element_type(number: u64) -> Option<(&'static str, u64)> {
    TYPES.iter().find(|(known, ..)| *known == number).map(|(_, word, bytes)| (*word, *bytes))
}

/// The elements of a tensor, little-endian and in row-major order. `beside` gives the files beside the model. `None` for
/// what has no such form, is not there, or is not as long as its shape asks for.
pub fn elements<'a>(
    model: &'a [u8],
    tensor: &TensorInfo,
    beside: &dyn Fn(&str) -> Option<&'a [u8]>,
) -> Option<Cow<'a, [u8]>> {
    let (_, size) = element_type(tensor.element_type)?;
    let n_elements = tensor.shape.iter().try_fold(1u64, |n, dim| n.checked_mul(u64::try_from(*dim).ok()?))?;
    let n_bytes = usize::try_from(n_elements.checked_mul(size)?).ok()?;
    let found = match &tensor.place {
        TensorPlace::Inside(span) => {
            Cow::Borrowed(model.get(usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?)?)
        }
        TensorPlace::Beside { location, offset, .. } => {
            let start = usize::try_from(*offset).ok()?;
            Cow::Borrowed(beside(location)?.get(start..start.checked_add(n_bytes)?)?)
        }
        TensorPlace::Values(span) => {
            let (start, end) = (usize::try_from(span.start).ok()?, usize::try_from(span.end).ok()?);
            Cow::Owned(values(model, (start, end), size as usize)?)
        }
    };
    (found.len() == n_bytes).then_some(found)
}

/// Values that are written out one by one. Nothing is taken for what is merely announced: it grows with what is there.
fn values(model: &[u8], (mut at, end): (usize, usize), size: usize) -> Option<Vec<u8>> {
    let mut elements = Vec::new();
    while at < end {
        let field = read_field(model, at, end).ok()?;
        match (field.number, field.value) {
            // Floats and doubles stand there as they are in memory, one by one or together.
            (4 | 10, Value::Bytes(content)) => elements.extend_from_slice(content),
            (4 | 10, Value::Fixed32 | Value::Fixed64) => {
                elements.extend_from_slice(model.get(field.start..field.next)?);
            }
            // Everything else as numbers whose low bytes are the element.
            (5 | 7 | 11, Value::Varint(number)) => elements.extend_from_slice(number.to_le_bytes().get(..size)?),
            (5 | 7 | 11, Value::Bytes(content)) => {
                for number in packed(content, field.start) {
                    elements.extend_from_slice(number.ok()?.to_le_bytes().get(..size)?);
                }
            }
            _ => {}
        }
        at = field.next;
    }
    Some(elements)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;
    use crate::preflight::describe;
    use crate::test_model::{Message, external, graph, message, model, tensor};

    fn read(initializer: Message, beside: &[u8]) -> Option<Vec<u8>> {
        let file = model(graph().with(5, initializer)).0;
        let described = describe(&file, 0).unwrap();
        let found = elements(&file, &described.tensors[0], &|name| (name == "w.bin").then_some(beside));
        found.map(Cow::into_owned)
    }

    fn typed(number: i64, dim: i64) -> Message {
        message().int(1, dim).int(2, number).bytes(8, "w")
    }

    #[test]
    fn elements_are_the_same_however_they_are_kept() {
        let raw: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(read(tensor(&[2], &raw), &[]).unwrap(), raw);
        assert_eq!(read(typed(1, 2).bytes(4, &raw), &[]).unwrap(), raw);
        let file = [&[9; 3][..], &raw].concat();
        assert_eq!(read(external(&[2], &[("location", "w.bin"), ("offset", "3")]), &file).unwrap(), raw);
        // A half is the number of its bits; negative numbers are written in ten bytes.
        assert_eq!(read(typed(10, 1).int(5, 0x3c00), &[]).unwrap(), 0x3c00u16.to_le_bytes());
        assert_eq!(
            read(typed(7, 2).int(7, -5).int(7, 6), &[]).unwrap(),
            [(-5i64).to_le_bytes(), 6i64.to_le_bytes()].concat()
        );
    }

    #[test]
    fn what_is_not_whole_is_none() {
        assert_eq!(read(tensor(&[2], &[0; 7]), &[]), None);
        assert_eq!(read(external(&[2], &[("location", "w.bin")]), &[0; 7]), None);
        assert_eq!(read(external(&[2], &[("location", "else.bin")]), &[0; 8]), None);
        assert_eq!(read(external(&[2], &[("location", "w.bin"), ("offset", "18446744073709551615")]), &[0; 8]), None);
        assert_eq!(read(typed(8, 1).bytes(6, "text"), &[]), None);
    }
}
