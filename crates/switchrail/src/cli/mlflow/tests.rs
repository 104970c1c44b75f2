#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use super::client::{encoded, shown};
use super::files::model;
use super::*;

#[test]
fn versions_and_aliases_are_told_apart_and_flaws_are_refused() {
    let uri = |name: &str, wanted| ModelUri { name: name.to_owned(), wanted };
    assert_eq!(ModelUri::parse("models:/fraud/12").unwrap(), uri("fraud", Wanted::Version("12".to_owned())));
    assert_eq!(ModelUri::parse("models:/a b@champion").unwrap(), uri("a b", Wanted::Alias("champion".to_owned())));
    for flawed in
        ["models:/fraud", "models:/fraud/latest", "models:/fraud/", "models:/@a", "models:/f@", "models:/a/b/3", "m/3"]
    {
        assert!(ModelUri::parse(flawed).is_err(), "{flawed}");
    }
}

#[test]
fn paths_of_the_server_stay_within_the_folder() {
    assert_eq!(within("a/b.onnx").unwrap(), Path::new("a/b.onnx"));
    for path in ["../x", "/etc/passwd", "a//b", "a/../../b", "", "a\\..\\b", "a/\n"] {
        assert!(within(path).is_err(), "{path:?}");
    }
}

#[test]
fn the_model_is_what_mlflow_says_or_the_only_one() {
    let files = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let about = "flavors:\n  onnx:\n    code: null\n    data: model.onnx\n  python_function:\n    data: other.onnx\n";
    let two = files(&["MLmodel", "model.onnx", "other.onnx"]);
    assert_eq!(model(&two, Some(about)).unwrap(), "model.onnx");
    assert!(model(&two, None).is_err());
    assert_eq!(model(&files(&["a/net.onnx", "readme"]), None).unwrap(), "a/net.onnx");
    let folder = files(&["model.onnx/model.onnx", "model.onnx/weights"]);
    assert_eq!(model(&folder, Some(about)).unwrap(), "model.onnx/model.onnx");
    let pickled = files(&["model.pkl"]);
    let none = model(&pickled, Some("flavors:\n  sklearn:\n    data: model.pkl\n"));
    assert!(none.unwrap_err().to_string().contains("mlflow.onnx.log_model"));
}

#[test]
fn credentials_are_not_shown_and_paths_fit_into_urls() {
    assert_eq!(shown("https://ann:secret@mlflow.example/base"), "https://mlflow.example/base");
    assert_eq!(shown("http://mlflow.example:5000"), "http://mlflow.example:5000");
    assert_eq!(encoded("1/a b/ü?#.onnx"), "1/a%20b/%C3%BC%3F%23.onnx");
}

#[test]
fn a_run_is_lineage_as_far_as_it_can_be_shown() {
    let texts = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let run = Run {
        id: "r1".to_owned(),
        experiment: "1".to_owned(),
        parameters: texts(&[("depth", "3"), ("odd", "a\u{1b}[2J"), ("long", &"x".repeat(2000)), ("empty", "")]),
        tags: texts(&[("mlflow.source.git.commit", "abc"), ("mlflow.log-model.history", "[]")]),
        ..Run::default()
    };
    let expected: BTreeMap<String, String> = texts(&[
        ("mlflow.run", "r1"),
        ("mlflow.experiment", "1"),
        ("mlflow.param.depth", "3"),
        ("mlflow.source.git.commit", "abc"),
    ]);
    assert_eq!(lineage(Some(&run)), expected);
    assert!(lineage(None).is_empty());
}
