//! What a measurement found: a table for people, JSON lines for programs.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::error::io_at;
use crate::stats::Median;
use crate::{BenchError, Settings};

/// Where results go, below the checkout.
const FOLDER: &str = ".switchrail/bench";

/// The results of one measurement.
#[derive(Debug)]
pub struct Report {
    bench: &'static str,
    path: PathBuf,
    file: File,
    /// Goes into every line.
    context: Value,
}

impl Report {
    /// Opens the measurement's file, whose earlier lines stay, and prints where and what is measured.
    pub fn new(settings: &Settings, bench: &'static str, about: &str) -> Result<Self, BenchError> {
        let folder = settings.root.join(FOLDER);
        let path = folder.join(format!("{bench}.json"));
        let file = fs::create_dir_all(&folder)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
            .map_err(io_at(format!("open {}", path.display())))?;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let context = json!({ "bench": bench, "quick": settings.is_quick, "at_unix": at,
            "commit": commit(settings), "machine": machine(), "load_average": load_average() });
        println!("\n{bench}: {about}");
        println!("  {}, commit {}, load average before {:.1}", machine(), commit(settings), load_average());
        Ok(Self { bench, path, file, context })
    }

    /// Writes one line for programs.
    pub fn line(&mut self, kind: &str, content: Value) -> Result<(), BenchError> {
        let mut line = self.context.clone();
        line["kind"] = kind.into();
        line["found"] = content;
        writeln!(self.file, "{line}").map_err(io_at(format!("write {}", self.path.display())))
    }

    /// Prints a table.
    pub fn table(&self, columns: &[&str], rows: &[Vec<String>]) {
        print!("\n{}", table(columns, rows));
    }

    /// Prints a sentence.
    pub fn say(&self, text: &str) {
        println!("  {text}");
    }

    /// Says on stderr how far it has come.
    pub fn progress(&self, text: &str) {
        eprintln!("{}: {text}", self.bench);
    }
}

/// Nanoseconds as microseconds.
pub fn us(ns: u64) -> String {
    format!("{:.0}", ns as f64 / 1e3)
}

/// A median with its interval.
pub fn with_interval(median: Median, n_decimals: usize) -> String {
    let Median { value, low, high } = median;
    format!("{value:.n_decimals$} ({low:.n_decimals$} to {high:.n_decimals$})")
}

/// A median for programs.
pub fn median_json(median: Median) -> Value {
    json!({ "median": median.value, "low": median.low, "high": median.high })
}

/// Columns as wide as their widest cell: the first to the left, numbers to the right.
fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain([columns[index].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(index, (cell, width))| match index {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let head: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    std::iter::once(&head).chain(rows).map(|row| line(row)).collect()
}

fn commit(settings: &Settings) -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(&settings.root).output();
    let text = output.ok().filter(|o| o.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let n_cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} cores of {}", n_cores, model.unwrap_or("an unknown processor"))
}

/// How many threads wanted to run over the last minute: what is measured on a busy machine is worth little.
fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests;
