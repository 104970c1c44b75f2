//! One log event for each request, with what an operator needs to find it again.

use base_types::Reason;
use data_path::{Failure, Served};
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
        Some(LogLevel::Error) if tracing::enabled!(Level::ERROR) => emit(Level::ERROR, call, ending),
        Some(LogLevel::Warn) if tracing::enabled!(Level::WARN) => emit(Level::WARN, call, ending),
        Some(LogLevel::Debug) | None if is_wanted && tracing::enabled!(Level::INFO) => emit(Level::INFO, call, ending),
        Some(LogLevel::Debug) | None if !is_wanted && tracing::enabled!(Level::DEBUG) => {
            emit(Level::DEBUG, call, ending);
        }
        _ => {}
    }
}

fn emit(level: Level, call: &Call<'_>, ending: &Ending<'_>) {
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
