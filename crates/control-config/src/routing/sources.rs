//! Where in a request a value is found: `{ header = "x-account-id" }` and its siblings.

use base_routing::Source;

use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section};

/// Longest name of a header, cookie, query or request parameter, in bytes.
const SOURCE_NAME_BYTES_MAX: usize = 128;
/// Most places a sticky key may be looked for.
const STICKY_SOURCES_MAX: usize = 8;

/// Reads `sticky`; `false` takes an inherited one away. `None` when the key is absent or wrong.
pub(super) fn sticky(parent: &mut Section<'_>, report: &mut Report<'_>) -> Option<Vec<Source>> {
    let item = parent.take("sticky")?;
    if item.is_false() {
        return Some(Vec::new());
    }
    let items = item.one_or_many();
    if items.is_empty() || items.len() > STICKY_SOURCES_MAX {
        let message = format!("{} names {} sources, allowed is 1 to {STICKY_SOURCES_MAX}", item.path, items.len());
        let hint = "sticky = false switches it off".to_owned();
        item.flaw(Code::OutOfRange, message, hint, report);
        return None;
    }
    let mut sources: Vec<Source> = Vec::new();
    for item in items {
        let mut section = item.section(report)?;
        let source = source(&mut section, report);
        section.finish(report);
        let source = source?;
        if sources.contains(&source) {
            item.flaw(Code::Duplicate, format!("{source} stands twice in {}", item.path), None, report);
        }
        sources.push(source);
    }
    Some(sources)
}

/// Reads the one source that a table must name.
pub(super) fn source(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<Source> {
    let named = ["header", "cookie", "query", "parameter"].map(|key| (key, section.take(key)));
    let mut named = named.into_iter().filter_map(|(key, item)| item.map(|item| (key, item)));
    let Some((key, item)) = named.next() else {
        let message = format!("{} does not say where to look", section.path);
        let hint = "name one of header, cookie, query, parameter, as in { header = \"x-tenant\" }";
        section.flaw(Code::MissingKey, message, hint, report);
        return None;
    };
    if let Some((other, item)) = named.next() {
        let message = format!("{} names both {key} and {other}", section.path);
        item.flaw(Code::Conflict, message, "use a list of tables, one for each".to_owned(), report);
        return None;
    }
    let name = name(key, &item, report)?;
    Some(match key {
        "header" => Source::Header(name.to_ascii_lowercase().into()),
        "cookie" => Source::Cookie(name.into()),
        "query" => Source::Query(name.into()),
        _ => Source::Parameter(name.into()),
    })
}

fn name<'a>(kind: &str, item: &Item<'a>, report: &mut Report<'_>) -> Option<&'a str> {
    let name = item.text(report)?;
    // Headers and cookies are tokens of RFC 9110; names of parameters are the callers' to choose.
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let has_valid_bytes = match kind {
        "header" | "cookie" => name.bytes().all(is_token),
        _ => !name.chars().any(char::is_control),
    };
    if (1..=SOURCE_NAME_BYTES_MAX).contains(&name.len()) && has_valid_bytes {
        return Some(name);
    }
    let message = format!("{name:?} is no name of a {kind}: 1 to {SOURCE_NAME_BYTES_MAX} characters, none special");
    item.flaw(Code::BadName, message, None, report);
    None
}
