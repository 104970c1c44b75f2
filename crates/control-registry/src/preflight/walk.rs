//! The walk over the file: a stack of open messages, and what is kept of each until it closes.

mod close;

use std::collections::BTreeMap;

use super::Facts;
use super::functions::{Calls, OpKey};
use super::schema::{Holds, Kind, Rule, rule};
use super::tensor::{Shape, Tensor};
use super::wire::{Field, Value, malformed, packed, read_field};
use crate::{Limits, Refusal, RefusalCode};

/// Walks the whole file.
pub(super) fn walk(bytes: &[u8], limits: &Limits) -> Result<Facts, Refusal> {
    let mut walk = Walk::new(bytes, limits);
    let mut at = 0;
    while let Some(top) = walk.stack.last() {
        if at == top.end {
            walk.close()?;
            continue;
        }
        let field = read_field(bytes, at, top.end)?;
        at = walk.field(field)?;
    }
    walk.finish()
}

/// An open message.
struct Frame<'a> {
    kind: Kind,
    end: usize,
    /// The field of the parent it stands in.
    within: u32,
    /// Bit `n` is set once field `n` was met: parsers merge repeated singular fields, and not all the same way.
    seen: u64,
    state: State<'a>,
}

/// What is kept of an open message.
enum State<'a> {
    None,
    Function { index: usize, key: OpKey<'a> },
    Node(OpKey<'a>),
    Tensor(Box<Tensor<'a>>),
    Sparse { shape: Shape, data_type: u64 },
    ValueInfo { name: &'a str },
    Opset { domain: &'a str, version: i64 },
    Entry { key: &'a str, value: &'a str },
}

struct Walk<'a, 'l> {
    limits: &'l Limits,
    stack: Vec<Frame<'a>>,
    /// How many subgraphs are open, the main graph not counted.
    subgraph_depth: usize,
    type_depth: usize,
    /// The function whose body is being read.
    function: Option<usize>,
    text_bytes: u64,
    calls: Calls<'a>,
    external: BTreeMap<&'a str, u64>,
    has_graph: bool,
    facts: Facts,
}

impl<'a, 'l> Walk<'a, 'l> {
    fn new(bytes: &'a [u8], limits: &'l Limits) -> Self {
        let model = Frame { kind: Kind::Model, end: bytes.len(), within: 0, seen: 0, state: State::None };
        Self {
            limits,
            stack: vec![model],
            subgraph_depth: 0,
            type_depth: 0,
            function: None,
            text_bytes: 0,
            calls: Calls::default(),
            external: BTreeMap::new(),
            has_graph: false,
            facts: Facts::default(),
        }
    }

    /// Takes one field of the innermost message; answers where to read on.
    fn field(&mut self, field: Field<'a>) -> Result<usize, Refusal> {
        let Some(top) = self.stack.last_mut() else { return Ok(field.next) };
        let Some(rule) = rule(top.kind, field.number) else {
            // Inside a message unknown fields are what newer writers add; at the top they are trailing data.
            let is_trailing = top.kind == Kind::Model;
            return if is_trailing { Err(malformed(field.start, "trailing data")) } else { Ok(field.next) };
        };
        if !rule.is_repeated {
            let bit = 1u64 << (field.number & 63);
            if top.seen & bit != 0 {
                return Err(malformed(field.start, "a field given twice"));
            }
            top.seen |= bit;
        }
        let kind = top.kind;
        match (rule.holds, field.value) {
            (Holds::Message(child), Value::Bytes(_)) => {
                self.open(child, field)?;
                return Ok(field.start);
            }
            (Holds::Int, Value::Varint(number)) => self.int(kind, field.number, number)?,
            (Holds::Int, Value::Bytes(content)) if rule.is_repeated => self.ints(kind, &field, content)?,
            (Holds::Name | Holds::Text, Value::Bytes(content)) => self.text(kind, rule, &field, content)?,
            (Holds::Float, Value::Fixed32) => self.count(kind, field.number, 1),
            (Holds::Float, Value::Bytes(content)) if rule.is_repeated => {
                self.count(kind, field.number, whole(content, 4, field.start)?);
            }
            (Holds::Double, Value::Fixed64) => self.count(kind, field.number, 1),
            (Holds::Double, Value::Bytes(content)) if rule.is_repeated => {
                self.count(kind, field.number, whole(content, 8, field.start)?);
            }
            (Holds::Blob, Value::Bytes(content)) => self.count(kind, field.number, content.len() as u64),
            (Holds::Leaf, Value::Bytes(_)) => {}
            _ => return Err(malformed(field.start, "a field of the wrong type")),
        }
        Ok(field.next)
    }

    /// Opens a message within the innermost one.
    fn open(&mut self, kind: Kind, field: Field<'a>) -> Result<(), Refusal> {
        let state = match kind {
            Kind::Graph => {
                self.enter_graph()?;
                State::None
            }
            Kind::Type => {
                self.type_depth += 1;
                if self.type_depth > self.limits.type_depth {
                    return Err(too_deep("value types", self.limits.type_depth));
                }
                State::None
            }
            Kind::Function => {
                self.count_node()?;
                let index = self.calls.begin_function();
                self.function = Some(index);
                State::Function { index, key: NO_OP }
            }
            Kind::Node => {
                self.count_node()?;
                State::Node(NO_OP)
            }
            Kind::Tensor => State::Tensor(Box::default()),
            Kind::Sparse => State::Sparse { shape: Shape::default(), data_type: 0 },
            Kind::ValueInfo => State::ValueInfo { name: "" },
            Kind::Opset => State::Opset { domain: "", version: 0 },
            Kind::Entry => State::Entry { key: "", value: "" },
            _ => State::None,
        };
        self.stack.push(Frame { kind, end: field.next, within: field.number, seen: 0, state });
        Ok(())
    }

    /// Functions count as nodes too, so that empty ones are bounded.
    fn count_node(&mut self) -> Result<(), Refusal> {
        self.facts.nodes += 1;
        if self.facts.nodes > self.limits.nodes {
            let text = format!("the model has more than {} nodes", self.limits.nodes);
            return Err(Refusal::new(RefusalCode::TooManyNodes, text));
        }
        Ok(())
    }

    fn enter_graph(&mut self) -> Result<(), Refusal> {
        let parent = self.stack.last().map(|frame| frame.kind);
        if parent == Some(Kind::Model) {
            self.has_graph = true;
        }
        if parent == Some(Kind::Attribute) {
            self.subgraph_depth += 1;
            if self.subgraph_depth > self.limits.subgraph_depth {
                return Err(too_deep("subgraphs", self.limits.subgraph_depth));
            }
        }
        Ok(())
    }

    fn int(&mut self, kind: Kind, number: u32, value: u64) -> Result<(), Refusal> {
        if (kind, number) == (Kind::Model, 1) {
            self.facts.ir_version = value as i64;
            return Ok(());
        }
        match self.stack.last_mut().map(|frame| &mut frame.state) {
            Some(State::Tensor(tensor)) => match number {
                1 => tensor.push_dim(value)?,
                2 => tensor.data_type = value,
                5 => tensor.n_int32 += 1,
                7 => tensor.n_int64 += 1,
                11 => tensor.n_uint64 += 1,
                14 => tensor.data_location = value,
                _ => {}
            },
            Some(State::Sparse { shape, .. }) if number == 3 => shape.push(value)?,
            Some(State::Opset { version, .. }) => *version = value as i64,
            _ => {}
        }
        Ok(())
    }

    /// A packed field of numbers.
    fn ints(&mut self, kind: Kind, field: &Field<'a>, content: &'a [u8]) -> Result<(), Refusal> {
        if kind == Kind::Tensor && field.number != 1 {
            // Values are only counted: a varint ends with a byte below 0x80.
            if content.last().is_some_and(|byte| *byte >= 0x80) {
                return Err(malformed(field.start, "bad packed number"));
            }
            let n = content.iter().filter(|byte| **byte < 0x80).count() as u64;
            self.count(kind, field.number, n);
            return Ok(());
        }
        packed(content, field.start).try_for_each(|value| self.int(kind, field.number, value?))
    }

    /// Counts values of a tensor that are not looked at.
    fn count(&mut self, kind: Kind, number: u32, n: u64) {
        let Some(State::Tensor(tensor)) = self.stack.last_mut().map(|frame| &mut frame.state) else { return };
        debug_assert_eq!(kind, Kind::Tensor);
        match number {
            4 => tensor.n_float += n,
            5 => tensor.n_int32 += n,
            6 => tensor.n_string += 1,
            7 => tensor.n_int64 += n,
            9 => tensor.raw_bytes = Some(n),
            10 => tensor.n_double += n,
            11 => tensor.n_uint64 += n,
            _ => {}
        }
    }

    fn text(&mut self, kind: Kind, rule: Rule, field: &Field<'a>, content: &'a [u8]) -> Result<(), Refusal> {
        let is_name = rule.holds == Holds::Name;
        let (limit, what) = if is_name { (self.limits.name_bytes, "name") } else { (self.limits.text_bytes, "text") };
        if content.len() > limit {
            let text = format!("the model holds a {what} of {} bytes, the limit is {limit}", content.len());
            return Err(Refusal::new(RefusalCode::TextTooLong, text));
        }
        if !is_name {
            self.text_bytes += content.len() as u64;
            if self.text_bytes > self.limits.text_total_bytes {
                let limit = self.limits.text_total_bytes;
                let text = format!("the model holds more than {limit} bytes of documentation and metadata");
                return Err(Refusal::new(RefusalCode::TextTooLong, text));
            }
        }
        // Documentation may be in any encoding: nothing is decided by it.
        let is_decisive = is_name || kind == Kind::Entry;
        let text = match std::str::from_utf8(content) {
            Ok(text) => text,
            Err(_) if is_decisive => return Err(malformed(field.start, "a text that is not UTF-8")),
            Err(_) => return Ok(()),
        };
        self.keep_text(kind, field.number, text);
        Ok(())
    }

    fn keep_text(&mut self, kind: Kind, number: u32, text: &'a str) {
        if kind == Kind::Model && matches!(number, 2 | 3) {
            if !self.facts.producer.is_empty() {
                self.facts.producer.push(' ');
            }
            self.facts.producer.push_str(text);
            return;
        }
        match (self.stack.last_mut().map(|frame| &mut frame.state), number) {
            (Some(State::Node(key)), 4) | (Some(State::Function { key, .. }), 1) => key.name = text,
            (Some(State::Node(key)), 7) | (Some(State::Function { key, .. }), 10) => key.domain = text,
            (Some(State::Node(key)), 8) | (Some(State::Function { key, .. }), 13) => key.overload = text,
            (Some(State::Tensor(tensor)), 8) => tensor.name = text,
            (Some(State::ValueInfo { name }), 1) => *name = text,
            (Some(State::Opset { domain, .. }), 1) => *domain = text,
            (Some(State::Entry { key, .. }), 1) => *key = text,
            (Some(State::Entry { value, .. }), 2) => *value = text,
            _ => {}
        }
    }
}

const NO_OP: OpKey<'static> = OpKey { domain: "", name: "", overload: "" };

fn too_deep(what: &str, limit: usize) -> Refusal {
    Refusal::new(RefusalCode::TooDeep, format!("the model nests {what} more than {limit} deep"))
}

/// How many values of a fixed size a packed field holds.
fn whole(content: &[u8], size: usize, at: usize) -> Result<u64, Refusal> {
    if content.len().is_multiple_of(size) {
        Ok((content.len() / size) as u64)
    } else {
        Err(malformed(at, "a cut value"))
    }
}
