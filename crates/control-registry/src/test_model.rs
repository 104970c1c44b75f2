//! Writes ONNX protobuf by hand, valid or not, for the tests of this crate.

/// A message under construction.
#[derive(Debug, Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn int(mut self, field: u32, value: i64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value as u64);
        self
    }

    pub fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub fn with(self, field: u32, message: Message) -> Self {
        self.bytes(field, message.0)
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

pub fn message() -> Message {
    Message::default()
}

/// A node without inputs and attributes.
pub fn node(domain: &str, op: &str) -> Message {
    message().bytes(1, "x").bytes(2, "y").bytes(4, op).bytes(7, domain)
}

/// An attribute with a subgraph.
pub fn subgraph(graph: Message) -> Message {
    message().bytes(1, "body").int(20, 5).with(6, graph)
}

/// A float tensor with raw data.
pub fn tensor(dims: &[i64], raw: &[u8]) -> Message {
    let tensor = dims.iter().fold(message().int(2, 1).bytes(8, "w"), |tensor, dim| tensor.int(1, *dim));
    tensor.bytes(9, raw)
}

/// A float tensor whose data lie in another file.
pub fn external(dims: &[i64], entries: &[(&str, &str)]) -> Message {
    let tensor = dims.iter().fold(message().int(2, 1).bytes(8, "w"), |tensor, dim| tensor.int(1, *dim));
    let entry = |key: &str, value: &str| message().bytes(1, key).bytes(2, value);
    entries.iter().fold(tensor.int(14, 1), |tensor, (key, value)| tensor.with(13, entry(key, value)))
}

/// A graph from `x` to `y` with one node.
pub fn graph() -> Message {
    let shape = message().with(1, message().int(1, 1));
    let value =
        |name: &str| message().bytes(1, name).with(2, message().with(1, message().int(1, 1).with(2, shape.clone())));
    message().with(1, node("", "Identity")).bytes(2, "g").with(11, value("x")).with(12, value("y"))
}

/// A function of the model that calls others.
pub fn function(name: &str, calls: &[&str]) -> Message {
    let function = message().bytes(1, name).bytes(10, "own");
    calls.iter().fold(function, |function, call| function.with(7, node("own", call)))
}

/// A model around a graph, with more fields to follow.
pub fn model(graph: Message) -> Message {
    let opset = |domain: &str, version| message().bytes(1, domain).int(2, version);
    message().int(1, 9).bytes(2, "hand").bytes(3, "1").with(7, graph).with(8, opset("", 17)).with(8, opset("own", 1))
}
