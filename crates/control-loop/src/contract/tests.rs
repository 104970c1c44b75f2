#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::path::Path;

use base_types::DataType;
use control_config::parse_routing;

use super::*;

fn spec(text: &str) -> TensorSpec {
    let mut words = text.split(' ');
    let (name, datatype) = (words.next().unwrap(), DataType::parse(words.next().unwrap()).unwrap());
    let dims = words.map(|d| d.parse::<i64>().unwrap()).map(|d| usize::try_from(d).ok()).collect();
    TensorSpec { name: name.to_owned(), datatype, dims }
}

fn signature(inputs: &[&str], outputs: &[&str]) -> Signature {
    let side = |specs: &[&str]| specs.iter().map(|text| spec(text)).collect();
    Signature { inputs: side(inputs), outputs: side(outputs) }
}

#[test]
fn the_remedy_is_the_whole_map_from_the_graph() {
    let before = signature(&["x FP32 -1 4", "mask BOOL -1"], &["y FP32 -1 2", "z FP32 -1"]);
    let check = |after: &Signature, graph: &Signature, expected: Option<&str>| {
        assert_eq!(remedy(&before, after, Some(graph)).as_deref(), expected, "{after}");
    };
    let graph = signature(&["image FP32 -1 4", "mask BOOL -1"], &["a FP32 -1 2", "b FP32 -1"]);
    let whole = "inputs = { \"x\" = \"image\" }, outputs = { \"y\" = \"a\", \"z\" = \"b\" }";
    check(&graph, &graph, Some(whole));
    // What is mapped already stays in it.
    let half = signature(&["x FP32 -1 4", "mask BOOL -1"], &["y FP32 -1 2", "b FP32 -1"]);
    check(&half, &graph, Some(whole));
    // Types and ranks tell which stands for which, whatever their order.
    let turned = signature(&["m BOOL -1", "i FP32 -1 4"], &["b FP32 -1", "a FP32 -1 2"]);
    let names = "inputs = { \"mask\" = \"m\", \"x\" = \"i\" }, outputs = { \"z\" = \"b\", \"y\" = \"a\" }";
    check(&turned, &turned, Some(names));
    // No name mends a dimension, a type or something that is not there.
    for after in [
        signature(&["x FP32 -1 5", "mask BOOL -1"], &["y FP32 -1 2", "z FP32 -1"]),
        signature(&["image FP64 -1 4", "mask BOOL -1"], &["y FP32 -1 2", "z FP32 -1"]),
        signature(&["image FP32 -1 5", "mask BOOL -1"], &["y FP32 -1 2", "z FP32 -1"]),
        signature(&["x FP32 -1 4", "mask BOOL -1"], &["y FP32 -1 2"]),
        signature(&["x FP32 -1 4", "mask BOOL -1", "new FP32 -1"], &["y FP32 -1 2", "z FP32 -1"]),
    ] {
        check(&after, &after, None);
    }
}

#[test]
fn outputs_exempt_from_the_check_of_numbers_are_so_under_the_names_of_the_graphs() {
    let text = "[models.m]\nallow_non_finite = [\"y\"]\nversions.2 = { outputs = { y = \"a\", z = \"b\" } }\n";
    let routing = parse_routing(Path::new("routing.toml"), text.as_bytes()).unwrap().value;
    let limits = limits(&routing, &ModelName::new("m").unwrap());
    assert_eq!(limits.allow_non_finite.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "y"]);
}
