//! HTTP/2 without negotiation, as meshes speak it.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::GOOD;
use super::world::{PATIENCE, World, good_report};
use data_edge::HttpLimits;

async fn connect(world: &World) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://h{path}");
    Request::builder().method(method).uri(uri).body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let world = World::new().await;
    let mut sender = connect(&world).await;
    let infer = |version: u64| request(Method::POST, &format!("/v2/models/m/versions/{version}/infer"), GOOD);
    let slow = sender.send_request(infer(2));
    let slow = tokio::spawn(slow);
    let held = world.hanging(1).await;
    // A stream that waits does not hold up the next.
    let reply = sender.send_request(infer(1)).await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.version()), (200, Version::HTTP_2));
    assert_eq!(reply.headers()["switchrail-version"], "1");
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["outputs"][0]["data"][0], 0.5);
    let reply = sender.send_request(request(Method::POST, "/nowhere", GOOD)).await.unwrap();
    assert_eq!(reply.status().as_u16(), 404);
    let reply = sender.send_request(request(Method::HEAD, "/v2/models/m", "")).await.unwrap();
    assert_eq!(reply.status().as_u16(), 200);
    let panicked = sender.send_request(infer(6)).await.unwrap();
    assert_eq!(panicked.status().as_u16(), 500);
    for reply in held {
        reply.send(good_report()).unwrap();
    }
    assert_eq!(slow.await.unwrap().unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn a_reset_stream_takes_the_work_along() {
    let world = World::new().await;
    let mut sender = connect(&world).await;
    let pending = tokio::spawn(sender.send_request(request(Method::POST, "/v2/models/m/versions/2/infer", GOOD)));
    let mut held = world.hanging(1).await;
    pending.abort();
    timeout(PATIENCE, held[0].closed()).await.expect("the job is given up");
    let reply = sender.send_request(request(Method::GET, "/v2", "")).await.unwrap();
    assert_eq!(reply.status().as_u16(), 200);
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_spite_of_its_pings() {
    let short = Duration::from_millis(100);
    let limits =
        HttpLimits { head_timeout: short, idle_timeout: short, h2_ping_interval: short / 10, ..HttpLimits::default() };
    let world = World::with_limits(limits).await;
    let mut sender = connect(&world).await;
    assert_eq!(sender.send_request(request(Method::GET, "/v2", "")).await.unwrap().status().as_u16(), 200);
    let closed = async {
        while !sender.is_closed() {
            tokio::time::sleep(short / 10).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("the connection is closed");
}

#[tokio::test]
async fn a_peer_that_takes_no_answer_is_cut_off_and_a_slow_model_is_not_its_fault() {
    let short = Duration::from_millis(100);
    let world = World::with_limits(HttpLimits { write_timeout: short, ..HttpLimits::default() }).await;
    let mut sender = connect(&world).await;
    let slow = tokio::spawn(sender.send_request(request(Method::POST, "/v2/models/m/versions/2/infer", GOOD)));
    let held = world.hanging(1).await;
    tokio::time::sleep(short * 4).await;
    for reply in held {
        reply.send(good_report()).unwrap();
    }
    let reply = slow.await.unwrap().unwrap();
    assert_eq!(reply.status().as_u16(), 200);
    assert!(!reply.into_body().collect().await.unwrap().to_bytes().is_empty());
    let stream = TcpStream::connect(world.address).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    // So many bytes of an answer come, and no more before they are taken.
    let handshake = builder.initial_stream_window_size(10).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let reply = sender.send_request(request(Method::POST, "/v2/models/m/infer", GOOD)).await.unwrap();
    let cut_off = async {
        while !sender.is_closed() {
            tokio::time::sleep(short / 10).await;
        }
    };
    timeout(PATIENCE, cut_off).await.expect("the connection is closed");
    assert!(reply.into_body().collect().await.is_err());
}

#[tokio::test]
async fn heads_that_are_too_large_are_told_so() {
    let world = World::new().await;
    let mut sender = connect(&world).await;
    let mut large = request(Method::GET, "/v2", "");
    large.headers_mut().insert("h", "v".repeat(17_000).parse().unwrap());
    let reply = sender.send_request(large).await.unwrap();
    assert_eq!(reply.status().as_u16(), 400);
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["code"], "malformed");
    // As many as are allowed, which the protocol counts as more bytes than they are.
    let mut many = request(Method::GET, "/v2", "");
    (0..60).for_each(|i| {
        let name: http::HeaderName = format!("h{i}").parse().unwrap();
        many.headers_mut().insert(name, "v".repeat(260).parse().unwrap());
    });
    assert_eq!(sender.send_request(many).await.unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn draining_finishes_streams() {
    let mut world = World::new().await;
    let mut sender = connect(&world).await;
    let slow = tokio::spawn(sender.send_request(request(Method::POST, "/v2/models/m/versions/2/infer", GOOD)));
    let held = world.hanging(1).await;
    world.begin_stop();
    for reply in held {
        reply.send(good_report()).unwrap();
    }
    assert_eq!(slow.await.unwrap().unwrap().status().as_u16(), 200);
    assert_eq!(world.stopped().await.n_cut, 0);
}
