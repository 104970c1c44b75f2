#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use base_types::ModelName;
use control_registry::RefusalCode;

use super::*;

fn spec(name: &str, datatype: DataType, dims: &[i64]) -> TensorSpec {
    let dims = dims.iter().map(|d| usize::try_from(*d).ok()).collect();
    TensorSpec { name: name.to_owned(), datatype, dims }
}

fn signature(input: TensorSpec) -> Signature {
    Signature { inputs: vec![input], outputs: Vec::new() }
}

fn config(input: &str) -> ModelConfig {
    let text = format!("max_batch_size: 4 model_warmup {{ batch_size: 2 count: 3 inputs {{ {input} }} }}");
    ModelConfig::parse(&text, &ModelName::new("m").unwrap()).unwrap()
}

fn made(input: &str, ours: &TensorSpec, theirs: &TensorSpec, file: &[u8]) -> Result<Vec<Sample>, String> {
    let read = |_: &str, bytes_max: u64| {
        let refusal = || Refusal::new(RefusalCode::TooLarge, "too large");
        if file.len() as u64 <= bytes_max { Ok(file.to_vec()) } else { Err(refusal()) }
    };
    samples(&config(input), (&signature(ours.clone()), &signature(theirs.clone())), &read)
}

#[test]
fn every_type_is_made_up_within_its_range() {
    for datatype in DataType::ALL {
        let name = if datatype == DataType::Bytes { "STRING" } else { datatype.as_str() };
        let spec = spec("x", datatype, &[-1, 5]);
        for kind in ["zero_data", "random_data"] {
            let input = format!("key: \"x\" value {{ data_type: TYPE_{name} dims: 5 {kind}: true }}");
            let samples = made(&input, &spec, &spec, b"").unwrap();
            assert_eq!((samples[0].count, samples[0].inputs[0].shape()), (3, [2, 5].as_slice()), "{datatype} {kind}");
        }
    }
    let input = "key: \"x\" value { data_type: TYPE_FP16 dims: 500 random_data: true }";
    let halves =
        made(input, &spec("x", DataType::Fp16, &[-1, -1]), &spec("x", DataType::Fp16, &[-1, -1]), b"").unwrap();
    let Data::Raw(raw) = halves[0].inputs[0].data() else { unreachable!("halves are raw") };
    let is_finite = |pair: &[u8; 2]| u16::from_le_bytes(*pair) & 0x7c00 != 0x7c00;
    assert!(raw.as_chunks::<2>().0.iter().all(is_finite));
}

#[test]
fn a_file_gives_one_row_which_is_repeated() {
    let input = "key: \"x\" value { data_type: TYPE_UINT8 dims: 3 input_data_file: \"f\" }";
    let spec8 = spec("x", DataType::Uint8, &[-1, 3]);
    let samples = made(input, &spec8, &spec8, &[1, 2, 3]).unwrap();
    assert_eq!(samples[0].inputs[0].data(), &Data::Raw(Bytes::from_static(&[1, 2, 3, 1, 2, 3])));
    assert!(made(input, &spec8, &spec8, &[1, 2]).err().unwrap().contains("2 bytes"));
    let texts = "key: \"x\" value { data_type: TYPE_STRING dims: 2 input_data_file: \"f\" }";
    let spec_text = spec("x", DataType::Bytes, &[-1, 2]);
    let samples = made(texts, &spec_text, &spec_text, b"\x02\0\0\0ab\0\0\0\0").unwrap();
    let row = [Bytes::from_static(b"ab"), Bytes::new()];
    assert_eq!(samples[0].inputs[0].data(), &Data::Strings([row.clone(), row].concat()));
    for broken in [b"\x02\0\0\0a".as_slice(), b"\xff\xff\xff\xff", b"", b"\0\0\0\0", b"\0\0\0\0\0\0\0\0\0"] {
        assert!(made(texts, &spec_text, &spec_text, broken).is_err(), "{broken:?}");
    }
}

#[test]
fn samples_follow_the_contract_and_reach_the_graph_in_its_shape() {
    let (ours, theirs) = (spec("x", DataType::Fp32, &[-1, 1]), spec("image", DataType::Fp32, &[-1]));
    for name in ["x", "image"] {
        let input = format!("key: \"{name}\" value {{ data_type: TYPE_FP32 dims: 1 zero_data: true }}");
        let samples = made(&input, &ours, &theirs, b"").unwrap();
        assert_eq!((samples[0].inputs[0].name(), samples[0].inputs[0].shape()), ("image", [2].as_slice()));
    }
    let wrong = made("key: \"w\" value { data_type: TYPE_FP32 dims: 1 zero_data: true }", &ours, &theirs, b"");
    assert!(wrong.err().unwrap().contains("x FP32[-1,1] is missing"));
    let wrong = made("key: \"x\" value { data_type: TYPE_FP32 dims: 2 zero_data: true }", &ours, &theirs, b"");
    assert!(wrong.err().unwrap().contains("[2, 2]"));
}

#[test]
fn what_is_made_up_is_bounded() {
    let open = spec("x", DataType::Fp32, &[-1, -1]);
    let input = |n: usize| format!("key: \"x\" value {{ data_type: TYPE_FP32 dims: {n} zero_data: true }}");
    // Two rows of four bytes each: 64 MiB and a bit.
    assert!(made(&input((8 << 20) + 1), &open, &open, b"").err().unwrap().contains("more than 67108864 bytes"));
    let sample = format!("model_warmup {{ inputs {{ {} }} }} ", input(15 << 20));
    let text = format!("max_batch_size: 4 {}", sample.repeat(6));
    let config = ModelConfig::parse(&text, &ModelName::new("m").unwrap()).unwrap();
    let read = |_: &str, _: u64| Ok(Vec::new());
    let refused = samples(&config, (&signature(open.clone()), &signature(open)), &read).err().unwrap();
    assert!(refused.contains("together"), "{refused}");
}
