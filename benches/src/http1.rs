//! The least HTTP/1.1 a caller needs: requests as bytes made in advance, answers with a length, one connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A connection that stays silent for this long is broken.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const CHUNK_BYTES: usize = 16 << 10;

/// Writes a request into `out`, replacing what was there.
pub fn write_request(out: &mut Vec<u8>, method: &str, path: &str, host: &str, body: &[u8]) {
    out.clear();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
}

/// Where an answer's parts are in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The status code.
    pub status: u16,
    /// The bytes of status line and headers, the empty line included.
    pub head_bytes: usize,
    /// The bytes of the whole answer.
    pub total_bytes: usize,
}

/// Finds the first answer in `buffer`; `None` when more bytes are needed.
pub fn extent(buffer: &[u8]) -> io::Result<Option<Extent>> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = &buffer[..end + 2];
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let status = status.ok_or_else(|| invalid("the answer has no status"))?;
    let length = header(head, "content-length").ok_or_else(|| invalid("the answer has no content-length"))?;
    let length: usize = length.parse().map_err(|_| invalid("the content-length is no number"))?;
    if length > ANSWER_BYTES_MAX {
        return Err(invalid("the answer is too long"));
    }
    let head_bytes = end + 4;
    let total_bytes = head_bytes + length;
    Ok((buffer.len() >= total_bytes).then_some(Extent { status, head_bytes, total_bytes }))
}

/// The value of a header in the bytes of a head.
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.find_map(|line| {
        let (key, value) = (line.get(..name.len())?, line.get(name.len()..)?);
        let value = value.strip_prefix(b":").filter(|_| key.eq_ignore_ascii_case(name.as_bytes()))?;
        std::str::from_utf8(value).ok().map(str::trim)
    })
}

/// An answer, in the connection's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    head: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        header(self.head, name)
    }

    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body).into_owned()
    }
}

/// A kept-alive connection that blocks.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The bytes of the answer given out last; they go when the next is asked for.
    used: usize,
}

impl Connection {
    /// Connects.
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Self { stream, buffer: Vec::with_capacity(CHUNK_BYTES), used: 0 })
    }

    /// Sends a request and waits for its answer.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.send(request)?;
        while !self.receive()? {}
        self.answer()
    }

    /// Sends a request. The answer before it is forgotten.
    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.stream.write_all(request)
    }

    /// Reads what has come, or waits for something to come. Says whether the answer is complete.
    pub fn receive(&mut self) -> io::Result<bool> {
        let mut chunk = [0; CHUNK_BYTES];
        match self.stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => self.buffer.extend_from_slice(&chunk[..n]),
        }
        let extent = extent(&self.buffer)?;
        self.used = extent.map_or(0, |extent| extent.total_bytes);
        Ok(extent.is_some())
    }

    /// The answer, once it is complete.
    pub fn answer(&self) -> io::Result<Answer<'_>> {
        let extent = extent(&self.buffer)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (head, rest) = self.buffer.split_at(extent.head_bytes);
        Ok(Answer { status: extent.status, head, body: &rest[..extent.total_bytes - extent.head_bytes] })
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests;
