//! What all edges share, whatever protocol they speak: connections, bodies, request ids, the access log, what
//! routing may ask of a request, and the one table of errors.
//!
//! Reading order: `options` (what can be set), `listen` (accept, limit, drain), `turn` (a connection that wakes
//! itself), `connection` (time limits of one connection), `untaken` (answers nobody takes), `call` (one request under
//! way), `body`, `compress`, `reply`, `facts`, `timeout`, `trace`, `access`, `seldom` (lines of the log held down),
//! `served` (who answered, in headers), `table` (every code on every wire), `manage` and `settings` (what callers may
//! change where the operator lets them), `absent` (what is left out on purpose).
//!
//! No request is spawned off: when a caller hangs up, its future is dropped and with it the work.

mod absent;
mod access;
mod beside;
mod body;
mod call;
pub mod compress;
mod connection;
mod facts;
mod head;
mod listen;
mod manage;
mod options;
pub mod percent;
mod reply;
mod seldom;
mod served;
mod settings;
mod table;
mod timeout;
mod trace;
mod turn;
mod untaken;

pub use absent::refuse_absent;
pub use access::Ending;
pub use beside::Beside;
pub use body::{Arriving, BodyBudget, Collected, Pieces, Share, collect, discard, receive};
pub use call::{Call, Edge, Gone, mistaken, without_panic};
pub use facts::RequestFacts;
pub use head::check_head;
pub use listen::{CONNECTION_LIMIT_ANSWER, Drained, Handle, listen};
pub use manage::{LogChange, LogControl, LogSettings, Management};
pub use options::{AccessLog, EdgeOptions, HttpLimits, Phase, Readiness};
pub use reply::ReplyBody;
pub use served::{EXTENSIONS, SERVER, name_prediction, name_version};
pub use settings::{LogValue, log_change, log_values, trace_change, trace_values};
pub use table::{GrpcCode, LogLevel, Row, errors_page, retry_after_seconds, row};
pub use timeout::{TIMEOUT_MAX, number_header, timeout_header, timeout_parameter};
pub use trace::{Ids, TraceContext};
pub use untaken::Piece;
