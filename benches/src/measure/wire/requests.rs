//! What is sent: each payload as JSON, as binary REST and as a gRPC message, written by hand so that nothing of the
//! gateway's own codec measures itself.

use base_types::{Data, DataType, Tensor};
use bytes::{BufMut, Bytes, BytesMut};
use testkit::onnx::{affine4, shape_of, strings};

use crate::BenchError;
use crate::floor::Floor;
use crate::gateway::MODEL;

/// An image as vision models take it.
const IMAGE: [usize; 4] = [1, 3, 224, 224];
const STRINGS: [usize; 2] = [10, 10];

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// Four floats.
    Tiny,
    /// 150,528 floats.
    Image,
    /// 100 texts.
    Strings,
}

/// A request, ready to be sent over and over.
#[derive(Debug)]
pub(super) enum Request {
    Http1 { wire: &'static str, bytes: Vec<u8>, body_bytes: usize },
    Grpc { path: String, body: Bytes },
}

impl Request {
    pub(super) fn wire(&self) -> &'static str {
        match self {
            Self::Http1 { wire, .. } => wire,
            Self::Grpc { .. } => "gRPC",
        }
    }

    pub(super) fn is_grpc(&self) -> bool {
        matches!(self, Self::Grpc { .. })
    }

    pub(super) fn is_json(&self) -> bool {
        self.wire() == "JSON"
    }

    pub(super) fn body_bytes(&self) -> usize {
        match self {
            Self::Http1 { body_bytes, .. } => *body_bytes,
            Self::Grpc { body, .. } => body.len(),
        }
    }
}

impl Payload {
    pub(super) const ALL: [Self; 3] = [Self::Tiny, Self::Image, Self::Strings];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tiny => "4 floats",
            Self::Image => "150,528 floats",
            Self::Strings => "100 strings",
        }
    }

    /// A model that computes next to nothing, so that the wire is what is measured.
    pub(super) fn model(self) -> Vec<u8> {
        match self {
            Self::Tiny => affine4(2.0, 1.0),
            Self::Image => shape_of(&[3, 224, 224]),
            Self::Strings => strings(),
        }
    }

    pub(super) fn floor(self) -> Result<Floor, BenchError> {
        let data = match self {
            Self::Strings => Data::Strings(texts().into_iter().map(Bytes::from).collect()),
            _ => Data::Raw(self.raw().into()),
        };
        let tensor = Tensor::new("x", self.datatype(), self.shape(), data);
        Floor::load_with(&self.model(), tensor.map_err(|e| BenchError::Floor(e.to_string()))?)
    }

    fn datatype(self) -> DataType {
        if self == Self::Strings { DataType::Bytes } else { DataType::Fp32 }
    }

    fn shape(self) -> Vec<usize> {
        match self {
            Self::Tiny => vec![1, 4],
            Self::Image => IMAGE.to_vec(),
            Self::Strings => STRINGS.to_vec(),
        }
    }

    fn floats(self) -> Vec<f32> {
        let n = self.shape().iter().product::<usize>();
        // As pictures have them after normalising: a few digits, both signs.
        (0..n).map(|i| ((i * 7919) % 2001) as f32 / 1000.0 - 1.0).collect()
    }

    /// The elements as the binary wires carry them.
    pub(super) fn raw(self) -> Vec<u8> {
        match self {
            Self::Strings => {
                texts().iter().flat_map(|t| [&(t.len() as u32).to_le_bytes(), t.as_bytes()].concat()).collect()
            }
            _ => self.floats().iter().flat_map(|f| f.to_le_bytes()).collect(),
        }
    }

    /// The elements as a JSON array.
    pub(super) fn numbers_json(self) -> String {
        match self {
            Self::Strings => format!("{:?}", texts()),
            _ => format!("{:?}", self.floats()).replace(' ', ""),
        }
    }

    pub(super) fn requests(self, host: &str) -> [Request; 3] {
        [self.json(host), self.binary(host), self.grpc()]
    }

    fn head(self, rest: &str) -> String {
        let (shape, datatype) = (self.shape(), self.datatype());
        format!(r#"{{"name":"x","shape":{shape:?},"datatype":"{datatype}",{rest}}}"#)
    }

    fn json(self, host: &str) -> Request {
        let body = format!(r#"{{"inputs":[{}]}}"#, self.head(&format!(r#""data":{}"#, self.numbers_json())));
        http1("JSON", host, "", &[body.as_bytes()])
    }

    fn binary(self, host: &str) -> Request {
        let raw = self.raw();
        let input = self.head(&format!(r#""parameters":{{"binary_data_size":{}}}"#, raw.len()));
        let json = format!(r#"{{"parameters":{{"binary_data_output":true}},"inputs":[{input}]}}"#);
        let header = format!("inference-header-content-length: {}\r\n", json.len());
        http1("binary REST", host, &header, &[json.as_bytes(), &raw])
    }

    /// `ModelInferRequest`: model_name = 1, inputs = 5 { name = 1, datatype = 2, shape = 3 }, raw_input_contents = 7.
    fn grpc(self) -> Request {
        let mut input = BytesMut::new();
        field(&mut input, 1, b"x");
        field(&mut input, 2, self.datatype().as_str().as_bytes());
        let mut shape = BytesMut::new();
        self.shape().iter().for_each(|dim| varint(&mut shape, *dim as u64));
        field(&mut input, 3, &shape);
        let mut message = BytesMut::new();
        field(&mut message, 1, MODEL.as_bytes());
        field(&mut message, 5, &input);
        field(&mut message, 7, &self.raw());
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(message.len() as u32);
        body.put(message);
        Request::Grpc { path: "/inference.GRPCInferenceService/ModelInfer".to_owned(), body: body.freeze() }
    }
}

fn texts() -> Vec<String> {
    (0..STRINGS.iter().product::<usize>()).map(|i| format!("text number {i}")).collect()
}

fn http1(wire: &'static str, host: &str, header: &str, parts: &[&[u8]]) -> Request {
    let body_bytes = parts.iter().map(|part| part.len()).sum();
    let head = format!(
        "POST /v2/models/{MODEL}/infer HTTP/1.1\r\nhost: {host}\r\n{header}content-length: {body_bytes}\r\n\r\n"
    );
    let bytes = [&[head.as_bytes()], parts].concat().concat();
    Request::Http1 { wire, bytes, body_bytes }
}

/// A length-delimited field of a protobuf message.
fn field(message: &mut BytesMut, number: u64, content: &[u8]) {
    const LENGTH_DELIMITED: u64 = 2;
    varint(message, number << 3 | LENGTH_DELIMITED);
    varint(message, content.len() as u64);
    message.put_slice(content);
}

fn varint(message: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        message.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    message.put_u8(value as u8);
}
