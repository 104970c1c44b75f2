//! Structured logs on stderr. stdout carries the ready line and nothing else. What is logged can be changed while the
//! program runs, by callers whom the operator lets.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard};

use control_config::{LogFormat, LogLevel, LogSettings as Configured};
use data_edge::{LogChange, LogControl, LogSettings};
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Libraries below speak of their own affairs at every level: only their warnings are of interest.
const QUIET: &str = "hyper=warn,h2=warn,ureq=warn,notify=warn,object_store=warn,reqwest=warn,rustls=warn";

type Chosen = Box<dyn Filter<Registry> + Send + Sync>;

/// The log of this process.
pub struct Log {
    filter: reload::Handle<Chosen, Registry>,
    settings: Mutex<LogSettings>,
}

/// Installs the subscriber. `SWITCHRAIL_LOG` may hold a filter such as `debug,hyper=info`; it holds until somebody
/// changes what is logged.
pub fn start(configured: &Configured) -> Arc<Log> {
    let given = std::env::var("SWITCHRAIL_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let (settings, chosen): (LogSettings, Chosen) = match given {
        Some(filter) => (up_to(filter.max_level_hint().unwrap_or(LevelFilter::TRACE)), Box::new(filter)),
        None => {
            let settings = up_to(level(configured.level));
            (settings, filter(&settings))
        }
    };
    let (filter, handle) = reload::Layer::new(chosen);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match configured.format {
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_filter(filter)),
        LogFormat::Text => {
            Box::new(lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).with_filter(filter))
        }
    };
    tracing_subscriber::registry().with(lines).init();
    Arc::new(Log { filter: handle, settings: Mutex::new(settings) })
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, LogSettings> {
        self.settings.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl LogControl for Log {
    fn settings(&self) -> LogSettings {
        *self.lock()
    }

    fn set(&self, change: &LogChange) -> Result<LogSettings, String> {
        let mut now = self.lock();
        let settings = change.of(&now);
        self.filter.reload(filter(&settings)).map_err(|error| error.to_string())?;
        *now = settings;
        Ok(settings)
    }
}

fn level(configured: LogLevel) -> LevelFilter {
    match configured {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Everything up to a level.
fn up_to(level: LevelFilter) -> LogSettings {
    LogSettings {
        has_info: level >= LevelFilter::INFO,
        has_warning: level >= LevelFilter::WARN,
        has_error: level >= LevelFilter::ERROR,
        verbose_level: match level {
            LevelFilter::TRACE => 2,
            LevelFilter::DEBUG => 1,
            _ => 0,
        },
    }
}

fn filter(settings: &LogSettings) -> Chosen {
    let settings = *settings;
    let is_wanted = move |metadata: &tracing::Metadata<'_>| match *metadata.level() {
        Level::ERROR => settings.has_error,
        Level::WARN => settings.has_warning,
        Level::INFO => settings.has_info,
        _ => true,
    };
    let least = least(&settings);
    // Without the hint both filters together would be asked about every event there is.
    let is_wanted = filter_fn(is_wanted).with_max_level_hint(least);
    Box::new(EnvFilter::new(format!("{least},{QUIET}")).and(is_wanted))
}

/// The least severe level that is logged: what is below it costs nothing.
fn least(settings: &LogSettings) -> LevelFilter {
    match settings {
        LogSettings { verbose_level: 2.., .. } => LevelFilter::TRACE,
        LogSettings { verbose_level: 1, .. } => LevelFilter::DEBUG,
        LogSettings { has_info: true, .. } => LevelFilter::INFO,
        LogSettings { has_warning: true, .. } => LevelFilter::WARN,
        LogSettings { has_error: true, .. } => LevelFilter::ERROR,
        _ => LevelFilter::OFF,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_severe_level_is_the_one_of_the_settings() {
        for level in [
            LevelFilter::OFF,
            LevelFilter::ERROR,
            LevelFilter::WARN,
            LevelFilter::INFO,
            LevelFilter::DEBUG,
            LevelFilter::TRACE,
        ] {
            assert_eq!(least(&up_to(level)), level);
        }
        let only_info = LogSettings { has_info: true, has_warning: false, has_error: false, verbose_level: 0 };
        assert_eq!(least(&only_info), LevelFilter::INFO);
        assert_eq!(filter(&only_info).max_level_hint(), Some(LevelFilter::INFO), "what is not logged costs nothing");
    }
}
