//! Callers who leave, and the gateway that leaves.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{GOOD, post};
use super::world::{PATIENCE, World, good_report};
use data_edge::{Drained, HttpLimits, Phase};

fn hang() -> String {
    post("POST", "/v2/models/m/versions/2/infer", "", GOOD)
}

#[tokio::test]
async fn a_caller_who_leaves_takes_the_work_along() {
    let world = World::new().await;
    let mut client = world.client().await;
    client.send(hang()).await;
    let mut held = world.hanging(1).await;
    drop(client);
    timeout(PATIENCE, held[0].closed()).await.expect("the job is given up");
    let counted = async {
        while world.requests("outcome=\"cancelled\"") < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, counted).await.expect("the request is counted as cancelled");
}

#[tokio::test]
async fn requests_under_way_finish_and_nothing_else_holds_the_stop_up() {
    let mut world = World::new().await;
    let (mut busy, mut idle, _silent) = (world.client().await, world.client().await, world.client().await);
    assert_eq!(idle.get("/v2").await.status, 200);
    busy.send(hang()).await;
    let held = world.hanging(1).await;
    world.begin_stop();
    idle.closed().await;
    assert_eq!(world.readiness.phase(), Phase::Draining);
    assert!(TcpStream::connect(world.address).await.is_err(), "the listener is closed");
    for reply in held {
        reply.send(good_report()).unwrap();
    }
    let reply = busy.reply().await;
    assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    assert_eq!(world.stopped().await, Drained { n_cut: 0 });
}

#[tokio::test]
async fn readiness_goes_off_before_connections_are_refused() {
    let mut world =
        World::with_limits(HttpLimits { drain_grace: Duration::from_secs(2), ..HttpLimits::default() }).await;
    world.begin_stop();
    let unready = async { while world.client().await.get("/v2/health/ready").await.status != 503 {} };
    timeout(PATIENCE, unready).await.expect("not ready");
    assert_eq!(world.client().await.infer("m", GOOD).await.status, 200);
    assert_eq!(world.stopped().await, Drained { n_cut: 0 });
}

#[tokio::test]
async fn what_takes_too_long_is_cut_off() {
    let limits = HttpLimits { drain_timeout: Duration::from_millis(100), ..HttpLimits::default() };
    let mut world = World::with_limits(limits).await;
    let mut client = world.client().await;
    client.send(hang()).await;
    let mut held = world.hanging(1).await;
    world.begin_stop();
    client.closed().await;
    timeout(PATIENCE, held[0].closed()).await.expect("the job is given up");
    assert_eq!(world.stopped().await, Drained { n_cut: 1 });
}
