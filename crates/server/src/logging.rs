//! Sets up the log on standard error.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;

use crate::options::{LogFormat, LogLevel};

/// Starts logging. Log lines contain ids, never a token.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_max_level(level)
        // By default, a failed write to the log panics. It must not take the API down.
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
