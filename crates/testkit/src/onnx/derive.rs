//! Derives a faulty version of a real model by editing its bytes: the rest of the file stays as it was.
//!
//! The producer of one float output is renamed, and nodes are appended that compute the output from it: equal to
//! it, but NaN, or a failed run, where one column of an input says so. Only operators whose form has not changed
//! since opset 11 are appended, so that models of any later opset can be edited.

use thiserror::Error;

use super::graph::{Attribute, Init, initializer, node};
use super::wire::{Field, Message, WireError, fields};

/// The first opset whose operators this file can append.
const OPSET_MIN: i64 = 11;

/// Prefix of the names that are added.
const ADDED: &str = "switchrail_fault_";

/// An index far beyond any table: looking it up fails the run.
const OUT_OF_BOUNDS: i64 = 1 << 40;

/// What happens to the chosen requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The output's rows are NaN.
    Nan,
    /// The run fails, with all rows of its batch.
    Fail,
}

/// Which rows are chosen, by the value in one column of the input.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// The value is one of these.
    OneOf(Vec<f32>),
    /// The value is above this.
    Above(f32),
}

/// A fault to put into a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The input looked at: two dimensions, any numeric type.
    pub input: String,
    /// The column of that input.
    pub column: i64,
    /// The rows chosen.
    pub when: When,
    /// The output that goes wrong: FP32, the batch its first dimension.
    pub output: String,
    /// How it goes wrong.
    pub effect: Effect,
}

/// Why a fault could not be put into a model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeriveError {
    /// The file is not protobuf.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The file has no graph.
    #[error("the file holds no ONNX graph")]
    NoGraph,
    /// The model's opset is older than the operators that would be added.
    #[error("the model has opset {0}, at least 11 is needed")]
    Opset(i64),
    /// The graph has no such input.
    #[error("the graph has no input {0:?}")]
    NoInput(String),
    /// The graph has no such output of FP32 with a known rank.
    #[error("the graph has no FP32 output {0:?} with a known rank of at least one")]
    NoOutput(String),
    /// No node computes the output.
    #[error("no node computes {0:?}")]
    NoProducer(String),
}

/// Returns the model with the fault in it.
pub fn faulty(model: &[u8], fault: &Fault) -> Result<Vec<u8>, DeriveError> {
    let model = fields(model)?;
    let opset = opset(&model)?;
    if opset < OPSET_MIN {
        return Err(DeriveError::Opset(opset));
    }
    let mut is_found = false;
    let mut edited = Vec::new();
    for field in &model {
        match field.bytes(7) {
            Some(graph) => {
                is_found = true;
                edited.extend(Message::new().bytes(7, &edit(graph, fault)?).into_bytes());
            }
            None => edited.extend(field.raw),
        }
    }
    if is_found { Ok(edited) } else { Err(DeriveError::NoGraph) }
}

/// Returns the model with a note in it: other content, same behaviour.
pub fn annotated(model: &[u8], note: &str) -> Result<Vec<u8>, DeriveError> {
    let entry = Message::new().text(1, "switchrail_note").text(2, note);
    fields(model)?;
    Ok([model, &Message::new().message(14, &entry).into_bytes()].concat())
}

/// The version of the default operator set.
fn opset(model: &[Field<'_>]) -> Result<i64, DeriveError> {
    for import in model.iter().filter_map(|f| f.bytes(8)) {
        let import = fields(import)?;
        let is_default =
            import.iter().filter_map(|f| f.bytes(1)).all(|domain| domain.is_empty() || domain == b"ai.onnx");
        if is_default {
            return Ok(import.iter().find_map(|f| f.int(2)).unwrap_or(0));
        }
    }
    Err(DeriveError::Opset(0))
}

fn edit(graph: &[u8], fault: &Fault) -> Result<Vec<u8>, DeriveError> {
    let graph = fields(graph)?;
    if find_value(&graph, 11, &fault.input)?.is_none() {
        return Err(DeriveError::NoInput(fault.input.clone()));
    }
    let no_output = || DeriveError::NoOutput(fault.output.clone());
    let rank = float_rank(find_value(&graph, 12, &fault.output)?.ok_or_else(no_output)?)?.ok_or_else(no_output)?;
    let good = format!("{ADDED}good");
    let mut is_renamed = false;
    let mut edited = Vec::new();
    for field in &graph {
        match field.bytes(1) {
            Some(bytes) => {
                let renamed = rename(bytes, &fault.output, &good, &mut is_renamed)?;
                edited.extend(Message::new().bytes(1, &renamed).into_bytes());
            }
            None => edited.extend(field.raw),
        }
    }
    if !is_renamed {
        return Err(DeriveError::NoProducer(fault.output.clone()));
    }
    edited.extend(additions(fault, &good, rank).into_bytes());
    Ok(edited)
}

/// The declaration of a named input (field 11) or output (field 12).
fn find_value<'a>(graph: &[Field<'a>], number: u32, name: &str) -> Result<Option<Vec<Field<'a>>>, WireError> {
    for value in graph.iter().filter_map(|f| f.bytes(number)) {
        let value = fields(value)?;
        if value.iter().any(|f| f.bytes(1) == Some(name.as_bytes())) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// The rank of a declared FP32 tensor.
fn float_rank(value: Vec<Field<'_>>) -> Result<Option<usize>, WireError> {
    let Some(kind) = value.iter().find_map(|f| f.bytes(2)) else {
        return Ok(None);
    };
    let Some(tensor) = fields(kind)?.iter().find_map(|f| f.bytes(1)) else {
        return Ok(None);
    };
    let tensor = fields(tensor)?;
    let is_float = tensor.iter().any(|f| f.int(1) == Some(1));
    let Some(shape) = tensor.iter().find_map(|f| f.bytes(2)).filter(|_| is_float) else {
        return Ok(None);
    };
    Ok(Some(fields(shape)?.iter().filter(|f| f.bytes(1).is_some()).count()).filter(|rank| *rank > 0))
}

/// A node with the output renamed, wherever it stands among inputs and outputs.
fn rename(bytes: &[u8], from: &str, to: &str, is_renamed: &mut bool) -> Result<Vec<u8>, WireError> {
    let mut edited = Vec::new();
    for field in fields(bytes)? {
        let hits = |number| field.bytes(number) == Some(from.as_bytes());
        if hits(1) || hits(2) {
            *is_renamed |= hits(2);
            edited.extend(Message::new().text(field.number, to).into_bytes());
        } else {
            edited.extend(field.raw);
        }
    }
    Ok(edited)
}

/// The initializers and nodes that compute the output from `good`, as fields of the graph.
fn additions(fault: &Fault, good: &str, rank: usize) -> Message {
    let name = |part: &str| format!("{ADDED}{part}");
    let mut graph = Message::new();
    let mut init = |part: &str, dims: &[i64], content: Init<'_>| {
        graph = std::mem::take(&mut graph).message(5, &initializer(&name(part), dims, content));
    };
    // One size per dimension of the output, so that the choice of a row holds for all of it.
    let per_row: Vec<i64> = (0..rank).map(|axis| if axis == 0 { -1 } else { 1 }).collect();
    init("column", &[], Init::Ints(&[fault.column]));
    init("as_column", &[2], Init::Ints(&[-1, 1]));
    init("per_row", &[rank as i64], Init::Ints(&per_row));
    init("half", &[], Init::Floats(&[0.5]));
    match &fault.when {
        When::OneOf(values) => {
            init("values", &[1, values.len() as i64], Init::Floats(values));
            init("ones", &[values.len() as i64, 1], Init::Floats(&vec![1.0; values.len()]));
        }
        When::Above(threshold) => init("threshold", &[], Init::Floats(&[*threshold])),
    }
    match fault.effect {
        Effect::Nan => init("nan", &[], Init::Floats(&[f32::NAN])),
        Effect::Fail => {
            init("beyond", &[], Init::Ints(&[OUT_OF_BOUNDS]));
            init("table", &[1], Init::Floats(&[0.0]));
        }
    }
    let mut add = |op: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attribute)]| {
        graph = std::mem::take(&mut graph).message(1, &node(op, &inputs.join(" "), output, attributes));
    };
    let to_float = [("to", Attribute::Int(1))];
    add("Gather", &[&fault.input, &name("column")], &name("value"), &[("axis", Attribute::Int(1))]);
    add("Cast", &[&name("value")], &name("value_float"), &to_float);
    add("Reshape", &[&name("value_float"), &name("as_column")], &name("rows"), &[]);
    match &fault.when {
        When::OneOf(_) => {
            add("Equal", &[&name("rows"), &name("values")], &name("equal"), &[]);
            add("Cast", &[&name("equal")], &name("equal_float"), &to_float);
            add("MatMul", &[&name("equal_float"), &name("ones")], &name("count"), &[]);
            add("Greater", &[&name("count"), &name("half")], &name("chosen"), &[]);
        }
        When::Above(_) => add("Greater", &[&name("rows"), &name("threshold")], &name("chosen"), &[]),
    }
    match fault.effect {
        Effect::Nan => {
            add("Reshape", &[&name("chosen"), &name("per_row")], &name("mask"), &[]);
            add("Where", &[&name("mask"), &name("nan"), good], &fault.output, &[]);
        }
        Effect::Fail => {
            add("Cast", &[&name("chosen")], &name("chosen_float"), &to_float);
            add("ReduceMax", &[&name("chosen_float")], &name("any_float"), &[("keepdims", Attribute::Int(0))]);
            add("Cast", &[&name("any_float")], &name("any"), &[("to", Attribute::Int(7))]);
            add("Mul", &[&name("any"), &name("beyond")], &name("index"), &[]);
            add("Gather", &[&name("table"), &name("index")], &name("nothing"), &[]);
            add("Add", &[good, &name("nothing")], &fault.output, &[]);
        }
    }
    graph
}

#[cfg(test)]
mod tests;
