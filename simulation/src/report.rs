//! What a simulation found: tables, curves and claims, as they are stored and shown.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::runs::{FEW_RUNS, Mean, Rate};

/// All of it; written as JSON, and all that page and plots are made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Where chance began.
    pub seed: u64,
    /// Whether it was the short form.
    pub is_quick: bool,
    /// The commit it was made at, with a mark when files had been changed since.
    pub commit: String,
    /// The tables.
    pub tables: Vec<Table>,
    /// The promises, with what was found.
    pub claims: Vec<Claim>,
    /// The plots.
    pub plots: Vec<Plot>,
}

/// A table of the page, in the section of its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The section.
    pub name: String,
    /// The titles of the columns; the first one is that of the labels.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is about.
    pub label: String,
    /// One for each further column.
    pub cells: Vec<Cell>,
}

/// What stands in a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    /// How often something happened, as a percentage.
    Rate(Rate),
    /// A mean.
    Mean(Mean),
    /// A mean with the 95th percentile in brackets.
    Spread(Mean),
    /// A time in seconds.
    Seconds(Mean),
    /// How many runs ended so, when, and how many requests failed.
    Found {
        /// How many.
        rate: Rate,
        /// After so many seconds, of those that did.
        seconds: Option<Mean>,
        /// Failed requests, of all runs.
        faults: Option<Mean>,
    },
    /// Words.
    Text(String),
}

/// A promise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Which.
    pub what: String,
    /// What was found.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
    /// The most it may be.
    pub allowed: f64,
}

/// A plot of curves over logarithmic axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// Name of the file, without its ending.
    pub name: String,
    /// Above the plot.
    pub title: String,
    /// Under the horizontal axis.
    pub x_title: String,
    /// Beside the vertical axis.
    pub y_title: String,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// A curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// In the legend.
    pub name: String,
    /// Its points, left to right.
    pub points: Vec<(f64, f64)>,
}

impl Results {
    /// With the parts of other results in the place of its own; what is new comes last. It is of the other's commit.
    pub fn with(mut self, other: Self) -> Self {
        replace(&mut self.tables, other.tables, |one, other| one.name == other.name);
        replace(&mut self.claims, other.claims, |one, other| one.what == other.what);
        replace(&mut self.plots, other.plots, |one, other| one.name == other.name);
        Self { commit: other.commit, ..self }
    }
}

fn replace<T>(stored: &mut Vec<T>, found: Vec<T>, is_same: impl Fn(&T, &T) -> bool) {
    for new in found {
        match stored.iter_mut().find(|old| is_same(old, &new)) {
            Some(old) => *old = new,
            None => stored.push(new),
        }
    }
}

impl Claim {
    /// Of a rate that must stay within `alpha` and three standard errors.
    pub fn of_rate(what: impl Into<String>, rate: Rate, alpha: f64) -> Self {
        // A hit and a miss more, so that a rate of 0 is not taken for certain.
        let likely = (rate.hits + 1) as f64 / (rate.runs + 2) as f64;
        let error = (likely * (1.0 - likely) / rate.runs.max(1) as f64).sqrt();
        Self { what: what.into(), value: rate.value(), error, allowed: rate.allowed(alpha) }
    }

    /// Of a mean that must stay within a bound; of few runs, within three standard errors more.
    pub fn of_mean(what: impl Into<String>, mean: &Mean, bound: f64) -> Self {
        let allowed = if mean.runs < FEW_RUNS { bound + 3.0 * mean.error } else { bound };
        Self { what: what.into(), value: mean.mean, error: mean.error, allowed }
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.value <= self.allowed
    }
}

impl Table {
    /// Without rows.
    pub fn new(name: &str, head: &[&str]) -> Self {
        Self { name: name.to_owned(), head: head.iter().map(|&title| title.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, label: impl Into<String>, cells: Vec<Cell>) {
        self.rows.push(Row { label: label.into(), cells });
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        writeln!(text, "| {} |", self.head.join(" | ")).ok();
        writeln!(text, "|{}", "---|".repeat(self.head.len())).ok();
        for row in &self.rows {
            let cells: Vec<String> = row.cells.iter().map(Cell::text).collect();
            writeln!(text, "| {} | {} |", row.label, cells.join(" | ")).ok();
        }
        text
    }
}

impl Cell {
    /// Words.
    pub fn text_of(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The cell of a mean that may be missing.
    pub fn maybe(mean: Option<Mean>, cell: impl Fn(Mean) -> Self) -> Self {
        mean.map_or_else(|| Self::text_of("–"), cell)
    }

    fn text(&self) -> String {
        match self {
            Self::Rate(rate) => percent(*rate),
            Self::Mean(mean) => number(mean.mean),
            Self::Spread(mean) => format!("{} ({})", number(mean.mean), number(mean.p95)),
            Self::Seconds(mean) => seconds(mean.mean),
            Self::Found { rate, seconds: time, faults } => {
                let time = time.map_or_else(|| "–".to_owned(), |mean| seconds(mean.mean));
                let faults = faults.map_or_else(|| "–".to_owned(), |mean| number(mean.mean));
                format!("{}, {time}, {faults}", percent(*rate))
            }
            Self::Text(text) => text.clone(),
        }
    }
}

/// A rate in per cent, with as many digits as it has.
pub fn percent(rate: Rate) -> String {
    let value = 100.0 * rate.value();
    match value {
        _ if rate.hits == 0 => "0".to_owned(),
        _ if rate.hits == rate.runs => "100 %".to_owned(),
        v if v < 0.0995 => format!("{v:.3} %"),
        v if v < 0.995 => format!("{v:.2} %"),
        v if v < 9.95 => format!("{v:.1} %"),
        // What is not all of them must not be rounded to it.
        v if v > 99.5 => format!("{:.2} %", v.min(99.99)),
        v => format!("{v:.0} %"),
    }
}

/// A number of requests with three digits or so, thousands set apart.
pub fn number(value: f64) -> String {
    match value {
        v if v < 99.95 => format!("{v:.1}"),
        v => {
            let digits = format!("{v:.0}");
            let groups: Vec<&str> =
                digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
            groups.join(",")
        }
    }
}

/// A time for people.
pub fn seconds(value: f64) -> String {
    match value {
        v if v < 0.0995 => format!("{:.0} ms", v * 1000.0),
        v if v < 0.995 => format!("{v:.2} s"),
        v if v < 9.95 => format!("{v:.1} s"),
        v if v < 600.0 => format!("{v:.0} s"),
        v if v < 7200.0 => format!("{:.0} min", v / 60.0),
        v => format!("{:.1} h", v / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Claim, Table, number, percent, seconds};
    use crate::runs::{Mean, Rate};

    #[test]
    fn numbers_are_shown_as_people_read_them() {
        let rate = |hits| percent(Rate { hits, runs: 20_000 });
        assert_eq!([rate(0), rate(11), rate(500), rate(8_000)], ["0", "0.055 %", "2.5 %", "40 %"]);
        assert_eq!([rate(20_000), rate(19_999), rate(120)], ["100 %", "99.99 %", "0.60 %"]);
        assert_eq!(
            [number(3.24), number(491.3), number(1_571.4), number(1_234_567.0)],
            ["3.2", "491", "1,571", "1,234,567"]
        );
        assert_eq!([seconds(0.032), seconds(0.65), seconds(1.44), seconds(49.1)], ["32 ms", "0.65 s", "1.4 s", "49 s"]);
        assert_eq!([seconds(1_572.0), seconds(9_000.0)], ["26 min", "2.5 h"]);
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new("t", &["rule", "10 rps"]);
        let mean = Mean { mean: 3.2, error: 0.1, p95: 4.0, runs: 100 };
        table.row("ours", vec![Cell::Spread(mean)]);
        assert_eq!(table.markdown(), "| rule | 10 rps |\n|---|---|\n| ours | 3.2 (4.0) |\n");
    }

    #[test]
    fn a_claim_of_a_rate_allows_three_standard_errors() {
        let claim = |hits| Claim::of_rate("level", Rate { hits, runs: 20_000 }, 0.001);
        assert!(claim(33).holds());
        assert!(!claim(34).holds());
    }
}
