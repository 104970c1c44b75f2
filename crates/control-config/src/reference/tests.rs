#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::{Code, GatewayConfig, Invalid, RoutingConfig, parse_gateway, parse_routing};

/// A routing.toml with one line about a key in a table of the reference, valid but for that line.
fn routing_with(table: &str, key: &str, line: &str) -> String {
    // What a table needs besides, unless it is the key itself.
    let needed = |lines: &[&str]| -> String {
        let others = lines.iter().filter(|needed| !needed.starts_with(&format!("{key} ")));
        others.map(|needed| format!("{needed}\n")).collect()
    };
    let model = "[models.fraud]\n";
    let experiment = || {
        let size = if key == "units" { "" } else { "share = 0.1" };
        let needed = needed(&["model = \"fraud\"", "arms = { 7 = 1, 8 = 1 }", size]);
        format!("{model}stable = 7\nsticky = {{ header = \"k\" }}\n[experiments.e]\n{needed}")
    };
    match table {
        "models.<name>" => format!("{model}{line}\n"),
        "models.<name>.arms" => format!("{model}stable = 1\narms = [{{ version = 1, weight = 1, {line} }}]\n"),
        "models.<name>.rules" => {
            format!("{model}stable = 1\n[[models.fraud.rules]]\nwhen = {{ header = \"a\", present = true }}\n{line}\n")
        }
        "models.<name>.rules.when" => format!("{model}stable = 1\nrules = [{{ use = 1, when = {{ {line} }} }}]\n"),
        "models.<name>.versions.<version>" => format!("{model}[models.fraud.versions.4]\n{line}\n"),
        "models.<name>.guardrail.latency" => {
            format!("[models.fraud.guardrail.latency]\n{}{line}\n", needed(&["slower_than_ms = 80"]))
        }
        "models.<name>.guardrail.disagreement.compare" if key == "k" => {
            format!("[models.fraud.guardrail.disagreement.compare]\nmatch = \"top_k\"\n{line}\n")
        }
        "models.<name>.guardrail.window" => {
            let bounds = needed(&["max_error_rate = 0.1", "max_latency_ms = 5"]);
            format!("[models.fraud.guardrail.window]\n{bounds}{line}\n")
        }
        "policies.<name>.steps" => {
            let does = match key {
                "gate" | "warm_up" | "shadow" | "weight" | "pause" | "promote" => String::new(),
                "bake" => "promote = true, ".to_owned(),
                _ => "weight = 0.1, ".to_owned(),
            };
            format!("[policies.p]\nsteps = [{{ {does}{line} }}]\n")
        }
        "experiments.<name>" => format!("{}{line}\n", experiment()),
        "experiments.<name>.allocation" => format!("{}[experiments.e.allocation]\n{line}\n", experiment()),
        "experiments.<name>.allocation.thompson" => {
            format!("{}[experiments.e.allocation.thompson]\n{line}\n", experiment())
        }
        table => {
            let table = table.replacen("models.<name>", "models.fraud", 1).replacen("policies.<name>", "policies.p", 1);
            assert!(!table.contains('<'), "no sample for {table}");
            format!("[{table}]\n{line}\n")
        }
    }
}

fn gateway_with(table: &str, line: &str) -> String {
    if table.is_empty() { format!("{line}\n") } else { format!("[{table}]\n{line}\n") }
}

#[derive(Debug, PartialEq)]
enum Read {
    Gateway(Box<GatewayConfig>),
    Routing(Box<RoutingConfig>),
}

fn parse(file: File, table: &str, (key, line): (&str, &str)) -> Result<Read, Invalid> {
    let path = Path::new("file.toml");
    match file {
        File::Gateway => {
            parse_gateway(path, gateway_with(table, line).as_bytes()).map(|p| Read::Gateway(p.value.into()))
        }
        File::Routing => {
            parse_routing(path, routing_with(table, key, line).as_bytes()).map(|p| Read::Routing(p.value.into()))
        }
    }
}

fn each_row(mut check: impl FnMut(File, &Row)) {
    for file in [File::Gateway, File::Routing] {
        reference(file).iter().for_each(|row| check(file, row));
    }
}

#[test]
fn the_reference_holds_the_keys_that_are_read_and_no_others() {
    let mut tables: BTreeMap<(u8, &str), (File, BTreeSet<&str>)> = BTreeMap::new();
    each_row(|file, row| {
        tables.entry((file as u8, row.table)).or_insert((file, BTreeSet::new())).1.insert(row.key);
    });
    for ((_, table), (file, keys)) in tables {
        let invalid = parse(file, table, ("zzzzzzzzzzzz", "zzzzzzzzzzzz = 1")).unwrap_err();
        let unknown = invalid.diagnostics.iter().find(|d| d.code == Code::UnknownKey).unwrap();
        let hint = unknown.hint.as_ref().unwrap().strip_prefix("known here: ").unwrap();
        let mut known: BTreeSet<&str> = hint.split(", ").collect();
        if (file, table) == (File::Gateway, "") {
            let sections = [
                "http",
                "grpc",
                "metrics",
                "admin",
                "runtime",
                "limits",
                "repository",
                "bucket",
                "store",
                "memory",
                "watch",
                "log",
                "webhook",
                "record",
            ];
            sections.iter().for_each(|section| assert!(known.remove(section), "{section}"));
        }
        assert_eq!(known, keys, "{table}");
    }
}

#[test]
fn the_defaults_of_the_reference_change_nothing() {
    each_row(|file, row| {
        if row.default.is_empty() {
            return;
        }
        let with_default = parse(file, row.table, (row.key, &format!("{} = {}", row.key, row.default))).unwrap();
        assert_eq!(with_default, parse(file, row.table, (row.key, "")).unwrap(), "{row:?}");
    });
    // The tables of gateway.toml change nothing by standing there, so its defaults were compared with these.
    assert_eq!(parse(File::Gateway, "limits", ("", "")).unwrap(), Read::Gateway(Box::default()));
}

#[test]
fn ranges_of_the_reference_are_those_that_are_read() {
    let mut n_ranges = 0;
    each_row(|file, row| {
        let Some((low, high)) = row.takes.split_once(" to ") else { return };
        if low.parse::<f64>().is_err() {
            return;
        }
        n_ranges += 1;
        let accepts = |value: &str| parse(file, row.table, (row.key, &format!("{} = {value}", row.key))).is_ok();
        assert!(accepts(low) && accepts(high), "{row:?}");
        let beyond = match high.parse::<u64>() {
            Ok(high) => (high + 1).to_string(),
            Err(_) => (high.parse::<f64>().unwrap() * 1.01).to_string(),
        };
        let below = match low.parse::<i64>() {
            Ok(low) => (low - 1).to_string(),
            Err(_) => (low.parse::<f64>().unwrap() * 0.99).to_string(),
        };
        assert!(!accepts(&beyond), "{row:?} takes {beyond}");
        assert!(!accepts(&below), "{row:?} takes {below}");
    });
    assert!(n_ranges > 25);
}

#[test]
fn docs_config_md_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
    let mut doc = std::fs::read_to_string(&path).unwrap();
    let is_wanted = std::env::var_os("SWITCHRAIL_UPDATE_DOCS").is_some();
    for (file, name) in [(File::Gateway, "gateway"), (File::Routing, "routing")] {
        let (begin, end) = (format!("<!-- begin {name} keys -->\n"), format!("\n<!-- end {name} keys -->"));
        let start = doc.find(&begin).unwrap() + begin.len();
        let stop = doc.find(&end).unwrap();
        if is_wanted {
            doc.replace_range(start..stop, &markdown(file));
        } else {
            assert_eq!(&doc[start..stop], markdown(file), "run this test with SWITCHRAIL_UPDATE_DOCS=1");
        }
    }
    for code in Code::ALL {
        assert!(doc.contains(&format!("| `{code}` |")), "docs/config.md does not explain the code {code}");
    }
    if is_wanted {
        std::fs::write(path, doc).unwrap();
    }
}
