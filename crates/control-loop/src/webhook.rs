//! Tells the operator's webhooks what was decided. Bounded, on a thread of its own, never waited for.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use base_metrics::Metrics;
use serde_json::Value;
use tracing::{debug, warn};

const EVENTS_MAX: usize = 256;
/// Deliveries tried of one event to one URL.
const TRIES: u32 = 3;

/// The way to the webhook thread.
pub(crate) struct Webhook {
    events: Option<SyncSender<Value>>,
    metrics: Metrics,
}

impl Webhook {
    /// Starts the thread, unless there is no URL.
    pub(crate) fn start(
        urls: Vec<String>,
        timeout: Duration,
        metrics: Metrics,
    ) -> std::io::Result<(Self, Option<JoinHandle<()>>)> {
        if urls.is_empty() {
            return Ok((Self { events: None, metrics }, None));
        }
        let (events, received) = sync_channel(EVENTS_MAX);
        let counted = metrics.clone();
        let thread = std::thread::Builder::new().name("webhook".to_owned());
        let thread = thread.spawn(move || deliver_all(&urls, timeout, &received, &counted))?;
        Ok((Self { events: Some(events), metrics }, Some(thread)))
    }

    /// Hands an event over; one too many is dropped and counted.
    pub(crate) fn send(&self, event: Value) {
        let Some(events) = &self.events else { return };
        if events.try_send(event).is_err() {
            self.metrics.webhook(false);
            warn!("the webhook queue is full: an event is dropped");
        }
    }
}

fn deliver_all(urls: &[String], timeout: Duration, events: &Receiver<Value>, metrics: &Metrics) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .http_status_as_error(true)
        .build()
        .into();
    while let Ok(event) = events.recv() {
        for url in urls {
            let is_delivered = (0..TRIES).any(|_| deliver(&agent, url, &event));
            metrics.webhook(is_delivered);
        }
    }
}

fn deliver(agent: &ureq::Agent, url: &str, event: &Value) -> bool {
    if let Err(reason) = check_target(url) {
        warn!(url, reason, "webhook refused");
        return false;
    }
    match agent.post(url).send_json(event) {
        Ok(response) if response.status().is_success() => {
            debug!(url, "webhook delivered");
            true
        }
        Ok(response) => {
            warn!(url, status = response.status().as_u16(), "webhook failed");
            false
        }
        Err(error) => {
            warn!(url, %error, "webhook failed");
            false
        }
    }
}

/// Link-local addresses belong to the machine's own metadata services, never to an operator's webhook.
fn check_target(url: &str) -> Result<(), &'static str> {
    let uri: ureq::http::Uri = url.parse().map_err(|_| "not a URL")?;
    let host = uri.host().ok_or("no host")?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let mut addresses = (host.trim_matches(['[', ']']), port).to_socket_addrs().map_err(|_| "host not found")?;
    let is_link_local = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_link_local()),
    };
    if addresses.any(|a| is_link_local(a.ip())) { Err("link-local address") } else { Ok(()) }
}
