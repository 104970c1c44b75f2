//! Where each field of something was set: objections name a field, and find its place in the file here.

use std::collections::BTreeMap;

use crate::reader::Item;

/// Where each field was set, by the name that objections use: `latency.limit`, `steps[2].share`.
#[derive(Default)]
pub(super) struct Places<'a>(BTreeMap<String, Item<'a>>);

impl<'a> Places<'a> {
    /// Notes where a field was set.
    pub(super) fn note(&mut self, field: impl Into<String>, item: Item<'a>) {
        self.0.insert(field.into(), item);
    }

    /// Whether the field was set.
    pub(super) fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// Where a field was set; else where the table around it was.
    pub(super) fn find(&self, field: &str) -> Option<&Item<'a>> {
        let mut field = field;
        loop {
            if let Some(item) = self.0.get(field) {
                return Some(item);
            }
            field = &field[..field.rfind(['.', '['])?];
        }
    }
}
