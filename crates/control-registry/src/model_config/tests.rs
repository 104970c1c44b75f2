#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::RefusalCode;
use base_types::{Signature, TensorSpec};

fn parse(text: &str) -> Result<ModelConfig, Refusal> {
    ModelConfig::parse(text, &ModelName::new("iris").unwrap())
}

fn check_refused(text: &str, code: RefusalCode, part: &str) {
    let refusal = parse(text).unwrap_err();
    assert_eq!(refusal.code, code, "{text}: {refusal}");
    assert!(refusal.text.contains(part), "{text}: {refusal}");
}

const FULL: &str = r#"
# A typical file.
name: "iris"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  { name: "x", data_type: TYPE_FP32, dims: [ 4 ] },
  { name: "label"  data_type: TYPE_STRING  dims: -1 }
]
output { name: 'y' data_type: TYPE_INT64; dims: [ 3, -1 ] label_filename: "labels.txt" }
version_policy: { latest { num_versions: 2 } }
instance_group [ { count: 2 kind: KIND_CPU } ]
dynamic_batching { }
parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
model_transaction_policy { decoupled: false }
"#;

#[test]
fn a_typical_file_is_read() {
    let config = parse(FULL).unwrap();
    assert_eq!(config.max_batch_size, Some(8));
    let names: Vec<&str> = config.inputs.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["x", "label"]);
    assert_eq!(config.inputs[1].datatype, DataType::Bytes);
    assert_eq!(config.inputs[1].dims, [None]);
    assert_eq!(config.inputs[1].line, 8);
    assert_eq!(config.outputs[0].dims, [Some(3), None]);
    assert_eq!(config.version_policy, Some(VersionPolicy::Latest(2)));
    let warned = ["label_filename", "instance_group", "dynamic_batching", "parameters"];
    assert_eq!(config.warnings.len(), warned.len(), "{:?}", config.warnings);
    for (warning, name) in config.warnings.iter().zip(warned) {
        assert!(warning.contains(name), "{warning}");
    }
    assert!(config.warnings[1].contains("line 12"), "{:?}", config.warnings);
}

#[test]
fn an_empty_file_says_nothing() {
    assert_eq!(parse("").unwrap(), ModelConfig::default());
    assert_eq!(parse("  # nothing\n").unwrap(), ModelConfig::default());
    assert_eq!(parse("max_batch_size: 0").unwrap().max_batch_size, None);
}

#[test]
fn what_would_change_answers_is_refused_by_name_and_line() {
    for (text, part) in [
        ("\nensemble_scheduling { step [ ] }", "line 2: ensemble_scheduling"),
        ("sequence_batching { }", "sequence_batching"),
        ("model_transaction_policy { decoupled: true }", "decoupled"),
        ("cc_model_filenames { key: \"7.0\" value: \"a\" }", "cc_model_filenames"),
        ("model_operations { op_library_filename: \"a.so\" }", "model_operations"),
        ("batch_input [ { kind: BATCH_ELEMENT_COUNT } ]", "batch_input"),
        ("input { name: \"x\" data_type: TYPE_FP32 dims: 4 reshape { shape: [ 2, 2 ] } }", "reshape"),
        ("input { name: \"x\" data_type: TYPE_FP32 optional: true }", "optional"),
        ("input { name: \"x\" data_type: TYPE_FP32 allow_ragged_batch: true }", "allow_ragged_batch"),
        ("platform: \"tensorflow_graphdef\"", "platform \"tensorflow_graphdef\""),
        ("backend: \"python\"", "backend"),
        ("default_model_filename: \"other.onnx\"", "default_model_filename"),
        ("max_bach_size: 3", "max_bach_size is not a known field"),
        ("parameters { key: \"session.set_denormal_as_zero\" value { string_value: \"1\" } }", "denormal"),
        ("version_policy { newest { } }", "newest"),
        ("input { name: \"x\" data_type: TYPE_FP32 dimz: 3 }", "dimz"),
    ] {
        check_refused(text, RefusalCode::ConfigUnsupported, part);
    }
}

#[test]
fn contradictions_are_refused() {
    for (text, part) in [
        ("name: \"rose\"", "\"rose\""),
        ("max_batch_size: -1", "max_batch_size"),
        ("max_batch_size: 1 max_batch_size: 2", "twice"),
        ("input { data_type: TYPE_FP32 dims: 4 }", "no name"),
        ("input { name: \"x\" name: \"y\" data_type: TYPE_FP32 }", "twice"),
        ("input { name: \"x\" }", "data_type"),
        ("input { name: \"x\" data_type: TYPE_FP31 }", "TYPE_FP31"),
        ("input { name: \"x\" data_type: FP32 }", "FP32"),
        ("input { name: \"x\" data_type: TYPE_FP32 dims: -2 }", "-2"),
        ("output { name: \"y\" data_type: TYPE_FP32 }\noutput { name: \"y\" data_type: TYPE_FP32 }", "line 2"),
        ("version_policy { all { } latest { } }", "exactly one"),
        ("version_policy { latest { num_versions: 0 } }", "at least 1"),
        ("version_policy { specific { versions: [ 0 ] } }", "positive"),
        ("name: iris", "quoted"),
        ("input: 3", "braces"),
    ] {
        check_refused(text, RefusalCode::ConfigMismatch, part);
    }
}

#[test]
fn broken_text_is_refused_with_its_line() {
    let deep = format!("optimization {}{}", "{ a ".repeat(40), "}".repeat(40));
    for (text, part) in [
        ("\n\nname \"iris\"", "line 3"),
        ("name: \"iris", "closing quote"),
        ("input {", "ends within"),
        ("dims: [ 1 2 ]", "',' or ']'"),
        ("}", "a field name"),
        ("name:", "a value"),
        ("name: \"\\q\"", "escape"),
        (deep.as_str(), "deep"),
    ] {
        check_refused(text, RefusalCode::ConfigSyntax, part);
    }
}

#[test]
fn mutated_files_never_panic() {
    let bytes = FULL.as_bytes();
    for cut in 0..bytes.len() {
        let _ = parse(&FULL[..cut]).is_ok();
        for replacement in *b"{}[]<>\"\\:#9-" {
            let mut mutated = bytes.to_vec();
            mutated[cut] = replacement;
            let _ = parse(&String::from_utf8(mutated).unwrap()).is_ok();
        }
    }
}

#[test]
fn the_version_policy_selects() {
    let set = |numbers: &[u64]| numbers.iter().filter_map(|n| Version::new(*n)).collect::<BTreeSet<_>>();
    let there = set(&[1, 3, 7]);
    assert_eq!(VersionPolicy::Latest(2).select(&there), set(&[3, 7]));
    assert_eq!(VersionPolicy::All.select(&there), there);
    let specific = parse("version_policy { specific { versions: [ 1, 2 ] versions: 7 } }").unwrap().version_policy;
    assert_eq!(specific.unwrap().select(&there), set(&[1, 7]));
    assert_eq!(parse("version_policy { latest { } }").unwrap().version_policy, Some(VersionPolicy::Latest(1)));
}

fn signature(batch: Option<usize>) -> Signature {
    let spec = |name: &str, dims: &[Option<usize>]| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        dims: dims.to_vec(),
    };
    Signature {
        inputs: vec![spec("x", &[batch, Some(4), None])],
        outputs: vec![spec("y", &[batch, Some(3)]), spec("z", &[None])],
    }
}

#[test]
fn the_signature_must_agree() {
    let input = |rest: &str| format!("input {{ name: \"x\" data_type: TYPE_FP32 {rest} }}");
    for (text, batch, problem) in [
        (format!("max_batch_size: 8 {}", input("dims: [ 4, -1 ]")), None, None),
        (format!("max_batch_size: 8 {}", input("dims: [ 4, 9 ]")), None, None),
        (format!("max_batch_size: 8 {}", input("dims: [ -1, 4, -1 ]")), None, Some("does not fit")),
        (format!("max_batch_size: 8 {}", input("dims: [ 5, -1 ]")), None, Some("does not fit")),
        (format!("max_batch_size: 8 {}", input("dims: [ -1, -1 ]")), None, Some("does not fit")),
        (input("dims: [ -1, 4, -1 ]"), None, None),
        (input("dims: [ 2, 4, -1 ]"), Some(2), None),
        (input(""), None, None),
        ("max_batch_size: 8".to_owned(), Some(1), Some("not dynamic")),
        ("input { name: \"w\" data_type: TYPE_FP32 }".to_owned(), None, Some("no input \"w\"")),
        ("input { name: \"x\" data_type: TYPE_FP64 }".to_owned(), None, Some("FP64")),
        ("output { name: \"z\" data_type: TYPE_FP32 }".to_owned(), None, None),
    ] {
        let result = parse(&text).unwrap().check_signature(&signature(batch));
        match (result, problem) {
            (Ok(()), None) => {}
            (Err(problems), Some(part)) => {
                assert!(problems.iter().any(|p| p.contains(part)), "{text}: {problems:?}");
            }
            (result, _) => panic!("{text}: {result:?}"),
        }
    }
    let left_out = parse("input { name: \"w\" data_type: TYPE_FP32 }").unwrap().check_signature(&signature(None));
    assert!(left_out.unwrap_err().iter().any(|p| p.contains("leaves out the input x")));
}

#[test]
fn fixed_dimensions_narrow_what_callers_may_send() {
    let config = parse("max_batch_size: 8 input { name: \"x\" data_type: TYPE_FP32 dims: [ 4, 9 ] }").unwrap();
    let narrowed = config.narrow(&signature(None));
    assert_eq!(narrowed.inputs[0].dims, [None, Some(4), Some(9)]);
    assert_eq!(narrowed.outputs, signature(None).outputs);
}
