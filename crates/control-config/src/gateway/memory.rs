//! `[memory]`: what loaded versions may take, and what goes when it is short.

use super::settings::count;
use crate::document::Report;
use crate::reader::{Section, put};

/// How versions share memory, and how much of it there is for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemorySettings {
    /// `share_weights`: versions with equal weights hold them once.
    pub share_weights: bool,
    /// `budget_mib`: for all loaded versions together; 0 sets no bound.
    pub budget_mib: u64,
    /// `keep_warm`: of each model, so many versions that nothing needs stay in memory when it is short.
    pub keep_warm: usize,
    /// `on_demand`: versions that nothing needs are loaded when they are asked for, and not before.
    pub on_demand: bool,
}

/// Reads the table.
pub(super) fn memory(mut section: Section<'_>, settings: &mut MemorySettings, report: &mut Report<'_>) {
    put(&mut settings.share_weights, section.take("share_weights").and_then(|item| item.flag(report)));
    put(&mut settings.budget_mib, section.take("budget_mib").and_then(|item| item.count(0..=1 << 30, report)));
    put(&mut settings.keep_warm, count(&mut section, "keep_warm", 0..=256, report));
    put(&mut settings.on_demand, section.take("on_demand").and_then(|item| item.flag(report)));
    section.finish(report);
}
