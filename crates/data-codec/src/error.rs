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
    /// The body has bytes after its JSON part.
    #[error("binary tensor data is not supported here: send the tensors as JSON `data`")]
    BinaryBody,
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
    #[error("{0} has no JSON form: send a model that takes FP32 or FP64")]
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
    /// The shape has more elements than memory has bytes.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl DecodeError {
    /// The kind of mistake.
    pub fn mistake(&self) -> Mistake {
        match self {
            Self::BinaryBody => Mistake::Unsupported,
            Self::Json(_) | Self::HeaderTooLong { .. } => Mistake::Malformed,
            Self::Request(problem) | Self::Input { problem, .. } | Self::Output { problem, .. } => problem.mistake(),
        }
    }
}

impl Problem {
    fn mistake(&self) -> Mistake {
        match self {
            Self::NoJsonForm(_) | Self::Parameter { .. } => Mistake::Unsupported,
            Self::Count { .. } | Self::Nesting { .. } | Self::Range { .. } | Self::Element { .. } | Self::Tensor(_) => {
                Mistake::Mismatch
            }
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
    /// A BYTES element is not text, and JSON strings are.
    #[error("output {name:?} has bytes at element {at} that are not UTF-8 text and have no JSON form")]
    NotText {
        /// The output.
        name: String,
        /// Position of the element.
        at: usize,
    },
}

fn quoted(name: &Option<String>) -> String {
    name.as_ref().map_or_else(String::new, |n| format!(" {n:?}"))
}

fn at_least(expected: &usize, actual: &usize) -> &'static str {
    if actual > expected { "at least " } else { "" }
}
