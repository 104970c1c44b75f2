//! The text form of Prometheus, read back.

use std::collections::BTreeMap;

/// One reading of `/metrics`.
#[derive(Debug, Clone)]
pub struct Metrics {
    series: Vec<Series>,
    families: Vec<String>,
}

#[derive(Debug, Clone)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the text.
    pub fn parse(text: &str) -> Self {
        let families =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned);
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self { families: families.collect(), series: lines.map(series).collect() }
    }

    /// The names of the families that are shown.
    pub fn families(&self) -> &[String] {
        &self.families
    }

    /// The sum of every series of this name that has these labels; `None` when there is none.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found: Vec<f64> = self.matching(name, labels).map(|series| series.value).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// [`Metrics::get`], 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.get(name, labels).unwrap_or(0.0)
    }

    /// How many series of any name have these labels.
    pub fn n_series(&self, labels: &[(&str, &str)]) -> usize {
        self.series.iter().filter(|series| series.has(labels)).count()
    }

    /// The values one label takes in the series of a name.
    pub fn label_values(&self, name: &str, label: &str) -> Vec<String> {
        let found = self.matching(name, &[]).filter_map(|series| series.labels.get(label).cloned());
        found.collect()
    }

    fn matching<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(move |series| series.name == name && series.has(labels))
    }
}

impl Series {
    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(*name).is_some_and(|found| found == value))
    }
}

fn series(line: &str) -> Series {
    let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
    let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no labels: {line:?}"));
    let pairs = labels.split("\",").filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("no label: {line:?}"));
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    });
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line:?}"));
    Series { name: name.to_owned(), labels: pairs.collect(), value }
}
