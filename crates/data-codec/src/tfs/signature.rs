//! What TensorFlow Serving's clients want to know about a model: its one signature, made from the inputs and outputs
//! of the ONNX graph, and TensorFlow's numbers and names of data types.

use base_types::{DataType, Signature, TensorSpec};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The name of the one signature of every model.
pub const SIGNATURE_NAME: &str = "serving_default";
/// What the signature is for, whatever method is asked for.
pub const METHOD_NAME: &str = "tensorflow/serving/predict";

/// A data type's name and number in TensorFlow's `types.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorFlowType {
    /// The name, such as `DT_FLOAT`.
    pub name: &'static str,
    /// The number on the wire of gRPC.
    pub number: i32,
}

/// TensorFlow's name and number of a data type.
pub const fn tensorflow_type(datatype: DataType) -> TensorFlowType {
    let (name, number) = match datatype {
        DataType::Fp32 => ("DT_FLOAT", 1),
        DataType::Fp64 => ("DT_DOUBLE", 2),
        DataType::Int32 => ("DT_INT32", 3),
        DataType::Uint8 => ("DT_UINT8", 4),
        DataType::Int16 => ("DT_INT16", 5),
        DataType::Int8 => ("DT_INT8", 6),
        DataType::Bytes => ("DT_STRING", 7),
        DataType::Int64 => ("DT_INT64", 9),
        DataType::Bool => ("DT_BOOL", 10),
        DataType::Bf16 => ("DT_BFLOAT16", 14),
        DataType::Uint16 => ("DT_UINT16", 17),
        DataType::Fp16 => ("DT_HALF", 19),
        DataType::Uint32 => ("DT_UINT32", 22),
        DataType::Uint64 => ("DT_UINT64", 23),
    };
    TensorFlowType { name, number }
}

/// The data type of TensorFlow's number; `None` for those that ONNX models here do not have.
pub fn datatype_of(number: i32) -> Option<DataType> {
    DataType::ALL.into_iter().find(|datatype| tensorflow_type(*datatype).number == number)
}

/// The metadata of a model: which version it is about, and its signature.
pub fn metadata(model: &str, version: u64, signature: &Signature) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        model_spec: ModelSpec<'a>,
        metadata: Metadata<'a>,
    }
    #[derive(serde::Serialize)]
    struct ModelSpec<'a> {
        name: &'a str,
        signature_name: &'a str,
        version: String,
    }
    #[derive(serde::Serialize)]
    struct Metadata<'a> {
        signature_def: SignatureDefMap<'a>,
    }
    #[derive(serde::Serialize)]
    struct SignatureDefMap<'a> {
        signature_def: SignatureDefs<'a>,
    }
    #[derive(serde::Serialize)]
    struct SignatureDefs<'a> {
        serving_default: SignatureDef<'a>,
    }
    let serving_default =
        SignatureDef { inputs: Infos(&signature.inputs), outputs: Infos(&signature.outputs), method_name: METHOD_NAME };
    let signature_def = SignatureDefMap { signature_def: SignatureDefs { serving_default } };
    let model_spec = ModelSpec { name: model, signature_name: "", version: version.to_string() };
    let document = Document { model_spec, metadata: Metadata { signature_def } };
    // Structs of text and numbers always have a JSON form.
    serde_json::to_vec(&document).unwrap_or_default()
}

#[derive(serde::Serialize)]
struct SignatureDef<'a> {
    inputs: Infos<'a>,
    outputs: Infos<'a>,
    method_name: &'a str,
}

/// Tensors by name, in the model's order.
struct Infos<'a>(&'a [TensorSpec]);

impl Serialize for Infos<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for spec in self.0 {
            map.serialize_entry(&spec.name, &Info::from(spec))?;
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
struct Info<'a> {
    dtype: &'static str,
    tensor_shape: Shape,
    name: &'a str,
}

#[derive(serde::Serialize)]
struct Shape {
    dim: Vec<Dim>,
    unknown_rank: bool,
}

#[derive(serde::Serialize)]
struct Dim {
    /// Text, as the JSON form of protocol buffers has 64-bit integers.
    size: String,
    name: &'static str,
}

impl<'a> From<&'a TensorSpec> for Info<'a> {
    fn from(spec: &'a TensorSpec) -> Self {
        let dim = spec.wire_dims().map(|size| Dim { size: size.to_string(), name: "" }).collect();
        let tensor_shape = Shape { dim, unknown_rank: false };
        Self { dtype: tensorflow_type(spec.datatype).name, tensor_shape, name: &spec.name }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_data_type_has_a_number_of_its_own_that_leads_back_to_it() {
        for datatype in DataType::ALL {
            assert_eq!(datatype_of(tensorflow_type(datatype).number), Some(datatype));
            assert!(tensorflow_type(datatype).name.starts_with("DT_"));
        }
        // Invalid, complex, quantised, references.
        for number in [0, 8, 11, 18, 20, 21, 101, -1, i32::MAX] {
            assert_eq!(datatype_of(number), None, "{number}");
        }
    }

    #[test]
    fn metadata_show_the_signature_as_tensorflow_serving_does() {
        let spec = |name: &str, datatype, dims: &[Option<usize>]| TensorSpec {
            name: name.to_owned(),
            datatype,
            dims: dims.to_vec(),
        };
        let inputs = vec![spec("x", DataType::Fp32, &[None, Some(4)]), spec("s", DataType::Bytes, &[])];
        let signature = Signature { inputs, outputs: vec![spec("y", DataType::Int64, &[None])] };
        let document: Value = serde_json::from_slice(&metadata("m", 7, &signature)).unwrap();
        assert_eq!(document["model_spec"], json!({ "name": "m", "signature_name": "", "version": "7" }));
        let definition = &document["metadata"]["signature_def"]["signature_def"]["serving_default"];
        let dims = json!([{ "size": "-1", "name": "" }, { "size": "4", "name": "" }]);
        let shape = |dim: Value| json!({ "dim": dim, "unknown_rank": false });
        assert_eq!(definition["inputs"]["x"], json!({ "dtype": "DT_FLOAT", "tensor_shape": shape(dims), "name": "x" }));
        assert_eq!(definition["inputs"]["s"]["dtype"], "DT_STRING");
        assert_eq!(definition["inputs"]["s"]["tensor_shape"], shape(json!([])));
        assert_eq!(definition["outputs"]["y"]["tensor_shape"]["dim"][0]["size"], "-1");
        assert_eq!(definition["method_name"], "tensorflow/serving/predict");
    }
}
