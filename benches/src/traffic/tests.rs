#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::Write;
use std::net::TcpListener;

use super::*;
use crate::http1::Connection;

const ID: u32 = 77;

/// What `traffic` says to one answer, sent over a socket.
fn check(traffic: &dyn Traffic, status: u16, version: u64, reason: &str, body: &str) -> Result<Origin, String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nswitchrail-version: {version}\r\nswitchrail-generation: 9\r\nswitchrail-reason: {reason}\r\n\r\n{body}",
        body.len()
    );
    let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(answer.as_bytes()).unwrap());
    let mut connection = Connection::open(&address).unwrap();
    let result = traffic.read(ID, &connection.exchange(b"x").unwrap());
    server.join().unwrap();
    result
}

fn body(version: u64, row: &[f32]) -> String {
    format!(r#"{{"model_name":"m","model_version":"{version}","outputs":[{{"name":"y","data":{row:?}}}]}}"#)
}

#[test]
fn only_the_version_that_computed_an_answer_may_sign_it() {
    let traffic = SelfIdentifying::new("h", "m");
    let row = Tag { id: ID, version: 3 }.output();
    let good = Origin { version: 3, generation: 9, is_fallback: false };
    assert_eq!(check(&traffic, 200, 3, "stable", &body(3, &row)), Ok(good));
    assert_eq!(check(&traffic, 200, 3, "fallback", &body(3, &row)), Ok(Origin { is_fallback: true, ..good }));

    let other_request = Tag { id: ID + 1, version: 3 }.output();
    let wrong = [
        check(&traffic, 200, 2, "stable", &body(2, &row)),
        check(&traffic, 200, 3, "stable", &body(2, &row)),
        check(&traffic, 200, 3, "stable", &body(3, &other_request)),
        check(&traffic, 200, 3, "stable", &body(3, &[77.0, 3.0, 1.0])),
        check(&traffic, 200, 3, "stable", "{}"),
        check(&traffic, 503, 3, "stable", &body(3, &row)),
    ];
    for (index, result) in wrong.iter().enumerate() {
        assert!(result.is_err(), "case {index}: {result:?}");
    }
}

#[test]
fn affine_answers_are_recomputed() {
    let traffic = Affine::new("h", "m", 2.0, 1.0);
    let row = traffic.row(ID).map(|x| x * 2.0 + 1.0);
    assert!(check(&traffic, 200, 1, "stable", &body(1, &row)).is_ok());
    let off = row.map(|y| y + 0.5);
    assert!(check(&traffic, 200, 1, "stable", &body(1, &off)).is_err());
}

#[test]
fn the_first_float_goes_evenly_round() {
    let traffic = Affine::new("h", "m", 1.0, 0.0);
    let mut seen: Vec<f32> = (0..traffic.n_values).map(|id| traffic.row(id)[0]).collect();
    seen.sort_by(f32::total_cmp);
    seen.dedup();
    assert_eq!(seen.len(), traffic.n_values as usize);
    assert!(seen.iter().all(|value| *value > 0.0 && *value < 1.0));
}
