//! What is served of a model, as its journal rows hold it: enough to say later exactly what served then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entry::{Action, Row};

/// The table in force of one model. Stored, so fields are only ever added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The version that answers when nothing else may; `None` while nothing takes unpinned traffic.
    pub stable: Option<u64>,
    /// How unpinned traffic that no rule claims is divided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<ArmTable>,
    /// Rules, the first that matches wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleTable>,
    /// Experiments under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<ExperimentTable>,
    /// Names callers may use for versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, u64>,
    /// Where the sticky key is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sticky: Vec<String>,
    /// Every version that could be asked for, with its content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<u64, String>,
}

/// One part of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmTable {
    /// Its name.
    pub name: String,
    /// The version behind it.
    pub version: u64,
    /// Its share, 0 to 1.
    pub share: f64,
    /// Whether stable answers for it, because the version may not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_redirected: bool,
}

/// One rule, in the words of routing.toml.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleTable {
    /// Its name.
    pub name: String,
    /// Its conditions.
    pub when: Vec<String>,
    /// What it does.
    pub then: String,
}

/// One experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentTable {
    /// Its name.
    pub name: String,
    /// How those in it are divided.
    pub arms: Vec<ArmTable>,
}

/// What the evidence of a row with a table looks like.
#[derive(Serialize, Deserialize)]
struct Evidence {
    table: Option<Table>,
}

impl Table {
    /// The share of the unpinned traffic that each version answers, redirected arms counted as stable's; none is zero.
    pub fn shares(&self) -> BTreeMap<u64, f64> {
        let mut shares = BTreeMap::new();
        for arm in self.arms.iter().filter(|arm| arm.share > 0.0) {
            let version = if arm.is_redirected { self.stable.unwrap_or(arm.version) } else { arm.version };
            *shares.entry(version).or_insert(0.0) += arm.share;
        }
        shares
    }

    /// The evidence of a row that says what came into force; `None` when the model is gone.
    pub fn evidence(table: Option<Self>) -> String {
        let json = serde_json::to_string(&Evidence { table });
        // Texts and finite numbers: there is nothing that JSON could not hold.
        json.unwrap_or_else(|_| "{\"table\":null}".to_owned())
    }

    /// The table a row brought into force. The outer `None`: the row is no such row; the inner one: the model was gone.
    #[allow(clippy::option_option, reason = "that a model is gone is told apart from a row that says nothing of it")]
    pub fn of_row(row: &Row) -> Option<Option<Self>> {
        let json = row.entry.evidence_json.as_deref().filter(|_| row.entry.action == Action::Published)?;
        serde_json::from_str::<Evidence>(json).ok().map(|evidence| evidence.table)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;
    use crate::journal::Entry;

    fn arm(version: u64, share: f64, is_redirected: bool) -> ArmTable {
        ArmTable { name: version.to_string(), version, share, is_redirected }
    }

    #[test]
    fn a_redirected_arm_is_answered_by_stable() {
        let arms = vec![arm(1, 0.5, false), arm(2, 0.25, true), arm(3, 0.25, false), arm(4, 0.0, false)];
        let table = Table { stable: Some(1), arms, ..Table::default() };
        assert_eq!(table.shares(), BTreeMap::from([(1, 0.75), (3, 0.25)]));
    }

    #[test]
    fn a_table_comes_back_from_its_row() {
        let table = Table { stable: Some(3), arms: vec![arm(3, 1.0, false)], ..Table::default() };
        for table in [Some(table), None] {
            let evidence_json = Some(Table::evidence(table.clone()));
            let entry = Entry { evidence_json, ..Entry::new(1, "gateway", Action::Published) };
            assert_eq!(Table::of_row(&Row { seq: 1, entry }).unwrap(), table);
        }
    }
}
