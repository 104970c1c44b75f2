//! Inference requests and their answers as a caller sees them.

use std::io;

use serde_json::{Map, Value, json};

use crate::{Client, Response};

/// A request under construction.
#[derive(Debug, Clone)]
pub struct Infer {
    model: String,
    pin: Option<String>,
    query: String,
    headers: Vec<(String, String)>,
    body: Map<String, Value>,
}

/// The answer to an inference request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// As it came.
    pub response: Response,
    /// Its body.
    pub body: Value,
}

/// An FP32 input in JSON.
pub fn float_input(name: &str, shape: &[usize], data: &[f32]) -> Value {
    json!({ "name": name, "datatype": "FP32", "shape": shape, "data": data })
}

impl Infer {
    /// Asks a model, without inputs yet.
    pub fn new(model: &str) -> Self {
        Self { model: model.to_owned(), pin: None, query: String::new(), headers: Vec::new(), body: Map::new() }
    }

    /// One row `x` for the models of four floats.
    pub fn row(model: &str, row: [f32; 4]) -> Self {
        Self::new(model).input(float_input("x", &[1, 4], &row))
    }

    /// [`Infer::row`] with a given first float: what triggers the faulty models.
    pub fn first(model: &str, first: f32) -> Self {
        Self::row(model, [first, 1.0, 2.0, 3.0])
    }

    /// Adds an input.
    pub fn input(mut self, input: Value) -> Self {
        let inputs = self.body.entry("inputs").or_insert_with(|| json!([]));
        inputs.as_array_mut().expect("inputs are a list").push(input);
        self
    }

    /// Sets any field of the body.
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.body.insert(name.to_owned(), value);
        self
    }

    /// Sets a request parameter.
    pub fn parameter(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.entry("parameters").or_insert_with(|| json!({}))[name] = value.into();
        self
    }

    /// Names a version or a label in the path.
    pub fn pin(self, pin: impl ToString) -> Self {
        Self { pin: Some(pin.to_string()), ..self }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sets the query string.
    pub fn query(self, query: &str) -> Self {
        Self { query: format!("?{query}"), ..self }
    }

    /// Sets the caller's deadline.
    pub fn timeout_ms(self, timeout_ms: u64) -> Self {
        self.header("switchrail-timeout-ms", timeout_ms)
    }

    /// The path.
    pub fn path(&self) -> String {
        let pin = self.pin.as_ref().map(|pin| format!("/versions/{pin}")).unwrap_or_default();
        format!("/v2/models/{}{pin}/infer{}", self.model, self.query)
    }

    /// The body.
    pub fn json(&self) -> String {
        Value::Object(self.body.clone()).to_string()
    }

    /// The request in bytes, for those who send it by hand.
    pub fn bytes(&self) -> Vec<u8> {
        let body = self.json();
        let mut text =
            format!("POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", self.path(), body.len());
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        format!("{text}\r\n{body}").into_bytes()
    }

    /// Sends it and reads the answer, whatever its status.
    pub fn send(&self, client: &mut Client) -> Answer {
        self.try_send(client).unwrap_or_else(|error| panic!("{}: {error}", self.path()))
    }

    /// [`Infer::send`] where the connection may fail.
    pub fn try_send(&self, client: &mut Client) -> io::Result<Answer> {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let response = client.try_send("POST", &self.path(), &headers, self.json().as_bytes())?;
        let body = response.json();
        Ok(Answer { response, body })
    }
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.response.status
    }

    /// Whether it is a good answer.
    pub fn is_ok(&self) -> bool {
        self.status() == 200
    }

    /// The answer itself, which must be a good one.
    pub fn ok(self) -> Self {
        assert!(self.is_ok(), "{} {}", self.status(), self.body);
        self
    }

    /// A header of this project, such as `reason`.
    pub fn said(&self, name: &str) -> Option<&str> {
        self.response.header(&format!("switchrail-{name}"))
    }

    /// The version that answered, by the header.
    pub fn version(&self) -> u64 {
        let version = self.said("version").and_then(|version| version.parse().ok());
        version.unwrap_or_else(|| panic!("no version: {self:?}"))
    }

    /// The generation that routed the request.
    pub fn generation(&self) -> u64 {
        let generation = self.said("generation").and_then(|generation| generation.parse().ok());
        generation.unwrap_or_else(|| panic!("no generation: {self:?}"))
    }

    /// Why that version.
    pub fn reason(&self) -> &str {
        self.said("reason").unwrap_or_else(|| panic!("no reason: {self:?}"))
    }

    /// The code of an error, empty in a good answer.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Whose fault an error is, empty in a good answer.
    pub fn fault(&self) -> &str {
        self.body["fault"].as_str().unwrap_or_default()
    }

    /// An output by name, as it stands in the body.
    pub fn output(&self, name: &str) -> &Value {
        let outputs = self.body["outputs"].as_array();
        let found = outputs.and_then(|outputs| outputs.iter().find(|output| output["name"] == name));
        found.unwrap_or_else(|| panic!("no output {name}: {}", self.body))
    }

    /// The numbers of an output; `null` reads as NaN.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        let data = self.output(name)["data"].as_array().expect("data is a list");
        data.iter().map(|value| value.as_f64().map_or(f32::NAN, |number| number as f32)).collect()
    }
}
