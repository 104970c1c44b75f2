//! NaN, infinities and long texts: what JSON lacks or has too much of.

use super::*;

#[test]
fn numbers_that_json_lacks_are_read_in_floats() {
    let is_same = |a: &[f32], b: &[f32]| a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits()));
    let expected = [1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.1];
    for data in [
        "[1,NaN,Infinity,-Infinity,-0.1]",
        "[ 1 , NaN , Infinity , -Infinity\n, -0.1]",
        r#"[1,"NaN","Infinity","-Infinity",-0.1]"#,
        r#"[1,NaN,"Infinity",-Infinity,-0.1]"#,
    ] {
        assert!(is_same(&floats(&input("FP32", "[5]", data).unwrap()), &expected), "{data}");
        assert!(is_same(&floats(&input("FP32", "[1,5]", &format!("[{data}]")).unwrap()), &expected), "{data}");
        let body = format!(r#"{{"inputs":[{{"data":{data},"datatype":"FP32","shape":[5],"name":"x"}}]}}"#);
        assert!(is_same(&floats(&decode(&body).unwrap().inputs[0]), &expected), "{body}");
        assert_eq!(raw(&input("FP64", "[5]", data).unwrap())[16..24], f64::INFINITY.to_le_bytes());
    }
    // Each number is read as exactly as without them.
    let tensor = input("FP32", "[1,3]", r#"[16777217.000000000001,"NaN",1e-45]"#).unwrap();
    assert!(is_same(&floats(&tensor), &[16777218.0, f32::NAN, f32::from_bits(1)]));
    // Other tensors keep their text, and places in errors stay true.
    let body = r#"{"inputs":[{"name":"b","shape":[2],"datatype":"BYTES","data":["NaN","[NaN]"]},
        {"name":"x","shape":[1],"datatype":"FP32","data":[NaN]}]}"#;
    assert_eq!(decode(body).unwrap().inputs[0].data(), &Data::Strings(vec!["NaN".into(), "[NaN]".into()]));
    check_error(r#"{"inputs":[{"data":[NaN]]}"#, Mistake::Malformed, &["line 1 column 25"]);
    check_error(r#"{"inputs":[],"parameters":{"a":NaN}}"#, Mistake::Malformed, &["line 1 column 32"]);
    check_input_error("FP32", "[2]", "[NaN,NaN,NaN]", &["shape [2]", "3 given"]);
    check_input_error("FP32", "[2]", r#"[NaN,"x"]"#, &["data[1]"]);
    check_input_error("INT8", "[2]", "[1,NaN]", &["data[1]", "an integer"]);
}

#[test]
fn a_long_text_is_not_repeated_whole() {
    let error = decode(&format!(r#"{{"inputs":"{}"}}"#, "x".repeat(100_000))).unwrap_err().to_string();
    assert!(error.len() < 1000 && error.contains("line 1 column"), "{error}");
}
