//! Settings of log and trace as the protocols write them: names with texts, numbers and flags. Both wires read and show
//! them here, so that they agree.

use data_path::{Code, Failure, Setting, TraceChange, TraceSettings};

use crate::manage::{LogChange, LogSettings};

/// The setting that operators alone make, because it names a file.
const LOG_FILE: &str = "log_file";
/// Our lines begin with a time of that form, and no other can be had.
const LOG_FORMAT: &str = "ISO8601";
/// The only way we trace.
const TRACE_MODE: &str = "triton";
const LEVEL_OFF: &str = "OFF";
const LEVEL_ON: &str = "TIMESTAMPS";
/// No end, in `trace_count`.
const WITHOUT_END: &str = "-1";

/// A value of a setting of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogValue {
    /// `true` or `false`.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

/// The settings of the log as callers are shown them.
pub fn log_values(settings: &LogSettings) -> [(&'static str, LogValue); 6] {
    [
        (LOG_FILE, LogValue::Text(String::new())),
        ("log_info", LogValue::Flag(settings.has_info)),
        ("log_warning", LogValue::Flag(settings.has_warning)),
        ("log_error", LogValue::Flag(settings.has_error)),
        ("log_verbose_level", LogValue::Number(u64::from(settings.verbose_level))),
        ("log_format", LogValue::Text(LOG_FORMAT.to_owned())),
    ]
}

/// Reads what a caller wants to change about the log.
///
/// # Errors
/// A setting is unknown, has a value of another kind, or cannot be made by callers.
pub fn log_change<'a>(values: impl IntoIterator<Item = (&'a str, LogValue)>) -> Result<LogChange, Failure> {
    let mut change = LogChange::default();
    for (name, value) in values {
        match (name, value) {
            ("log_info", LogValue::Flag(flag)) => change.has_info = Some(flag),
            ("log_warning", LogValue::Flag(flag)) => change.has_warning = Some(flag),
            ("log_error", LogValue::Flag(flag)) => change.has_error = Some(flag),
            ("log_verbose_level", LogValue::Number(level)) => {
                change.verbose_level = Some(u32::try_from(level).unwrap_or(u32::MAX));
            }
            (LOG_FILE, LogValue::Text(file)) if file.is_empty() => {}
            (LOG_FILE, _) => return Err(no_file(name)),
            ("log_format", LogValue::Text(format)) if format == LOG_FORMAT => {}
            ("log_format", _) => {
                return Err(refused("the form of the log is `log.format` in gateway.toml and fixed at start"));
            }
            ("log_info" | "log_warning" | "log_error", _) => return Err(malformed(name, "true or false")),
            ("log_verbose_level", _) => return Err(malformed(name, "a number from 0 to 2")),
            _ => return Err(unknown(name, "log")),
        }
    }
    Ok(change)
}

/// The settings of the trace as callers are shown them.
pub fn trace_values(settings: &TraceSettings) -> [(&'static str, String); 6] {
    let level = if settings.is_on { LEVEL_ON } else { LEVEL_OFF };
    [
        ("trace_level", level.to_owned()),
        ("trace_rate", settings.rate.to_string()),
        ("trace_count", settings.left.map_or_else(|| WITHOUT_END.to_owned(), |left| left.to_string())),
        ("log_frequency", "0".to_owned()),
        ("trace_file", String::new()),
        ("trace_mode", TRACE_MODE.to_owned()),
    ]
}

/// Reads what a caller wants to change about the trace. A setting without values is cleared.
///
/// # Errors
/// A setting is unknown, has a value it cannot have, or cannot be made by callers.
pub fn trace_change<'a>(settings: impl IntoIterator<Item = (&'a str, Vec<String>)>) -> Result<TraceChange, Failure> {
    let mut change = TraceChange::default();
    for (name, values) in settings {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        match (name, values.as_slice()) {
            ("trace_level", []) => change.is_on = Setting::Clear,
            ("trace_level", levels) => change.is_on = Setting::Set(is_on(levels)?),
            ("trace_rate", []) => change.rate = Setting::Clear,
            ("trace_rate", [rate]) => {
                let rate = rate.parse().ok().filter(|rate| *rate > 0);
                change.rate = Setting::Set(rate.ok_or_else(|| malformed(name, "a number from 1 to 4294967295"))?);
            }
            ("trace_count", []) => change.left = Setting::Clear,
            ("trace_count", [WITHOUT_END]) => change.left = Setting::Set(None),
            ("trace_count", [count]) => {
                let count = count.parse().map_err(|_| malformed(name, "a number, or -1 for no end"))?;
                change.left = Setting::Set(Some(count));
            }
            ("trace_file", [] | [""]) | ("log_frequency", [] | ["0"]) | ("trace_mode", [] | [TRACE_MODE]) => {}
            ("trace_file", _) => return Err(no_file(name)),
            ("log_frequency", _) => {
                return Err(refused("log_frequency is about files of traces, and traces go to the log"));
            }
            ("trace_mode", _) => return Err(refused("traces go to the log; there is no other trace_mode")),
            ("trace_rate" | "trace_count", _) => return Err(malformed(name, "one value")),
            _ => return Err(unknown(name, "trace")),
        }
    }
    Ok(change)
}

fn is_on(levels: &[&str]) -> Result<bool, Failure> {
    match levels {
        [LEVEL_OFF] => Ok(false),
        [LEVEL_ON] => Ok(true),
        _ => Err(refused("trace_level is OFF or TIMESTAMPS; the content of tensors is never traced")),
    }
}

fn no_file(name: &str) -> Failure {
    refused(&format!("{name} names a file, and callers name no files here: logs and traces go to the process's log"))
}

fn refused(text: &str) -> Failure {
    Failure::new(Code::ChangeRefused, text)
}

fn malformed(name: &str, expected: &str) -> Failure {
    Failure::new(Code::Malformed, format!("the setting {name:?} is {expected}"))
}

fn unknown(name: &str, of: &str) -> Failure {
    Failure::new(Code::Malformed, format!("{name:?} is no setting of the {of}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn what_is_shown_can_be_sent_back() {
        let log = LogSettings { has_info: true, has_warning: false, has_error: true, verbose_level: 1 };
        let change = log_change(log_values(&log)).unwrap();
        let expected =
            LogChange { has_info: Some(true), has_warning: Some(false), has_error: Some(true), verbose_level: Some(1) };
        assert_eq!(change, expected);
        for left in [None, Some(0), Some(7)] {
            let trace = TraceSettings { is_on: true, rate: 3, left };
            let change = trace_change(trace_values(&trace).map(|(name, value)| (name, vec![value]))).unwrap();
            let expected = TraceChange { is_on: Setting::Set(true), rate: Setting::Set(3), left: Setting::Set(left) };
            assert_eq!(change, expected);
        }
    }

    #[test]
    fn no_setting_names_a_file_and_nonsense_is_told() {
        let log = |name, value| log_change([(name, value)]).map_err(|failure| failure.code);
        let text = |text: &str| LogValue::Text(text.to_owned());
        assert_eq!(log("log_file", text("/x")), Err(Code::ChangeRefused));
        assert_eq!(log("log_format", text("default")), Err(Code::ChangeRefused));
        assert_eq!(log("log_info", LogValue::Number(1)), Err(Code::Malformed));
        assert_eq!(log("log_verbose_level", LogValue::Flag(true)), Err(Code::Malformed));
        assert_eq!(log("log_warnings", LogValue::Flag(true)), Err(Code::Malformed));
        let trace = |name, values: &[&str]| {
            trace_change([(name, values.iter().map(|v| (*v).to_owned()).collect())]).map_err(|failure| failure.code)
        };
        assert_eq!(trace("trace_file", &["/x"]), Err(Code::ChangeRefused));
        assert_eq!(trace("trace_level", &["TENSORS"]), Err(Code::ChangeRefused));
        assert_eq!(trace("trace_level", &["TIMESTAMPS", "TENSORS"]), Err(Code::ChangeRefused));
        assert_eq!(trace("trace_mode", &["opentelemetry"]), Err(Code::ChangeRefused));
        assert_eq!(trace("log_frequency", &["5"]), Err(Code::ChangeRefused));
        for rate in ["0", "-1", "x", "4294967296"] {
            assert_eq!(trace("trace_rate", &[rate]), Err(Code::Malformed), "{rate}");
        }
        assert_eq!(trace("trace_count", &["-2"]), Err(Code::Malformed));
        assert_eq!(trace("trace_odd", &["1"]), Err(Code::Malformed));
        let cleared = TraceChange { is_on: Setting::Clear, rate: Setting::Clear, left: Setting::Clear };
        assert_eq!(
            trace_change([("trace_level", vec![]), ("trace_rate", vec![]), ("trace_count", vec![])]),
            Ok(cleared)
        );
    }
}
