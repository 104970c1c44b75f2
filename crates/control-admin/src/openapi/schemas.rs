//! Schemas of types, and where they are kept in the document.

use schemars::JsonSchema;
use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::shapes;

/// Where schemas stand in the document.
const PLACE: &str = "/components/schemas";

/// The schemas asked for so far: of what is read and of what is written, which differ in what has to be there.
pub(super) struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        Self { taken: generator(Contract::Deserialize), given: generator(Contract::Serialize) }
    }

    /// What callers send, by reference.
    pub(super) fn taken<T: JsonSchema>(&mut self) -> Value {
        self.taken.subschema_for::<T>().to_value()
    }

    /// The fields callers may send, in place.
    pub(super) fn fields<T: JsonSchema>(&mut self) -> Value {
        T::json_schema(&mut self.taken).to_value()
    }

    /// What is answered, by reference.
    pub(super) fn given<T: JsonSchema>(&mut self) -> Value {
        self.given.subschema_for::<T>().to_value()
    }

    /// Every schema referred to, by name in order.
    pub(super) fn finish(mut self) -> Value {
        shapes::refer_to(&mut self);
        let mut all: Map<String, Value> = self.taken.take_definitions(true);
        all.extend(self.given.take_definitions(true));
        all.extend(shapes::all());
        all.sort_keys();
        Value::Object(all)
    }
}

fn generator(contract: Contract) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = PLACE.into();
        settings.meta_schema = None;
        settings.contract = contract;
    });
    settings.into_generator()
}

/// `uint64` and its kin are no formats that readers of OpenAPI know; `minimum` says what they say.
pub(super) fn drop_formats(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                fields.shift_remove("format");
            }
            fields.values_mut().for_each(drop_formats);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_formats),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A reference to a schema by its name.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#{PLACE}/{name}") })
}
