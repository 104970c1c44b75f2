//! Names that people choose, checked with a helpful word.

use base_types::{Label, ModelName, NameError};
use semver::Version as SemanticVersion;

use crate::StoreError;

/// Longest name, in characters.
const NAME_MAX: usize = 128;

/// A model's name.
pub fn model_name(text: &str) -> Result<ModelName, StoreError> {
    ModelName::new(text).map_err(|error| refuse("a model's name", text, &error, ModelName::new(&tame(text)).is_ok()))
}

/// A label.
pub fn label(text: &str) -> Result<Label, StoreError> {
    Label::new(text).map_err(|error| refuse("a label", text, &error, Label::new(&tame(text)).is_ok()))
}

/// A semantic version, in the one way to write it.
pub fn tag(text: &str) -> Result<String, StoreError> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let parsed = SemanticVersion::parse(text);
    parsed.map(|version| version.to_string()).map_err(|error| {
        let suggestion = match SemanticVersion::parse(bare) {
            Ok(version) => Some(version.to_string()),
            // `2` and `2.1` are what people mean by 2.0.0 and 2.1.0.
            Err(_) => [".0", ".0.0"]
                .iter()
                .find_map(|end| SemanticVersion::parse(&format!("{bare}{end}")).ok())
                .map(|v| v.to_string()),
        };
        StoreError::Name {
            what: "a tag",
            text: text.to_owned(),
            reason: format!("a tag is a semantic version such as 2.1.0 ({error})"),
            suggestion,
        }
    })
}

fn refuse(what: &'static str, text: &str, error: &NameError, has_suggestion: bool) -> StoreError {
    // The text is shown already.
    let reason = match error {
        NameError::Character(_) => "it starts with a letter or digit and holds only letters, digits, '.', '_' and '-'",
        NameError::Length(_) => "it has 1 to 128 characters",
        NameError::LabelIsNumber(_) => "digits alone always mean a version's number",
        NameError::Version(_) => "it is no number",
    };
    let suggestion = has_suggestion.then(|| tame(text));
    StoreError::Name { what, text: text.to_owned(), reason: reason.to_owned(), suggestion }
}

/// The nearest valid name: what may not stand in one becomes a hyphen.
fn tame(text: &str) -> String {
    let mut name = String::new();
    for c in text.trim().chars() {
        match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') => name.push(c),
            _ if name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_start_matches(['.', '_', '-']).trim_end_matches('-');
    let name =
        if name.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() { format!("v{name}") } else { name.to_owned() };
    name.chars().take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "a failed step is a failed test")]

    use super::*;

    #[track_caller]
    fn check<T: std::fmt::Display>(result: Result<T, StoreError>, expected: Result<&str, Option<&str>>) {
        match (result, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.to_string(), expected),
            (Err(StoreError::Name { suggestion, .. }), Err(expected)) => assert_eq!(suggestion.as_deref(), expected),
            (Ok(found), expected) => panic!("{found} for {expected:?}"),
            (Err(error), expected) => panic!("{error} for {expected:?}"),
        }
    }

    #[test]
    fn bad_names_are_refused_with_one_that_would_do() {
        check(model_name("fraud-2.b"), Ok("fraud-2.b"));
        check(model_name("my model (new)"), Err(Some("my-model-new")));
        check(model_name("../etc/passwd"), Err(Some("etc-passwd")));
        check(model_name(""), Err(None));
        check(model_name("ümlaut"), Err(Some("mlaut")));
        check(model_name(&"x".repeat(200)), Err(Some("x".repeat(128).as_str())));
        check(label("canary"), Ok("canary"));
        check(label("42"), Err(Some("v42")));
        check(label("new one"), Err(Some("new-one")));
    }

    #[test]
    fn tags_are_semantic_versions() {
        check(tag("2.1.0"), Ok("2.1.0"));
        check(tag("2.1.0-rc.1+linux"), Ok("2.1.0-rc.1+linux"));
        check(tag("v2.1.0"), Err(Some("2.1.0")));
        check(tag("2.1"), Err(Some("2.1.0")));
        check(tag("v2"), Err(Some("2.0.0")));
        check(tag("latest"), Err(None));
        check(tag("02.1.0"), Err(None));
    }
}
