//! The keys of a model's bounds.

use std::collections::BTreeSet;
use std::time::Duration;

use base_serving::{ModelLimits, Provider};

use super::{batching, capture};
use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section, put};

const TIME_MS_MAX: u64 = 3_600_000;
const QUEUE_REQUESTS_MAX: u64 = 1_000_000;
const BATCH_ROWS_MAX: u64 = 1_000_000;
const RETRY_RESERVE_MAX: u64 = 1_000_000;
/// Most outputs that may be exempt from the check for NaN and infinities.
const OUTPUTS_MAX: usize = 256;

/// Reads the bounds in a table over those that hold already.
pub(super) fn read(section: &mut Section<'_>, limits: &mut ModelLimits, report: &mut Report<'_>) {
    let run_timeout = section.take("run_timeout_ms");
    put(&mut limits.deadline, time(section.take("deadline_ms"), report));
    let is_given = run_timeout.is_some();
    put(&mut limits.run_timeout, time(run_timeout, report));
    if !is_given {
        // A run that hangs must be found out while there is time for stable to answer instead.
        let half = (limits.deadline / 2).max(Duration::from_millis(1));
        limits.run_timeout = limits.run_timeout.min(half);
    }
    put(&mut limits.queue_requests, count(section.take("queue_requests"), QUEUE_REQUESTS_MAX, report));
    put(&mut limits.batch_rows, count(section.take("batch_rows"), BATCH_ROWS_MAX, report));
    put(&mut limits.allow_non_finite, section.take("allow_non_finite").and_then(|item| outputs(&item, report)));
    batching::read(section, &mut limits.batching, report);
    let providers = Provider::ALL.map(|provider| (provider.as_str(), provider));
    put(&mut limits.provider, section.take("provider").and_then(|item| item.one_of(&providers, report)));
    capture::read(section, &mut limits.capture, report);
    put(&mut limits.has_fallback, section.take("fallback").and_then(|item| item.flag(report)));
    put(&mut limits.retry_ratio, section.take("retry_ratio").and_then(|item| item.number_in(0.0..=1.0, report)));
    let reserve = section.take("retry_reserve").and_then(|item| item.count(0..=RETRY_RESERVE_MAX, report));
    put(&mut limits.retry_reserve, reserve.map(|n| n as u32));
}

/// The bounds as keys and values, for comparisons and the reference.
pub(crate) fn limit_rows(limits: &ModelLimits) -> Vec<(&'static str, String)> {
    let outputs: Vec<String> = limits.allow_non_finite.iter().map(|name| format!("{name:?}")).collect();
    [
        ("deadline_ms", limits.deadline.as_millis().to_string()),
        ("run_timeout_ms", limits.run_timeout.as_millis().to_string()),
        ("queue_requests", limits.queue_requests.to_string()),
        ("batch_rows", limits.batch_rows.to_string()),
        ("allow_non_finite", format!("[{}]", outputs.join(", "))),
        ("fallback", limits.has_fallback.to_string()),
        ("retry_ratio", limits.retry_ratio.to_string()),
        ("retry_reserve", limits.retry_reserve.to_string()),
        ("batching", batching::text(&limits.batching)),
        ("provider", limits.provider.to_string()),
    ]
    .into_iter()
    .chain(capture::rows(limits.capture.as_deref()))
    .collect()
}

fn time(item: Option<Item<'_>>, report: &mut Report<'_>) -> Option<Duration> {
    item?.count(1..=TIME_MS_MAX, report).map(Duration::from_millis)
}

fn count(item: Option<Item<'_>>, max: u64, report: &mut Report<'_>) -> Option<usize> {
    item?.count(1..=max, report).map(|n| n as usize)
}

fn outputs(item: &Item<'_>, report: &mut Report<'_>) -> Option<BTreeSet<Box<str>>> {
    let items = item.list(report)?;
    if items.len() > OUTPUTS_MAX {
        let message = format!("{} names {} outputs, at most {OUTPUTS_MAX} are allowed", item.path, items.len());
        item.flaw(Code::TooMany, message, None, report);
        return None;
    }
    items.iter().map(|item| item.text(report).map(Into::into)).collect()
}
