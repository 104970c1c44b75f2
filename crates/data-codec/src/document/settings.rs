//! Objects of settings: of the log and of the trace. Which settings there are is not decided here.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{DocumentError, json, read};

/// Settings in one request, at most.
const SETTINGS_MAX: usize = 64;
/// Values of one setting, at most.
const VALUES_MAX: usize = 16;

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// `null`: the setting is cleared.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number without sign.
    Number(u64),
    /// Text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
}

/// Settings as a JSON object, in the order given.
pub fn settings(values: &[(&str, SettingValue)]) -> Vec<u8> {
    json(&Object(values))
}

/// Reads an object of settings. An empty body has none.
///
/// # Errors
/// The body is no object of settings, or has too many.
pub fn decode_settings(body: &[u8]) -> Result<Vec<(String, SettingValue)>, DocumentError> {
    let settings = read::<BTreeMap<String, SettingValue>>(body)?;
    if settings.len() > SETTINGS_MAX {
        return Err(DocumentError(format!("more than {SETTINGS_MAX} settings")));
    }
    Ok(settings.into_iter().collect())
}

struct Object<'a>(&'a [(&'a str, SettingValue)]);

impl Serialize for Object<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for SettingValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = SettingValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, several texts, a whole number, true, false or null as value of a setting")
    }

    fn visit_unit<E>(self) -> Result<SettingValue, E> {
        Ok(SettingValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<SettingValue, E> {
        Ok(SettingValue::Flag(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<SettingValue, E> {
        Ok(SettingValue::Number(value))
    }

    /// Only a text says less than nothing: -1 means "without end" to some settings.
    fn visit_i64<E>(self, value: i64) -> Result<SettingValue, E> {
        Ok(SettingValue::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<SettingValue, E> {
        Ok(SettingValue::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SettingValue, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element::<String>()? {
            if texts.len() == VALUES_MAX {
                return Err(A::Error::custom(format_args!("more than {VALUES_MAX} values of one setting")));
            }
            texts.push(text);
        }
        Ok(SettingValue::Texts(texts))
    }
}
