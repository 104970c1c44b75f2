//! `cargo xtask walls`: what ARCHITECTURE.md promises about the shape of the code, checked.
//!
//! Which crate may know which, where a package is at home, and what may stand in a source file are declared in
//! `table`; `metadata`, `source` and `pages` compare the checkout with it, `licences` the dependencies with
//! deny.toml. Everything that is wrong is reported at once. A wall is moved in the table, with a reason, and never
//! by an exception in a check.

mod licences;
mod metadata;
mod pages;
mod scrub;
mod source;
mod table;

use std::fmt;
use std::path::Path;

use thiserror::Error;

pub use metadata::output;
pub use table::homes_table;

/// One thing that is not as declared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The wall, in a word or two.
    pub wall: &'static str,
    /// Where, and what to do about it.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.wall, self.text)
    }
}

/// Why the walls do not stand, or could not be looked at.
#[derive(Debug, Error)]
pub enum WallsError {
    /// Something is not as declared; each finding has been printed.
    #[error("{0} findings")]
    Found(usize),
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// `cargo metadata` or `rustc -vV` did not work.
    #[error("{command} failed: {text}")]
    Tool {
        /// The command.
        command: String,
        /// What it said.
        text: String,
    },
    /// The output of `cargo metadata` is not what is known of it.
    #[error("the output of cargo metadata cannot be read")]
    Metadata(#[from] serde_json::Error),
    /// A configuration file lacks a part the checks need.
    #[error("{file} has no {part}")]
    Missing {
        /// The file.
        file: &'static str,
        /// What is looked for.
        part: &'static str,
    },
}

/// Checks every wall and prints what it finds.
pub fn run(root: &Path) -> Result<(), WallsError> {
    let members = metadata::members(root)?;
    let sources = source::read(root)?;
    let mut findings = metadata::check(&members);
    findings.extend(metadata::check_workspace(&members, &read(&root.join("Cargo.toml"))?));
    findings.extend(source::check(&sources));
    findings.extend(pages::check(&members, &sources, &read(&root.join("ARCHITECTURE.md"))?));
    findings.extend(pages::links(&pages(root)?, |path| root.join(path).exists()));
    findings.extend(licences::check(root)?);
    findings.sort();
    for warning in source::long_files(&sources) {
        eprintln!("warning: {warning}");
    }
    for finding in &findings {
        eprintln!("error: {finding}");
    }
    if findings.is_empty() {
        println!("walls: {} crates and {} source files are as declared", members.len(), sources.len());
        Ok(())
    } else {
        Err(WallsError::Found(findings.len()))
    }
}

/// The pages of the root and of docs/, as path from the root and text.
fn pages(root: &Path) -> Result<Vec<(String, String)>, WallsError> {
    let mut pages = Vec::new();
    for folder in ["", "docs/"] {
        let unreadable = |source| WallsError::Unreadable { path: folder.to_owned(), source };
        for entry in root.join(folder).read_dir().map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".md") {
                let path = format!("{folder}{name}");
                let text = read(&root.join(&path))?;
                pages.push((path, text));
            }
        }
    }
    Ok(pages)
}

fn read(path: &Path) -> Result<String, WallsError> {
    std::fs::read_to_string(path).map_err(|source| WallsError::Unreadable { path: path.display().to_string(), source })
}
