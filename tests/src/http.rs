//! A plain HTTP/1.1 client over one connection: what is sent is exactly what the test says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer a test waits for.
const READ_TIMEOUT: Duration = Duration::from_secs(40);

/// One connection, opened when it is needed and opened again after the other side closed it.
pub struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
    n_opened: usize,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, as sent otherwise.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of this address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, n_opened: 0 }
    }

    /// How many connections it took so far.
    pub fn n_opened(&self) -> usize {
        self.n_opened
    }

    /// Sends a request and reads its answer; fails on anything that is no HTTP.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.try_send(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// [`Client::send`] for requests that the other side may leave unanswered.
    pub fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", self.address, body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.try_raw(&[head.as_bytes(), body].concat())
    }

    /// Sends bytes as they are and reads one answer.
    pub fn try_raw(&mut self, bytes: &[u8]) -> io::Result<Response> {
        let stream = self.open()?;
        let sent = stream.get_mut().write_all(bytes);
        // The other side may answer and close before it has read everything: the answer counts.
        let response = match read_response(stream) {
            Ok(response) => response,
            Err(error) => {
                self.stream = None;
                return Err(sent.err().unwrap_or(error));
            }
        };
        if response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.stream = None;
        }
        Ok(response)
    }

    /// Sends bytes without waiting for an answer. Dropping the client then hangs up.
    pub fn send_only(&mut self, bytes: &[u8]) {
        self.open().unwrap().get_mut().write_all(bytes).unwrap();
    }

    /// Reads the answer to what was sent before.
    pub fn receive(&mut self) -> io::Result<Response> {
        read_response(self.open()?)
    }

    fn open(&mut self) -> io::Result<&mut BufReader<TcpStream>> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(READ_TIMEOUT))?;
            self.stream = Some(BufReader::new(stream));
            self.n_opened += 1;
        }
        self.stream.as_mut().ok_or_else(|| io::Error::other("no connection"))
    }
}

impl Response {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn read_response(stream: &mut BufReader<TcpStream>) -> io::Result<Response> {
    let status_line = line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other(format!("no header: {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, body: Vec::new() };
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = chunks(stream)?;
    } else if let Some(length) = response.header("content-length") {
        let length = length.parse().map_err(io::Error::other)?;
        response.body.resize(length, 0);
        stream.read_exact(&mut response.body)?;
    }
    Ok(response)
}

fn chunks(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let length = usize::from_str_radix(line(stream)?.trim(), 16).map_err(io::Error::other)?;
        let start = body.len();
        body.resize(start + length, 0);
        stream.read_exact(&mut body[start..])?;
        line(stream)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
