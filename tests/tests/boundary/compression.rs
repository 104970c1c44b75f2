//! Packed requests and answers, and bodies that only look like it.

use std::io::{Read, Write};

use base_types::DataType;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use switchrail_tests::{Gateway, Infer, Response};
use testkit::onnx::{affine4, identity};

const ENCODINGS: [&str; 2] = ["gzip", "deflate"];
const LENGTH: &str = "inference-header-content-length";
const PATH: &str = "/v2/models/m/infer";

fn packed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    if encoding == "gzip" {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        return encoder.finish().unwrap();
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn unpacked(response: &Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    match response.header("content-encoding") {
        Some("gzip") => GzDecoder::new(&response.body[..]).read_to_end(&mut bytes),
        Some("deflate") => ZlibDecoder::new(&response.body[..]).read_to_end(&mut bytes),
        None => response.body.as_slice().read_to_end(&mut bytes),
        other => panic!("packed by {other:?}"),
    }
    .unwrap();
    bytes
}

/// A request of so many floats in JSON.
fn floats(n: usize) -> Infer {
    let data: Vec<f32> = (0..n).map(|i| i as f32 * 0.25).collect();
    Infer::new("m").input(json!({ "name": "x", "datatype": "FP32", "shape": [1, n], "data": data }))
}

fn gateway() -> Gateway {
    Gateway::builder().model("m", 1, &identity(DataType::Fp32)).start()
}

#[test]
fn packed_requests_are_answered_like_others() {
    let gateway = gateway();
    let mut client = gateway.client();
    for n in [1, 100, 100_000] {
        let json = floats(n).json();
        let plain = client.send("POST", PATH, &[], json.as_bytes());
        assert_eq!(plain.status, 200, "{}", plain.text());
        for encoding in ENCODINGS {
            let headers = [("content-encoding", encoding)];
            let response = client.send("POST", PATH, &headers, &packed(encoding, json.as_bytes()));
            assert_eq!((response.status, response.body == plain.body), (200, true), "{encoding} {n}");
            assert_eq!(response.header("content-encoding"), None, "nobody asked for it");
        }
        let response = client.send("POST", PATH, &[("content-encoding", "identity")], json.as_bytes());
        assert_eq!(response.status, 200);
    }
    assert_eq!(client.n_opened(), 1);
}

#[test]
fn the_length_header_is_that_of_the_unpacked_json() {
    let gateway = gateway();
    let mut client = gateway.client();
    let tail: Vec<u8> = (0..50_000).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let input = json!({ "name": "x", "datatype": "FP32", "shape": [1, 50_000],
        "parameters": { "binary_data_size": tail.len() } });
    let json = json!({ "inputs": [input], "parameters": { "binary_data_output": true } }).to_string();
    let length = json.len().to_string();
    let body = [json.as_bytes(), &tail].concat();
    for encoding in ENCODINGS {
        let headers = [("content-encoding", encoding), (LENGTH, &length), ("accept-encoding", encoding)];
        let response = client.send("POST", PATH, &headers, &packed(encoding, &body));
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.header("content-encoding"), Some(encoding));
        assert_eq!(response.header("content-type"), Some("application/octet-stream"));
        assert!(response.body.len() < tail.len());
        let answer = unpacked(&response);
        let (json, answer) = answer.split_at(response.header(LENGTH).unwrap().parse().unwrap());
        assert!(answer == tail, "{encoding}");
        assert_eq!(serde_json::from_slice::<Value>(json).unwrap()["outputs"][0]["shape"], json!([1, 50_000]));
        // Without JSON at all.
        let headers = [("content-encoding", encoding), (LENGTH, "0")];
        let response = client.send("POST", PATH, &headers, &packed(encoding, &tail));
        assert_eq!(response.status, 200, "{}", response.text());
        assert!(response.body.ends_with(&tail));
    }
}

#[test]
fn answers_are_packed_only_for_inference_only_if_good_and_only_if_asked() {
    let gateway = gateway();
    let mut client = gateway.client();
    let body = floats(1000).json();
    let plain = client.send("POST", PATH, &[], body.as_bytes()).body;
    let mut asking =
        |accept: &str, body: &str| client.send("POST", PATH, &[("accept-encoding", accept)], body.as_bytes());
    // As a client that asks for everything it knows.
    for (accept, expected) in [
        ("gzip, deflate, br", Some("gzip")),
        ("deflate", Some("deflate")),
        ("gzip;q=0.2, deflate;q=0.7", Some("deflate")),
        ("br, zstd", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("*", Some("gzip")),
    ] {
        let response = asking(accept, &body);
        assert_eq!((response.status, response.header("content-encoding")), (200, expected), "{accept}");
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(unpacked(&response), plain, "{accept}");
        assert!(expected.is_none() || response.body.len() < plain.len());
    }
    let small = asking("gzip", &floats(1).json());
    assert_eq!((small.status, small.header("content-encoding")), (200, None), "not worth it");
    let failed = asking("gzip, deflate, br", &body.replace("\"x\"", &format!("\"{}\"", "z".repeat(200))));
    assert_eq!((failed.status, failed.header("content-encoding")), (400, None));
    failed.json();
    let mut client = gateway.client();
    for path in ["/v2", "/v2/models/m", "/v2/models", "/v2/health/ready", "/v2/models/m/config", "/v2/models/m/stats"] {
        let response = client.send("GET", path, &[("accept-encoding", "gzip, deflate, br")], b"");
        assert_eq!((response.status, response.header("content-encoding")), (200, None), "{path}");
        response.json();
    }
}

#[test]
fn bodies_that_cannot_be_unpacked_are_the_callers_mistake() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    let mut client = gateway.client();
    let good = Infer::first("m", 1.0).json();
    let mut check = |encoding: &str, body: &[u8], status: u16, code: &str| {
        let response = client.send("POST", PATH, &[("content-encoding", encoding)], body);
        let json = response.json();
        assert_eq!(
            (response.status, &json["code"], &json["fault"]),
            (status, &json!(code), &json!("client")),
            "{json}"
        );
        let accepted = (status == 415).then_some("gzip, deflate");
        assert_eq!(response.header("accept-encoding"), accepted);
        Infer::first("m", 1.0).send(&mut client).ok();
    };
    for encoding in ENCODINGS {
        let whole = packed(encoding, good.as_bytes());
        check(encoding, good.as_bytes(), 400, "malformed");
        check(encoding, b"", 400, "malformed");
        check(encoding, &whole[..whole.len() - 1], 400, "malformed");
        check(encoding, &whole[..whole.len() / 2], 400, "malformed");
        check(encoding, &[&whole[..], b"\0"].concat(), 400, "malformed");
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 0x55;
        check(encoding, &damaged, 400, "malformed");
    }
    let gzip = packed("gzip", good.as_bytes());
    for encoding in ["br", "zstd", "compress", "gzip, gzip", "x"] {
        check(encoding, &gzip, 415, "unsupported_encoding");
    }
}

#[test]
fn a_bomb_is_refused_by_what_it_unpacks_to() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0));
    let gateway = builder.set("limits.body_bytes", "4000000").start();
    let mut client = gateway.client();
    let spaces = |n: usize| format!("{}{}", " ".repeat(n), Infer::first("m", 1.0).json());
    for encoding in ENCODINGS {
        let mut send = |n: usize| {
            let body = packed(encoding, spaces(n).as_bytes());
            assert!(body.len() < 20_000);
            client.send("POST", PATH, &[("content-encoding", encoding)], &body)
        };
        assert_eq!(send(500_000).status, 200, "small enough whatever the ratio");
        for n in [2_000_000, 10_000_000] {
            let response = send(n);
            assert_eq!((response.status, &response.json()["code"]), (413, &json!("body_too_large")), "{encoding} {n}");
        }
        // Hardly packed, and still too much.
        let noise: String =
            (0..900_000u64).map(|i| format!("{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44)).collect();
        let body = packed(encoding, format!("{}{noise}", spaces(0)).as_bytes());
        assert!(body.len() < 4_000_000);
        let response = client.send("POST", PATH, &[("content-encoding", encoding)], &body);
        let json = response.json();
        assert_eq!((response.status, &json["code"]), (413, &json!("body_too_large")), "{json}");
        assert!(json["error"].as_str().unwrap().contains("4000000 bytes"), "{json}");
    }
    Infer::first("m", 1.0).send(&mut client).ok();
}
