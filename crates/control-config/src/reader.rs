//! Walks a tree of TOML by hand, so that every problem is found in one go and has a place.
//!
//! A [`Section`] is a table that remembers which keys were asked for; what nobody asked for is unknown. An
//! [`Item`] is a value; its readers report a wrong type or range and give `None`.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Code;
use crate::document::Report;
use crate::suggest::did_you_mean;

/// A table being read.
pub(crate) struct Section<'a> {
    /// Dotted path of the table, for messages; empty for the whole file.
    pub path: String,
    /// Where it begins.
    pub span: Range<usize>,
    entries: Vec<Entry<'a>>,
    asked: Vec<&'static str>,
}

/// A value and where it stands.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    /// Dotted path of the key, for messages.
    pub path: String,
    /// Where the value is.
    pub span: Range<usize>,
    value: &'a DeValue<'a>,
}

/// A key with its value.
pub(crate) struct Entry<'a> {
    /// The key.
    pub key: &'a str,
    /// Where the key is.
    pub key_span: Range<usize>,
    /// What it holds.
    pub item: Item<'a>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn root(tree: &'a Spanned<DeTable<'_>>) -> Self {
        Self::new(String::new(), tree.span(), tree.get_ref())
    }

    fn new(path: String, span: Range<usize>, table: &'a DeTable<'_>) -> Self {
        let entry = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'a, str> = key.get_ref();
            let item = Item { path: join(&path, name), span: value.span(), value: value.get_ref() };
            Entry { key: name.as_ref(), key_span: key.span(), item }
        };
        let mut entries: Vec<_> = table.iter().map(entry).collect();
        entries.sort_by_key(|e| e.key_span.start);
        Self { path, span, entries, asked: Vec::new() }
    }

    /// The value of a key, if it is there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.asked.push(key);
        let index = self.entries.iter().position(|e| e.key == key)?;
        Some(self.entries.remove(index).item)
    }

    /// Whether a key is there and not taken yet.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|e| e.key == key)
    }

    /// The table at a key, if it is there.
    pub(crate) fn take_section(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<Section<'a>> {
        self.take(key)?.section(report)
    }

    /// All that is left, for tables whose keys are free.
    pub(crate) fn take_all(self) -> Vec<Entry<'a>> {
        self.entries
    }

    /// Reports a problem with the table as a whole.
    pub(crate) fn flaw(&self, code: Code, message: String, hint: &str, report: &mut Report<'_>) {
        report.add(self.span.clone(), code, message, Some(hint.to_owned()));
    }

    /// Reports the keys nobody asked for.
    pub(crate) fn finish(self, report: &mut Report<'_>) {
        for entry in &self.entries {
            let place = if self.path.is_empty() { "at the top level".to_owned() } else { format!("in {}", self.path) };
            let hint = did_you_mean(entry.key, self.asked.iter().copied())
                .unwrap_or_else(|| format!("known here: {}", self.asked.join(", ")));
            let message = format!("unknown key {:?} {place}", entry.key);
            report.add(entry.key_span.clone(), Code::UnknownKey, message, Some(hint));
        }
    }
}

impl<'a> Item<'a> {
    /// Reports a problem with the value.
    pub(crate) fn flaw(&self, code: Code, message: String, hint: impl Into<Option<String>>, report: &mut Report<'_>) {
        report.add(self.span.clone(), code, message, hint.into());
    }

    /// A text.
    pub(crate) fn text(&self, report: &mut Report<'_>) -> Option<&'a str> {
        self.value.as_str().or_else(|| self.wrong_type("a text in quotes", report))
    }

    /// A text, or a whole number as text.
    pub(crate) fn word(&self, report: &mut Report<'_>) -> Option<String> {
        match self.value {
            DeValue::String(text) => Some(text.clone().into_owned()),
            // A number beyond all bounds is still a word, and for the reader of the word to refuse.
            DeValue::Integer(digits) => Some(self.integer().map_or(digits.to_string(), |n| n.to_string())),
            _ => self.wrong_type("a text in quotes or a whole number", report),
        }
    }

    /// True or false.
    pub(crate) fn flag(&self, report: &mut Report<'_>) -> Option<bool> {
        self.value.as_bool().or_else(|| self.wrong_type("true or false", report))
    }

    /// Whether the value is `false`, which takes an inherited table away.
    pub(crate) fn is_false(&self) -> bool {
        self.value.as_bool() == Some(false)
    }

    /// Whether the value is a table.
    pub(crate) fn is_table(&self) -> bool {
        self.value.as_table().is_some()
    }

    /// Whether the value is a list.
    pub(crate) fn is_list(&self) -> bool {
        self.value.as_array().is_some()
    }

    /// The digits of a number as they stand in the file; `None` when the value is no number.
    pub(crate) fn bare_number(&self) -> Option<String> {
        match self.value {
            DeValue::Integer(digits) => Some(digits.to_string()),
            DeValue::Float(float) => Some(float.to_string()),
            _ => None,
        }
    }

    /// Any number; not checked for a range.
    pub(crate) fn number(&self, report: &mut Report<'_>) -> Option<f64> {
        let number = match self.value {
            DeValue::Integer(digits) => self.integer().map(|n| n as f64).or_else(|| digits.as_str().parse().ok()),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        number.or_else(|| self.wrong_type("a number", report))
    }

    /// A number within a range.
    pub(crate) fn number_in(&self, range: RangeInclusive<f64>, report: &mut Report<'_>) -> Option<f64> {
        let number = self.number(report)?;
        if range.contains(&number) {
            return Some(number);
        }
        self.out_of_range(number, range, report)
    }

    /// A whole number within a range.
    pub(crate) fn count(&self, range: RangeInclusive<u64>, report: &mut Report<'_>) -> Option<u64> {
        let DeValue::Integer(_) = self.value else {
            return self.wrong_type("a whole number", report);
        };
        let Some(number) = self.integer() else {
            return self.out_of_range("this number", range, report);
        };
        match u64::try_from(number) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => self.out_of_range(number, range, report),
        }
    }

    /// A table.
    pub(crate) fn section(&self, report: &mut Report<'_>) -> Option<Section<'a>> {
        let Some(table) = self.value.as_table() else { return self.wrong_type("a table", report) };
        Some(Section::new(self.path.clone(), self.span.clone(), table))
    }

    /// A list.
    pub(crate) fn list(&self, report: &mut Report<'_>) -> Option<Vec<Item<'a>>> {
        let Some(array) = self.value.as_array() else { return self.wrong_type("a list", report) };
        Some(self.items(array))
    }

    /// A list whose values are called by their position, counted from 0: `steps[2]`.
    pub(crate) fn numbered(&self, report: &mut Report<'_>) -> Option<Vec<Item<'a>>> {
        let mut items = self.list(report)?;
        for (index, item) in items.iter_mut().enumerate() {
            item.path = format!("{}[{index}]", self.path);
        }
        Some(items)
    }

    /// A list, or one value instead of a list of one.
    pub(crate) fn one_or_many(&self) -> Vec<Item<'a>> {
        self.value.as_array().map_or_else(|| vec![self.clone()], |array| self.items(array))
    }

    /// One of a few words.
    pub(crate) fn one_of<T: Copy>(&self, words: &[(&'static str, T)], report: &mut Report<'_>) -> Option<T> {
        let written = self.text(report)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == written) {
            return Some(*value);
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("{} is {written:?}, allowed is one of: {}", self.path, known.join(", "));
        report.add(self.span.clone(), Code::UnknownWord, message, did_you_mean(written, known));
        None
    }

    fn items(&self, array: &'a [Spanned<DeValue<'_>>]) -> Vec<Item<'a>> {
        array.iter().map(|v| Item { path: self.path.clone(), span: v.span(), value: v.get_ref() }).collect()
    }

    fn integer(&self) -> Option<i128> {
        let integer = self.value.as_integer()?;
        i128::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    fn wrong_type<T>(&self, wanted: &str, report: &mut Report<'_>) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("{} takes {wanted}, this is {found}", self.path);
        report.add(self.span.clone(), Code::WrongType, message, None);
        None
    }

    fn out_of_range<T, N: std::fmt::Display>(
        &self,
        found: impl std::fmt::Display,
        range: RangeInclusive<N>,
        report: &mut Report<'_>,
    ) -> Option<T> {
        let (low, high) = (range.start(), range.end());
        let message = format!("{} is {found}, allowed is {low} to {high}", self.path);
        report.add(self.span.clone(), Code::OutOfRange, message, None);
        None
    }
}

/// Puts a value that was read into its place; a value that was not leaves the place as it is.
pub(crate) fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
