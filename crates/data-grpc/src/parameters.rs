//! Parameters of requests, inputs and outputs.

use data_codec::{CodecLimits, Parameter, Parameters, Problem};

use crate::frames::Frames;
use crate::wire::{Value, mistyped, next_field};

/// Adds one entry of a map of parameters. An entry without a value sets nothing.
pub(crate) fn add(parameters: &mut Parameters, mut entry: Frames, limits: &CodecLimits) -> Result<(), Problem> {
    let (mut name, mut value) = (String::new(), None);
    while let Some((number, field)) = next_field(&mut entry)? {
        match number {
            1 => name = field.text("the name of a parameter", limits)?,
            2 => value = read(field.frames("a parameter")?)?,
            _ => {}
        }
    }
    if parameters.get(&name).is_some() {
        return Err(Problem::Duplicate(name));
    }
    if parameters.iter().count() == limits.parameters {
        return Err(Problem::TooMany { what: "parameters", max: limits.parameters });
    }
    if let Some(value) = value {
        parameters.push(name, value);
    }
    Ok(())
}

/// The value of a parameter; the last one, should there be several.
fn read(mut message: Frames) -> Result<Option<Parameter>, Problem> {
    let mut parameter = None;
    while let Some((number, value)) = next_field(&mut message)? {
        parameter = match (number, value) {
            (1, Value::Varint(flag)) => Some(Parameter::Bool(flag != 0)),
            (2, Value::Varint(number)) => Some(match u64::try_from(number as i64) {
                Ok(number) => Parameter::Unsigned(number),
                Err(_) => Parameter::Signed(number as i64),
            }),
            (3, Value::Bytes(text)) => {
                let text = String::from_utf8(text.into_bytes().into());
                Some(Parameter::Text(text.map_err(|_| Problem::Field("a parameter is not UTF-8 text".to_owned()))?))
            }
            (4, Value::Fixed64(bytes)) => Some(Parameter::Float(f64::from_le_bytes(bytes))),
            (5, Value::Varint(number)) => Some(Parameter::Unsigned(number)),
            (1..=5, _) => return Err(mistyped("a parameter")),
            _ => parameter,
        };
    }
    Ok(parameter)
}

/// Tensors come in the request and go out in the answer; nothing is read from or written to a caller's memory.
pub(crate) fn refuse_shared_memory(parameters: &Parameters) -> Result<(), Problem> {
    match parameters.iter().find(|(name, _)| name.starts_with("shared_memory_")) {
        None => Ok(()),
        Some((name, _)) => Err(Problem::Parameter { name: name.to_owned(), hint: "send the tensor in the request" }),
    }
}
