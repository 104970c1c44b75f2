//! The keys of gateway.toml, table by table.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::memory::memory;
use super::record::record;
use super::store::store;
use super::url::check_url;
use super::{
    BucketSettings, EdgeLimits, GatewayConfig, LogFormat, LogLevel, LogSettings, MetricsAlias, RepositorySettings,
    is_bucket, parse_address,
};
use crate::document::Report;
use crate::reader::{Section, put};
use crate::{Code, WatchOptions};

const DAY_MS: u64 = 86_400_000;
const THREADS_MAX: u64 = 1_024;
const BYTES_MAX: u64 = 1 << 40;
/// Most webhooks: each decision is posted to all of them.
const WEBHOOKS_MAX: usize = 8;

/// Reads the whole file.
pub(super) fn gateway(mut root: Section<'_>, folder: &Path, report: &mut Report<'_>) -> GatewayConfig {
    let mut config = GatewayConfig {
        model_repository: place(&mut root, "model_repository", folder, report),
        state_dir: path(&mut root, "state_dir", folder, report),
        routing: path(&mut root, "routing", folder, report),
        ..GatewayConfig::default()
    };
    put(&mut config.follow_latest, root.take("follow_latest").and_then(|item| item.flag(report)));
    put(&mut config.follow_share, root.take("follow_share").and_then(|item| item.number_in(0.001..=1.0, report)));
    put(&mut config.confirm_after, time(&mut root, "confirm_after_ms", 0..=7 * DAY_MS, report));
    put(&mut config.model_control, root.take("model_control").and_then(|item| item.flag(report)));
    put(&mut config.metrics_aliases, aliases(&mut root, report));
    if let Some(mut section) = root.take_section("http", report) {
        put(&mut config.http, address(&mut section, report));
        section.finish(report);
    }
    put(&mut config.grpc_on_http, root.take("grpc_on_http").and_then(|item| item.flag(report)));
    put(&mut config.feedback, root.take("feedback").and_then(|item| item.flag(report)));
    if let Some(mut section) = root.take_section("grpc", report) {
        put(&mut config.grpc, address(&mut section, report));
        section.finish(report);
    }
    if let Some(mut section) = root.take_section("metrics", report) {
        put(&mut config.metrics, address(&mut section, report));
        section.finish(report);
    }
    if let Some(mut section) = root.take_section("admin", report) {
        put(&mut config.admin.address, address(&mut section, report));
        config.admin.token_file = path(&mut section, "token_file", folder, report);
        section.finish(report);
    }
    if let Some(mut section) = root.take_section("runtime", report) {
        let runtime = &mut config.runtime;
        runtime.library = path(&mut section, "library", folder, report);
        put(&mut runtime.allow_old, section.take("allow_old").and_then(|item| item.flag(report)));
        put(&mut runtime.io_threads, count(&mut section, "io_threads", 0..=THREADS_MAX, report));
        put(&mut runtime.run_threads, count(&mut section, "run_threads", 0..=THREADS_MAX, report));
        let is_shared = section.take("shared_sessions").and_then(|item| item.flag(report));
        put(&mut runtime.has_sessions_apart, is_shared.map(|is_shared| !is_shared));
        section.finish(report);
    }
    if let Some(section) = root.take_section("limits", report) {
        limits(section, &mut config.limits, report);
    }
    if let Some(section) = root.take_section("repository", report) {
        repository(section, &mut config.repository, report);
    }
    if let Some(section) = root.take_section("bucket", report) {
        bucket(section, &mut config.bucket, report);
    }
    if let Some(section) = root.take_section("store", report) {
        store(section, folder, &mut config.store, report);
    }
    if let Some(section) = root.take_section("memory", report) {
        memory(section, &mut config.memory, report);
    }
    if let Some(section) = root.take_section("watch", report) {
        watch(section, &mut config.watch, report);
    }
    if let Some(section) = root.take_section("log", report) {
        log(section, &mut config.log, report);
    }
    if let Some(section) = root.take_section("record", report) {
        record(section, &mut config.record, report);
    }
    if let Some(mut section) = root.take_section("webhook", report) {
        put(&mut config.webhook.urls, urls(&mut section, report));
        put(&mut config.webhook.timeout, time(&mut section, "timeout_ms", 1..=60_000, report));
        section.finish(report);
    }
    root.finish(report);
    config
}

fn aliases(root: &mut Section<'_>, report: &mut Report<'_>) -> Option<Vec<MetricsAlias>> {
    let words = [("triton", MetricsAlias::Triton), ("openvino", MetricsAlias::OpenVino)];
    root.take("metrics_aliases")?.list(report)?.iter().map(|item| item.one_of(&words, report)).collect()
}

fn limits(mut section: Section<'_>, limits: &mut EdgeLimits, report: &mut Report<'_>) {
    put(&mut limits.body_bytes, number(&mut section, "body_bytes", 1..=BYTES_MAX, report));
    put(&mut limits.bodies_bytes, number(&mut section, "bodies_bytes", 1..=BYTES_MAX, report));
    put(&mut limits.header_bytes, count(&mut section, "header_bytes", 8_192..=1 << 20, report));
    put(&mut limits.connections, count(&mut section, "connections", 1..=1_000_000, report));
    put(&mut limits.header_timeout, time(&mut section, "header_timeout_ms", 1..=DAY_MS, report));
    put(&mut limits.body_timeout, time(&mut section, "body_timeout_ms", 1..=DAY_MS, report));
    put(&mut limits.answer_timeout, time(&mut section, "answer_timeout_ms", 1..=DAY_MS, report));
    put(&mut limits.idle_timeout, time(&mut section, "idle_timeout_ms", 1..=DAY_MS, report));
    put(&mut limits.drain, time(&mut section, "drain_ms", 0..=DAY_MS, report));
    section.finish(report);
}

fn repository(mut section: Section<'_>, settings: &mut RepositorySettings, report: &mut Report<'_>) {
    put(&mut settings.poll, time(&mut section, "poll_ms", 50..=DAY_MS, report));
    put(&mut settings.settle, time(&mut section, "settle_ms", 0..=DAY_MS, report));
    put(&mut settings.models, count(&mut section, "models", 1..=100_000, report));
    put(&mut settings.versions_per_model, count(&mut section, "versions_per_model", 1..=10_000, report));
    put(&mut settings.model_file_bytes, number(&mut section, "model_file_bytes", 1..=BYTES_MAX, report));
    put(&mut settings.version_bytes, number(&mut section, "version_bytes", 1..=BYTES_MAX, report));
    section.finish(report);
}

fn bucket(mut section: Section<'_>, settings: &mut BucketSettings, report: &mut Report<'_>) {
    put(&mut settings.poll, time(&mut section, "poll_ms", 50..=DAY_MS, report));
    put(&mut settings.objects, count(&mut section, "objects", 1..=10_000_000, report));
    put(&mut settings.cache_bytes, number(&mut section, "cache_bytes", 1..=BYTES_MAX, report));
    section.finish(report);
}

fn watch(mut section: Section<'_>, options: &mut WatchOptions, report: &mut Report<'_>) {
    put(&mut options.poll, time(&mut section, "poll_ms", 50..=DAY_MS, report));
    put(&mut options.quiet, time(&mut section, "quiet_ms", 1..=10_000, report));
    put(&mut options.uses_events, section.take("events").and_then(|item| item.flag(report)));
    section.finish(report);
}

fn log(mut section: Section<'_>, settings: &mut LogSettings, report: &mut Report<'_>) {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    put(&mut settings.format, section.take("format").and_then(|item| item.one_of(&formats, report)));
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let levels = levels.map(|level| (level.as_str(), level));
    put(&mut settings.level, section.take("level").and_then(|item| item.one_of(&levels, report)));
    put(&mut settings.access, section.take("access").and_then(|item| item.flag(report)));
    section.finish(report);
}

/// A folder or the address of a bucket, which starts nowhere but at itself.
pub(super) fn place(
    section: &mut Section<'_>,
    key: &'static str,
    folder: &Path,
    report: &mut Report<'_>,
) -> Option<PathBuf> {
    let text = path_text(section, key, report)?;
    Some(if is_bucket(Path::new(text)) { PathBuf::from(text) } else { folder.join(text) })
}

fn path(section: &mut Section<'_>, key: &'static str, folder: &Path, report: &mut Report<'_>) -> Option<PathBuf> {
    // Joining an absolute path gives that path.
    path_text(section, key, report).map(|text| folder.join(text))
}

fn path_text<'a>(section: &mut Section<'a>, key: &'static str, report: &mut Report<'_>) -> Option<&'a str> {
    let item = section.take(key)?;
    let text = item.text(report)?;
    if text.is_empty() || text.contains('\0') {
        item.flaw(Code::BadName, format!("{} is no path: {text:?}", item.path), None, report);
        return None;
    }
    Some(text)
}

fn address(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<SocketAddr> {
    let item = section.take("address")?;
    let text = item.text(report)?;
    let address = parse_address(text);
    if let Err(error) = &address {
        let hint = "\"127.0.0.1:8000\" listens on this machine only, \"0.0.0.0:8000\" on every address".to_owned();
        item.flaw(Code::BadAddress, format!("{}: {error}", item.path), hint, report);
    }
    address.ok()
}

fn urls(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let item = section.take("url")?;
    let items = item.one_or_many();
    if items.len() > WEBHOOKS_MAX {
        let message = format!("{} URLs, at most {WEBHOOKS_MAX} are allowed", items.len());
        item.flaw(Code::TooMany, message, None, report);
        return None;
    }
    let mut urls = Vec::new();
    for item in &items {
        let text = item.text(report)?;
        if let Err(error) = check_url(text) {
            item.flaw(Code::BadUrl, format!("{}: {error}", item.path), None, report);
        }
        urls.push(text.to_owned());
    }
    Some(urls)
}

pub(super) fn time(
    section: &mut Section<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
    report: &mut Report<'_>,
) -> Option<Duration> {
    number(section, key, range, report).map(Duration::from_millis)
}

pub(super) fn count(
    section: &mut Section<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
    report: &mut Report<'_>,
) -> Option<usize> {
    number(section, key, range, report).map(|n| n as usize)
}

fn number(
    section: &mut Section<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
    report: &mut Report<'_>,
) -> Option<u64> {
    section.take(key)?.count(range, report)
}
