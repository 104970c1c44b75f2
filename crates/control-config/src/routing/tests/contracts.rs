//! Names of inputs and outputs by version.

use base_types::{DataType, Signature, TensorSpec};

use crate::samples::{block, parse, version};

fn spec(name: &str) -> TensorSpec {
    TensorSpec { name: name.into(), datatype: DataType::Fp32, dims: vec![None, Some(4)] }
}

fn graph(inputs: &[&str], outputs: &[&str]) -> Signature {
    let side = |names: &[&str]| names.iter().map(|name| spec(name)).collect();
    Signature { inputs: side(inputs), outputs: side(outputs) }
}

#[test]
fn names_of_a_version_are_read_and_applied() {
    let block = block(
        "[models.ocr]\nstable = 3\nlabels = { next = 4 }\nversions.next = { outputs = { text = \"softmax_11\" } }\n[models.ocr.versions.5]\ninputs = { x = \"image\" }\n",
    );
    let map = &block.contracts[&version(4)];
    let contract = map.apply(&graph(&["x"], &["softmax_11", "other"]));
    assert_eq!(contract.signature, graph(&["x"], &["text", "other"]));
    assert!(contract.flaws.is_empty());
    assert_eq!(map.sentences(version(4)), ["output \"text\" is \"softmax_11\" in the graph of version 4"]);
    assert_eq!(block.contracts[&version(5)].apply(&graph(&["image"], &["y"])).signature, graph(&["x"], &["y"]));
}

#[test]
fn names_that_do_not_fit_the_graph_are_told_and_the_rest_is_applied() {
    let block = block("[models.m]\nversions.2 = { inputs = { x = \"a\", w = \"gone\" }, outputs = { y = \"z\" } }\n");
    let map = &block.contracts[&version(2)];
    let contract = map.apply(&graph(&["a"], &["y", "z"]));
    assert_eq!(contract.signature, graph(&["x"], &["y", "z"]), "two outputs named y would be one too many");
    assert_eq!(contract.flaws.len(), 2, "{:?}", contract.flaws);
    assert!(contract.flaws[0].contains("\"gone\"") && contract.flaws[0].contains("[\"a\"]"), "{:?}", contract.flaws);
    assert!(contract.flaws[1].contains("two outputs"), "{:?}", contract.flaws);
    // Names may be exchanged.
    let block = crate::samples::block("[models.m]\nversions.2 = { outputs = { y = \"z\", z = \"y\" } }\n");
    let swapped = block.contracts[&version(2)].apply(&graph(&["x"], &["y", "z"]));
    assert_eq!((swapped.signature, swapped.flaws), (graph(&["x"], &["z", "y"]), Vec::new()));
}

#[test]
fn wrong_names_of_a_version_are_reported_with_their_place() {
    let problems = |text: &str| -> Vec<String> {
        let invalid = parse(text).unwrap_err();
        invalid.diagnostics.iter().map(|d| format!("{} {}", d.line, d.code)).collect()
    };
    let check = |lines: &str, expected: &[&str]| {
        assert_eq!(problems(&format!("[models.m]\nstable = 1\n{lines}\n")), expected, "{lines}");
    };
    check("versions.2 = { outputs = { a = \"z\", b = \"z\" } }", &["3 duplicate"]);
    check("versions.2 = { outputs = { a = 3 } }", &["3 wrong-type"]);
    check("versions.2 = { outputs = [\"a\"] }", &["3 wrong-type"]);
    check("versions.2 = { output = { a = \"z\" } }", &["3 unknown-key"]);
    check("versions.two = { outputs = { a = \"z\" } }", &["3 unknown-label"]);
    check("versions.0 = { outputs = { a = \"z\" } }", &["3 bad-version"]);
    check("versions.2 = { outputs = { a = \"\" } }", &["3 bad-name"]);
    check(
        "labels = { b = 2 }\nversions.2 = { inputs = { a = \"z\" } }\nversions.b = { inputs = { a = \"z\" } }",
        &["5 duplicate"],
    );
    let many: Vec<String> = (0..300).map(|n| format!("a{n} = \"b{n}\"")).collect();
    check(&format!("versions.2 = {{ inputs = {{ {} }} }}", many.join(", ")), &["3 too-many"]);
}

#[test]
fn names_change_no_decision() {
    let plain = block("[models.m]\nstable = 1\n");
    let named = block("[models.m]\nstable = 1\nversions.2 = { outputs = { y = \"z\" } }\n");
    assert_eq!(plain.meaning(), named.meaning());
}
