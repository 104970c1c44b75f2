//! The keys of a model's batching.

use std::time::Duration;

use base_serving::batching::{Batching, BatchingRule};

use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section, put};

const ROWS_MAX: u64 = 65_536;
const DELAY_US_MAX: u64 = 10_000_000;
const SIZES_MAX: usize = 256;

/// Reads the `batching` table of a section over what holds already; `false` takes it away, also where config.pbtxt asks
/// for it.
pub(super) fn read(parent: &mut Section<'_>, rule: &mut BatchingRule, report: &mut Report<'_>) {
    let Some(item) = parent.take("batching") else { return };
    if item.is_false() {
        *rule = BatchingRule::Off;
        return;
    }
    let Some(mut section) = item.section(report) else { return };
    let mut batching = rule.on().cloned().unwrap_or_default();
    let rows = section.take("max_size").and_then(|item| item.count(2..=ROWS_MAX, report));
    put(&mut batching.max_rows, rows.map(|rows| rows as usize));
    let delay = section.take("max_delay_us").and_then(|item| item.count(0..=DELAY_US_MAX, report));
    put(&mut batching.delay_max, delay.map(Duration::from_micros));
    let tolerance = section.take("tolerance").and_then(|item| item.number_in(0.0..=1.0, report));
    put(&mut batching.tolerance, tolerance);
    let max_rows = batching.max_rows;
    let sizes = section.take("preferred_sizes").and_then(|item| sizes(&item, max_rows, report));
    put(&mut batching.preferred_rows, sizes);
    section.finish(report);
    *rule = BatchingRule::On(batching);
}

fn sizes(item: &Item<'_>, max_rows: usize, report: &mut Report<'_>) -> Option<Vec<usize>> {
    let items = item.list(report)?;
    if items.len() > SIZES_MAX {
        let message = format!("{} has {} sizes, at most {SIZES_MAX} are allowed", item.path, items.len());
        item.flaw(Code::TooMany, message, None, report);
        return None;
    }
    let size = |item: &Item<'_>| item.count(1..=max_rows as u64, report).map(|size| size as usize);
    let mut sizes = items.iter().map(size).collect::<Option<Vec<usize>>>()?;
    sizes.sort_unstable();
    sizes.dedup();
    Some(sizes)
}

/// The rule in words, for comparisons.
pub(super) fn text(rule: &BatchingRule) -> String {
    match rule {
        BatchingRule::AsDeclared => "as config.pbtxt declares".to_owned(),
        BatchingRule::Off => "false".to_owned(),
        BatchingRule::On(Batching { max_rows, delay_max, preferred_rows, tolerance }) => format!(
            "max_size {max_rows}, max_delay_us {}, preferred_sizes {preferred_rows:?}, tolerance {tolerance}",
            delay_max.as_micros()
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;
    use crate::samples::{block, parse};

    #[test]
    fn a_table_puts_requests_together_and_false_keeps_them_apart() {
        assert_eq!(block("[models.m]\nstable = 1\n").limits.batching, BatchingRule::AsDeclared);
        assert_eq!(block("[models.m]\nbatching = false\n").limits.batching, BatchingRule::Off);
        let text = "[models.m]\nbatching = { max_size = 8, max_delay_us = 500, preferred_sizes = [8, 4, 4] }\n";
        let read = block(text).limits.batching;
        let wanted = Batching {
            max_rows: 8,
            delay_max: Duration::from_micros(500),
            preferred_rows: vec![4, 8],
            ..Batching::default()
        };
        assert_eq!(read, BatchingRule::On(wanted));
        assert_eq!(block("[models.m.batching]\n").limits.batching, BatchingRule::On(Batching::default()));
        // What holds for all is the ground for what a model says.
        let inherited = block("[defaults.batching]\nmax_size = 4\n[models.m.batching]\nmax_delay_us = 7\n");
        let inherited = inherited.limits.batching.on().cloned().unwrap();
        assert_eq!((inherited.max_rows, inherited.delay_max), (4, Duration::from_micros(7)));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        for lines in
            ["max_size = 1", "max_size = 4\npreferred_sizes = [5]", "preferred_sizes = [0]", "max_delay_us = -1"]
        {
            assert!(parse(&format!("[models.m.batching]\n{lines}\n")).is_err(), "{lines}");
        }
        assert!(parse("[models.m]\nbatching = true\n").is_err());
    }
}
