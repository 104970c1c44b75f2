//! The page: words by hand, tables from results between their markers.

use std::fmt::Write;

use crate::SimulationError;
use crate::report::{Claim, Results};

/// The page with every table in its place.
pub fn filled(page: &str, results: &Results) -> Result<String, SimulationError> {
    let mut page = placed(page, "simulation", &about(results))?;
    page = placed(&page, "promises", &promises(&results.claims))?;
    for table in &results.tables {
        page = placed(&page, &table.name, &table.markdown())?;
    }
    Ok(page)
}

fn about(results: &Results) -> String {
    let Results { seed, commit, .. } = results;
    format!("Seed {seed}, commit {commit}, made by `cargo xtask simulate --seed {seed}`.\n")
}

/// The promise that came closest of each kind, so that a page says what a hundred cells say.
fn promises(claims: &[Claim]) -> String {
    let mut text = "| promise | found | allowed |\n|---|---|---|\n".to_owned();
    for claim in claims {
        let Claim { what, value, allowed, .. } = claim;
        let (value, allowed) = if *allowed < 1.0 {
            (format!("{:.3} %", 100.0 * value), format!("{:.3} %", 100.0 * allowed))
        } else {
            (format!("{value:.2}"), format!("{allowed:.2}"))
        };
        // Writing to a String cannot fail.
        writeln!(text, "| {what} | {value} | {allowed} |").ok();
    }
    text
}

/// The page with a text between the markers of a section.
fn placed(page: &str, section: &str, text: &str) -> Result<String, SimulationError> {
    let (begin, end) = (format!("<!-- begin {section} -->\n"), format!("\n<!-- end {section} -->"));
    let found = page.find(&begin).map(|at| at + begin.len());
    let found = found.and_then(|start| Some((start, start + page[start..].find(&end)?)));
    let (start, stop) = found.ok_or_else(|| SimulationError::Section(section.to_owned()))?;
    Ok(format!("{}{text}{}", &page[..start], &page[stop..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::placed;

    #[test]
    fn a_text_takes_its_place_and_nothing_else() {
        let page = "before\n<!-- begin t -->\nold\n\n<!-- end t -->\nafter\n";
        let filled = placed(page, "t", "new\n").unwrap();
        assert_eq!(filled, "before\n<!-- begin t -->\nnew\n\n<!-- end t -->\nafter\n");
        assert_eq!(placed(&filled, "t", "new\n").unwrap(), filled);
        assert!(placed(page, "other", "new\n").is_err());
    }
}
