//! What goes out comes in again: answers read as requests are the tensors they were made of, and no body makes the
//! reader fail otherwise than by saying so.

use base_types::{Data, DataType, Signature, Tensor};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{model, spec};
use crate::CodecLimits;
use crate::tfs::{Arrangement, decode_examples, decode_predict, encode_predictions};

const CARRIED: [DataType; 12] = [
    DataType::Bool,
    DataType::Uint8,
    DataType::Uint16,
    DataType::Uint32,
    DataType::Uint64,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::Fp32,
    DataType::Fp64,
    DataType::Bytes,
];

/// Elements of any bits, but for booleans and NaN, which have many forms in bytes and one in JSON.
fn data(datatype: DataType, n: usize) -> BoxedStrategy<Data> {
    match datatype {
        DataType::Bytes => {
            let strings = vec(vec(any::<u8>(), 0..6), n..=n);
            strings.prop_map(|strings| Data::Strings(strings.into_iter().map(Bytes::from).collect())).boxed()
        }
        DataType::Bool => vec(0u8..2, n..=n).prop_map(|raw| Data::Raw(raw.into())).boxed(),
        DataType::Fp32 => vec(any::<u32>().prop_map(f32::from_bits), n..=n)
            .prop_map(|values| Data::Raw(values.into_iter().flat_map(|v| plain32(v).to_le_bytes()).collect()))
            .boxed(),
        DataType::Fp64 => vec(any::<u64>().prop_map(f64::from_bits), n..=n)
            .prop_map(|values| Data::Raw(values.into_iter().flat_map(|v| plain64(v).to_le_bytes()).collect()))
            .boxed(),
        _ => {
            let n_bytes = n * datatype.element_bytes().unwrap();
            vec(any::<u8>(), n_bytes..=n_bytes).prop_map(|raw| Data::Raw(raw.into())).boxed()
        }
    }
}

fn plain32(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value }
}

fn plain64(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// A tensor with at least one row, so that its shape can be told from its nesting.
fn tensor(name: &'static str, n_rows: usize) -> impl Strategy<Value = Tensor> {
    (proptest::sample::select(CARRIED.to_vec()), vec(1usize..4, 0..3)).prop_flat_map(move |(datatype, rest)| {
        let shape: Vec<usize> = std::iter::once(n_rows).chain(rest).collect();
        // Text of any bytes goes out in base64 by its name.
        data(datatype, shape.iter().product())
            .prop_map(move |data| Tensor::new(name, datatype, shape.clone(), data).unwrap())
    })
}

fn check_round_trip(tensors: &[Tensor], arrangement: Arrangement) {
    let inputs: Vec<_> = tensors.iter().map(|tensor| (tensor.name(), tensor.datatype())).collect();
    let json = String::from_utf8(encode_predictions(arrangement, tensors).unwrap()).unwrap();
    let body = match arrangement {
        Arrangement::Rows => json.replacen("{\"predictions\":", "{\"instances\":", 1),
        Arrangement::Columns => json.replacen("{\"outputs\":", "{\"inputs\":", 1),
    };
    let found = decode_predict(&Bytes::from(body.clone()), &model(&inputs), &CodecLimits::default());
    let found = found.unwrap_or_else(|error| panic!("{body}: {error}"));
    assert_eq!(found.arrangement, arrangement);
    assert_eq!(found.inputs.len(), tensors.len());
    for (found, tensor) in found.inputs.iter().zip(tensors) {
        assert_eq!((found.name(), found.shape()), (tensor.name(), tensor.shape()), "{body}");
        assert_eq!(found.data(), tensor.data(), "{body}");
    }
}

/// The body of a request with anything in it.
fn value(depth: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| if n.is_finite() { format!("{n:e}") } else { "NaN".to_owned() }),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-Infinity".to_owned()),
        Just("{\"b64\":\"AP8=\"}".to_owned()),
        "[a-z\\\\\"\\[\\],]{0,4}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(depth, 64, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(("[xyb]|b64", inner), 0..3).prop_map(|entries| {
                let entries: Vec<_> = entries.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

fn signatures() -> Vec<Signature> {
    let all = CARRIED
        .iter()
        .map(|datatype| Signature { inputs: vec![spec("x", *datatype, &[None, Some(2), None])], outputs: Vec::new() });
    all.chain([model(&[("x", DataType::Fp32), ("y", DataType::Bytes)]), Signature::default()]).collect()
}

/// Reads a body in every way and looks at what comes out.
fn check_harmless(body: &Bytes) {
    let limits = CodecLimits::default();
    for signature in signatures() {
        let read = [
            decode_predict(body, &signature, &limits).map(|predict| predict.inputs),
            decode_examples(body, &signature, &limits),
        ];
        for inputs in read.into_iter().flatten() {
            for input in &inputs {
                assert_eq!(input.shape().iter().product::<usize>(), input.element_count());
                assert!(signature.inputs.iter().any(|spec| spec.name == input.name()));
            }
        }
    }
}

proptest! {
    #[test]
    fn one_tensor_comes_back_by_row_and_by_column(tensor in (1usize..4).prop_flat_map(|n| tensor("x_bytes", n))) {
        check_round_trip(std::slice::from_ref(&tensor), Arrangement::Rows);
        check_round_trip(std::slice::from_ref(&tensor), Arrangement::Columns);
    }

    #[test]
    fn several_tensors_come_back_by_row_and_by_column(
        tensors in (1usize..4).prop_flat_map(|n| (tensor("a_bytes", n), tensor("b \"ü_bytes", n)))
    ) {
        let tensors = [tensors.0, tensors.1];
        check_round_trip(&tensors, Arrangement::Rows);
        check_round_trip(&tensors, Arrangement::Columns);
    }

    #[test]
    fn any_json_is_read_or_refused(
        field in "instances|inputs|examples", first in value(4), second in value(3), cut in 0usize..400
    ) {
        let whole = format!(r#"{{"{field}":{first},"context":{second}}}"#);
        let mut end = cut.min(whole.len());
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        check_harmless(&Bytes::from(whole.clone()));
        check_harmless(&Bytes::from(whole[..end].to_owned()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..64)) {
        check_harmless(&Bytes::from(bytes.clone()));
        check_harmless(&[b"{\"inputs\":".as_slice(), &bytes].concat().into());
        check_harmless(&[b"{\"instances\":[".as_slice(), &bytes].concat().into());
        check_harmless(&[b"{\"examples\":[{\"x\":".as_slice(), &bytes].concat().into());
    }
}
