//! The outer object of a request, and the context all readers share: bounds in, and the way out for errors.
//!
//! serde's errors carry only text. A reader that knows more leaves a [`Problem`] in the context and fails with an
//! empty serde error; whoever knows the place adds it on the way out; `explain` puts both together.

use std::cell::{Cell, RefCell};
use std::fmt;

use base_types::Tensor;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::error::{BinaryFlaw, DecodeError, Problem, shortened};
use crate::infer::{DecodedInfer, RequestedOutput};
use crate::input::InputSeed;
use crate::limits::CodecLimits;
use crate::parameters::{Parameters, ParametersSeed};
use crate::skip::Skip;

/// Which numbers are read that JSON does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leniency {
    /// None, which costs nothing.
    None,
    /// NaN and the infinities, in floats.
    Numbers,
}

/// What all readers of one request share.
pub(crate) struct Context<'a> {
    pub(crate) body: &'a Bytes,
    pub(crate) limits: &'a CodecLimits,
    /// Which numbers are read that JSON does not know.
    pub(crate) leniency: Leniency,
    /// Whether `data` is to be taken as text first, so that its layout is known before its first number is read.
    pub(crate) is_second_reading: bool,
    wants_another: Cell<bool>,
    /// Whether the reading failed in the data of a float tensor.
    pub(crate) has_failed_in_floats: Cell<bool>,
    /// Elements of all tensors so far.
    n_elements: Cell<usize>,
    /// Elements of all BYTES tensors so far.
    n_strings: Cell<usize>,
    /// What follows the JSON and no input has taken.
    tail: RefCell<Bytes>,
    left_over: Cell<usize>,
    problem: RefCell<Option<Problem>>,
    place: RefCell<Place>,
}

#[derive(Default)]
enum Place {
    #[default]
    Request,
    Input(usize, Option<String>),
    Output(usize),
}

impl<'a> Context<'a> {
    pub(crate) fn new(body: &'a Bytes, tail: &Bytes, limits: &'a CodecLimits) -> Self {
        Self {
            body,
            limits,
            leniency: Leniency::None,
            is_second_reading: false,
            wants_another: Cell::default(),
            has_failed_in_floats: Cell::default(),
            n_elements: Cell::default(),
            n_strings: Cell::default(),
            tail: RefCell::new(tail.clone()),
            left_over: Cell::default(),
            problem: RefCell::default(),
            place: RefCell::default(),
        }
    }

    pub(crate) fn for_second_reading(self, leniency: Leniency) -> Self {
        Self { is_second_reading: true, leniency, ..self }
    }

    /// Elements worth making room for, of so many announced: each takes so many bytes of JSON at least, and those
    /// before it have used theirs up.
    pub(crate) fn room(&self, n_announced: usize, json_bytes: usize) -> usize {
        n_announced.min((self.body.len() / json_bytes).saturating_sub(self.n_elements.get()))
    }

    /// Counts the elements of a tensor that has been read.
    pub(crate) fn count_elements(&self, n: usize) {
        self.n_elements.set(self.n_elements.get().saturating_add(n));
    }

    /// Counts the elements of a BYTES tensor before it is read; all of them together are bounded.
    pub(crate) fn count_strings(&self, n: usize) -> Result<(), Problem> {
        let max = self.limits.strings;
        let n_strings = self.n_strings.get().saturating_add(n);
        self.n_strings.set(n_strings);
        if n_strings > max {
            return Err(Problem::TooMany { what: "elements in BYTES tensors", max });
        }
        Ok(())
    }

    /// The next bytes behind the JSON.
    pub(crate) fn take_tail(&self, size: u64) -> Result<Bytes, Problem> {
        let mut tail = self.tail.borrow_mut();
        match usize::try_from(size).ok().filter(|size| *size <= tail.len()) {
            Some(size) => Ok(tail.split_to(size)),
            None => Err(BinaryFlaw::Short { size, left: tail.len() }.into()),
        }
    }

    /// Fails if bytes are left that no input has taken.
    pub(crate) fn check_tail<E: Error>(&self) -> Result<(), E> {
        match self.tail.borrow().len() {
            0 => Ok(()),
            left => {
                self.left_over.set(left);
                Err(E::custom(""))
            }
        }
    }

    /// Fails with a problem.
    pub(crate) fn problem<E: Error>(&self, problem: Problem) -> E {
        self.problem.borrow_mut().get_or_insert(problem);
        E::custom("")
    }

    /// Notes what an error is about unless a reader further in knew more.
    pub(crate) fn note(&self, problem: impl FnOnce() -> Problem) {
        self.problem.borrow_mut().get_or_insert_with(problem);
    }

    pub(crate) fn note_input<E: fmt::Display>(&self, index: usize, name: Option<String>, error: &E) {
        self.note_place(Place::Input(index, name), error);
    }

    fn note_output<E: fmt::Display>(&self, index: usize, error: &E) {
        self.note_place(Place::Output(index), error);
    }

    fn note_place<E: fmt::Display>(&self, place: Place, error: &E) {
        self.note(|| Problem::Field(error.to_string()));
        if matches!(*self.place.borrow(), Place::Request) {
            self.place.replace(place);
        }
    }

    /// Gives up this reading in favour of a second one.
    pub(crate) fn read_again<E: Error>(&self) -> E {
        self.wants_another.set(true);
        E::custom("")
    }

    pub(crate) fn wants_another_reading(&self) -> bool {
        self.wants_another.get() && !self.is_second_reading
    }

    /// Turns the parser's error and what was noted on the way into one error for the caller.
    pub(crate) fn explain(&self, error: serde_json::Error) -> DecodeError {
        let problem = match (self.problem.take(), self.left_over.get()) {
            // What was noted about broken JSON is a guess; the parser knows the spot.
            (Some(problem), _) if error.is_data() => problem.shortened(),
            (None, left @ 1..) => return DecodeError::LeftOver(left),
            _ => return DecodeError::Json(shortened(error.to_string())),
        };
        match self.place.take() {
            Place::Request => DecodeError::Request(problem),
            Place::Input(index, name) => DecodeError::Input { index, name, problem },
            Place::Output(index) => DecodeError::Output { index, problem },
        }
    }

    pub(crate) fn name<E: Error>(&self, name: String) -> Result<String, E> {
        let max = self.limits.name_bytes;
        if name.len() > max {
            return Err(self.problem(Problem::TooMany { what: "bytes in a name or id", max }));
        }
        Ok(name)
    }

    /// Marks a key as seen; the second time it is an error.
    pub(crate) fn once<E: Error>(&self, seen: &mut u32, key: impl Into<u32>, name: &str) -> Result<(), E> {
        let bit = 1 << key.into();
        if *seen & bit != 0 {
            return Err(self.problem(Problem::Duplicate(name.to_owned())));
        }
        *seen |= bit;
        Ok(())
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Id,
    Inputs,
    Outputs,
    Parameters,
    #[serde(other)]
    Other,
}

/// Reads the outer object.
pub(crate) struct RequestSeed<'a>(pub(crate) &'a Context<'a>);

impl<'de> DeserializeSeed<'de> for RequestSeed<'_> {
    type Value = DecodedInfer;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<DecodedInfer, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RequestSeed<'_> {
    type Value = DecodedInfer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `inputs`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<DecodedInfer, A::Error> {
        let context = self.0;
        let mut request = DecodedInfer::default();
        let mut inputs = None;
        let mut seen = 0;
        while let Some(field) = entries.next_key::<Field>()? {
            match field {
                Field::Id => {
                    context.once(&mut seen, field as u32, "id")?;
                    request.id = entries.next_value::<Option<String>>()?.map(|id| context.name(id)).transpose()?;
                }
                Field::Inputs => {
                    context.once(&mut seen, field as u32, "inputs")?;
                    inputs = entries.next_value_seed(Tensors { context, item: Items::Inputs })?.map(|t| t.0);
                }
                Field::Outputs => {
                    context.once(&mut seen, field as u32, "outputs")?;
                    let outputs = entries.next_value_seed(Tensors { context, item: Items::Outputs })?;
                    request.outputs = outputs.map(|t| t.1).unwrap_or_default();
                }
                Field::Parameters => {
                    context.once(&mut seen, field as u32, "parameters")?;
                    request.parameters = entries.next_value_seed(ParametersSeed(context))?;
                }
                Field::Other => entries.next_value_seed(Skip { depth_left: context.limits.depth - 1 })?,
            }
        }
        request.inputs = inputs.ok_or_else(|| context.problem(Problem::Missing("inputs")))?;
        request.parameters.are_outputs_binary().map_err(|problem| context.problem::<A::Error>(problem))?;
        Ok(request)
    }
}

#[derive(Clone, Copy)]
enum Items {
    Inputs,
    Outputs,
}

/// Reads the array of inputs or of outputs; the other one of the pair stays empty.
struct Tensors<'a> {
    context: &'a Context<'a>,
    item: Items,
}

impl<'de> DeserializeSeed<'de> for Tensors<'_> {
    type Value = Option<(Vec<Tensor>, Vec<RequestedOutput>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Tensors<'_> {
    type Value = Option<(Vec<Tensor>, Vec<RequestedOutput>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of tensors")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        match self.item {
            Items::Inputs => read_inputs(self.context, &mut items).map(|inputs| Some((inputs, Vec::new()))),
            Items::Outputs => read_outputs(self.context, &mut items).map(|outputs| Some((Vec::new(), outputs))),
        }
    }
}

fn read_inputs<'de, A: SeqAccess<'de>>(context: &Context<'_>, items: &mut A) -> Result<Vec<Tensor>, A::Error> {
    let mut inputs: Vec<Tensor> = Vec::new();
    while let Some(input) = items.next_element_seed(InputSeed { context, index: inputs.len() })? {
        let error = if inputs.len() == context.limits.tensors {
            Problem::TooMany { what: "inputs", max: context.limits.tensors }
        } else if inputs.iter().any(|other| other.name() == input.name()) {
            Problem::DuplicateName(input.name().to_owned())
        } else {
            inputs.push(input);
            continue;
        };
        return Err(context.problem(error));
    }
    Ok(inputs)
}

fn read_outputs<'de, A: SeqAccess<'de>>(
    context: &Context<'_>,
    items: &mut A,
) -> Result<Vec<RequestedOutput>, A::Error> {
    let mut outputs: Vec<RequestedOutput> = Vec::new();
    while let Some(output) = items.next_element_seed(OutputSeed { context, index: outputs.len() })? {
        let error = if outputs.len() == context.limits.tensors {
            Problem::TooMany { what: "outputs", max: context.limits.tensors }
        } else if outputs.iter().any(|other| other.name == output.name) {
            Problem::DuplicateName(output.name)
        } else {
            outputs.push(output);
            continue;
        };
        return Err(context.problem(error));
    }
    Ok(outputs)
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum OutputField {
    Name,
    Parameters,
    #[serde(other)]
    Other,
}

struct OutputSeed<'a> {
    context: &'a Context<'a>,
    index: usize,
}

impl<'de> DeserializeSeed<'de> for OutputSeed<'_> {
    type Value = RequestedOutput;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RequestedOutput, D::Error> {
        let (context, index) = (self.context, self.index);
        deserializer.deserialize_map(self).inspect_err(|error| context.note_output(index, error))
    }
}

impl<'de> Visitor<'de> for OutputSeed<'_> {
    type Value = RequestedOutput;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that names an output")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RequestedOutput, A::Error> {
        let context = self.context;
        let (mut name, mut parameters, mut seen) = (None, Parameters::default(), 0);
        while let Some(field) = entries.next_key::<OutputField>()? {
            match field {
                OutputField::Name => {
                    context.once(&mut seen, field as u32, "name")?;
                    name = entries.next_value::<Option<String>>()?.map(|n| context.name(n)).transpose()?;
                }
                OutputField::Parameters => {
                    context.once(&mut seen, field as u32, "parameters")?;
                    parameters = entries.next_value_seed(ParametersSeed(context))?;
                }
                // The array of outputs and this object are two levels below the outer object.
                OutputField::Other => entries.next_value_seed(Skip { depth_left: context.limits.depth - 3 })?,
            }
        }
        if let Some(problem) = parameters.unsupported() {
            return Err(context.problem(problem));
        }
        let name = name.ok_or_else(|| context.problem(Problem::Missing("name")))?;
        let is_binary = parameters.is_binary_output().map_err(|problem| context.problem(problem))?;
        let classes = parameters.classes().map_err(|problem| context.problem(problem))?;
        Ok(RequestedOutput { name, is_binary, classes, parameters })
    }
}
