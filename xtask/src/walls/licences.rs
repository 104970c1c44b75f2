//! The licences of everything that is linked on this platform, against the allow-list of deny.toml.

use std::path::Path;

use serde_json::Value;

use super::metadata::output;
use super::{Finding, WallsError, read};

/// Checks every package of the dependency tree. Cargo fetches manifests it does not have yet.
pub fn check(root: &Path) -> Result<Vec<Finding>, WallsError> {
    let deny = read(&root.join("deny.toml"))?;
    let allowed = allow_list(&deny).ok_or(WallsError::Missing { file: "deny.toml", part: "allow = [...]" })?;
    let about = output(root, "rustc", &["-vV"])?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let text =
        output(root, "cargo", &["metadata", "--format-version", "1", "--all-features", "--filter-platform", host])?;
    Ok(compare(&serde_json::from_str(&text)?, &allowed))
}

fn compare(metadata: &Value, allowed: &[&str]) -> Vec<Finding> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let check = |package: &Value| {
        let name = package["name"].as_str().unwrap_or_default();
        let text = match package["license"].as_str() {
            None => format!("{name} names no licence"),
            Some(licence) if is_allowed(licence, allowed) => return None,
            Some(licence) => format!("{name} is under {licence}, which deny.toml does not allow"),
        };
        Some(Finding { wall: "licences", text })
    };
    packages.iter().filter_map(check).collect()
}

/// The entries of `allow = [...]`.
fn allow_list(deny: &str) -> Option<Vec<&str>> {
    let (_, list) = deny.split_once("\nallow = [")?;
    let (list, _) = list.split_once(']')?;
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or_default());
    Some(lines.flat_map(|line| line.split('"').skip(1).step_by(2)).collect())
}

/// Whether a licence expression can be satisfied with allowed licences. An exception belongs to its licence.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    // An old way of writing OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { tokens: &tokens, allowed };
    let holds = parser.either();
    // What cannot be read is not allowed.
    holds == Some(true) && parser.tokens.is_empty()
}

struct Parser<'a> {
    tokens: &'a [&'a str],
    allowed: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn either(&mut self) -> Option<bool> {
        let mut holds = self.both()?;
        while self.take("OR") {
            holds |= self.both()?;
        }
        Some(holds)
    }

    fn both(&mut self) -> Option<bool> {
        let mut holds = self.one()?;
        while self.take("AND") {
            holds &= self.one()?;
        }
        Some(holds)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let holds = self.either()?;
            return self.take(")").then_some(holds);
        }
        let licence = self.word()?;
        if !self.take("WITH") {
            return Some(self.allowed.contains(&licence));
        }
        let whole = format!("{licence} WITH {}", self.word()?);
        Some(self.allowed.contains(&whole.as_str()))
    }

    fn word(&mut self) -> Option<&'a str> {
        let (word, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(word)
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.tokens.first() == Some(&token);
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }
}

#[cfg(test)]
mod tests;
