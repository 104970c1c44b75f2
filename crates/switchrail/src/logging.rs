//! Structured logs on stderr. stdout carries the ready line and nothing else.

use std::io::IsTerminal;

use control_config::{LogFormat, LogSettings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Installs the subscriber. `SWITCHRAIL_LOG` may hold a filter such as `debug,hyper=info`.
pub fn start(settings: &LogSettings) {
    let level = settings.level.as_str();
    let filter = std::env::var("SWITCHRAIL_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    // Libraries below speak of their own affairs at every level: only their warnings are of interest.
    let default = || EnvFilter::new(format!("{level},hyper=warn,h2=warn,ureq=warn,notify=warn,rustls=warn"));
    let builder = fmt().with_env_filter(filter.unwrap_or_else(default)).with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
    }
}
