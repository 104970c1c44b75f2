#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

use base_types::{Data, DataType};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::Mistake;
use crate::parameters::Parameter;

mod special;

fn decode(body: &str) -> Result<DecodedInfer, DecodeError> {
    decode_infer(&Bytes::copy_from_slice(body.as_bytes()), None, &CodecLimits::default())
}

fn input(datatype: &str, shape: &str, data: &str) -> Result<Tensor, DecodeError> {
    let body = format!(r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{datatype}","data":{data}}}]}}"#);
    decode(&body).map(|mut request| request.inputs.remove(0))
}

fn raw(tensor: &Tensor) -> &[u8] {
    match tensor.data() {
        Data::Raw(raw) => raw,
        Data::Strings(_) => panic!("strings"),
    }
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    raw(tensor).as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn check_error(body: &str, mistake: Mistake, parts: &[&str]) {
    let error = decode(body).expect_err(body);
    assert_eq!(error.mistake(), mistake, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
    }
}

fn check_input_error(datatype: &str, shape: &str, data: &str, parts: &[&str]) {
    let error = input(datatype, shape, data).expect_err(data);
    assert_eq!(error.mistake(), Mistake::Mismatch, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn a_whole_request_is_read() {
    let body = r#"{"id":"a\"1","model_name":"m","parameters":{"user":"u","n":-3,"k":7,"f":1.5,"on":true,"no":null},
        "inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":null,"extra":[[{}]],"data":[1,2.5]},
                  {"data":["a","b\n"],"datatype":"BYTES","shape":[2],"name":"y"}],
        "outputs":[{"name":"z","parameters":{"binary_data":false}},{"name":"a"}],"more":{"a":[null]}}"#;
    let request = decode(body).unwrap();
    assert_eq!(request.id.as_deref(), Some("a\"1"));
    let of = |name: &str| request.parameters.get(name).map(|p| p.as_text().into_owned());
    assert_eq!(["user", "n", "k", "f", "on"].map(|n| of(n).unwrap()), ["u", "-3", "7", "1.5", "true"]);
    assert_eq!(request.parameters.get("k"), Some(&Parameter::Unsigned(7)));
    assert_eq!(of("no"), None);
    assert_eq!((request.inputs[0].name(), request.inputs[0].shape()), ("x", &[1, 2][..]));
    assert_eq!(floats(&request.inputs[0]), [1.0, 2.5]);
    assert_eq!(request.inputs[1].data(), &Data::Strings(vec!["a".into(), "b\n".into()]));
    assert_eq!(request.outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["z", "a"]);
}

#[test]
fn explicit_nulls_mean_absent() {
    let body = r#"{"id":null,"parameters":null,"outputs":null,
        "inputs":[{"name":"x","shape":[0],"datatype":"INT8","data":[],"parameters":{"a":null}}]}"#;
    let request = decode(body).unwrap();
    assert_eq!((request.id, request.outputs.len(), request.inputs.len()), (None, 0, 1));
}

#[test]
fn flat_and_nested_data_give_the_same_bytes_in_any_order_of_keys() {
    let flat = input("FP32", "[2,3]", "[1,2,3,4,5,6]").unwrap();
    let nested = input("FP32", "[2,3]", " [ [1,2,3] , [4,5,6] ]").unwrap();
    assert_eq!(flat, nested);
    for data in ["[1,2,3,4,5,6]", "[[1,2,3],[4,5,6]]"] {
        let body = format!(r#"{{"inputs":[{{"data":{data},"datatype":"FP32","shape":[2,3],"name":"x"}}]}}"#);
        assert_eq!(decode(&body).unwrap().inputs[0], flat);
    }
    assert_eq!(input("INT8", "[2,0]", "[[],[]]").unwrap(), input("INT8", "[2,0]", "[]").unwrap());
    assert_eq!(raw(&input("UINT8", "[1,2,1,2]", "[[[[1,2]],[[3,4]]]]").unwrap()), [1, 2, 3, 4]);
    assert_eq!(raw(&input("UINT8", "[]", "[9]").unwrap()), [9]);
}

#[test]
fn nesting_that_is_not_the_shape_is_refused() {
    for data in [
        "[[1,2],[3,4],[5,6]]",
        "[[1,2,3],[4,5]]",
        "[[1,2,3]]",
        "[[1,2,3],[4,5,6],[]]",
        "[[1,2,3],4,5,6]",
        "[1,[2,3]]",
        "[[[1,2,3]],[[4,5,6]]]",
        "[1,2,3,4,5]",
        "[1,2,3,4,5,6,7]",
        "[]",
    ] {
        check_input_error("INT32", "[2,3]", data, &["inputs[0] \"x\""]);
        let body = format!(r#"{{"inputs":[{{"data":{data},"datatype":"INT32","shape":[2,3],"name":"x"}}]}}"#);
        check_error(&body, Mistake::Mismatch, &["inputs[0] \"x\""]);
    }
    check_input_error("INT32", "[3]", "[[1,2,3]]", &["data[0]", "sequence", "an integer"]);
    check_input_error("INT32", "[2]", "[1]", &["shape [2] asks for 2 elements, 1 given"]);
    check_input_error("INT32", "[2]", "[1,2,3,4]", &["shape [2] asks for 2 elements, at least 3 given"]);
    check_input_error("INT32", "[2,2]", "[[1,2],[3]]", &["depth 1", "2 items"]);
}

#[test]
fn integers_are_checked_against_their_type() {
    assert_eq!(raw(&input("INT8", "[2]", "[-128,127]").unwrap()), [128, 127]);
    assert_eq!(raw(&input("UINT64", "[1]", "[18446744073709551615]").unwrap()), [255; 8]);
    assert_eq!(raw(&input("INT64", "[1]", "[-9223372036854775808]").unwrap()), i64::MIN.to_le_bytes());
    // Whole numbers written as doubles, by clients that know nothing else.
    assert_eq!(raw(&input("UINT8", "[3]", "[3.0,-0.0,1e2]").unwrap()), [3, 0, 100]);
    let cases = [
        ("INT8", "128"),
        ("INT8", "-129"),
        ("UINT8", "256"),
        ("UINT8", "-1"),
        ("UINT16", "65536"),
        ("INT16", "32768"),
        ("UINT32", "4294967296"),
        ("INT32", "-2147483649"),
        ("INT64", "9223372036854775808"),
        ("UINT64", "18446744073709551616"),
        ("INT32", "1.5"),
        ("UINT8", "256.0"),
        ("UINT8", "-1.0"),
        ("INT64", "9007199254740992.0"),
        ("INT32", "\"1\""),
        ("INT32", "true"),
        ("INT32", "null"),
        ("BOOL", "1"),
        ("BOOL", "\"true\""),
        ("FP32", "1e39"),
        ("FP32", "null"),
        ("FP32", "\"nan\""),
        ("INT32", "NaN"),
        ("INT32", "\"NaN\""),
        ("BYTES", "NaN"),
        ("FP64", "true"),
        ("BYTES", "1"),
        ("BYTES", "null"),
    ];
    for (datatype, element) in cases {
        let good = match datatype {
            "BOOL" => "true",
            "BYTES" => "\"\"",
            _ => "0",
        };
        if element == "1e39" {
            // Out of range for the parser, which takes it for a syntax error.
            let error = input(datatype, "[1]", "[1e39]").expect_err("1e39");
            assert!(error.to_string().contains("out of range"), "{error}");
        } else {
            check_input_error(datatype, "[2]", &format!("[{good},{element}]"), &["data[1]"]);
        }
        check_input_error(datatype, "[1,1]", &format!("[{element}]"), &["data[0]"]);
    }
}

#[test]
fn floats_round_once() {
    // Just above the middle of 2^24 and 2^24 + 2: read as a double first, it would fall on the middle and go down.
    let text = "16777217.000000000001";
    assert_eq!(text.parse::<f64>().unwrap() as f32, 16777216.0, "the case is a trap");
    for (shape, data) in [("[2]", "[TEXT,TEXT]"), ("[1,2]", "[TEXT,TEXT]"), ("[1,2]", "[[TEXT,TEXT]]")] {
        let tensor = input("FP32", shape, &data.replace("TEXT", text)).unwrap();
        assert_eq!(floats(&tensor), [16777218.0; 2], "{shape} {data}");
    }
    assert_eq!(floats(&input("FP32", "[1,1]", "[1e-45]").unwrap()), [f32::from_bits(1)]);
    assert_eq!(floats(&input("FP32", "[3]", "[1,-2,18446744073709551615]").unwrap()), [1.0, -2.0, u64::MAX as f32]);
}

#[test]
fn what_json_cannot_carry_is_unsupported() {
    let head = r#"{"inputs":[{"name":"x","shape":[1],"#;
    for datatype in ["FP16", "BF16"] {
        let body = format!(r#"{head}"datatype":"{datatype}","data":[1]}}]}}"#);
        check_error(&body, Mistake::Unsupported, &[datatype, "inputs[0] \"x\""]);
    }
    for parameter in [r#""shared_memory_region":"r""#, r#""shared_memory_offset":0"#] {
        let body = format!(r#"{head}"datatype":"FP32","parameters":{{{parameter}}}}}]}}"#);
        check_error(&body, Mistake::Unsupported, &["is not supported"]);
        let body = format!(r#"{{"inputs":[],"outputs":[{{"name":"y","parameters":{{{parameter}}}}}]}}"#);
        check_error(&body, Mistake::Unsupported, &["outputs[0]", "is not supported"]);
    }
}

#[test]
fn the_length_header_is_checked() {
    let body = Bytes::from_static(br#"{"inputs":[]}"#);
    let decode = |header| decode_infer(&body, Some(header), &CodecLimits::default());
    assert!(decode(13).is_ok());
    assert_eq!(decode(14), Err(DecodeError::HeaderTooLong { header: 14, body: 13 }));
    assert!(matches!(decode(12), Err(DecodeError::Json(_))));
    let longer = Bytes::from_static(br#"{"inputs":[]}xy"#);
    assert_eq!(decode_infer(&longer, Some(13), &CodecLimits::default()), Err(DecodeError::LeftOver(2)));
    assert!(decode(u64::MAX).is_err());
}

#[test]
fn malformed_requests_say_what_is_wrong() {
    let x = r#"{"name":"x","shape":[1],"datatype":"FP32","data":[1]}"#;
    let cases: &[(&str, &[&str])] = &[
        ("", &["EOF"]),
        ("[]", &["an object with `inputs`"]),
        ("{\"inputs\":[", &["EOF", "line 1"]),
        ("{\"inputs\":[]} x", &["trailing"]),
        ("{}", &["`inputs` is missing"]),
        (r#"{"inputs":null}"#, &["`inputs` is missing"]),
        (r#"{"inputs":[],"inputs":[]}"#, &["\"inputs\" appears twice"]),
        (r#"{"inputs":[],"parameters":{"a":1,"a":2}}"#, &["\"a\" appears twice"]),
        (r#"{"inputs":[],"parameters":{"a":[1]}}"#, &["a string, a number or a boolean"]),
        (r#"{"inputs":[],"id":7}"#, &["string"]),
        (r#"{"inputs":[5]}"#, &["inputs[0]", "`name`"]),
        (r#"{"inputs":[X,X]}"#, &["\"x\" appears twice"]),
        (r#"{"inputs":[X,{"name":"y","name":"y"}]}"#, &["inputs[1] \"y\"", "\"name\" appears twice"]),
        (r#"{"inputs":[{"shape":[1],"datatype":"FP32","data":[1]}]}"#, &["inputs[0]: `name` is missing"]),
        (r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32"}]}"#, &["`data` is missing"]),
        (r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":null}]}"#, &["`data` is missing"]),
        (r#"{"inputs":[{"name":"x","shape":[1],"data":[1]}]}"#, &["`datatype` is missing"]),
        (r#"{"inputs":[{"name":"x","datatype":"FP32","data":[1]}]}"#, &["`shape` is missing"]),
        (r#"{"inputs":[{"name":"x","datatype":"FLOAT"}]}"#, &["unknown datatype \"FLOAT\""]),
        (r#"{"inputs":[{"name":"x","shape":[-1]}]}"#, &["-1"]),
        (r#"{"inputs":[{"name":"x","shape":[1,1,1,1,1,1,1,1,1]}]}"#, &["more than 8 dimensions"]),
        (r#"{"inputs":[{"name":"x","shape":[2147483648]}]}"#, &["one dimension"]),
        (r#"{"inputs":[{"name":"x","shape":[2147483647,2147483647,2147483647]}]}"#, &["more than 16777216 elements"]),
        (r#"{"inputs":[],"outputs":[{"name":"y"},{"name":"y"}]}"#, &["\"y\" appears twice"]),
        (r#"{"inputs":[],"outputs":[{}]}"#, &["outputs[0]: `name` is missing"]),
    ];
    for (body, parts) in cases {
        check_error(&body.replace('X', x), Mistake::Malformed, parts);
    }
}

#[test]
fn nesting_and_numbers_of_things_are_bounded() {
    let nested = |n: usize| format!(r#"{{"inputs":[],"x":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    assert!(decode(&nested(15)).is_ok());
    check_error(&nested(16), Mistake::Malformed, &["nested too deeply"]);
    check_error(&nested(100_000), Mistake::Malformed, &["nested too deeply"]);
    let deep = format!("[{}]", "[".repeat(100_000));
    assert!(input("FP32", "[1,1]", &deep).is_err());
    let data_first = format!(
        r#"{{"inputs":[{{"data":{}{},"datatype":"FP32","shape":[1,1],"name":"x"}}]}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    assert!(decode(&data_first).is_err());

    let one = |i: usize| format!(r#"{{"name":"{i}","shape":[0],"datatype":"BOOL","data":[]}}"#);
    let inputs = |n| format!(r#"{{"inputs":[{}]}}"#, (0..n).map(one).collect::<Vec<_>>().join(","));
    assert_eq!(decode(&inputs(64)).unwrap().inputs.len(), 64);
    check_error(&inputs(65), Mistake::Malformed, &["more than 64 inputs"]);
    let long = "i".repeat(257);
    check_error(&format!(r#"{{"inputs":[],"id":"{long}"}}"#), Mistake::Malformed, &["more than 256 bytes"]);
    check_input_error_kind("BYTES", "[65537]", "[]", "more than 65536 elements in BYTES tensors");
}

fn check_input_error_kind(datatype: &str, shape: &str, data: &str, part: &str) {
    let error = input(datatype, shape, data).expect_err(part).to_string();
    assert!(error.contains(part), "{error}");
}

#[test]
fn an_announced_shape_allocates_nothing_the_body_cannot_fill() {
    // 16 Mi doubles would be 128 MiB; the data run out after three elements.
    let limits = CodecLimits::default();
    let body = Bytes::from_static(br#"{"inputs":[{"name":"x","shape":[16777216],"datatype":"FP64","data":[1,2,3]}]}"#);
    let context = Context::new(&body, &Bytes::new(), &limits);
    let seed = crate::elements::DataSeed {
        context: &context,
        datatype: DataType::Fp64,
        shape: &[16_777_216],
        layout: crate::elements::Layout::Flat,
    };
    assert!(seed.room() <= body.len() / 2);
}

#[test]
fn text_without_escapes_shares_the_body() {
    let body =
        Bytes::from_static(br#"{"inputs":[{"name":"x","shape":[2],"datatype":"BYTES","data":["plain","\u0041"]}]}"#);
    let request = decode_infer(&body, None, &CodecLimits::default()).unwrap();
    let Data::Strings(strings) = request.inputs[0].data() else { panic!("not strings") };
    assert!(body.as_ptr_range().contains(&strings[0].as_ptr()));
    assert_eq!(strings[1], "A");
}

/// The slow reference: a tree of values, flattened and converted one by one.
fn reference(datatype: DataType, data: &Value, into: &mut Vec<u8>) {
    match data {
        Value::Array(items) => items.iter().for_each(|item| reference(datatype, item, into)),
        Value::Bool(value) => into.push(u8::from(*value)),
        Value::Number(number) => {
            let integer = || number.as_i64().map_or_else(|| i128::from(number.as_u64().unwrap()), i128::from);
            match datatype {
                DataType::Fp32 => into.extend(number.to_string().parse::<f32>().unwrap().to_le_bytes()),
                DataType::Fp64 => into.extend(number.to_string().parse::<f64>().unwrap().to_le_bytes()),
                _ => into.extend(&integer().to_le_bytes()[..datatype.element_bytes().unwrap()]),
            }
        }
        other => panic!("{other}"),
    }
}

fn element(datatype: DataType) -> BoxedStrategy<Value> {
    match datatype {
        DataType::Bool => any::<bool>().prop_map(|v| json!(v)).boxed(),
        DataType::Uint8 => any::<u8>().prop_map(|v| json!(v)).boxed(),
        DataType::Uint16 => any::<u16>().prop_map(|v| json!(v)).boxed(),
        DataType::Uint32 => any::<u32>().prop_map(|v| json!(v)).boxed(),
        DataType::Uint64 => any::<u64>().prop_map(|v| json!(v)).boxed(),
        DataType::Int8 => any::<i8>().prop_map(|v| json!(v)).boxed(),
        DataType::Int16 => any::<i16>().prop_map(|v| json!(v)).boxed(),
        DataType::Int32 => any::<i32>().prop_map(|v| json!(v)).boxed(),
        DataType::Int64 => any::<i64>().prop_map(|v| json!(v)).boxed(),
        DataType::Fp32 => {
            let single = any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |v| v.is_finite());
            prop_oneof![single.prop_map(|v| json!(f64::from(v))), any::<i16>().prop_map(|v| json!(v))].boxed()
        }
        _ => any::<u64>()
            .prop_map(f64::from_bits)
            .prop_filter("finite", |v| v.is_finite())
            .prop_map(|v| json!(v))
            .boxed(),
    }
}

fn nest(shape: &[usize], elements: &mut impl Iterator<Item = Value>) -> Value {
    match shape {
        [] => elements.next().unwrap(),
        [n, inner @ ..] => Value::Array((0..*n).map(|_| nest(inner, elements)).collect()),
    }
}

proptest! {
    #[test]
    fn every_number_equals_the_reference(
        (datatype, shape, elements) in (0usize..14, prop::collection::vec(1usize..4, 1..4)).prop_flat_map(|(d, shape)| {
            let datatype = DataType::ALL[d];
            let datatype = if matches!(datatype, DataType::Fp16 | DataType::Bf16 | DataType::Bytes) { DataType::Fp32 } else { datatype };
            let n = shape.iter().product::<usize>();
            (Just(datatype), Just(shape), prop::collection::vec(element(datatype), n))
        })
    ) {
        let mut expected = Vec::new();
        reference(datatype, &Value::Array(elements.clone()), &mut expected);
        let nested = nest(&shape, &mut elements.clone().into_iter());
        for data in [Value::Array(elements), nested] {
            let first = json!({"inputs": [{"name": "x", "shape": shape, "datatype": datatype.as_str(), "data": data}]});
            let last = json!({"inputs": [{"data": data, "name": "x", "shape": shape, "datatype": datatype.as_str()}]});
            for body in [first, last] {
                let request = decode(&body.to_string()).unwrap();
                prop_assert_eq!(raw(&request.inputs[0]), &expected[..]);
            }
        }
    }

    #[test]
    fn text_survives(texts in prop::collection::vec(".*", 0..5)) {
        let body = json!({"inputs": [{"name": "x", "shape": [texts.len()], "datatype": "BYTES", "data": texts}]});
        let request = decode(&body.to_string()).unwrap();
        let expected = Data::Strings(texts.iter().map(|t| Bytes::copy_from_slice(t.as_bytes())).collect());
        prop_assert_eq!(request.inputs[0].data(), &expected);
    }

    #[test]
    fn garbage_is_refused_or_read_but_never_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_infer(&body.into(), None, &CodecLimits::default()).ok();
    }

    #[test]
    fn a_damaged_request_never_panics(at in 0usize..150, byte in any::<u8>(), cut in 0usize..150) {
        let good = br#"{"id":"1","inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[[1.5,2e3],[-3,4]]},{"name":"b","data":["a\u00e9"],"shape":[1],"datatype":"BYTES"}]}"#;
        let mut body = good.to_vec();
        body[at.min(good.len() - 1)] = byte;
        decode_infer(&Bytes::copy_from_slice(&body), None, &CodecLimits::default()).ok();
        body.truncate(cut);
        prop_assert!(decode_infer(&body.into(), None, &CodecLimits::default()).is_err());
    }
}
