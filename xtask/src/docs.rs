//! `cargo xtask docs`: the pages and tables that are made from code. `--check` changes nothing and fails where a
//! page and the code differ.
//!
//! The texts of other crates come from the example `reference`, so that the commands of xtask that fetch and run
//! things need not wait for those crates to be built.

use std::path::Path;

use serde_json::Value;
use thiserror::Error;

use crate::walls::{self, WallsError};

/// Why pages could not be written, or are not current.
#[derive(Debug, Error)]
pub enum DocsError {
    /// Pages differ from what the code says, or have no place for it; they have been named.
    #[error("{0} texts are not in their places: run cargo xtask docs")]
    Stale(usize),
    /// The example that renders the texts failed.
    #[error("the example reference of xtask failed")]
    Render(#[source] WallsError),
    /// It printed something else than texts.
    #[error("the example reference of xtask printed no list of texts")]
    Texts(#[from] serde_json::Error),
    /// A page cannot be read or written.
    #[error("cannot read or write {page}")]
    Io {
        /// The page.
        page: String,
        /// Why.
        source: std::io::Error,
    },
}

/// A text and where it belongs.
struct Text {
    page: String,
    /// The section between its markers; `None` for the whole page.
    section: Option<String>,
    text: String,
}

/// Writes the pages, or only compares them.
pub fn run(root: &Path, is_check: bool) -> Result<(), DocsError> {
    let mut n_stale = 0;
    for text in &texts(root)? {
        let path = root.join(&text.page);
        let io = |source| DocsError::Io { page: text.page.clone(), source };
        let is_whole = text.section.is_none();
        let before = match std::fs::read_to_string(&path) {
            Ok(before) => before,
            Err(error) if is_whole && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(io(error)),
        };
        let Some(after) = placed(text, &before) else {
            // A page of one generated part may do without markers; then a person puts it there.
            if before.contains(&text.text) {
                continue;
            }
            let section = text.section.as_deref().unwrap_or_default();
            eprintln!("error: {} has no lines <!-- begin {section} --> and <!-- end {section} -->", text.page);
            n_stale += 1;
            continue;
        };
        if after == before {
            continue;
        }
        if is_check {
            eprintln!("error: {} is not what the code says", text.page);
            n_stale += 1;
        } else {
            std::fs::write(&path, after).map_err(io)?;
            println!("wrote {}", text.page);
        }
    }
    if n_stale == 0 { Ok(()) } else { Err(DocsError::Stale(n_stale)) }
}

fn texts(root: &Path) -> Result<Vec<Text>, DocsError> {
    let arguments = ["run", "--quiet", "--package", "xtask", "--example", "reference"];
    let printed = walls::output(root, "cargo", &arguments).map_err(DocsError::Render)?;
    let list: Vec<Value> = serde_json::from_str(&printed)?;
    let word = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let text = |v: &Value| Text {
        page: word(&v["page"]).unwrap_or_default(),
        section: word(&v["section"]),
        text: word(&v["text"]).unwrap_or_default(),
    };
    let mut texts: Vec<Text> = list.iter().map(text).collect();
    texts.push(Text {
        page: "ARCHITECTURE.md".to_owned(),
        section: Some("homes".to_owned()),
        text: walls::homes_table(),
    });
    Ok(texts)
}

/// The page with the text in its place; `None` for a page without that place.
fn placed(text: &Text, page: &str) -> Option<String> {
    let Some(name) = &text.section else { return Some(text.text.clone()) };
    let (start, end) = bounds(page, name)?;
    Some(format!("{}{}{}", &page[..start], text.text, &page[end..]))
}

/// The text between the markers of a section.
pub fn section<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    bounds(page, name).map(|(start, end)| &page[start..end])
}

/// An empty line between the text and the end marker keeps the marker out of a table.
fn bounds(page: &str, name: &str) -> Option<(usize, usize)> {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("\n<!-- end {name} -->"));
    let start = page.find(&begin)? + begin.len();
    let length = page[start..].find(&end)?;
    Some((start, start + length))
}

#[cfg(test)]
mod tests;
