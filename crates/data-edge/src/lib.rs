//! What all edges share, whatever protocol they speak: connections, bodies, request ids, the access log, what
//! routing may ask of a request, and the one table of errors.
//!
//! Reading order: `options` (what can be set), `listen` (accept, limit, drain), `connection` (time limits of one
//! connection), `call` (one request under way), `body`, `reply`, `facts`, `timeout`, `trace`, `access`, `served`
//! (who answered, in headers), `table` (every code on every wire).
//!
//! No request is spawned off: when a caller hangs up, its future is dropped and with it the work.

mod access;
mod body;
mod call;
mod connection;
mod facts;
mod listen;
mod options;
pub mod percent;
mod reply;
mod served;
mod table;
mod timeout;
mod trace;

pub use access::Ending;
pub use body::{BodyBudget, Collected, collect, discard};
pub use call::{Call, Edge, Gone, mistaken, without_panic};
pub use facts::RequestFacts;
pub use listen::{CONNECTION_LIMIT_ANSWER, Drained, Handle, listen};
pub use options::{AccessLog, EdgeOptions, HttpLimits, Phase, Readiness};
pub use reply::ReplyBody;
pub use served::name_version;
pub use table::{GrpcCode, LogLevel, Row, errors_page, retry_after_seconds, row};
pub use timeout::{TIMEOUT_MAX, number_header, timeout_header, timeout_parameter};
pub use trace::{Ids, TraceContext};
