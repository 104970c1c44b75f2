//! Who takes which share of a model's unpinned traffic: noted under the lock, put into words after it.

use std::fmt;

use base_types::{ModelName, Version};

use crate::state::State;

/// The shares of a model at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic(Option<Vec<(Version, f64)>>);

impl Traffic {
    /// As the state has it now.
    pub(crate) fn of(state: &State, name: &ModelName) -> Self {
        let route = state.models.get(name).and_then(|m| m.route.as_ref());
        Self(route.map(|route| {
            let versions = route.routed_versions().into_iter();
            versions.map(|v| (v, route.split.share(v, route.stable))).filter(|(_, share)| *share > 0.0).collect()
        }))
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(shares) = &self.0 else { return f.write_str("no route") };
        for (i, (version, share)) in shares.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{version}: {}", percent(*share))?;
        }
        Ok(())
    }
}

/// A share for people: at most four decimals, and none that say nothing.
pub(crate) fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}
