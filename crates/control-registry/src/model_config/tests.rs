#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::RefusalCode;
use base_types::{Signature, TensorSpec};

fn parse(text: &str) -> Result<ModelConfig, Refusal> {
    ModelConfig::parse(text, &ModelName::new("iris").unwrap())
}

/// A warm-up with one input described like this.
fn warm(input: &str) -> String {
    format!("model_warmup {{ inputs {{ key: \"x\" value {{ {input} }} }} }}")
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
    assert!(config.batching.is_some(), "a batch axis is there: batching is honoured and not warned of");
    let warned = ["instance_group", "parameters"];
    assert_eq!(config.warnings.len(), warned.len(), "{:?}", config.warnings);
    for (warning, name) in config.warnings.iter().zip(warned) {
        assert!(warning.contains(name), "{warning}");
    }
    assert!(config.warnings[0].contains("line 12"), "{:?}", config.warnings);
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
        ("instance_group [ { count: 1 kind: KIND_GPU } ]", "KIND_GPU"),
        ("instance_group { gpus: [ 0 ] }", "gpus"),
        ("instance_group { colour: 1 }", "colour"),
        ("response_cache { enable: true }", "enable"),
        ("dynamic_batching { size: 3 }", "size"),
        ("model_warmup { what: 3 }", "what"),
        ("parameters { key: \"a\" valu { } }", "valu"),
        ("input { name: \"x\" data_type: TYPE_FP32 dims: 4 reshape { shape: 4 shap: 1 } }", "shap"),
        ("input { name: \"x\" data_type: TYPE_FP32 dims: -1 reshape { shape: 4 } }", "reshape"),
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
        ("output { name: \"y\" data_type: TYPE_FP32 label_filename: \"../labels\" }", "without folders"),
        ("parameters { key: \"a\" value { } } parameters { key: \"a\" value { } }", "twice"),
        ("model_warmup { name: \"w\" }", "no inputs"),
        (warm("data_type: TYPE_FP32 dims: 4").as_str(), "needs one of"),
        (warm("data_type: TYPE_FP32 dims: 4 zero_data: false").as_str(), "needs one of"),
        (warm("dims: 4 zero_data: true").as_str(), "no data_type"),
        (warm("data_type: TYPE_FP32 dims: -1 zero_data: true").as_str(), "non-negative"),
        (warm("data_type: TYPE_FP32 dims: 99999999999 zero_data: true").as_str(), "elements"),
        (warm("data_type: TYPE_FP32 dims: 4 input_data_file: \"/etc/passwd\"").as_str(), "without folders"),
        (
            "model_warmup { batch_size: 2 inputs { key: \"x\" value { data_type: TYPE_FP32 dims: 4 zero_data: true } } }",
            "batch_size",
        ),
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

#[test]
fn what_is_not_used_is_kept_for_those_who_ask() {
    let config = parse(
        r#"
max_batch_size: 16
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 preserve_ordering: true }
instance_group [ { count: 2 kind: KIND_CPU name: "a" }, { kind: KIND_AUTO } ]
parameters [ { key: "note" value { string_value: "by hand" } }, { key: "other" value { string_value: "1" } } ]
optimization { graph { level: -1 } }
response_cache { enable: false }
"#,
    )
    .unwrap();
    assert_eq!(config.batching, Some(Batching { preferred_sizes: vec![4, 8], delay_max_us: 100 }));
    assert_eq!(config.instances, Some(3));
    assert_eq!(config.parameters["note"], "by hand");
    let told = |word: &str| config.warnings.iter().filter(|warning| warning.contains(word)).count();
    assert_eq!([told("dynamic_batching"), told("instance_group"), told("parameters")], [0, 2, 2]);
    assert_eq!(told("optimization"), 1, "{:?}", config.warnings);
}

#[test]
fn batching_without_a_batch_axis_is_told_to_be_idle() {
    for text in
        ["dynamic_batching { }", "max_batch_size: 1 dynamic_batching { }", "dynamic_batching { } max_batch_size: 0"]
    {
        let config = parse(text).unwrap();
        assert_eq!(config.warnings.len(), 1, "{text}");
        assert!(config.warnings[0].contains("max_batch_size of at least 2"), "{:?}", config.warnings);
    }
}

#[test]
fn warm_up_samples_are_read() {
    let config = parse(
        r#"
max_batch_size: 4
model_warmup [
  { name: "first" batch_size: 4 count: 3
    inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 3, 2 ] zero_data: true } }
    inputs { key: "t" value { data_type: TYPE_STRING dims: 1 input_data_file: "texts.bin" } } },
  { inputs { key: "x" value: { data_type: TYPE_INT64 dims: 4 random_data: true } } }
]
"#,
    )
    .unwrap();
    let [first, second] = config.warmups.as_slice() else { panic!("{:?}", config.warmups) };
    assert_eq!((first.name.as_str(), first.batch_size, first.count), ("first", 4, 3));
    assert_eq!(first.inputs[0].dims, [3, 2]);
    assert_eq!(first.inputs[1].data, WarmupData::File("texts.bin".to_owned()));
    assert_eq!((second.batch_size, second.count, &second.inputs[0].data), (1, 1, &WarmupData::Random));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

/// The shape of the densenet example of Triton's own model repository: reshapes on both sides, labels, no batching.
#[test]
fn a_reshape_that_adds_dimensions_of_one_is_honoured() {
    let config = parse(
        r#"
platform: "onnxruntime_onnx"
max_batch_size : 0
input [
  { name: "data_0" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, 224, 224 ] reshape { shape: [ 1, 3, 224, 224 ] } }
]
output [
  { name: "fc6_1" data_type: TYPE_FP32 dims: [ 1000 ] reshape { shape: [ 1, 1000, 1, 1 ] } label_filename: "densenet_labels.txt" }
]
"#,
    )
    .unwrap();
    let spec = |name: &str, dims: &[i64]| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        dims: dims.iter().map(|d| usize::try_from(*d).ok()).collect(),
    };
    let signature = |input: &[i64], output: &[i64]| Signature {
        inputs: vec![spec("data_0", input)],
        outputs: vec![spec("fc6_1", output)],
    };
    let graph = signature(&[1, 3, 224, 224], &[1, 1000, 1, 1]);
    config.check_signature(&graph).unwrap();
    assert_eq!(config.shown(&config.narrow(&graph)), Some(signature(&[3, 224, 224], &[1000])));
    // A graph that takes any number of rows is held to the one row of the file.
    let open = signature(&[-1, 3, 224, 224], &[-1, 1000, 1, 1]);
    config.check_signature(&open).unwrap();
    assert_eq!(config.narrow(&open), graph);
    assert!(config.check_signature(&signature(&[3, 224, 224], &[1000])).is_err());
    assert_eq!(config.outputs[0].label_file.as_deref(), Some("densenet_labels.txt"));
}

/// Models whose graph has nothing but the batch axis: callers send [batch, 1], the graph takes [batch].
#[test]
fn a_reshape_to_the_batch_axis_alone_is_honoured() {
    let text =
        |reshape: &str| format!("max_batch_size: 8 input {{ name: \"x\" data_type: TYPE_FP32 dims: [ 1 ] {reshape} }}");
    let spec = |dims: Vec<Option<usize>>| TensorSpec { name: "x".to_owned(), datatype: DataType::Fp32, dims };
    let signature = |dims| Signature { inputs: vec![spec(dims)], outputs: Vec::new() };
    for reshape in ["reshape { shape: [ ] }", "reshape: { }"] {
        let config = parse(&text(reshape)).unwrap();
        let graph = signature(vec![None]);
        config.check_signature(&graph).unwrap();
        assert_eq!(config.narrow(&graph), graph);
        assert_eq!(config.shown(&graph), Some(signature(vec![None, Some(1)])));
    }
    let same = parse(&text("reshape { shape: [ 1 ] }")).unwrap();
    assert_eq!(same.shown(&signature(vec![None, Some(1)])), None, "it says what is so already");
    same.check_signature(&signature(vec![None, Some(1)])).unwrap();
}

/// The shape of the identity examples: nothing but open dimensions, a batch axis, and hints.
#[test]
fn an_identity_model_of_a_triton_repository_is_read() {
    let config = parse(
        r#"
backend: "onnxruntime"
max_batch_size: 64
dynamic_batching: {
  preferred_batch_size: [ 16, 32 ],
  max_queue_delay_microseconds: 500
}
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
version_policy: { specific: { versions: [ 1, 3 ] } }
"#,
    )
    .unwrap();
    let spec = |name: &str| TensorSpec { name: name.to_owned(), datatype: DataType::Fp32, dims: vec![None, None] };
    let graph = Signature { inputs: vec![spec("INPUT0")], outputs: vec![spec("OUTPUT0")] };
    config.check_signature(&graph).unwrap();
    assert_eq!((config.narrow(&graph), config.shown(&graph)), (graph, None));
    assert_eq!(config.batching.map(|b| (b.preferred_sizes, b.delay_max_us)), Some((vec![16, 32], 500)));
}
