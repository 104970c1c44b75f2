//! A builder of ONNX graphs: inputs, outputs, initializers and nodes, encoded as they are added.

use base_types::DataType;

use super::wire::Message;

/// The operator set of the models written here.
pub const OPSET: i64 = 17;

/// The IR version that goes with [`OPSET`].
const IR_VERSION: i64 = 8;

/// An element type of ONNX, by its number in `TensorProto.DataType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElementType(pub i64);

impl From<DataType> for ElementType {
    fn from(datatype: DataType) -> Self {
        Self(match datatype {
            DataType::Fp32 => 1,
            DataType::Uint8 => 2,
            DataType::Int8 => 3,
            DataType::Uint16 => 4,
            DataType::Int16 => 5,
            DataType::Int32 => 6,
            DataType::Int64 => 7,
            DataType::Bytes => 8,
            DataType::Bool => 9,
            DataType::Fp16 => 10,
            DataType::Fp64 => 11,
            DataType::Uint32 => 12,
            DataType::Uint64 => 13,
            DataType::Bf16 => 16,
        })
    }
}

/// The shape an input or output declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape<'a> {
    /// These dimensions; −1 becomes a symbolic one.
    Dims(&'a [i64]),
    /// None at all, not even a rank.
    Unknown,
}

/// The value of a node's attribute.
#[derive(Debug)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A subgraph.
    Graph(Graph),
}

/// The content of an initializer.
#[derive(Debug, Clone, Copy)]
pub enum Init<'a> {
    /// 32-bit floats.
    Floats(&'a [f32]),
    /// 64-bit integers.
    Ints(&'a [i64]),
    /// A boolean.
    Bool(bool),
    /// 32-bit floats in another file.
    External {
        /// The file, beside the model.
        location: &'a str,
        /// The first byte.
        offset: usize,
        /// The number of bytes.
        length: usize,
    },
}

/// An ONNX graph being built. Nodes must come in an order in which they can run.
#[derive(Debug, Clone)]
pub struct Graph {
    message: Message,
}

impl Graph {
    /// Starts a graph.
    pub fn new(name: &str) -> Self {
        Self { message: Message::new().text(2, name) }
    }

    /// Declares an input.
    pub fn input(self, name: &str, element: impl Into<ElementType>, shape: Shape<'_>) -> Self {
        Self { message: self.message.message(11, &value_info(name, element.into(), shape)) }
    }

    /// Declares an output.
    pub fn output(self, name: &str, element: impl Into<ElementType>, shape: Shape<'_>) -> Self {
        Self { message: self.message.message(12, &value_info(name, element.into(), shape)) }
    }

    /// Declares an output that is a sequence of tensors.
    pub fn sequence_output(self, name: &str, element: impl Into<ElementType>) -> Self {
        let element = Message::new().message(1, &tensor_type(element.into(), Shape::Unknown));
        let sequence = Message::new().message(4, &Message::new().message(1, &element));
        Self { message: self.message.message(12, &Message::new().text(1, name).message(2, &sequence)) }
    }

    /// Adds a constant.
    pub fn init(self, name: &str, dims: &[i64], content: Init<'_>) -> Self {
        Self { message: self.message.message(5, &initializer(name, dims, content)) }
    }

    /// Adds a node; names are separated by spaces.
    pub fn node(self, op: &str, inputs: &str, outputs: &str, attributes: &[(&str, Attribute)]) -> Self {
        Self { message: self.message.message(1, &node(op, inputs, outputs, attributes)) }
    }

    /// The bytes of a model file with this graph.
    pub fn model(self) -> Vec<u8> {
        self.model_with(IR_VERSION, OPSET)
    }

    /// The bytes of a model file with this graph, for newer operators.
    pub fn model_with(self, ir_version: i64, opset: i64) -> Vec<u8> {
        let opset = Message::new().text(1, "").int(2, opset);
        let model = Message::new().int(1, ir_version).text(2, "switchrail testkit");
        model.message(7, &self.message).message(8, &opset).into_bytes()
    }
}

pub(crate) fn node(op: &str, inputs: &str, outputs: &str, attributes: &[(&str, Attribute)]) -> Message {
    let mut node = Message::new();
    for name in inputs.split_whitespace() {
        node = node.text(1, name);
    }
    for name in outputs.split_whitespace() {
        node = node.text(2, name);
    }
    node = node.text(4, op);
    for (name, value) in attributes {
        let attribute = Message::new().text(1, name);
        node = node.message(
            5,
            &match value {
                Attribute::Int(value) => attribute.int(3, *value).int(20, 2),
                Attribute::Graph(graph) => attribute.message(6, &graph.message).int(20, 5),
            },
        );
    }
    node
}

pub(crate) fn initializer(name: &str, dims: &[i64], content: Init<'_>) -> Message {
    let tensor = dims.iter().fold(Message::new(), |t, d| t.int(1, *d));
    let of = |element: DataType| tensor.clone().int(2, ElementType::from(element).0).text(8, name);
    let raw = |element, bytes: Vec<u8>| of(element).bytes(9, &bytes);
    match content {
        Init::Floats(values) => raw(DataType::Fp32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Init::Ints(values) => raw(DataType::Int64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Init::Bool(value) => raw(DataType::Bool, vec![u8::from(value)]),
        Init::External { location, offset, length } => {
            let entry = |key: &str, value: &str| Message::new().text(1, key).text(2, value);
            of(DataType::Fp32)
                .message(13, &entry("location", location))
                .message(13, &entry("offset", &offset.to_string()))
                .message(13, &entry("length", &length.to_string()))
                .int(14, 1)
        }
    }
}

fn value_info(name: &str, element: ElementType, shape: Shape<'_>) -> Message {
    Message::new().text(1, name).message(2, &Message::new().message(1, &tensor_type(element, shape)))
}

fn tensor_type(element: ElementType, shape: Shape<'_>) -> Message {
    let tensor = Message::new().int(1, element.0);
    let Shape::Dims(dims) = shape else {
        return tensor;
    };
    let dim = |index: usize, size: i64| match (index, size) {
        (0, -1) => Message::new().text(2, "batch"),
        (_, -1) => Message::new().text(2, &format!("dim{index}")),
        _ => Message::new().int(1, size),
    };
    let shape = dims.iter().enumerate().fold(Message::new(), |s, (i, d)| s.message(1, &dim(i, *d)));
    tensor.message(2, &shape)
}
