//! What can be set about the operators' listener.

use std::time::Duration;

use crate::Token;

/// Settings of the admin listener.
#[derive(Clone, Default)]
pub struct AdminOptions {
    /// What callers must show. Without one only a loopback address answers.
    pub token: Option<Token>,
    /// Names under which the listener is reached, beside loopback and its own address. For a listener beyond
    /// loopback an empty list admits every name, because the token already keeps strange pages out.
    pub allowed_hosts: Vec<String>,
    /// Bounds.
    pub limits: AdminLimits,
}

/// Bounds of the admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminLimits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Open connections; one more waits to be accepted.
    pub connections: usize,
    /// Requests being answered at once; one more is answered 503.
    pub requests: usize,
    /// For a request to be answered, its body included.
    pub request_timeout: Duration,
    /// From one request, or from connecting, to the end of the next request's head.
    pub head_timeout: Duration,
    /// For requests under way to finish at shutdown.
    pub drain_timeout: Duration,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            connections: 128,
            requests: 32,
            request_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(2),
        }
    }
}
