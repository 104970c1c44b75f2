//! The metrics listener.

use base_metrics::Metrics;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::client::Client;
use crate::serve_metrics;

#[tokio::test]
async fn metrics_are_served_and_nothing_else() {
    let metrics = Metrics::new("1.2.3", "0").unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        stopped.await.ok();
    };
    let server = tokio::spawn(serve_metrics(listener, metrics, shutdown));
    let mut client = Client::connect(address).await;
    // More often than scrapes may run at once, and over connections that stay open.
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(address).await;
        let reply = client.get("/metrics").await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").starts_with("text/plain; version=0.0.4"));
        assert!(
            String::from_utf8(reply.body).unwrap().contains("switchrail_build_info{runtime=\"0\",version=\"1.2.3\"} 1")
        );
        open.push(client);
    }
    client.get("/").await.check_error(404, "no_such_route", "client");
    let reply = client.request("POST", "/metrics", "", "").await;
    reply.check_error(405, "method_not_allowed", "client");
    assert_eq!(reply.header("allow"), "GET, HEAD");
    client.send("HEAD /metrics HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let head = client.reply_to("HEAD").await;
    assert!(head.header("content-length").parse::<usize>().unwrap() > 100);
    stop.send(()).unwrap();
    assert_eq!(server.await.unwrap().n_cut, 0);
}
