//! Simulated rollouts: how often the product's rules roll a healthy candidate back, how soon they find a faulty one,
//! and what the rules of others do with the same traffic.
//!
//! `cargo xtask simulate` builds this with optimisation and runs it. Everything is seeded; the same seed gives the
//! same figures whatever the machine. `scenarios` asks the questions; `traffic` and `watch` let the product's trial judge,
//! `peers` are the others; `report` is what was found, `page` and `plots` are how it is shown.

mod chance;
mod page;
mod peers;
mod plots;
mod report;
mod runs;
mod scenarios;
mod traffic;
mod watch;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use control_rollout::RolloutError;
use thiserror::Error;

use report::{Claim, Results};
use runs::Plan;

/// The results all else is made of.
const RESULTS: &str = "docs/plots/simulation.json";

/// The page for operators.
const PAGE: &str = "docs/rollout-statistics.md";

/// The folder of the plots.
const PLOTS: &str = "docs/plots";

/// A quick simulation makes one run of so many, and a hundred of each cell at least.
const QUICK_DIVISOR: u64 = 80;

/// Standard errors by which a figure may differ from the stored one before the stored one counts as outdated.
const ERRORS_MAX: f64 = 6.0;

/// What to simulate.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask simulate")]
struct Arguments {
    /// Few runs: shows that nothing is far off, not how well it is.
    #[arg(long)]
    quick: bool,
    /// Where chance begins.
    #[arg(long, default_value_t = 20_261_123)]
    seed: u64,
    /// Write nothing; fail where a promise does not hold, here or in the stored results, or where page and plots are
    /// not those of the stored results.
    #[arg(long)]
    check: bool,
    /// Simulate nothing; make page and plots of the stored results.
    #[arg(long, conflicts_with = "check")]
    render: bool,
    /// Ask only this question, and put its figures in the place of the stored ones; may be repeated.
    #[arg(long, value_name = "QUESTION", conflicts_with_all = ["render", "check"])]
    only: Vec<String>,
    /// The root of the checkout.
    #[arg(long)]
    root: PathBuf,
    /// What the stored results say they were made at.
    #[arg(long, default_value = "unknown")]
    commit: String,
}

/// Why there are no results, or why they are not as they should be.
#[derive(Debug, Error)]
enum SimulationError {
    /// A guardrail of a scenario cannot judge.
    #[error("a scenario has a guardrail that cannot judge")]
    Guardrail(#[from] RolloutError),
    /// Promises do not hold.
    #[error("{0} promises do not hold: see above")]
    Broken(usize),
    /// Files are not those of the stored results.
    #[error("not current: {}; run cargo xtask simulate", .0.join(", "))]
    Stale(Vec<String>),
    /// The page has no place for a table.
    #[error("{PAGE} has no lines <!-- begin {0} --> and <!-- end {0} -->")]
    Section(String),
    /// A plot could not be drawn.
    #[error("cannot draw the plot {0}: {1}")]
    Plot(String, String),
    /// The stored results cannot be understood.
    #[error("{RESULTS} is not what cargo xtask simulate writes")]
    Json(#[from] serde_json::Error),
    /// A file could not be used.
    #[error("could not use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(cause) = std::error::Error::source(&error) {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), SimulationError> {
    if arguments.render {
        return write(&arguments.root, &stored(&arguments.root)?);
    }
    // Figures that are put among stored ones come from the same chance.
    let seed = if arguments.only.is_empty() { arguments.seed } else { stored(&arguments.root)?.seed };
    let plan = Plan { seed, divisor: if arguments.quick { QUICK_DIVISOR } else { 1 } };
    let found = scenarios::ask(&plan, &arguments.only)?;
    let mut results = Results {
        seed,
        is_quick: arguments.quick,
        commit: arguments.commit.clone(),
        tables: found.tables,
        claims: found.claims,
        plots: found.plots,
    };
    if arguments.check {
        check(&arguments.root, &results)
    } else if arguments.quick {
        // The stored figures are those of the full form.
        results.tables.iter().for_each(|table| println!("## {}\n\n{}", table.name, table.markdown()));
        judge(&results.claims, "found")
    } else {
        if !arguments.only.is_empty() {
            results = stored(&arguments.root)?.with(results);
        }
        write(&arguments.root, &results)?;
        judge(&results.claims, "found")
    }
}

fn write(root: &Path, results: &Results) -> Result<(), SimulationError> {
    let mut text = serde_json::to_string_pretty(results)?;
    text.push('\n');
    let mut files = rendered(root, results)?;
    files.push((RESULTS.to_owned(), text));
    let folder = root.join(PLOTS);
    fs::create_dir_all(&folder).map_err(io_at(&folder))?;
    for (name, text) in files {
        let path = root.join(&name);
        fs::write(&path, text).map_err(io_at(&path))?;
        println!("wrote {name}");
    }
    Ok(())
}

/// The page and the plots that belong to results.
fn rendered(root: &Path, results: &Results) -> Result<Vec<(String, String)>, SimulationError> {
    let page = root.join(PAGE);
    let before = fs::read_to_string(&page).map_err(io_at(&page))?;
    let mut files = vec![(PAGE.to_owned(), page::filled(&before, results)?)];
    for plot in &results.plots {
        files.push((format!("{PLOTS}/{}.svg", plot.name), plots::draw(plot)?));
    }
    Ok(files)
}

fn stored(root: &Path) -> Result<Results, SimulationError> {
    let path = root.join(RESULTS);
    Ok(serde_json::from_str(&fs::read_to_string(&path).map_err(io_at(&path))?)?)
}

fn check(root: &Path, found: &Results) -> Result<(), SimulationError> {
    let stored = stored(root)?;
    judge(&found.claims, "found")?;
    judge(&stored.claims, "stored")?;
    let mut stale = outdated(&stored.claims, &found.claims);
    for (name, text) in rendered(root, &stored)? {
        let path = root.join(&name);
        if fs::read_to_string(&path).map_err(io_at(&path))? != text {
            stale.push(name);
        }
    }
    if stale.is_empty() { Ok(()) } else { Err(SimulationError::Stale(stale)) }
}

/// Says which promises hold; an error when one does not.
fn judge(claims: &[Claim], which: &str) -> Result<(), SimulationError> {
    let broken: Vec<&Claim> = claims.iter().filter(|claim| !claim.holds()).collect();
    for Claim { what, value, allowed, .. } in &broken {
        println!("does not hold ({which}): {what}: {value:.5}, allowed {allowed:.5}");
    }
    println!("{} of {} promises hold ({which})", claims.len() - broken.len(), claims.len());
    if broken.is_empty() { Ok(()) } else { Err(SimulationError::Broken(broken.len())) }
}

/// Stored figures that cannot be those of the rules as they are now: missing, or too far off to be chance.
fn outdated(stored: &[Claim], found: &[Claim]) -> Vec<String> {
    let is_close = |claim: &Claim| {
        let same = stored.iter().find(|s| s.what == claim.what);
        same.is_some_and(|s| (s.value - claim.value).abs() <= ERRORS_MAX * s.error.hypot(claim.error))
    };
    let far = found.iter().filter(|claim| !is_close(claim));
    far.map(|claim| format!("the figure of \"{}\" ({:.4} now)", claim.what, claim.value)).collect()
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> SimulationError + use<> {
    let path = path.to_path_buf();
    |source| SimulationError::Io { path, source }
}

#[cfg(test)]
mod tests;
