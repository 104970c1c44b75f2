#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use crate::test_model::{Message, external, function, graph, message, model, node, subgraph, tensor};

fn check(file: Message) -> Result<Facts, Refusal> {
    scan(&file.0, &Limits::default())
}

fn check_refused(file: Message, code: RefusalCode, part: &str) {
    let refusal = check(file).unwrap_err();
    assert_eq!(refusal.code, code, "{refusal}");
    assert!(refusal.text.contains(part), "{refusal}");
}

fn with_tensor(tensor: Message) -> Message {
    model(graph().with(5, tensor))
}

#[test]
fn a_valid_model_gives_its_facts() {
    let facts = check(model(graph())).unwrap();
    let expected = Facts {
        ir_version: 9,
        opsets: vec![(String::new(), 17), ("own".to_owned(), 1)],
        producer: "hand 1".to_owned(),
        inputs: vec!["x".to_owned()],
        outputs: vec!["y".to_owned()],
        nodes: 1,
        external: Vec::new(),
    };
    assert_eq!(facts, expected);
}

#[test]
fn values_of_subgraphs_are_not_the_models() {
    let with_subgraph = node("", "If").with(5, subgraph(graph()));
    let facts = check(model(graph().with(1, with_subgraph))).unwrap();
    assert_eq!(facts.inputs, ["x"]);
    assert_eq!(facts.nodes, 3);
}

#[test]
fn other_kinds_of_file_are_told_apart() {
    for (bytes, code, part) in [
        (&b""[..], RefusalCode::Malformed, "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", RefusalCode::LfsPointer, "git lfs pull"),
        (b"\x20\0\0\0ORTM\0\0\0\0", RefusalCode::Malformed, "ORT format"),
        (b"<!DOCTYPE html><html>", RefusalCode::Malformed, "not a valid ONNX"),
        (b"\x08\x09", RefusalCode::Malformed, "no graph"),
    ] {
        let refusal = scan(bytes, &Limits::default()).unwrap_err();
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.text.contains(part), "{refusal}");
    }
}

#[test]
fn every_cut_of_a_model_is_refused_or_complete() {
    let whole = with_tensor(tensor(&[2, 2], &[0; 16])).with(14, message().bytes(1, "k").bytes(2, "v")).0;
    // The last field is metadata, which may be missing; any cut within a field may not.
    let mut accepted = Vec::new();
    for cut in 0..=whole.len() {
        if scan(&whole[..cut], &Limits::default()).is_ok() {
            accepted.push(cut);
        }
    }
    assert_eq!(accepted.last(), Some(&whole.len()));
    assert!(accepted.len() <= 4, "cuts at {accepted:?} were taken for whole models");
}

#[test]
fn wire_garbage_is_refused() {
    let good = || model(graph());
    let raw = |bytes: &[u8]| Message([good().0, bytes.to_vec()].concat());
    for file in [
        raw(&[0x00]),
        raw(&[0x0b]),
        raw(&[0xff; 11]),
        raw(&[0x2a, 0x05, b'a']),
        raw(&[0x80]),
        good().int(99, 1),
        good().int(7, 3),
        good().int(1, 9),
        good().with(7, graph()),
        good().bytes(4, [0xff, 0xfe]),
    ] {
        check_refused(file, RefusalCode::Malformed, "not a valid ONNX protobuf");
    }
    // Two occurrences of a singular field are merged or replaced, depending on the parser.
    check_refused(with_tensor(tensor(&[1], &[0; 4]).bytes(9, [0; 4])), RefusalCode::Malformed, "twice");
    // Newer writers may add fields inside messages.
    check(model(graph().int(77, 1))).unwrap();
}

#[test]
fn versions_newer_than_the_runtime_are_refused() {
    let opset = |domain: &str, version| model(graph()).with(8, message().bytes(1, domain).int(2, version));
    check(message().int(1, IR_VERSION_MAX).with(7, graph())).unwrap();
    check_refused(message().int(1, IR_VERSION_MAX + 1).with(7, graph()), RefusalCode::IrVersion, "up to 14");
    check_refused(message().with(7, graph()), RefusalCode::IrVersion, "does not say");
    check_refused(message().int(1, -1).with(7, graph()), RefusalCode::IrVersion, "does not say");
    for (domain, newest) in DOMAINS {
        check(opset(domain, newest)).unwrap();
        check_refused(opset(domain, newest + 1), RefusalCode::Opset, "export it with an older one");
    }
    check_refused(opset("ai.onnx", 29), RefusalCode::Opset, "of ai.onnx");
    // Optimisers import every domain they know.
    check(opset("ai.onnx.training", 1)).unwrap();
    let in_function = function("f", &[]).with(9, message().bytes(1, "").int(2, 99));
    check_refused(model(graph()).with(25, in_function), RefusalCode::Opset, "99");
}

#[test]
fn operators_must_be_built_in_or_defined() {
    for domain in ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"] {
        check(model(graph().with(1, node(domain, "Any")))).unwrap();
    }
    for (domain, part) in [
        ("com.example", "com.example"),
        ("ai.onnx.contrib", "custom operator library"),
        ("com.microsoft.nchwc", "optimised for one machine"),
        ("ai.onnx.preview.training", "training"),
    ] {
        check_refused(model(graph().with(1, node(domain, "Any"))), RefusalCode::OpDomain, part);
        let nested = node("", "If").with(5, subgraph(graph().with(1, node(domain, "Any"))));
        check_refused(model(graph().with(1, nested)), RefusalCode::OpDomain, part);
    }
    for op in ["EPContext", "PyOp"] {
        check_refused(model(graph().with(1, node("com.microsoft", op))), RefusalCode::ForeignCode, op);
    }
    // A function may stand before or after the graph, and its overload is part of its name.
    let own = || graph().with(1, node("own", "f"));
    check(model(own()).with(25, function("f", &[]))).unwrap();
    check(message().with(25, function("f", &[])).int(1, 9).with(7, own())).unwrap();
    check_refused(model(own()).with(25, function("f", &[]).bytes(13, "2")), RefusalCode::OpDomain, "\"f\"");
    check_refused(model(graph()).with(25, function("f", &["g"])), RefusalCode::OpDomain, "\"g\"");
    let twice = model(graph()).with(25, function("f", &[])).with(25, function("f", &[]));
    check_refused(twice, RefusalCode::Malformed, "twice");
}

#[test]
fn circles_of_functions_are_refused() {
    let itself = model(graph()).with(25, function("f", &["f"]));
    check_refused(itself, RefusalCode::FunctionCycle, "\"f\"");
    let three = [("a", ["b"]), ("b", ["c"]), ("c", ["a"])];
    let three = three.iter().fold(model(graph()), |m, (name, calls)| m.with(25, function(name, calls)));
    check_refused(three, RefusalCode::FunctionCycle, "circle");
    let in_subgraph = node("", "If").with(5, subgraph(graph().with(1, node("own", "f"))));
    let hidden = message().bytes(1, "f").bytes(10, "own").with(7, in_subgraph);
    check_refused(model(graph()).with(25, hidden), RefusalCode::FunctionCycle, "circle");
    let diamond = [("a", &["b", "c"][..]), ("b", &["d"]), ("c", &["d"]), ("d", &[])];
    check(diamond.iter().fold(model(graph()), |m, (name, calls)| m.with(25, function(name, calls)))).unwrap();
}

#[test]
fn functions_that_explode_are_refused() {
    let name = |level: usize| format!("f{level}");
    let last = function(&name(64), &[]).with(7, node("", "Neg"));
    let bomb = (0..64).fold(model(graph().with(1, node("own", "f0"))).with(25, last), |m, level| {
        let next = name(level + 1);
        m.with(25, function(&name(level), &[&next, &next]))
    });
    check_refused(bomb, RefusalCode::TooManyNodes, "expand");
}

#[test]
fn external_data_stay_in_the_folder() {
    let location = |location: &str| with_tensor(external(&[4], &[("location", location)]));
    let facts = check(location("weights.bin")).unwrap();
    assert_eq!(facts.external, [ExternalFile { location: "weights.bin".to_owned(), bytes_min: 16 }]);
    for bad in [
        "/etc/passwd",
        "../other/weights.bin",
        "a/b",
        "./weights.bin",
        "a\\b",
        "a\0b",
        "",
        ".",
        "..",
        "*/_ORT_MEM_ADDR_/*",
        "_ORT_MEM_ADDR_",
    ] {
        check_refused(location(bad), RefusalCode::ExternalData, "beside the model");
    }
    let in_attribute = node("", "Constant").with(5, message().with(5, external(&[4], &[("location", "../x")])));
    check_refused(model(graph().with(1, in_attribute)), RefusalCode::ExternalData, "outside the folder");
    let in_sparse = message().with(1, external(&[1], &[("location", "../x")])).int(3, 1);
    check_refused(model(graph().with(15, in_sparse)), RefusalCode::ExternalData, "outside the folder");
}

#[test]
fn external_ranges_are_checked() {
    let entries = |more: &[(&str, &str)]| {
        let all: Vec<_> = [("location", "w")].iter().chain(more).copied().collect();
        with_tensor(external(&[4], &all))
    };
    let facts = check(entries(&[("offset", "4096"), ("length", "16"), ("checksum", "x")])).unwrap();
    assert_eq!(facts.external[0].bytes_min, 4112);
    for (more, code, part) in [
        (&[("length", "15")][..], RefusalCode::TensorBytes, "ask for 16"),
        (&[("offset", "9223372036854775807")], RefusalCode::ExternalData, "beyond any file"),
        (&[("offset", "9223372036854775808")], RefusalCode::ExternalData, "no file position"),
        (&[("offset", "-1")], RefusalCode::ExternalData, "no file position"),
        (&[("offset", "0x10")], RefusalCode::ExternalData, "no file position"),
        (&[("offset", "")], RefusalCode::ExternalData, "no file position"),
        (&[("basepath", "/")], RefusalCode::ExternalData, "basepath"),
        (&[("location", "v")], RefusalCode::ExternalData, "twice"),
    ] {
        check_refused(entries(more), code, part);
    }
    check_refused(with_tensor(external(&[4], &[])), RefusalCode::ExternalData, "without a location");
    let both = external(&[1], &[("location", "w")]).bytes(9, [0; 4]);
    check_refused(with_tensor(both), RefusalCode::ExternalData, "both");
    let unmarked = tensor(&[1], &[0; 4]).with(13, message().bytes(1, "location").bytes(2, "w"));
    check_refused(with_tensor(unmarked), RefusalCode::ExternalData, "not marked");
    let flood = external(&[1], &[("location", "w"); 9]);
    check_refused(with_tensor(flood), RefusalCode::ExternalData, "too many");
}

#[test]
fn tensors_hold_what_their_dimensions_ask_for() {
    let of_type = |data_type: i64, dims: &[i64]| {
        dims.iter().fold(message().int(2, data_type).bytes(8, "w"), |tensor, dim| tensor.int(1, *dim))
    };
    for good in [
        tensor(&[2, 3], &[0; 24]),
        tensor(&[], &[0; 4]),
        tensor(&[0, 7], &[]),
        of_type(21, &[3]).bytes(9, [0; 2]),
        of_type(25, &[5]).bytes(9, [0; 2]),
        of_type(27, &[4]).bytes(9, [0; 3]),
        of_type(11, &[2]).bytes(9, [0; 16]),
        of_type(1, &[2]).bytes(4, [0; 8]),
        of_type(7, &[3]).bytes(7, [1, 0x80, 1, 2]),
        of_type(7, &[2]).int(7, 5).int(7, -5),
        of_type(8, &[2]).bytes(6, "a").bytes(6, ""),
        message().int(2, 1).bytes(1, [2, 2]).bytes(9, [0; 16]),
    ] {
        check(with_tensor(good)).unwrap();
    }
    for (bad, code) in [
        (tensor(&[2, 3], &[0; 23]), RefusalCode::TensorBytes),
        (tensor(&[2, 3], &[0; 25]), RefusalCode::TensorBytes),
        (of_type(1, &[2]), RefusalCode::TensorBytes),
        (of_type(1, &[2]).bytes(4, [0; 4]), RefusalCode::TensorBytes),
        (of_type(1, &[2]).bytes(10, [0; 16]), RefusalCode::TensorBytes),
        (of_type(1, &[1]).bytes(9, [0; 4]).bytes(4, [0; 4]), RefusalCode::TensorBytes),
        (of_type(8, &[1]).bytes(9, [0; 4]), RefusalCode::TensorBytes),
        (of_type(99, &[1]).bytes(9, [0; 4]), RefusalCode::TensorBytes),
        (of_type(0, &[1]).bytes(9, [0; 4]), RefusalCode::TensorBytes),
        (of_type(1, &[1]).bytes(4, [0; 3]), RefusalCode::Malformed),
        (of_type(7, &[1]).bytes(7, [0x80]), RefusalCode::Malformed),
        (tensor(&[-1], &[0; 4]), RefusalCode::Dimensions),
        (tensor(&[i64::MAX, i64::MAX], &[]), RefusalCode::Dimensions),
        (tensor(&[i64::MIN], &[]), RefusalCode::Dimensions),
    ] {
        check_refused(with_tensor(bad), code, "");
    }
    // The product fits, the bytes do not.
    check_refused(with_tensor(tensor(&[i64::MAX], &[0; 4])), RefusalCode::TensorBytes, "");
}

#[test]
fn sparse_tensors_do_not_blow_up() {
    let sparse = |dims: &[i64]| {
        let sparse = message().with(1, tensor(&[1], &[0; 4])).with(2, message().int(2, 7).int(1, 1).int(7, 0));
        model(graph().with(15, dims.iter().fold(sparse, |sparse, dim| sparse.int(3, *dim))))
    };
    check(sparse(&[1000, 1000])).unwrap();
    check_refused(sparse(&[1 << 20, 1 << 20]), RefusalCode::Dimensions, "dense");
    check_refused(sparse(&[-1]), RefusalCode::Dimensions, "negative");
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth| (0..depth).fold(graph(), |inner, _| graph().with(1, node("", "If").with(5, subgraph(inner))));
    check(model(nested(16))).unwrap();
    check_refused(model(nested(17)), RefusalCode::TooDeep, "subgraphs");
    check_refused(model(nested(3_000)), RefusalCode::TooDeep, "subgraphs");
    let types =
        |depth| (0..depth).fold(message().with(1, message()), |inner, _| message().with(4, message().with(1, inner)));
    let value = |depth| model(graph().with(13, message().bytes(1, "v").with(2, types(depth))));
    check(value(15)).unwrap();
    check_refused(value(16), RefusalCode::TooDeep, "types");
    // A depth is what is open now, not what was ever opened.
    let wide = (0..40).fold(graph(), |g, _| g.with(1, node("", "If").with(5, subgraph(graph()))));
    check(model(wide)).unwrap();
}

#[test]
fn counts_and_texts_are_bounded() {
    let limits = Limits { nodes: 3, name_bytes: 16, text_bytes: 32, text_total_bytes: 64, ..Limits::default() };
    let check = |file: Message| scan(&file.0, &limits).map(|_| ()).map_err(|refusal| refusal.code);
    let nodes = |n| model((0..n).fold(graph(), |g, _| g.with(1, node("", "Neg"))));
    assert_eq!(check(nodes(2)), Ok(()));
    assert_eq!(check(nodes(3)), Err(RefusalCode::TooManyNodes));
    assert_eq!(check((0..3).fold(model(graph()), |m, _| m.with(25, message()))), Err(RefusalCode::TooManyNodes));
    assert_eq!(check(model(graph().with(1, node("", &"N".repeat(17))))), Err(RefusalCode::TextTooLong));
    assert_eq!(check(model(graph()).bytes(6, "d".repeat(33))), Err(RefusalCode::TextTooLong));
    let entry = || message().bytes(1, "key").bytes(2, "v".repeat(30));
    assert_eq!(check(model(graph()).with(14, entry()).with(14, entry())), Ok(()));
    assert_eq!(check((0..3).fold(model(graph()), |m, _| m.with(14, entry()))), Err(RefusalCode::TextTooLong));
}

#[test]
fn mutated_models_never_panic() {
    let call = node("own", "f").with(5, subgraph(graph().with(5, tensor(&[2], &[0; 8]))));
    let base = model(graph().with(5, external(&[4], &[("location", "w"), ("offset", "8")])).with(1, call))
        .with(25, function("f", &["g"]))
        .with(25, function("g", &[]))
        .with(14, message().bytes(1, "k").bytes(2, "v"))
        .0;
    assert!(scan(&base, &Limits::default()).is_ok());
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let (mut n_accepted, mut n_refused) = (0, 0);
    for _ in 0..60_000 {
        let mut file = base.clone();
        for _ in 0..=random(4) {
            let at = random(file.len());
            match random(5) {
                0 => file[at] = random(256) as u8,
                1 => file[at] ^= 1 << random(8),
                2 => file.truncate(at),
                3 => file.insert(at, random(256) as u8),
                _ => file[at] = [0x00, 0x7f, 0x80, 0xff][random(4)],
            }
            if file.is_empty() {
                break;
            }
        }
        match scan(&file, &Limits::default()) {
            Ok(_) => n_accepted += 1,
            Err(refusal) => {
                n_refused += 1;
                assert!(!refusal.text.is_empty());
            }
        }
    }
    assert!(n_accepted > 0 && n_refused > n_accepted, "{n_accepted} accepted, {n_refused} refused");
}
