//! The shape of `onnx.proto`: which message has which field, as far as the preflight cares.

/// The messages that are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Training,
    Graph,
    Function,
    Node,
    Attribute,
    Tensor,
    Sparse,
    ValueInfo,
    Type,
    /// A sequence or optional: a type around a type.
    TypeAround,
    /// A map: the number of its key type, and a type around its values.
    TypeMap,
    Opset,
    Entry,
    Annotation,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// A number; repeated ones may be packed.
    Int,
    Float,
    Double,
    /// A name or other short text.
    Name,
    /// Documentation or a metadata value.
    Text,
    /// Bytes of any length.
    Blob,
    /// A message that is walked.
    Message(Kind),
    /// A message that is not looked into, because it cannot nest and nothing in it matters here.
    Leaf,
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub holds: Holds,
    pub is_repeated: bool,
}

impl Rule {
    fn one(holds: Holds) -> Option<Self> {
        Some(Self { holds, is_repeated: false })
    }

    fn many(holds: Holds) -> Option<Self> {
        Some(Self { holds, is_repeated: true })
    }
}

/// The rule for a field, or `None` for a field the schema does not know.
pub(super) fn rule(kind: Kind, number: u32) -> Option<Rule> {
    match kind {
        Kind::Model | Kind::Training | Kind::Opset | Kind::Entry | Kind::Annotation => model_rule(kind, number),
        Kind::Graph | Kind::Function | Kind::Node => graph_rule(kind, number),
        Kind::Attribute => attribute_rule(number),
        _ => value_rule(kind, number),
    }
}

/// The model and what stands around its graph.
fn model_rule(kind: Kind, number: u32) -> Option<Rule> {
    match (kind, number) {
        (Kind::Model, 1 | 5) => Rule::one(Holds::Int),
        (Kind::Model, 2..=4) => Rule::one(Holds::Name),
        (Kind::Model, 6) => Rule::one(Holds::Text),
        (Kind::Model, 7) => Rule::one(Holds::Message(Kind::Graph)),
        (Kind::Model, 8) => Rule::many(Holds::Message(Kind::Opset)),
        (Kind::Model, 14) => Rule::many(Holds::Message(Kind::Entry)),
        (Kind::Model, 20) => Rule::many(Holds::Message(Kind::Training)),
        (Kind::Model, 25) => Rule::many(Holds::Message(Kind::Function)),
        (Kind::Model, 26) => Rule::many(Holds::Leaf),
        (Kind::Training, 1 | 2) => Rule::one(Holds::Message(Kind::Graph)),
        (Kind::Training, 3 | 4) => Rule::many(Holds::Message(Kind::Entry)),
        (Kind::Opset, 1) => Rule::one(Holds::Name),
        (Kind::Opset, 2) => Rule::one(Holds::Int),
        (Kind::Entry, 1) => Rule::one(Holds::Name),
        (Kind::Entry, 2) => Rule::one(Holds::Text),
        (Kind::Annotation, 1) => Rule::one(Holds::Name),
        (Kind::Annotation, 2) => Rule::many(Holds::Message(Kind::Entry)),
        _ => None,
    }
}

/// Graphs, functions and their nodes.
fn graph_rule(kind: Kind, number: u32) -> Option<Rule> {
    match (kind, number) {
        (Kind::Graph, 1) => Rule::many(Holds::Message(Kind::Node)),
        (Kind::Graph, 2) => Rule::one(Holds::Name),
        (Kind::Graph, 5) => Rule::many(Holds::Message(Kind::Tensor)),
        (Kind::Graph, 10) => Rule::one(Holds::Text),
        (Kind::Graph, 11..=13) => Rule::many(Holds::Message(Kind::ValueInfo)),
        (Kind::Graph, 14) => Rule::many(Holds::Message(Kind::Annotation)),
        (Kind::Graph, 15) => Rule::many(Holds::Message(Kind::Sparse)),
        (Kind::Graph, 16) => Rule::many(Holds::Message(Kind::Entry)),
        (Kind::Function, 1 | 10 | 13) => Rule::one(Holds::Name),
        (Kind::Function, 4..=6) => Rule::many(Holds::Name),
        (Kind::Function, 7) => Rule::many(Holds::Message(Kind::Node)),
        (Kind::Function, 8) => Rule::one(Holds::Text),
        (Kind::Function, 9) => Rule::many(Holds::Message(Kind::Opset)),
        (Kind::Function, 11) => Rule::many(Holds::Message(Kind::Attribute)),
        (Kind::Function, 12) => Rule::many(Holds::Message(Kind::ValueInfo)),
        (Kind::Function, 14) => Rule::many(Holds::Message(Kind::Entry)),
        (Kind::Node, 1 | 2) => Rule::many(Holds::Name),
        (Kind::Node, 3 | 4 | 7 | 8) => Rule::one(Holds::Name),
        (Kind::Node, 5) => Rule::many(Holds::Message(Kind::Attribute)),
        (Kind::Node, 6) => Rule::one(Holds::Text),
        (Kind::Node, 9) => Rule::many(Holds::Message(Kind::Entry)),
        (Kind::Node, 10) => Rule::many(Holds::Leaf),
        _ => None,
    }
}

/// Attributes of nodes, which hold subgraphs among other things.
fn attribute_rule(number: u32) -> Option<Rule> {
    match number {
        1 | 21 => Rule::one(Holds::Name),
        2 => Rule::one(Holds::Float),
        3 | 20 => Rule::one(Holds::Int),
        4 => Rule::one(Holds::Blob),
        5 => Rule::one(Holds::Message(Kind::Tensor)),
        6 => Rule::one(Holds::Message(Kind::Graph)),
        7 => Rule::many(Holds::Float),
        8 => Rule::many(Holds::Int),
        9 => Rule::many(Holds::Blob),
        10 => Rule::many(Holds::Message(Kind::Tensor)),
        11 => Rule::many(Holds::Message(Kind::Graph)),
        13 => Rule::one(Holds::Text),
        14 => Rule::one(Holds::Message(Kind::Type)),
        15 => Rule::many(Holds::Message(Kind::Type)),
        22 => Rule::one(Holds::Message(Kind::Sparse)),
        23 => Rule::many(Holds::Message(Kind::Sparse)),
        _ => None,
    }
}

/// Tensors, values and their types.
fn value_rule(kind: Kind, number: u32) -> Option<Rule> {
    match (kind, number) {
        (Kind::Tensor, 1 | 5 | 7 | 11) => Rule::many(Holds::Int),
        (Kind::Tensor, 2 | 14) => Rule::one(Holds::Int),
        (Kind::Tensor, 3) => Rule::one(Holds::Leaf),
        (Kind::Tensor, 4) => Rule::many(Holds::Float),
        (Kind::Tensor, 6) => Rule::many(Holds::Blob),
        (Kind::Tensor, 8) => Rule::one(Holds::Name),
        (Kind::Tensor, 9) => Rule::one(Holds::Blob),
        (Kind::Tensor, 10) => Rule::many(Holds::Double),
        (Kind::Tensor, 12) => Rule::one(Holds::Text),
        (Kind::Tensor, 13 | 16) => Rule::many(Holds::Message(Kind::Entry)),
        (Kind::Sparse, 1 | 2) => Rule::one(Holds::Message(Kind::Tensor)),
        (Kind::Sparse, 3) => Rule::many(Holds::Int),
        (Kind::ValueInfo, 1) => Rule::one(Holds::Name),
        (Kind::ValueInfo, 2) => Rule::one(Holds::Message(Kind::Type)),
        (Kind::ValueInfo, 3) => Rule::one(Holds::Text),
        (Kind::ValueInfo, 4) => Rule::many(Holds::Message(Kind::Entry)),
        (Kind::Type, 1 | 7 | 8) => Rule::one(Holds::Leaf),
        (Kind::Type, 4 | 9) => Rule::one(Holds::Message(Kind::TypeAround)),
        (Kind::Type, 5) => Rule::one(Holds::Message(Kind::TypeMap)),
        (Kind::Type, 6) => Rule::one(Holds::Name),
        (Kind::TypeAround, 1) | (Kind::TypeMap, 2) => Rule::one(Holds::Message(Kind::Type)),
        (Kind::TypeMap, 1) => Rule::one(Holds::Int),
        _ => None,
    }
}
