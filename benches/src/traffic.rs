//! What callers send, and how they recognise a right answer.

use serde_json::Value;
use testkit::onnx::Tag;

use crate::http1::{Answer, write_request};

/// What an answer says about its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The version that computed it.
    pub version: u64,
    /// The routing generation it was computed under.
    pub generation: u64,
    /// Whether stable answered in place of a version that failed.
    pub is_fallback: bool,
}

/// A stream of requests with recognisable answers.
pub trait Traffic: Send + Sync {
    /// Writes the request with this number.
    fn write(&self, id: u32, out: &mut Vec<u8>);

    /// Says where the answer comes from, or what is wrong with it.
    fn read(&self, id: u32, answer: &Answer<'_>) -> Result<Origin, String>;
}

/// An inference request for one row of FP32, as bytes.
pub fn infer_request(host: &str, model: &str, version: Option<u64>, row: &[f32]) -> Vec<u8> {
    let mut out = Vec::new();
    write_infer(&mut out, host, &infer_path(model, version), row);
    out
}

/// Requests for a model with the contract of [`testkit::onnx::affine4`], one row each.
#[derive(Debug)]
pub struct Affine {
    host: String,
    path: String,
    /// The first float of a request is one of this many values, evenly spread between 0 and 1.
    n_values: u32,
    scale: f32,
    bias: f32,
}

impl Affine {
    /// Asks `model`, whose healthy versions all compute `x * scale + bias`. The first float of the rows goes round
    /// between 0 and 1, and never is either: those are what a version is warmed up with.
    pub fn new(host: &str, model: &str, scale: f32, bias: f32) -> Self {
        Self { host: host.to_owned(), path: infer_path(model, None), n_values: 1 << 10, scale, bias }
    }

    fn row(&self, id: u32) -> [f32; 4] {
        // Odd, so that all values come up, in an order without runs.
        const STRIDE: u32 = 389;
        let value = id.wrapping_mul(STRIDE) % self.n_values;
        [(value as f32 + 0.5) / self.n_values as f32, 1.0, 2.0, 3.0]
    }
}

impl Traffic for Affine {
    fn write(&self, id: u32, out: &mut Vec<u8>) {
        write_infer(out, &self.host, &self.path, &self.row(id));
    }

    fn read(&self, id: u32, answer: &Answer<'_>) -> Result<Origin, String> {
        let (origin, row) = read_infer(answer)?;
        let expected = self.row(id).map(|x| x * self.scale + self.bias);
        let is_right = row.len() == 4 && row.iter().zip(expected).all(|(y, e)| (y - e).abs() <= 1e-5);
        if is_right { Ok(origin) } else { Err(format!("request {id} was answered {row:?}, expected {expected:?}")) }
    }
}

/// Requests for [`testkit::onnx::self_identifying`]: the answer's content proves who computed it, and for whom.
#[derive(Debug)]
pub struct SelfIdentifying {
    host: String,
    path: String,
}

impl SelfIdentifying {
    /// Asks `model`.
    pub fn new(host: &str, model: &str) -> Self {
        Self { host: host.to_owned(), path: infer_path(model, None) }
    }
}

impl Traffic for SelfIdentifying {
    fn write(&self, id: u32, out: &mut Vec<u8>) {
        write_infer(out, &self.host, &self.path, &Tag::input(id % Tag::ID_END));
    }

    fn read(&self, id: u32, answer: &Answer<'_>) -> Result<Origin, String> {
        let (origin, row) = read_infer(answer)?;
        let wrong = |what: String| Err(format!("request {id}: {what}"));
        match Tag::read(&row) {
            None => wrong(format!("{row:?} belongs to no request")),
            Some(tag) if tag.id != id % Tag::ID_END => wrong(format!("the answer belongs to request {}", tag.id)),
            Some(tag) if u64::from(tag.version) != origin.version => {
                wrong(format!("version {} computed what is said to come from {}", tag.version, origin.version))
            }
            Some(_) => Ok(origin),
        }
    }
}

fn infer_path(model: &str, version: Option<u64>) -> String {
    match version {
        Some(version) => format!("/v2/models/{model}/versions/{version}/infer"),
        None => format!("/v2/models/{model}/infer"),
    }
}

fn write_infer(out: &mut Vec<u8>, host: &str, path: &str, row: &[f32]) {
    let body = format!(r#"{{"inputs":[{{"name":"x","shape":[1,{}],"datatype":"FP32","data":{row:?}}}]}}"#, row.len());
    write_request(out, "POST", path, host, body.as_bytes());
}

/// The origin an answer names in its headers and, consistently, in its body, and the row it holds.
fn read_infer(answer: &Answer<'_>) -> Result<(Origin, Vec<f32>), String> {
    if answer.status != 200 {
        return Err(format!("status {}: {}", answer.status, answer.text()));
    }
    let number = |name: &str| -> Result<u64, String> {
        let text = answer.header(name).ok_or_else(|| format!("the answer has no header {name}"))?;
        text.parse().map_err(|_| format!("the header {name} is {text:?}"))
    };
    let version = number("switchrail-version")?;
    let reason = answer.header("switchrail-reason").ok_or("the answer has no header switchrail-reason")?;
    let body: Value = serde_json::from_slice(answer.body).map_err(|e| format!("the body is not JSON: {e}"))?;
    if body["model_version"] != version.to_string().as_str() {
        return Err(format!("header and body name different versions: {version}, {}", body["model_version"]));
    }
    let data = body["outputs"][0]["data"].as_array().ok_or("the answer has no data")?;
    let row = data.iter().map(|v| v.as_f64().unwrap_or(f64::NAN) as f32).collect();
    let origin = Origin { version, generation: number("switchrail-generation")?, is_fallback: reason == "fallback" };
    Ok((origin, row))
}

#[cfg(test)]
mod tests;
