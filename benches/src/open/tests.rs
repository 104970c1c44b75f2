#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use super::*;
use crate::http1::{Answer, write_request};

const STALL: Duration = Duration::from_millis(300);
const STALLED: u32 = 100;

struct Plain;

impl Traffic for Plain {
    fn write(&self, id: u32, out: &mut Vec<u8>) {
        write_request(out, "POST", "/", "h", format!("{id:08}").as_bytes());
    }

    fn read(&self, id: u32, answer: &Answer<'_>) -> Result<Origin, String> {
        match answer.text() == format!("{id:08}") {
            true => Ok(Origin { version: 1, generation: 1, is_fallback: false }),
            false => Err(format!("{id} was answered {}", answer.text())),
        }
    }
}

/// Answers every request with its body. While it answers request `STALLED` all others wait, as behind a lock.
fn server(is_wrong: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let lock = Arc::new(Mutex::new(()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let lock = Arc::clone(&lock);
            std::thread::spawn(move || serve(stream.unwrap(), &lock, is_wrong));
        }
    });
    address
}

fn serve(mut stream: TcpStream, lock: &Mutex<()>, is_wrong: bool) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        let body = std::str::from_utf8(&buffer[n - 8..n]).unwrap();
        let guard = lock.lock().unwrap();
        let is_stalled = body.parse::<u32>().unwrap() == STALLED;
        if is_stalled {
            std::thread::sleep(STALL);
        }
        drop(guard);
        let body = if is_wrong && is_stalled { "00000000" } else { body };
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{body}").unwrap();
    }
}

fn run(address: &str) -> Record {
    let load = OpenLoop::start(address, 1000.0, Arc::new(Plain)).unwrap();
    load.window(Duration::from_millis(800));
    load.stop().unwrap()
}

#[test]
fn a_stall_is_charged_to_every_request_that_was_due_meanwhile() {
    let record = run(&server(false));
    record.check().unwrap();
    let stalled = record.samples.iter().find(|sample| sample.id == STALLED).unwrap().due_ns;
    let after = |by: Duration| Window { from_ns: stalled, to_ns: stalled + by.as_nanos() as u64 };
    // 1000 a second: a closed loop of as many callers would have counted one slow request for each.
    let meanwhile = record.due_in(&after(STALL));
    assert!((290..=310).contains(&meanwhile.len()), "{} were due", meanwhile.len());
    let n_slow = meanwhile.iter().filter(|s| s.latency_ns() > STALL.as_nanos() as u64 / 3).count();
    assert!(n_slow > 150, "{n_slow} are seen to be slow");
    let ids: Vec<u32> = record.samples.iter().map(|sample| sample.id).collect();
    assert!(ids.iter().enumerate().all(|(i, id)| i as u32 == *id), "every due request is in the record");
}

#[test]
fn a_wrong_answer_is_not_overlooked() {
    let record = run(&server(true));
    assert_eq!(record.n_failed, 1);
    let error = record.check().unwrap_err().to_string();
    assert!(error.contains("100 was answered 00000000"), "{error}");
}

#[test]
fn latencies_are_summed_up() {
    let latency = Latency::of((1..=1000).rev());
    assert_eq!(latency, Latency { n: 1000, p50: 500, p99: 990, p999: 999, max: 1000 });
}
