//! A `PredictResponse`. Values stand in the typed fields, as TensorFlow Serving has it by default: many clients read
//! nothing else.

use base_types::{Data, DataType, Tensor};
use bytes::Bytes;
use data_codec::tfs::{SIGNATURE_NAME, tensorflow_type};
use data_path::Served;
use prost::Message;
use prost::encoding::encode_varint;

use super::predict::field_of;
use crate::proto::tensorflow::serving::ModelSpec;
use crate::proto::tensorflow::serving::model_spec::VersionChoice;
use crate::proto::tensorflow::tensor_shape_proto::Dim;
use crate::proto::tensorflow::{TensorProto, TensorShapeProto};
use crate::reply::Writer;

const OUTPUTS: u32 = 1;
const MODEL_SPEC: u32 = 2;
/// Of an entry of a map.
const KEY: u32 = 1;
const VALUE: u32 = 2;
const STRING_VAL: u32 = 8;

/// Writes an answer.
pub(super) fn writer(served: &Served, outputs: &[Tensor]) -> Writer {
    let mut writer = Writer::new();
    let spec = spec(served).encode_to_vec();
    writer.put_key(MODEL_SPEC, spec.len());
    writer.put(&spec);
    for output in outputs {
        let mut entry = Writer::new();
        entry.put_key(KEY, output.name().len());
        entry.put(output.name().as_bytes());
        entry.put_message(VALUE, tensor(output));
        writer.put_message(OUTPUTS, entry);
    }
    writer
}

/// Which version answered.
pub(super) fn spec(served: &Served) -> ModelSpec {
    let id = &served.version.id;
    ModelSpec {
        name: id.model.as_str().to_owned(),
        version_choice: Some(VersionChoice::Version(id.version.get() as i64)),
        signature_name: SIGNATURE_NAME.to_owned(),
    }
}

fn tensor(output: &Tensor) -> Writer {
    let dim = output.shape().iter().map(|size| Dim { size: *size as i64, name: String::new() });
    let mut writer = Writer::from(&TensorProto {
        dtype: tensorflow_type(output.datatype()).number,
        tensor_shape: Some(TensorShapeProto { dim: dim.collect(), unknown_rank: false }),
        ..TensorProto::default()
    });
    match output.data() {
        Data::Strings(strings) => {
            for text in strings {
                writer.put_key(STRING_VAL, text.len());
                writer.put_shared(text.clone());
            }
        }
        Data::Raw(raw) if !raw.is_empty() => {
            let packed = packed(output.datatype(), raw);
            writer.put_key(field_of(output.datatype()).0, packed.len());
            writer.put_shared(packed);
        }
        Data::Raw(_) => {}
    }
    writer
}

/// Numbers as a packed field: those of fixed size are there already, the others are written with as many bytes as each
/// needs.
fn packed(datatype: DataType, raw: &Bytes) -> Bytes {
    match datatype {
        DataType::Fp32 | DataType::Fp64 => raw.clone(),
        DataType::Bool | DataType::Uint8 => varints(raw, |[byte]| u64::from(byte)),
        DataType::Int8 => varints(raw, |bytes| i64::from(i8::from_le_bytes(bytes)) as u64),
        DataType::Int16 => varints(raw, |bytes| i64::from(i16::from_le_bytes(bytes)) as u64),
        DataType::Int32 => varints(raw, |bytes| i64::from(i32::from_le_bytes(bytes)) as u64),
        DataType::Uint16 | DataType::Fp16 | DataType::Bf16 => {
            varints(raw, |bytes| u64::from(u16::from_le_bytes(bytes)))
        }
        DataType::Uint32 => varints(raw, |bytes| u64::from(u32::from_le_bytes(bytes))),
        DataType::Int64 | DataType::Uint64 | DataType::Bytes => varints(raw, u64::from_le_bytes),
    }
}

fn varints<const N: usize>(raw: &[u8], number: impl Fn([u8; N]) -> u64) -> Bytes {
    let mut packed = Vec::with_capacity(raw.len());
    for element in raw.as_chunks::<N>().0 {
        encode_varint(number(*element), &mut packed);
    }
    packed.into()
}
