//! The `parameters` objects of the protocol: names to strings, numbers and booleans.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::error::Problem;
use crate::request::Context;

/// The size of an input's data behind the JSON.
const BINARY_SIZE: &str = "binary_data_size";
/// Whether an output is wanted behind the JSON.
const BINARY_OUTPUT: &str = "binary_data";
/// The same for all outputs that do not say.
pub(crate) const BINARY_OUTPUTS: &str = "binary_data_output";
/// How many classes of an output are wanted instead of the output.
const CLASSES: &str = "classification";

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// `true` or `false`.
    Bool(bool),
    /// A non-negative integer.
    Unsigned(u64),
    /// A negative integer.
    Signed(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
}

impl Parameter {
    /// The value as text, as routing rules compare it.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Bool(value) => if *value { "true" } else { "false" }.into(),
            Self::Unsigned(value) => value.to_string().into(),
            Self::Signed(value) => value.to_string().into(),
            Self::Float(value) => value.to_string().into(),
            Self::Text(value) => value.into(),
        }
    }
}

/// Parameters in the order sent. Names are unique.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters(Vec<(String, Parameter)>);

impl Parameters {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Adds one. Whoever adds sees to it that the name is new and that there are not too many.
    pub fn push(&mut self, name: String, value: Parameter) {
        self.0.push((name, value));
    }

    /// All parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The first parameter of a tensor that asks for a way of transport or a post-processing we do not have.
    pub(crate) fn unsupported(&self) -> Option<Problem> {
        self.iter().find_map(|(name, _)| {
            let hint = "send tensors in the request and take them from the answer";
            name.starts_with("shared_memory_").then(|| Problem::Parameter { name: name.to_owned(), hint })
        })
    }

    /// The bytes of an input behind the JSON; `None` where its data are in the JSON.
    pub(crate) fn binary_size(&self) -> Result<Option<u64>, Problem> {
        self.unsigned(BINARY_SIZE)
    }

    /// Whether an output is wanted behind the JSON; `None` where it is not said.
    ///
    /// # Errors
    /// The parameter is no boolean.
    pub(crate) fn is_binary_output(&self) -> Result<Option<bool>, Problem> {
        self.boolean(BINARY_OUTPUT)
    }

    /// Whether outputs that do not say are wanted behind the JSON.
    pub(crate) fn are_outputs_binary(&self) -> Result<Option<bool>, Problem> {
        self.boolean(BINARY_OUTPUTS)
    }

    /// How many classes are wanted instead of the output itself; `None` for the output itself.
    ///
    /// # Errors
    /// The parameter is no number.
    pub fn classes(&self) -> Result<Option<usize>, Problem> {
        let classes = self.unsigned(CLASSES)?.filter(|k| *k > 0);
        Ok(classes.map(|k| usize::try_from(k).unwrap_or(usize::MAX)))
    }

    fn unsigned(&self, name: &'static str) -> Result<Option<u64>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(Parameter::Unsigned(value)) => Ok(Some(*value)),
            Some(_) => Err(Problem::ParameterKind { name, expected: "a whole number" }),
        }
    }

    fn boolean(&self, name: &'static str) -> Result<Option<bool>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(Parameter::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(Problem::ParameterKind { name, expected: "true or false" }),
        }
    }
}

/// Reads an object of parameters; `null` is an empty one.
pub(crate) struct ParametersSeed<'a>(pub(crate) &'a Context<'a>);

impl<'de> DeserializeSeed<'de> for ParametersSeed<'_> {
    type Value = Parameters;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parameters, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for ParametersSeed<'_> {
    type Value = Parameters;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_none<E: Error>(self) -> Result<Parameters, E> {
        Ok(Parameters::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parameters, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Parameters, A::Error> {
        let mut parameters = Parameters::default();
        while let Some(name) = entries.next_key::<String>()? {
            if parameters.0.len() == self.0.limits.parameters {
                let max = self.0.limits.parameters;
                return Err(self.0.problem(Problem::TooMany { what: "parameters", max }));
            }
            if parameters.get(&name).is_some() {
                return Err(self.0.problem(Problem::Duplicate(name)));
            }
            match entries.next_value::<Value>()? {
                Value::Null => {}
                Value::Some(value) => parameters.0.push((name, value)),
            }
        }
        Ok(parameters)
    }
}

enum Value {
    Null,
    Some(Parameter),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl Visitor<'_> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number or a boolean as value of a parameter")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Some(Parameter::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Some(Parameter::Unsigned(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Some(Parameter::Signed(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Some(Parameter::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Some(Parameter::Text(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}
