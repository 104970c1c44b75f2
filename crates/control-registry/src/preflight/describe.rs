//! What a model file says about itself beyond what the preflight needs: who wrote it, what goes in and comes out, and
//! where the bytes of its tensors lie. For files that [`super::scan`] did not refuse.

mod value;

use std::ops::Range;

use super::schema::{Holds, Kind, rule};
use super::wire::{Field, Value, malformed, packed, read_field};
use crate::Refusal;

pub use value::ValueInfo;

/// Most tensors that are kept; those after them are left out.
pub const TENSORS_MAX: usize = 262_144;
/// Most entries of metadata that are kept.
const METADATA_MAX: usize = 1_024;

/// A model file's own words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// The program that wrote it.
    pub producer: String,
    /// That program's version.
    pub producer_version: String,
    /// Metadata, in the file's order.
    pub metadata: Vec<(String, String)>,
    /// The main graph's inputs without initialisers, which older models list there too.
    pub inputs: Vec<ValueInfo>,
    /// The main graph's outputs.
    pub outputs: Vec<ValueInfo>,
    /// Tensors of at least the size asked for, in the file's order, those of nodes and subgraphs too.
    pub tensors: Vec<TensorInfo>,
}

/// A tensor with values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name; often empty for those of nodes.
    pub name: String,
    /// ONNX's number of its element type.
    pub element_type: u64,
    /// Its dimensions.
    pub shape: Vec<i64>,
    /// Whether it is an initialiser of the main graph.
    pub is_initializer: bool,
    /// Where its bytes are.
    pub place: TensorPlace,
}

/// Where the bytes of a tensor are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TensorPlace {
    /// In the model file, as they are in memory.
    Inside(Range<u64>),
    /// In the model file, written as values: this is the whole message.
    Values(Range<u64>),
    /// In a file beside it.
    Beside {
        /// The file's name.
        location: String,
        /// The first byte.
        offset: u64,
        /// How many; `None` where the file does not say.
        bytes: Option<u64>,
    },
}

/// Reads what a model file says. Tensors of fewer bytes than `tensor_bytes_min` are passed over.
pub fn describe(bytes: &[u8], tensor_bytes_min: u64) -> Result<Description, Refusal> {
    let mut reader = Reader { bytes, tensor_bytes_min, found: Description::default(), initializers: Vec::new() };
    let mut stack = vec![(Kind::Model, bytes.len())];
    let mut at = 0;
    while let Some((kind, end)) = stack.last().copied() {
        if at >= end {
            stack.pop();
            continue;
        }
        let field = read_field(bytes, at, end)?;
        let is_main_graph = stack.len() == 2 && kind == Kind::Graph && stack[0].0 == Kind::Model;
        at = match reader.field(kind, is_main_graph, &field)? {
            Some(child) => {
                stack.push((child, field.next));
                field.start
            }
            None => field.next,
        };
    }
    let Reader { mut found, mut initializers, .. } = reader;
    initializers.sort_unstable();
    found.inputs.retain(|input| initializers.binary_search(&input.name.as_str()).is_err());
    Ok(found)
}

struct Reader<'a> {
    bytes: &'a [u8],
    tensor_bytes_min: u64,
    found: Description,
    /// Names of the main graph's initialisers.
    initializers: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    /// Takes one field; answers the kind of message to go into.
    fn field(&mut self, kind: Kind, is_main_graph: bool, field: &Field<'a>) -> Result<Option<Kind>, Refusal> {
        let Value::Bytes(content) = field.value else { return Ok(None) };
        match (kind, field.number) {
            (Kind::Model, 2) => self.found.producer = text(content),
            (Kind::Model, 3) => self.found.producer_version = text(content),
            (Kind::Model, 14) if self.found.metadata.len() < METADATA_MAX => {
                let (mut key, mut value) = (String::new(), String::new());
                self.each(field, |inner| {
                    match (inner.number, inner.value) {
                        (1, Value::Bytes(content)) => key = text(content),
                        (2, Value::Bytes(content)) => value = text(content),
                        _ => {}
                    }
                    Ok(())
                })?;
                self.found.metadata.push((key, value));
            }
            (Kind::Graph, 11) if is_main_graph => {
                let value = value::read(self.bytes, field)?;
                self.found.inputs.push(value);
            }
            (Kind::Graph, 12) if is_main_graph => {
                let value = value::read(self.bytes, field)?;
                self.found.outputs.push(value);
            }
            _ => {
                let child = match rule(kind, field.number).map(|rule| rule.holds) {
                    Some(Holds::Message(child)) => child,
                    _ => return Ok(None),
                };
                if child != Kind::Tensor {
                    return Ok(Some(child));
                }
                self.tensor(field, is_main_graph && field.number == 5)?;
            }
        }
        Ok(None)
    }

    fn each(&self, message: &Field<'a>, mut take: impl FnMut(Field<'a>) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let mut at = message.start;
        while at < message.next {
            let field = read_field(self.bytes, at, message.next)?;
            at = field.next;
            take(field)?;
        }
        Ok(())
    }

    fn tensor(&mut self, message: &Field<'a>, is_initializer: bool) -> Result<(), Refusal> {
        let (mut name, mut element_type, mut shape) = ("", 0, Vec::new());
        let (mut raw, mut entries, mut is_beside) = (None, Vec::new(), false);
        self.each(message, |field| {
            match (field.number, field.value) {
                (1, Value::Varint(dim)) => push_dim(&mut shape, dim, field.start)?,
                (1, Value::Bytes(dims)) => {
                    packed(dims, field.start).try_for_each(|dim| push_dim(&mut shape, dim?, field.start))?;
                }
                (2, Value::Varint(number)) => element_type = number,
                (8, Value::Bytes(content)) => name = std::str::from_utf8(content).unwrap_or_default(),
                (9, Value::Bytes(_)) => raw = Some(field.start as u64..field.next as u64),
                (13, Value::Bytes(_)) => entries.push(field),
                (14, Value::Varint(number)) => is_beside = number == 1,
                _ => {}
            }
            Ok(())
        })?;
        if is_initializer {
            self.initializers.push(name);
        }
        let place = match raw {
            _ if is_beside => self.beside(&entries)?,
            Some(span) => TensorPlace::Inside(span),
            None => TensorPlace::Values(message.start as u64..message.next as u64),
        };
        let bytes = match &place {
            TensorPlace::Inside(span) | TensorPlace::Values(span) => span.end - span.start,
            TensorPlace::Beside { bytes, .. } => bytes.unwrap_or(u64::MAX),
        };
        if bytes >= self.tensor_bytes_min && self.found.tensors.len() < TENSORS_MAX {
            self.found.tensors.push(TensorInfo { name: name.to_owned(), element_type, shape, is_initializer, place });
        }
        Ok(())
    }

    fn beside(&self, entries: &[Field<'a>]) -> Result<TensorPlace, Refusal> {
        let (mut location, mut offset, mut bytes) = (String::new(), 0, None);
        for entry in entries {
            let (mut key, mut value) = ("", "");
            self.each(entry, |field| {
                match (field.number, field.value) {
                    (1, Value::Bytes(content)) => key = std::str::from_utf8(content).unwrap_or_default(),
                    (2, Value::Bytes(content)) => value = std::str::from_utf8(content).unwrap_or_default(),
                    _ => {}
                }
                Ok(())
            })?;
            match key {
                "location" => value.clone_into(&mut location),
                "offset" => offset = value.parse().unwrap_or(0),
                "length" => bytes = value.parse().ok(),
                _ => {}
            }
        }
        Ok(TensorPlace::Beside { location, offset, bytes })
    }
}

fn push_dim(shape: &mut Vec<i64>, dim: u64, at: usize) -> Result<(), Refusal> {
    /// More dimensions than any tensor that a runtime computes with.
    const DIMS_MAX: usize = 64;
    if shape.len() >= DIMS_MAX {
        return Err(malformed(at, "a tensor of more dimensions than any runtime knows"));
    }
    shape.push(dim as i64);
    Ok(())
}

fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).into_owned()
}

#[cfg(test)]
mod tests;
