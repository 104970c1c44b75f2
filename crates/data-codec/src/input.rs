//! One input of a request. Its data are read at once where data type and shape are known by then, as every
//! client we know sends them; else they are kept as text until the end of the object.

use std::fmt;

use base_types::{Data, DataType, Tensor, element_count};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::binary;
use crate::elements::{DataSeed, Layout};
use crate::error::{BinaryFlaw, Problem};
use crate::parameters::{Parameters, ParametersSeed};
use crate::request::Context;
use crate::skip::Skip;

/// Reads the input at a position.
pub(crate) struct InputSeed<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) index: usize,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Name,
    Shape,
    Datatype,
    Parameters,
    Data,
    #[serde(other)]
    Other,
}

/// What is known of an input so far.
#[derive(Default)]
struct Parts<'de> {
    name: Option<String>,
    shape: Option<Vec<usize>>,
    datatype: Option<DataType>,
    parameters: Parameters,
    data: Option<Data>,
    text: Option<&'de RawValue>,
}

impl<'de> DeserializeSeed<'de> for InputSeed<'_> {
    type Value = Tensor;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tensor, D::Error> {
        let (context, index) = (self.context, self.index);
        deserializer.deserialize_map(self).inspect_err(|error| context.note_input(index, None, error))
    }
}

impl<'de> Visitor<'de> for InputSeed<'_> {
    type Value = Tensor;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `name`, `shape`, `datatype` and `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tensor, A::Error> {
        let mut parts = Parts::default();
        let result = parts.read(self.context, &mut entries).and_then(|()| parts.build(self.context));
        result.inspect_err(|error| self.context.note_input(self.index, parts.name.take(), error))
    }
}

impl<'de> Parts<'de> {
    fn read<A: MapAccess<'de>>(&mut self, context: &Context<'_>, entries: &mut A) -> Result<(), A::Error> {
        let mut seen = 0;
        while let Some(field) = entries.next_key::<Field>()? {
            match field {
                Field::Name => {
                    context.once(&mut seen, field as u32, "name")?;
                    self.name = entries.next_value::<Option<String>>()?.map(|n| context.name(n)).transpose()?;
                }
                Field::Shape => {
                    context.once(&mut seen, field as u32, "shape")?;
                    self.shape = entries.next_value_seed(ShapeSeed(context))?;
                }
                Field::Datatype => {
                    context.once(&mut seen, field as u32, "datatype")?;
                    self.datatype = entries.next_value_seed(DataTypeSeed(context))?;
                }
                Field::Parameters => {
                    context.once(&mut seen, field as u32, "parameters")?;
                    self.parameters = entries.next_value_seed(ParametersSeed(context))?;
                }
                Field::Data => {
                    context.once(&mut seen, field as u32, "data")?;
                    self.read_data(context, entries)?;
                }
                // The array of inputs and this object are two levels below the outer object.
                Field::Other => entries.next_value_seed(Skip { depth_left: context.limits.depth - 3 })?,
            }
        }
        Ok(())
    }

    fn read_data<A: MapAccess<'de>>(&mut self, context: &Context<'_>, entries: &mut A) -> Result<(), A::Error> {
        match (self.datatype, &self.shape) {
            (Some(datatype), Some(shape)) if !context.is_second_reading => {
                let layout = if shape.len() < 2 { Layout::Flat } else { Layout::Unknown };
                self.data = entries.next_value_seed(DataSeed { context, datatype, shape, layout })?;
            }
            _ => self.text = entries.next_value::<Option<&RawValue>>()?,
        }
        Ok(())
    }

    fn build<E: Error>(&mut self, context: &Context<'_>) -> Result<Tensor, E> {
        if let Some(problem) = self.parameters.unsupported() {
            return Err(context.problem(problem));
        }
        let missing = |field| context.problem(Problem::Missing(field));
        let datatype = self.datatype.ok_or_else(|| missing("datatype"))?;
        let shape = self.shape.take().ok_or_else(|| missing("shape"))?;
        if let Some(text) = self.text {
            self.data = read_text(context, datatype, &shape, text.get())?;
        }
        let binary_size = self.parameters.binary_size().map_err(|problem| context.problem(problem))?;
        let data = match (self.data.take(), binary_size) {
            (Some(data), None) => data,
            (None, Some(size)) => binary_data(context, size, datatype, &shape).map_err(|p| context.problem(p))?,
            (Some(_), Some(_)) => return Err(context.problem(BinaryFlaw::Twice.into())),
            (None, None) => return Err(missing("data")),
        };
        let name = self.name.take().ok_or_else(|| missing("name"))?;
        Tensor::new(name, datatype, shape, data).map_err(|error| context.problem(error.into()))
    }
}

/// Takes the input's share of what follows the JSON. Inputs are built in the order sent, which is that of the shares.
fn binary_data(context: &Context<'_>, size: u64, datatype: DataType, shape: &[usize]) -> Result<Data, Problem> {
    if datatype == DataType::Bytes {
        context.count_strings(element_count(shape).unwrap_or(usize::MAX))?;
    }
    binary::data(context.take_tail(size)?, datatype, shape)
}

/// Reads data that were kept as text. The JSON in it has been checked already.
fn read_text<E: Error>(
    context: &Context<'_>,
    datatype: DataType,
    shape: &[usize],
    text: &str,
) -> Result<Option<Data>, E> {
    let inner = text.strip_prefix('[').unwrap_or_default().trim_start();
    let layout = if shape.len() > 1 && inner.starts_with('[') { Layout::Nested } else { Layout::Flat };
    let mut json = serde_json::Deserializer::from_str(text);
    let data = DataSeed { context, datatype, shape, layout }.deserialize(&mut json);
    data.map_err(|error| context.problem(Problem::Field(error.to_string())))
}

struct DataTypeSeed<'a>(&'a Context<'a>);

impl<'de> DeserializeSeed<'de> for DataTypeSeed<'_> {
    type Value = Option<DataType>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<DataType>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for DataTypeSeed<'_> {
    type Value = Option<DataType>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a datatype such as \"FP32\"")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        match DataType::parse(text) {
            Some(datatype) => Ok(Some(datatype)),
            None => {
                let shown = text.chars().take(self.0.limits.name_bytes).collect();
                Err(self.0.problem(Problem::DataType(shown)))
            }
        }
    }
}

struct ShapeSeed<'a>(&'a Context<'a>);

impl<'de> DeserializeSeed<'de> for ShapeSeed<'_> {
    type Value = Option<Vec<usize>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for ShapeSeed<'_> {
    type Value = Option<Vec<usize>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of dimensions as `shape`")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let limits = self.0.limits;
        let too_many = |what, max| self.0.problem(Problem::TooMany { what, max });
        let mut shape = Vec::new();
        while let Some(dimension) = items.next_element::<u64>()? {
            if shape.len() == limits.rank {
                return Err(too_many("dimensions", limits.rank));
            }
            if dimension > limits.dimension as u64 {
                return Err(too_many("items in one dimension", limits.dimension));
            }
            shape.push(dimension as usize);
        }
        if element_count(&shape).is_none_or(|n| n > limits.elements) {
            return Err(too_many("elements in a tensor", limits.elements));
        }
        Ok(Some(shape))
    }
}
