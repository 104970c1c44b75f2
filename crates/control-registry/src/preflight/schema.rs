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
    /// A sequence, map or optional: a type around a type.
    TypeAround,
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

/// The rule for a field, or `None` for a field the schema does not know.
pub(super) fn rule(kind: Kind, number: u32) -> Option<Rule> {
    use Holds::{Blob, Double, Float, Int, Leaf, Message, Name, Text};
    let one = |holds| Some(Rule { holds, is_repeated: false });
    let many = |holds| Some(Rule { holds, is_repeated: true });
    match (kind, number) {
        (Kind::Model, 1 | 5) => one(Int),
        (Kind::Model, 2..=4) => one(Name),
        (Kind::Model, 6) => one(Text),
        (Kind::Model, 7) => one(Message(Kind::Graph)),
        (Kind::Model, 8) => many(Message(Kind::Opset)),
        (Kind::Model, 14) => many(Message(Kind::Entry)),
        (Kind::Model, 20) => many(Message(Kind::Training)),
        (Kind::Model, 25) => many(Message(Kind::Function)),
        (Kind::Model, 26) => many(Leaf),
        (Kind::Training, 1 | 2) => one(Message(Kind::Graph)),
        (Kind::Training, 3 | 4) => many(Message(Kind::Entry)),
        (Kind::Graph, 1) => many(Message(Kind::Node)),
        (Kind::Graph, 2) => one(Name),
        (Kind::Graph, 5) => many(Message(Kind::Tensor)),
        (Kind::Graph, 10) => one(Text),
        (Kind::Graph, 11..=13) => many(Message(Kind::ValueInfo)),
        (Kind::Graph, 14) => many(Message(Kind::Annotation)),
        (Kind::Graph, 15) => many(Message(Kind::Sparse)),
        (Kind::Graph, 16) => many(Message(Kind::Entry)),
        (Kind::Function, 1 | 10 | 13) => one(Name),
        (Kind::Function, 4..=6) => many(Name),
        (Kind::Function, 7) => many(Message(Kind::Node)),
        (Kind::Function, 8) => one(Text),
        (Kind::Function, 9) => many(Message(Kind::Opset)),
        (Kind::Function, 11) => many(Message(Kind::Attribute)),
        (Kind::Function, 12) => many(Message(Kind::ValueInfo)),
        (Kind::Function, 14) => many(Message(Kind::Entry)),
        (Kind::Node, 1 | 2) => many(Name),
        (Kind::Node, 3 | 4 | 7 | 8) => one(Name),
        (Kind::Node, 5) => many(Message(Kind::Attribute)),
        (Kind::Node, 6) => one(Text),
        (Kind::Node, 9) => many(Message(Kind::Entry)),
        (Kind::Node, 10) => many(Leaf),
        (Kind::Attribute, 1 | 21) => one(Name),
        (Kind::Attribute, 2) => one(Float),
        (Kind::Attribute, 3 | 20) => one(Int),
        (Kind::Attribute, 4) => one(Blob),
        (Kind::Attribute, 5) => one(Message(Kind::Tensor)),
        (Kind::Attribute, 6) => one(Message(Kind::Graph)),
        (Kind::Attribute, 7) => many(Float),
        (Kind::Attribute, 8) => many(Int),
        (Kind::Attribute, 9) => many(Blob),
        (Kind::Attribute, 10) => many(Message(Kind::Tensor)),
        (Kind::Attribute, 11) => many(Message(Kind::Graph)),
        (Kind::Attribute, 13) => one(Text),
        (Kind::Attribute, 14) => one(Message(Kind::Type)),
        (Kind::Attribute, 15) => many(Message(Kind::Type)),
        (Kind::Attribute, 22) => one(Message(Kind::Sparse)),
        (Kind::Attribute, 23) => many(Message(Kind::Sparse)),
        (Kind::Tensor, 1 | 5 | 7 | 11) => many(Int),
        (Kind::Tensor, 2 | 14) => one(Int),
        (Kind::Tensor, 3) => one(Leaf),
        (Kind::Tensor, 4) => many(Float),
        (Kind::Tensor, 6) => many(Blob),
        (Kind::Tensor, 8) => one(Name),
        (Kind::Tensor, 9) => one(Blob),
        (Kind::Tensor, 10) => many(Double),
        (Kind::Tensor, 12) => one(Text),
        (Kind::Tensor, 13 | 16) => many(Message(Kind::Entry)),
        (Kind::Sparse, 1 | 2) => one(Message(Kind::Tensor)),
        (Kind::Sparse, 3) => many(Int),
        (Kind::ValueInfo, 1) => one(Name),
        (Kind::ValueInfo, 2) => one(Message(Kind::Type)),
        (Kind::ValueInfo, 3) => one(Text),
        (Kind::ValueInfo, 4) => many(Message(Kind::Entry)),
        (Kind::Type, 1 | 7 | 8) => one(Leaf),
        (Kind::Type, 4 | 5 | 9) => one(Message(Kind::TypeAround)),
        (Kind::Type, 6) => one(Name),
        // A sequence or optional holds its type in field 1; a map its key type in 1 and its value type in 2.
        // Key types are numbers, so field 1 may be either: the walker tells them apart.
        (Kind::TypeAround, 1 | 2) => one(Message(Kind::Type)),
        (Kind::Opset, 1) => one(Name),
        (Kind::Opset, 2) => one(Int),
        (Kind::Entry, 1) => one(Name),
        (Kind::Entry, 2) => one(Text),
        (Kind::Annotation, 1) => one(Name),
        (Kind::Annotation, 2) => many(Message(Kind::Entry)),
        _ => None,
    }
}
