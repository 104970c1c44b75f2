//! HTTP/2 by hand, for callers that no library would be: they let no bytes of an answer come, or a few at a time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const READ_TIMEOUT: Duration = Duration::from_secs(40);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The setting of how many bytes an answer may begin with.
const INITIAL_WINDOW: u16 = 4;

/// A connection.
pub struct RawH2 {
    stream: TcpStream,
    next_stream: u32,
}

/// What came on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// The head of an answer, or its trailers.
    Head(u32),
    /// Bytes of an answer, and whether they are the last.
    Data(u32, Vec<u8>, bool),
    /// Something else.
    Other,
}

impl RawH2 {
    /// Connects. So many bytes of each answer may come unasked.
    pub fn connect(address: SocketAddr, window: u32) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_nodelay(true).expect("a socket has options");
        stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a socket has options");
        let mut connection = Self { stream, next_stream: 1 };
        let setting = [&INITIAL_WINDOW.to_be_bytes()[..], &window.to_be_bytes()].concat();
        connection.stream.write_all(PREFACE).expect("the connection is open");
        connection.send(SETTINGS, 0, 0, &setting);
        connection
    }

    /// Sends a request; returns the number of its stream.
    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> u32 {
        let number = self.next_stream;
        self.next_stream += 2;
        // The method and the scheme stand in the protocol's table; the names of path and authority do.
        let mut head = vec![0x83, 0x86, 0x04];
        put_text(&mut head, path);
        head.push(0x01);
        put_text(&mut head, "x");
        for (name, value) in headers {
            head.push(0);
            put_text(&mut head, name);
            put_text(&mut head, value);
        }
        self.send(HEADERS, END_HEADERS, number, &head);
        self.send(DATA, END_STREAM, number, body);
        number
    }

    /// Lets so many more bytes of an answer come.
    pub fn let_come(&mut self, number: u32, n_bytes: u32) {
        self.send(WINDOW_UPDATE, 0, number, &n_bytes.to_be_bytes());
    }

    /// What comes next; `None` where the other side has closed.
    pub fn receive(&mut self) -> Option<Came> {
        let mut head = [0; 9];
        if let Err(error) = self.stream.read_exact(&mut head) {
            assert!(!is_late(&error), "the other side neither sends nor closes");
            return None;
        }
        let [a, b, c, kind, flags, number @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        let number = u32::from_be_bytes(number);
        Some(match kind {
            DATA => Came::Data(number, payload, flags & END_STREAM != 0),
            HEADERS => Came::Head(number),
            SETTINGS if flags & ACK == 0 => {
                self.send(SETTINGS, ACK, 0, &[]);
                Came::Other
            }
            PING if flags & ACK == 0 => {
                self.send(PING, ACK, 0, &payload);
                Came::Other
            }
            _ => Came::Other,
        })
    }

    /// Everything that comes until the other side closes.
    pub fn until_closed(&mut self) -> Vec<Came> {
        std::iter::from_fn(|| self.receive()).collect()
    }

    /// The other side may have closed: what cannot be sent is seen when it is read.
    fn send(&mut self, kind: u8, flags: u8, number: u32, payload: &[u8]) {
        let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
        let head = [&[a, b, c, kind, flags][..], &number.to_be_bytes()].concat();
        let _is_open = self.stream.write_all(&[&head[..], payload].concat());
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A text as heads hold it, of fewer than 127 bytes.
fn put_text(head: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 127, "longer texts are written otherwise");
    head.push(text.len() as u8);
    head.extend_from_slice(text.as_bytes());
}
