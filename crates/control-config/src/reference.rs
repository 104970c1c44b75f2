//! Every key of both files with what it takes, its default and what it does: the source of docs/config.md.

use std::fmt::Write;

mod gate_rows;
mod gateway_rows;
mod rollout_rows;
mod routing_rows;

const N_GATED: usize = routing_rows::ROWS.len() + gate_rows::ROWS.len();
const GATED: [Row; N_GATED] = joined(routing_rows::ROWS, gate_rows::ROWS);
const N_ROUTING: usize = N_GATED + rollout_rows::ROWS.len();
static ROUTING: [Row; N_ROUTING] = joined(&GATED, rollout_rows::ROWS);

/// Which file a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// gateway.toml, read once at start.
    Gateway,
    /// routing.toml, live.
    Routing,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The table it stands in, `""` for the top of the file.
    pub table: &'static str,
    /// The key.
    pub key: &'static str,
    /// What it takes. A range of numbers reads `1 to 10`.
    pub takes: &'static str,
    /// Its default as it would be written; empty when there is none.
    pub default: &'static str,
    /// What it does.
    pub says: &'static str,
}

/// The keys of a file, table by table.
pub fn reference(file: File) -> &'static [Row] {
    match file {
        File::Gateway => gateway_rows::ROWS,
        File::Routing => &ROUTING,
    }
}

/// The keys of a file as Markdown: a heading and a table for each table of the file.
pub fn markdown(file: File) -> String {
    let mut text = String::new();
    let mut table = None;
    for row in reference(file) {
        if table != Some(row.table) {
            table = Some(row.table);
            text.push_str(&heading(row.table));
        }
        let default = if row.default.is_empty() { "–".to_owned() } else { format!("`{}`", row.default) };
        // Writing to a String cannot fail.
        writeln!(text, "| `{}` | {} | {default} | {} |", row.key, row.takes, row.says).ok();
    }
    text
}

fn heading(table: &str) -> String {
    let title = match table {
        "" => "Top of the file".to_owned(),
        table if ["rules", "arms", "steps"].iter().any(|list| table.ends_with(list)) => format!("`[[{table}]]`"),
        table => format!("`[{table}]`"),
    };
    format!("\n### {title}\n\n| key | takes | default | |\n|---|---|---|---|\n")
}

const fn row(
    table: &'static str,
    key: &'static str,
    takes: &'static str,
    default: &'static str,
    says: &'static str,
) -> Row {
    Row { table, key, takes, default, says }
}

/// Both lists, one behind the other.
const fn joined<const N: usize>(first: &[Row], second: &[Row]) -> [Row; N] {
    let mut rows = [first[0]; N];
    let mut index = 0;
    while index < N {
        rows[index] = if index < first.len() { first[index] } else { second[index - first.len()] };
        index += 1;
    }
    rows
}

#[cfg(test)]
mod tests;
