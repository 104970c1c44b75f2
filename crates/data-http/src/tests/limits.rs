//! Peers that are slow, large or many.

use std::time::Duration;

use super::client::{GOOD, post};
use super::world::World;
use data_edge::HttpLimits;

const SHORT: Duration = Duration::from_millis(150);

fn quick() -> HttpLimits {
    HttpLimits { head_timeout: SHORT, idle_timeout: SHORT, ..HttpLimits::default() }
}

#[tokio::test]
async fn peers_that_never_finish_their_first_head_are_closed() {
    let world = World::with_limits(HttpLimits { idle_timeout: Duration::from_secs(3600), ..quick() }).await;
    // Silence, the beginning of HTTP/2, and heads without end.
    let almost = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r";
    for start in ["", "P", "PRI", "PRI ", "PRI * HT", almost, "GET", "GET /v2 HTTP/1.1\r\nhost: h\r\n"] {
        let mut client = world.client().await;
        client.send(start).await;
        client.closed().await;
    }
}

#[tokio::test]
async fn a_head_that_dribbles_is_closed_however_busy_the_peer() {
    let world = World::with_limits(HttpLimits { idle_timeout: Duration::from_secs(3600), ..quick() }).await;
    for n_requests_before in [0, 1] {
        let mut client = world.client().await;
        for _ in 0..n_requests_before {
            assert_eq!(client.infer("m", GOOD).await.status, 200);
        }
        client.send("GET /v2 HTTP/1.1\r\n").await;
        let dribble = async {
            while client.try_send("a: b\r\n").await {
                tokio::time::sleep(SHORT / 10).await;
            }
        };
        tokio::time::timeout(super::world::PATIENCE, dribble).await.expect("the peer closes");
    }
}

#[tokio::test]
async fn idle_connections_live_longer_than_heads_and_are_closed_in_the_end() {
    let limits = HttpLimits { idle_timeout: SHORT * 4, ..quick() };
    let world = World::with_limits(limits).await;
    let mut client = world.client().await;
    assert_eq!(client.get("/v2").await.status, 200);
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(client.get("/v2").await.status, 200, "idle for longer than a head may take");
    client.closed().await;
}

#[tokio::test]
async fn a_slow_model_is_not_an_idle_connection() {
    let world = World::with_limits(quick()).await;
    let mut client = world.client().await;
    client.send(post("POST", "/v2/models/m/versions/2/infer", "", GOOD)).await;
    let held = world.hanging(1).await;
    tokio::time::sleep(SHORT * 4).await;
    for reply in held {
        reply.send(super::world::good_report()).unwrap();
    }
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn large_bodies_are_refused_before_and_while_they_are_read() {
    let world = World::with_limits(HttpLimits { body_bytes: 1000, ..HttpLimits::default() }).await;
    let large = " ".repeat(1001);
    let mut client = world.client().await;
    client.infer("m", &large).await.check_error(413, "body_too_large", "client");
    // Small enough to be read to its end: the connection goes on.
    let chunked = "POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(format!("{chunked}{:x}\r\n{large}\r\n0\r\n\r\n", large.len())).await;
    client.reply().await.check_error(413, "body_too_large", "client");
    assert_eq!(client.infer("m", GOOD).await.status, 200);
    // An enormous one is not waited for.
    client.send("POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000000000\r\n\r\n").await;
    let reply = client.reply().await;
    reply.check_error(413, "body_too_large", "client");
    assert_eq!(reply.header("connection"), "close");
    client.closed().await;
}

#[tokio::test]
async fn a_flood_of_chunks_is_refused() {
    let world = World::with_limits(HttpLimits { body_chunks: 100, ..HttpLimits::default() }).await;
    let mut client = world.client().await;
    client.send("POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.send("1\r\n \r\n".repeat(200)).await;
    client.reply().await.check_error(400, "malformed", "client");
}

#[tokio::test]
async fn slow_bodies_are_refused() {
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n{";
    let limits = HttpLimits { discard_timeout: SHORT, ..HttpLimits::default() };
    for limits in [
        HttpLimits { body_timeout: SHORT, ..limits.clone() },
        HttpLimits { body_grace: SHORT, body_bytes_per_second: 1024, ..limits },
    ] {
        let world = World::with_limits(limits).await;
        let mut client = world.client().await;
        client.send(head).await;
        client.reply().await.check_error(408, "body_too_slow", "client");
        client.closed().await;
    }
}

#[tokio::test]
async fn broken_chunks_are_a_mistake_and_a_body_that_breaks_off_is_not() {
    let world = World::new().await;
    let head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
    for broken in ["x\r\n", "2\r\n{}x", "11111111111111111\r\n", "2;\n"] {
        let mut client = world.client().await;
        client.send(format!("{head}{broken}")).await;
        client.reply().await.check_error(400, "malformed", "client");
        client.closed().await;
    }
    assert_eq!((world.requests("outcome=\"client\""), world.requests("outcome=\"cancelled\"")), (4.0, 0.0));
    let mut client = world.client().await;
    client.send(format!("{head}5\r\n{{")).await;
    drop(client);
    super::world::until(|| world.requests("outcome=\"cancelled\"") > 0.0).await;
}

#[tokio::test]
async fn a_body_in_many_pieces_is_put_together() {
    let world = World::new().await;
    let mut client = world.client().await;
    let body = format!("{}{GOOD}", " ".repeat(3_000_000));
    assert_eq!(client.infer("m", &body).await.status, 200);
}

#[tokio::test]
async fn large_bodies_share_a_budget() {
    let world = World::with_limits(HttpLimits { bodies_bytes: 200_000, ..HttpLimits::default() }).await;
    let body = format!("{}{GOOD}", " ".repeat(150_000));
    let mut client = world.client().await;
    // The share is given back each time.
    for _ in 0..3 {
        assert_eq!(client.infer("m", &body).await.status, 200);
    }
    let body = format!("{}{GOOD}", " ".repeat(600_000));
    client.infer("m", &body).await.check_error(429, "queue_full", "overload");
    let mut client = world.client().await;
    assert_eq!(client.infer("m", GOOD).await.status, 200);
}

#[tokio::test]
async fn large_heads_are_refused() {
    let world = World::new().await;
    let mut client = world.client().await;
    client.get(&format!("/v2?{}", "q".repeat(4096))).await.check_error(400, "malformed", "client");
    let many: String = (0..65).map(|i| format!("h{i}: v\r\n")).collect();
    client.request("GET", "/v2", &many, "").await.check_error(400, "malformed", "client");
    let long = format!("h: {}\r\n", "v".repeat(17_000));
    client.request("GET", "/v2", &long, "").await.check_error(400, "malformed", "client");
    let endless = format!("h: {}\r\n", "v".repeat(100_000));
    client.send(post("GET", "/v2", &endless, "")).await;
    assert_eq!(client.reply().await.status, 431);
}

#[tokio::test]
async fn a_connection_too_many_is_told_at_once() {
    let world = World::with_limits(HttpLimits { connections: 1, ..HttpLimits::default() }).await;
    let mut first = world.client().await;
    assert_eq!(first.get("/v2").await.status, 200);
    let reply = world.client().await.get("/v2").await;
    reply.check_error(503, "connection_limit", "overload");
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(first.get("/v2").await.status, 200);
    assert_eq!(world.requests("outcome=\"overload\""), 1.0);
    drop(first);
    let again = async { while world.client().await.get("/v2").await.status != 200 {} };
    tokio::time::timeout(super::world::PATIENCE, again).await.expect("the place is free again");
}

#[tokio::test]
async fn a_peer_that_takes_no_answers_is_cut_off() {
    let limits = HttpLimits { write_timeout: SHORT, idle_timeout: Duration::from_secs(3600), ..HttpLimits::default() };
    let world = World::with_limits(limits).await;
    let mut client = world.client().await;
    // Asks on and on and reads nothing, until the pipes are full and then closed.
    let burst = "GET /v2/models/m HTTP/1.1\r\nhost: h\r\n\r\n".repeat(1000);
    let push = async { while client.try_send(&burst).await {} };
    tokio::time::timeout(super::world::PATIENCE * 3, push).await.expect("the peer closes");
}

#[tokio::test]
async fn requests_that_could_be_read_two_ways_are_refused() {
    let world = World::new().await;
    for head in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: -1\r\n",
        "content-length: 1 1\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "host : x\r\n",
    ] {
        let mut client = world.client().await;
        client.send(format!("POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\n{head}\r\n")).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{head}");
        client.closed().await;
    }
}
