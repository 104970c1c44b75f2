//! A small HTTP server of the test: what the gateway's webhooks call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// Takes every call with 200 and remembers it. The thread ends with the test program.
#[derive(Clone)]
pub struct Webhook {
    address: SocketAddr,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    /// Starts to listen on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let events: Arc<Mutex<Vec<Value>>> = Arc::default();
        let seen = events.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                thread::spawn(move || serve(stream, &seen));
            }
        });
        Self { address, events }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Value> {
        self.events.lock().expect("no caller panicked").clone()
    }

    /// Waits for an event of this kind.
    pub fn wait_for(&self, event: &str) -> Value {
        crate::wait_for(&format!("webhook event {event}"), || self.events().into_iter().find(|e| e["event"] == event))
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Value>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => {}
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        if let (Ok(event), Ok(mut seen)) = (serde_json::from_slice(&body), seen.lock()) {
            seen.push(event);
        }
        if stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}
