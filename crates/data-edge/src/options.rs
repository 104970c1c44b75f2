//! What an operator can set about the edges, and what the process tells it about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use data_codec::CodecLimits;
use http::StatusCode;

/// The bytes held at once over all connections are at least so many largest bodies.
const BODIES_PER_BODY: usize = 4;

/// Settings of the listeners that take requests.
#[derive(Debug, Clone)]
pub struct EdgeOptions {
    /// Bounds on connections, heads and bodies.
    pub limits: HttpLimits,
    /// Bounds on what a body may hold.
    pub codec: CodecLimits,
    /// What the server's readiness route says.
    pub readiness: Arc<Readiness>,
    /// Which requests leave a line in the log.
    pub access_log: AccessLog,
    /// The status that says a model is not ready: 503, or 400 as Triton has it.
    pub model_unready: StatusCode,
    /// The version shown in the server's metadata.
    pub server_version: String,
    /// Whether callers may send feedback on answers.
    pub has_feedback: bool,
}

impl Default for EdgeOptions {
    fn default() -> Self {
        Self {
            limits: HttpLimits::default(),
            codec: CodecLimits::default(),
            readiness: Arc::default(),
            access_log: AccessLog::default(),
            model_unready: StatusCode::SERVICE_UNAVAILABLE,
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            has_feedback: true,
        }
    }
}

/// Bounds of a listener. Most fields are keys of the section `limits` of gateway.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Open connections; one more is answered 503 and closed.
    pub connections: usize,
    /// Bytes of the path with its query.
    pub uri_bytes: usize,
    /// Header fields of a request.
    pub headers: usize,
    /// Bytes of all names and values of header fields.
    pub head_bytes: usize,
    /// From connecting to the first whole request head, and for any later head once it has begun.
    pub head_timeout: Duration,
    /// A connection without requests is closed after this, at the latest after twice this.
    pub idle_timeout: Duration,
    /// A peer that takes no byte of its answer for this long is cut off; on HTTP/2 at the latest after twice this.
    pub write_timeout: Duration,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// A body has to be here whole within this.
    pub body_timeout: Duration,
    /// How long a body may be slow before `body_bytes_per_second` is asked of it.
    pub body_grace: Duration,
    /// Slower bodies are refused after the grace.
    pub body_bytes_per_second: usize,
    /// Chunks of a body without announced length.
    pub body_chunks: usize,
    /// Bytes of large bodies being held at once, over all connections.
    pub bodies_bytes: usize,
    /// Bytes read and dropped to keep a connection usable after a refusal.
    pub discard_bytes: usize,
    /// How long that may take.
    pub discard_timeout: Duration,
    /// After readiness went off: how long new connections are still accepted, so that balancers notice.
    pub drain_grace: Duration,
    /// After that: how long requests under way may take before they are cut off.
    pub drain_timeout: Duration,
    /// Concurrent streams of an HTTP/2 connection.
    pub h2_streams: u32,
    /// Bytes in flight on one HTTP/2 stream.
    pub h2_stream_window_bytes: u32,
    /// Bytes in flight on one HTTP/2 connection.
    pub h2_connection_window_bytes: u32,
    /// Bytes of one HTTP/2 frame. A frame is waited for whole, in memory made for it: large ones spare a large body most
    /// of its reads, and what a peer may announce without sending it stays small beside a body.
    pub h2_frame_bytes: u32,
    /// How often an HTTP/2 peer is pinged.
    pub h2_ping_interval: Duration,
    /// How long it may take to answer.
    pub h2_ping_timeout: Duration,
}

impl HttpLimits {
    /// These limits with bodies of this size: so many bytes may be held at once that the largest body passes, also a
    /// packed one, of which the packed bytes and memory for the unpacked ones, which is doubled as they come, are held.
    #[must_use]
    pub fn with_body_bytes(self, body_bytes: usize) -> Self {
        let bodies_bytes = self.bodies_bytes.max(body_bytes.saturating_mul(BODIES_PER_BODY));
        Self { body_bytes, bodies_bytes, ..self }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            uri_bytes: 4 * 1024,
            headers: 64,
            head_bytes: 16 * 1024,
            head_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            body_bytes: 64 * 1024 * 1024,
            body_timeout: Duration::from_secs(60),
            body_grace: Duration::from_secs(10),
            body_bytes_per_second: 1024,
            body_chunks: 65_536,
            bodies_bytes: 1024 * 1024 * 1024,
            discard_bytes: 256 * 1024,
            discard_timeout: Duration::from_secs(1),
            drain_grace: Duration::from_millis(200),
            drain_timeout: Duration::from_secs(20),
            h2_streams: 100,
            h2_stream_window_bytes: 1024 * 1024,
            h2_connection_window_bytes: 1024 * 1024,
            h2_frame_bytes: 128 * 1024,
            h2_ping_interval: Duration::from_secs(20),
            h2_ping_timeout: Duration::from_secs(10),
        }
    }
}

/// Which requests are logged at `info`. The others are at `debug`, faults of a version or of the gateway always
/// at `warn` or above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// None.
    #[default]
    Off,
    /// Those that failed.
    Errors,
    /// All.
    All,
}

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The versions wanted at start are being loaded.
    Starting,
    /// Start-up is over. Later loads change nothing about this.
    Ready,
    /// Asked to stop.
    Draining,
}

/// The process's phase, shared between the one who knows and the edges that tell.
#[derive(Debug, Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// Start-up is over. Has no effect once draining has begun.
    pub fn set_ready(&self) {
        // Fails only where the phase is a later one.
        let _later = self.0.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The process is going away.
    pub fn set_draining(&self) {
        self.0.store(2, Ordering::Release);
    }
}
