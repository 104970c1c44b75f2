//! Rules that look at a request: an allow-list, a per-caller pin, a split of its own for some callers.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use base_types::Version;

use crate::Split;

/// Where in a request a value is found. Header names are lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// An HTTP header or gRPC metadata entry.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
    /// A parameter of the query string.
    Query(Box<str>),
    /// A request parameter of the inference protocol.
    Parameter(Box<str>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Query(name) => write!(f, "query {name}"),
            Self::Parameter(name) => write!(f, "parameter {name}"),
        }
    }
}

/// What a request can be asked. Implemented by each edge over its own representation.
pub trait Facts {
    /// The value at a source; `None` when absent or not text.
    fn value(&self, source: &Source) -> Option<Cow<'_, str>>;
}

/// What a condition asks of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The value is one of these.
    OneOf(BTreeSet<Box<str>>),
    /// The value starts with this.
    Prefix(Box<str>),
    /// There is a value.
    Present,
    /// There is none.
    Absent,
}

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Where to look.
    pub source: Source,
    /// What to ask.
    pub test: Test,
}

impl Condition {
    /// Whether a request meets the condition.
    pub fn holds(&self, facts: &dyn Facts) -> bool {
        let value = facts.value(&self.source);
        match (&self.test, value) {
            (Test::Absent, value) => value.is_none(),
            (_, None) => false,
            (Test::Present, Some(_)) => true,
            (Test::OneOf(set), Some(value)) => set.contains(value.as_ref()),
            (Test::Prefix(prefix), Some(value)) => value.starts_with(prefix.as_ref()),
        }
    }
}

/// What a matching rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Sends the request to one version.
    Version(Version),
    /// Splits by weights of its own.
    Split(Split),
}

/// A rule: all conditions must hold; the first rule that matches wins.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name, shown by `explain`.
    pub name: Arc<str>,
    /// The conditions; never empty.
    pub when: Vec<Condition>,
    /// What to do.
    pub then: Target,
}

impl Rule {
    /// Whether a request meets all conditions.
    pub fn matches(&self, facts: &dyn Facts) -> bool {
        self.when.iter().all(|c| c.holds(facts))
    }
}
