//! One log event for each request, with what an operator needs to find it again.

use base_types::Reason;
use data_path::{Failure, Served};
use tokio::time::Instant;
use tracing::Level;

use crate::call::Call;
use crate::options::AccessLog;
use crate::table::{LogLevel, row};

/// How a request ended, as the log tells it.
#[derive(Clone, Copy)]
pub struct Ending<'a> {
    /// The model the path names.
    pub model: &'a str,
    /// The version asked last.
    pub served: Option<&'a Served>,
    /// Why it was asked.
    pub reason: Option<Reason>,
    /// Why there is no answer, if there is none.
    pub failure: Option<&'a Failure>,
}

/// Logs the end of a request. Costs a comparison where nobody listens.
pub(crate) fn log(call: &Call<'_>, ending: &Ending<'_>) {
    let is_wanted = match call.edge.options.access_log {
        AccessLog::Off => false,
        AccessLog::Errors => ending.failure.is_some(),
        AccessLog::All => true,
    };
    match ending.failure.map(|f| row(f.code).level) {
        Some(LogLevel::Error) if tracing::enabled!(Level::ERROR) => emit(Level::ERROR, (call, ending), None),
        // Inputs can be made that a version fails at: what says the same as a line of this second is not a warning.
        Some(LogLevel::Warn) if tracing::enabled!(Level::WARN) => match line(call, ending) {
            Some(n_left_out) => emit(Level::WARN, (call, ending), Some(n_left_out)),
            None => emit_quiet(is_wanted, call, ending),
        },
        Some(LogLevel::Debug) | None => emit_quiet(is_wanted, call, ending),
        _ => {}
    }
}

/// Whether a fault has a line: the number of those left out before it.
fn line(call: &Call<'_>, ending: &Ending<'_>) -> Option<u64> {
    match ending.served {
        Some(served) => call.edge.faults.line(&served.version.id, Instant::now()),
        None => Some(0),
    }
}

fn emit_quiet(is_wanted: bool, call: &Call<'_>, ending: &Ending<'_>) {
    if is_wanted && tracing::enabled!(Level::INFO) {
        emit(Level::INFO, (call, ending), None);
    } else if !is_wanted && tracing::enabled!(Level::DEBUG) {
        emit(Level::DEBUG, (call, ending), None);
    }
}

/// `left_out` is the number of faults of the version since its last line that have none.
fn emit(level: Level, (call, ending): (&Call<'_>, &Ending<'_>), left_out: Option<u64>) {
    let left_out = left_out.filter(|n| *n > 0);
    let trace = call.edge.ids.trace(&call.parts.headers);
    let version = ending.served.map(|s| s.version.id.version.get());
    let generation = ending.served.map(|s| s.generation.0);
    let reason = ending.reason.map(Reason::as_str);
    let status = ending.failure.map_or(200, |f| row(f.code).status);
    let outcome = ending.failure.map_or("ok", |f| f.class.as_str());
    let code = ending.failure.map(|f| f.code.as_str());
    let error = ending.failure.map(|f| f.message.as_str());
    let detail = ending.failure.map(|f| f.detail.as_str()).filter(|d| !d.is_empty());
    // What comes from outside is quoted and escaped by its debug form.
    macro_rules! event {
        ($level:expr) => {
            tracing::event!(
                $level,
                request_id = ?call.request_id,
                trace_id = %trace.trace_id(),
                span_id = %trace.span_id(),
                protocol = call.protocol.as_str(),
                method = %call.parts.method,
                path = ?call.parts.uri.path(),
                model = ?ending.model,
                version,
                generation,
                reason,
                outcome,
                code,
                status,
                error,
                detail,
                left_out,
                "request"
            )
        };
    }
    match level {
        Level::ERROR => event!(Level::ERROR),
        Level::WARN => event!(Level::WARN),
        Level::INFO => event!(Level::INFO),
        _ => event!(Level::DEBUG),
    }
}
