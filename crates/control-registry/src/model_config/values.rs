//! The values of fields: numbers, texts, types, and what is said when they are wrong.

use std::str::FromStr;

use base_types::DataType;

use super::text::{Field, Value};
use crate::{Refusal, RefusalCode};

/// An element type.
pub(super) fn data_type(field: &Field) -> Result<DataType, Refusal> {
    let word = word(field)?;
    let name = word.strip_prefix("TYPE_").unwrap_or_default();
    let name = if name == "STRING" { "BYTES" } else { name };
    DataType::parse(name)
        .filter(|_| word != "TYPE_BYTES")
        .ok_or_else(|| mismatch(field, &format!("{word} is not known")))
}

/// A dimension.
pub(super) fn dim(field: &Field) -> Result<Option<usize>, Refusal> {
    let word = word(field)?;
    match word {
        "-1" => Ok(None),
        _ => word.parse().map(Some).map_err(|_| mismatch(field, &format!("must be -1 or a size, not {word}"))),
    }
}

/// Notes a hint that is not used.
pub(super) fn warn(warnings: &mut Vec<String>, field: &Field) {
    warnings.push(format!("config.pbtxt line {}: {} is a hint that is not used here", field.line, field.name));
}

/// A field that may stand there as long as it says one of these.
pub(super) fn only(field: &Field, allowed: &[&str]) -> Result<(), Refusal> {
    let value = text(field)?;
    if allowed.contains(&value) {
        return Ok(());
    }
    let named: Vec<&str> = allowed.iter().copied().filter(|allowed| !allowed.is_empty()).collect();
    Err(unsupported(field, &format!("{value:?} is not supported, only {:?}", named.join(", "))))
}

/// A switch that may stand there as long as it is off.
pub(super) fn only_false(field: &Field, known: &[&str]) -> Result<(), Refusal> {
    if !known.contains(&field.name.as_str()) {
        return Err(unsupported(field, "is not a known field"));
    }
    match flag(field)? {
        false => Ok(()),
        true => Err(unsupported(field, "would change answers and is not supported: remove it or set it to false")),
    }
}

/// A number of at least 0.
pub(super) fn number<T: FromStr>(field: &Field) -> Result<T, Refusal> {
    let word = word(field)?;
    word.parse().map_err(|_| mismatch(field, &format!("must be a non-negative number, not {word}")))
}

/// A quoted text.
pub(super) fn text(field: &Field) -> Result<&str, Refusal> {
    match &field.value {
        Value::Text(text) => Ok(text),
        _ => Err(mismatch(field, "must be a quoted text")),
    }
}

/// A number or a word without quotes.
pub(super) fn word(field: &Field) -> Result<&str, Refusal> {
    match &field.value {
        Value::Word(word) => Ok(word),
        _ => Err(mismatch(field, "must be a number or a word without quotes")),
    }
}

/// The fields of a message.
pub(super) fn fields(field: &Field) -> Result<&[Field], Refusal> {
    match &field.value {
        Value::Message(fields) => Ok(fields),
        _ => Err(mismatch(field, "must be a message in braces")),
    }
}

/// What is not honoured here.
pub(super) fn unsupported(field: &Field, what: &str) -> Refusal {
    Refusal::new(RefusalCode::ConfigUnsupported, format!("config.pbtxt line {}: {} {what}", field.line, field.name))
}

/// What contradicts itself or the format.
pub(super) fn mismatch(field: &Field, what: &str) -> Refusal {
    Refusal::new(RefusalCode::ConfigMismatch, format!("config.pbtxt line {}: {} {what}", field.line, field.name))
}

/// True or false.
pub(super) fn flag(field: &Field) -> Result<bool, Refusal> {
    match word(field)? {
        "true" | "True" | "t" | "1" => Ok(true),
        "false" | "False" | "f" | "0" => Ok(false),
        other => Err(mismatch(field, &format!("must be true or false, not {other}"))),
    }
}

/// The name of a file that lies directly in a folder.
pub(super) fn file_name(field: &Field) -> Result<&str, Refusal> {
    let name = text(field)?;
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
        return Err(mismatch(field, &format!("must be the name of a file without folders, not {name:?}")));
    }
    Ok(name)
}
