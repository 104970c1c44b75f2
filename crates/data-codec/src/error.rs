//! What can be wrong with a request body, in the caller's words: which input, where, and how to mend it.

use base_types::{DataType, TensorError};
use thiserror::Error;

/// The kind of mistake, from which an edge derives its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The bytes are no request of this protocol.
    Malformed,
    /// An input does not fit what the request itself says about it.
    Mismatch,
    /// A request we understand and do not serve.
    Unsupported,
    /// An input has a name that the model does not know.
    UnknownInput,
}

/// Why a body is no request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The body as a whole is wrong. The text comes from the JSON parser and ends with line and column.
    #[error("the body is not an inference request: {0}")]
    Json(String),
    /// The header with the length of the JSON part is larger than the body.
    #[error("the header inference-header-content-length says {header}, the body has {body} bytes")]
    HeaderTooLong {
        /// What the header says.
        header: u64,
        /// What the body has.
        body: usize,
    },
    /// The body has bytes that belong to no input.
    #[error("{0} bytes follow the inputs: the JSON part, then each `binary_data_size` in turn, have to be all of it")]
    LeftOver(usize),
    /// Something outside the inputs and outputs is wrong.
    #[error("{0}")]
    Request(Problem),
    /// An input is wrong.
    #[error("inputs[{index}]{}: {problem}", quoted(.name))]
    Input {
        /// Its position.
        index: usize,
        /// Its name, if that was seen before the problem.
        name: Option<String>,
        /// What is wrong.
        problem: Problem,
    },
    /// A value of a body without announced shapes is wrong.
    #[error("{place}: {text}")]
    Place {
        /// Where it stands, such as `instances[3].x[0]`.
        place: String,
        /// The kind of mistake.
        mistake: Mistake,
        /// What is wrong.
        text: String,
    },
    /// A requested output is wrong.
    #[error("outputs[{index}]: {problem}")]
    Output {
        /// Its position.
        index: usize,
        /// What is wrong.
        problem: Problem,
    },
}

/// What is wrong at one place of a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// A required field is absent or null.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// An object has the same key twice.
    #[error("the key {0:?} appears twice")]
    Duplicate(String),
    /// Two inputs or outputs have the same name.
    #[error("the name {0:?} appears twice")]
    DuplicateName(String),
    /// A bound was reached.
    #[error("more than {max} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// The data type has no such name.
    #[error("unknown datatype {0:?}")]
    DataType(String),
    /// The data type cannot be sent as JSON.
    #[error("{0} has no JSON form: send it as binary tensor data")]
    NoJsonForm(DataType),
    /// The elements are not as many as the shape asks for.
    #[error("shape {shape:?} asks for {expected} elements, {}{actual} given", at_least(.expected, .actual))]
    Count {
        /// The shape.
        shape: Vec<usize>,
        /// Elements of the shape.
        expected: usize,
        /// Elements given; reading stops at the first one too many.
        actual: usize,
    },
    /// A nested array is not as long as its dimension.
    #[error("the array at depth {depth} should have {expected} items as dimension {depth} of shape {shape:?} says")]
    Nesting {
        /// The depth, 0 for the outermost array.
        depth: usize,
        /// What the shape says.
        expected: usize,
        /// The shape.
        shape: Vec<usize>,
    },
    /// A number does not fit the data type.
    #[error("data[{at}]: {value} does not fit {datatype}")]
    Range {
        /// Position of the element, row-major.
        at: usize,
        /// The number.
        value: String,
        /// The data type.
        datatype: DataType,
    },
    /// An element is of the wrong kind; the text comes from the JSON parser.
    #[error("data[{at}]: {detail}")]
    Element {
        /// Position of the element, row-major.
        at: usize,
        /// What the parser said.
        detail: String,
    },
    /// Any other field is of the wrong kind; the text comes from the JSON parser.
    #[error("{0}")]
    Field(String),
    /// A parameter asks for something we do not do.
    #[error("the parameter {name:?} is not supported: {hint}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// A parameter of the protocol is of the wrong kind.
    #[error("the parameter {name:?} is {expected}")]
    ParameterKind {
        /// The parameter.
        name: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// Binary data do not fit.
    #[error(transparent)]
    Binary(#[from] BinaryFlaw),
    /// The shape has more elements than memory has bytes.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// What is wrong with binary tensor data.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BinaryFlaw {
    /// Data are sent both ways.
    #[error("`data` and the parameter \"binary_data_size\" exclude each other")]
    Twice,
    /// The body ends before the tensor does.
    #[error(
        "binary_data_size is {size}, and {left} bytes are left of the body behind its JSON part, whose length the \
             header inference-header-content-length gives"
    )]
    Short {
        /// What the parameter says.
        size: u64,
        /// What is left.
        left: usize,
    },
    /// The size is not that of the shape.
    #[error("shape {shape:?} of {datatype} asks for {expected} bytes, {actual} given")]
    Size {
        /// The shape.
        shape: Vec<usize>,
        /// The data type.
        datatype: DataType,
        /// Bytes of the shape.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// There cannot be as many BYTES elements as the shape asks for.
    #[error("{expected} elements asked for by the shape take 4 bytes each at least, {bytes} bytes given")]
    TooFewStrings {
        /// Elements of the shape.
        expected: usize,
        /// Bytes given.
        bytes: usize,
    },
    /// A BYTES element is longer than what is left.
    #[error("element {at} is cut off: each is its length in 4 bytes, little-endian, then its bytes")]
    CutString {
        /// Its position.
        at: usize,
    },
    /// Something follows the BYTES elements.
    #[error("{left} bytes follow the {expected} elements that the shape asks for")]
    BehindStrings {
        /// Elements of the shape.
        expected: usize,
        /// Bytes left.
        left: usize,
    },
    /// A raw request to a model that has not one input.
    #[error("a body without JSON is the only input, and the model has {0}: name the inputs in a JSON part")]
    RawInputs(usize),
    /// A raw request to a model with several open dimensions.
    #[error("a body without JSON leaves open which of the shapes {0:?} it has: give the shape in a JSON part")]
    RawShape(Vec<i64>),
}

impl DecodeError {
    /// The kind of mistake.
    pub fn mistake(&self) -> Mistake {
        match self {
            Self::Place { mistake, .. } => *mistake,
            Self::Json(_) | Self::HeaderTooLong { .. } | Self::LeftOver(_) => Mistake::Malformed,
            Self::Request(problem) | Self::Input { problem, .. } | Self::Output { problem, .. } => problem.mistake(),
        }
    }
}

/// The most of a text that is repeated to the caller, who knows it.
const TEXT_BYTES: usize = 400;

/// A text of the parser, which may hold as much of the body as it likes.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > TEXT_BYTES {
        let end = text.rfind(" at line ").filter(|at| text.len() - at < TEXT_BYTES / 4).map(|at| text.split_off(at));
        text.truncate(text.floor_char_boundary(TEXT_BYTES));
        text.shrink_to_fit();
        text.push('…');
        text.push_str(&end.unwrap_or_default());
    }
    text
}

impl Problem {
    /// The same without long texts of the parser.
    pub(crate) fn shortened(self) -> Self {
        match self {
            Self::Element { at, detail } => Self::Element { at, detail: shortened(detail) },
            Self::Field(text) => Self::Field(shortened(text)),
            other => other,
        }
    }

    fn mistake(&self) -> Mistake {
        match self {
            Self::NoJsonForm(_) | Self::Parameter { .. } => Mistake::Unsupported,
            Self::Count { .. }
            | Self::Nesting { .. }
            | Self::Range { .. }
            | Self::Element { .. }
            | Self::Binary(_)
            | Self::Tensor(_) => Mistake::Mismatch,
            _ => Mistake::Malformed,
        }
    }
}

/// Why an answer has no JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// JSON has no form for this type that clients agree on.
    #[error("output {name:?} is {datatype}, which has no JSON form")]
    NoJsonForm {
        /// The output.
        name: String,
        /// Its type.
        datatype: DataType,
    },
    /// A BYTES element is too long for the four bytes of its length.
    #[error("output {name:?} has an element of 4 GiB or more at {at}")]
    TooLong {
        /// The output.
        name: String,
        /// Position of the element.
        at: usize,
    },
    /// A BYTES element is not text, and JSON strings are.
    #[error("output {name:?} has bytes at element {at} that are not UTF-8 text and have no JSON form")]
    NotText {
        /// The output.
        name: String,
        /// Position of the element.
        at: usize,
    },
    /// The outputs cannot be arranged as the caller asked; the text says how else.
    #[error("{0}")]
    Arrangement(String),
}

fn quoted(name: &Option<String>) -> String {
    name.as_ref().map_or_else(String::new, |n| format!(" {n:?}"))
}

fn at_least(expected: &usize, actual: &usize) -> &'static str {
    if actual > expected { "at least " } else { "" }
}
