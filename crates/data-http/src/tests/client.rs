//! A plain HTTP/1 client that shows every byte and adds nothing.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::world::PATIENCE;

/// A good request to model `m`.
pub(super) const GOOD: &str =
    r#"{"id":"42","inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[0.5,1,2,3]}]}"#;

pub(super) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    #[track_caller]
    pub(super) fn check_error(&self, status: u16, code: &str, fault: &str) {
        let json = self.json();
        assert_eq!((self.status, &json["code"], &json["fault"]), (status, &code.into(), &fault.into()), "{json}");
        assert!(json["error"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), unread: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends what it can; the peer may have closed.
    pub(super) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    pub(super) async fn get(&mut self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")).await;
        self.reply().await
    }

    pub(super) async fn request(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        self.send(post(method, path, headers, body)).await;
        self.reply().await
    }

    pub(super) async fn post(&mut self, path: &str, body: &str) -> Reply {
        self.request("POST", path, "", body).await
    }

    pub(super) async fn infer(&mut self, target: &str, body: &str) -> Reply {
        self.request("POST", &format!("/v2/models/{target}/infer"), "", body).await
    }

    pub(super) async fn reply(&mut self) -> Reply {
        self.reply_to("GET").await
    }

    pub(super) async fn reply_to(&mut self, method: &str) -> Reply {
        timeout(PATIENCE, self.read_reply(method)).await.expect("an answer").expect("a whole answer")
    }

    async fn read_reply(&mut self, method: &str) -> Option<Reply> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more().await?;
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: HeaderMap = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
            })
            .collect();
        let length = headers.get("content-length").map_or(0, |v| v.to_str().unwrap().parse().unwrap());
        let length = if method == "HEAD" { 0 } else { length };
        while self.unread.len() < length {
            self.read_more().await?;
        }
        Some(Reply { status, headers, body: self.unread.drain(..length).collect() })
    }

    async fn read_more(&mut self) -> Option<usize> {
        self.stream.read_buf(&mut self.unread).await.ok().filter(|n| *n > 0)
    }

    /// Waits until the peer closes.
    pub(super) async fn closed(&mut self) {
        let read = async { while self.read_more().await.is_some() {} };
        timeout(PATIENCE, read).await.expect("the peer closes");
    }
}

pub(super) fn post(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: h\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}
