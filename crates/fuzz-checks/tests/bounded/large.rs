//! Bodies of some megabytes, each made to cost as much memory as a body can.

/// What `json_infer` has to read or refuse.
pub fn json() -> Vec<(&'static str, Vec<u8>)> {
    let input = |name: &str, n: usize, datatype: &str, data: &str| {
        format!(r#"{{"name":"{name}","shape":[{n}],"datatype":"{datatype}","data":[{data}]}}"#)
    };
    let inputs = |inputs: &[String]| format!(r#"{{"inputs":[{}]}}"#, inputs.join(","));
    let many = |element: &str, n: usize| vec![element; n].join(",");
    let huge = |name: &str, datatype: &str| input(name, 16_777_216, datatype, "1");
    let whole = input("x", 400_000, "FP64", &many("1", 400_000));
    let strings = |n: usize| input("x", n, "BYTES", &many("\"\"", n));
    let spread: Vec<String> = (0..64).map(|i| input(&format!("x{i}"), 1024, "BYTES", &many("\"\"", 1024))).collect();
    let data_first = format!(r#"{{"data":[{}],"name":"x","shape":[400000],"datatype":"FP64"}}"#, many("1", 400_000));
    let cases = [
        ("every element takes its least", inputs(std::slice::from_ref(&whole))),
        ("and the next one announces more", inputs(&[whole.clone(), huge("y", "FP64")])),
        ("the same, read twice", inputs(&[whole.replace("[1,", "[NaN,"), huge("y", "FP64")])),
        ("the same, with strings", inputs(&[whole.replace("[1,", "[\"NaN\","), huge("y", "FP64")])),
        ("data first", inputs(std::slice::from_ref(&data_first))),
        ("data first, read twice", inputs(&[data_first.replace("[1,", "[NaN,")])),
        ("announced alone", inputs(&[huge("y", "FP64"), " ".repeat(2_000_000)])),
        ("as many strings as may be", inputs(&[strings(65_536)])),
        ("one string more", inputs(&[strings(65_537)])),
        ("strings, and more announced", inputs(&[strings(60_000), input("y", 5_536, "BYTES", "")])),
        ("as many strings in many tensors", inputs(&spread)),
        ("escapes", inputs(&[input("x", 1, "BYTES", &format!("\"{}\"", "\\u0001".repeat(500_000)))])),
        ("many escapes", inputs(&[input("x", 60_000, "BYTES", &many("\"\\n\"", 60_000))])),
        ("a long text where none belongs", format!(r#"{{"inputs":"{}"}}"#, "x".repeat(3_000_000))),
        ("a long text of escapes where none belongs", format!(r#"{{"inputs":"{}"}}"#, "\\u0001".repeat(500_000))),
        ("a long text for a number", inputs(&[input("x", 1, "INT8", &format!("\"{}\"", "\u{7f}".repeat(2_000_000)))])),
        ("a long number", inputs(&[input("x", 1, "FP32", &"1".repeat(2_000_000))])),
        ("a long key", format!(r#"{{"{}":1}}"#, "\\u0001".repeat(400_000))),
        ("a long id", format!(r#"{{"id":"{}"}}"#, "\\u0001".repeat(400_000))),
        ("a long datatype", format!(r#"{{"inputs":[{{"datatype":"{}"}}]}}"#, "\\u0001".repeat(400_000))),
        ("a long shape", format!(r#"{{"inputs":[{{"shape":[{}]}}]}}"#, many("1", 400_000))),
        ("deep data", inputs(&[input("x", 1, "FP32", &"[".repeat(3_000_000))])),
        ("many inputs", inputs(&vec![input("x", 0, "FP32", ""); 50_000])),
        (
            "many parameters",
            format!(
                r#"{{"parameters":{{{}}}}}"#,
                (0..200_000).map(|i| format!("\"{i}\":1")).collect::<Vec<_>>().join(",")
            ),
        ),
        ("much that nobody reads", format!(r#"{{"inputs":[],"x":[{}]}}"#, many("{\"a\":[1]}", 200_000))),
    ];
    cases.into_iter().map(|(name, json)| (name, json.into_bytes())).collect()
}

/// What `binary_infer` has to read or refuse.
pub fn binary() -> Vec<(&'static str, Vec<u8>)> {
    let body = |inputs: &[(usize, usize)], tail: usize| {
        let input = |(index, (n, size)): (usize, &(usize, usize))| {
            let parameters = format!(r#""parameters":{{"binary_data_size":{size}}}"#);
            format!(r#"{{"name":"x{index}","shape":[{n}],"datatype":"BYTES",{parameters}}}"#)
        };
        let inputs: Vec<String> = inputs.iter().enumerate().map(input).collect();
        let json = format!(r#"{{"inputs":[{}]}}"#, inputs.join(","));
        [&(json.len() as u16).to_le_bytes(), json.as_bytes(), &vec![0; tail]].concat()
    };
    vec![
        ("as many empty strings as may be", body(&[(65_536, 262_144)], 262_144)),
        ("one more", body(&[(65_537, 262_148)], 262_148)),
        ("in many tensors", body(&[(1024, 4096); 64], 262_144)),
        ("announced in many tensors", body(&[(1024, 4096), (64_512, 258_048)], 4096 + 258_047)),
        ("more announced than sent", body(&[(65_536, 262_144)], 0)),
    ]
}

/// What `decompress` has to unpack or refuse.
pub fn packed(pack: impl Fn(u8, &[u8]) -> Vec<u8>) -> Vec<(&'static str, Vec<u8>)> {
    let mut state = 1u32;
    let mut noise = |n: usize, mask: u8| -> Vec<u8> {
        let draw = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 & mask
        };
        (0..n).map(draw).collect()
    };
    let (thin, thick, zeros) = (noise(2_500_000, 1), noise(2_500_000, 255), vec![0; 2_500_000]);
    let mut cases = Vec::new();
    for kind in [0, 1] {
        let cut = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() - 1);
            bytes
        };
        cases.push(("bits", pack(kind, &thin)));
        cases.push(("noise", pack(kind, &thick)));
        cases.push(("a bomb", pack(kind, &zeros)));
        cases.push(("bits, cut", cut(pack(kind, &thin))));
        cases.push(("nothing", pack(kind, &[])));
    }
    cases
}
