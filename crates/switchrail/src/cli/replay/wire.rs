//! A request of the Open Inference Protocol with binary tensors, which are exact for every bit, and its answer.

use std::time::Duration;

use base_types::{Data, DataType, Tensor, Version};
use control_registry::captures::Capture;
use serde_json::{Value, json};
use ureq::Agent;

use super::cannot::Cannot;

/// Where a gateway takes requests when nobody says otherwise.
pub(super) const HTTP_DEFAULT: &str = "127.0.0.1:8000";
/// The gateway itself gives up first.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Largest answer: more than a capture may hold.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
const JSON_BYTES_HEADER: &str = "inference-header-content-length";
/// What is captured already needs no second capture.
const CAPTURE_HEADER: &str = "switchrail-capture";
const DIGEST_HEADER: &str = "switchrail-digest";

/// Asks a version for the outputs of a capture; gives the beginning of its digest and the outputs.
pub(super) fn ask(
    address: &str,
    (capture, version): (&Capture, Version),
    inputs: &[Tensor],
) -> Result<(String, Vec<Tensor>), Cannot> {
    let unreachable = |reason: String| Cannot::Unreachable { address: address.to_owned(), reason };
    let config =
        Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).timeout_global(Some(TIMEOUT));
    let agent: Agent = config.user_agent(concat!("switchrail/", env!("CARGO_PKG_VERSION"))).build().into();
    let base = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let url = format!("{}/v2/models/{}/versions/{version}/infer", base.trim_end_matches('/'), capture.model);
    let (body, json_bytes) = body(capture, inputs);
    let request = agent.post(&url).header(JSON_BYTES_HEADER, json_bytes.to_string());
    let request = request.header(CAPTURE_HEADER, "off");
    let mut response = request.send(&body).map_err(|error| unreachable(error.to_string()))?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (digest, json_bytes) = (header(DIGEST_HEADER), header(JSON_BYTES_HEADER));
    let status = response.status();
    let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    let body = read.map_err(|error| unreachable(error.to_string()))?;
    if !status.is_success() {
        return Err(refused((capture, version), address, &body));
    }
    let json_bytes = json_bytes.and_then(|text| text.parse().ok()).unwrap_or(body.len());
    let outputs = outputs(&body, json_bytes);
    digest.zip(outputs).ok_or_else(|| unreachable("what answers there is no Switchrail".to_owned()))
}

fn body(capture: &Capture, inputs: &[Tensor]) -> (Vec<u8>, usize) {
    let mut binary = Vec::new();
    let mut described = Vec::new();
    for input in inputs {
        let start = binary.len();
        write(input.data(), &mut binary);
        described.push(json!({ "name": input.name(), "datatype": input.datatype().as_str(), "shape": input.shape(),
            "parameters": { "binary_data_size": binary.len() - start } }));
    }
    let kept = capture.outputs.iter().filter(|output| output.data.is_some());
    let wanted: Vec<Value> =
        kept.map(|output| json!({ "name": output.name, "parameters": { "binary_data": true } })).collect();
    let mut body = json!({ "inputs": described, "outputs": wanted }).to_string().into_bytes();
    let json_bytes = body.len();
    body.append(&mut binary);
    (body, json_bytes)
}

/// Texts have their length in front, four bytes little-endian.
fn write(data: &Data, to: &mut Vec<u8>) {
    match data {
        Data::Raw(raw) => to.extend_from_slice(raw),
        Data::Strings(texts) => {
            for text in texts {
                // A capture holds far less than 4 GiB.
                to.extend_from_slice(&(text.len() as u32).to_le_bytes());
                to.extend_from_slice(text);
            }
        }
    }
}

fn outputs(body: &[u8], json_bytes: usize) -> Option<Vec<Tensor>> {
    let (json, mut rest) = body.split_at_checked(json_bytes)?;
    let answer: Value = serde_json::from_slice(json).ok()?;
    let mut outputs = Vec::new();
    for output in answer["outputs"].as_array()? {
        let datatype = DataType::parse(output["datatype"].as_str()?)?;
        let dims = output["shape"].as_array()?.iter();
        let shape = dims.map(|dim| usize::try_from(dim.as_u64()?).ok()).collect::<Option<Vec<_>>>()?;
        let n_bytes = usize::try_from(output["parameters"]["binary_data_size"].as_u64()?).ok()?;
        let (elements, left) = rest.split_at_checked(n_bytes)?;
        rest = left;
        let data = match datatype {
            DataType::Bytes => Data::Strings(texts(elements)?.into_iter().map(|text| text.to_vec().into()).collect()),
            _ => Data::Raw(elements.to_vec().into()),
        };
        outputs.push(Tensor::new(output["name"].as_str()?, datatype, shape, data).ok()?);
    }
    Some(outputs)
}

fn texts(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        texts.push(text);
        bytes = rest;
    }
    Some(texts)
}

/// What a refusal means for a replay.
fn refused((capture, version): (&Capture, Version), address: &str, body: &[u8]) -> Cannot {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let reason = answer["error"].as_str().unwrap_or("an answer without a reason").to_owned();
    let code = answer["code"].as_str().unwrap_or_default();
    let is_gone = code.starts_with("model_") || (code.starts_with("version_") && code != "version_fault");
    match answer["fault"].as_str() {
        _ if is_gone => Cannot::VersionGone {
            model: capture.model.clone(),
            version,
            place: format!("at the gateway {address}"),
            reason,
        },
        Some("client") => Cannot::Misfit { version, reason },
        _ => Cannot::Failed { version, reason },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn an_answer_is_read_and_a_cut_one_is_none() {
        let json = json!({ "outputs": [
            { "name": "t", "datatype": "BYTES", "shape": [2], "parameters": { "binary_data_size": 11 } },
            { "name": "y", "datatype": "FP16", "shape": [1, 2], "parameters": { "binary_data_size": 4 } },
        ]})
        .to_string();
        let mut body = json.clone().into_bytes();
        let texts = Data::Strings([&b"\xff\x00\x01"[..], b""].map(|text| text.to_vec().into()).into());
        write(&texts, &mut body);
        body.extend([1, 2, 3, 4]);
        let found = outputs(&body, json.len()).unwrap();
        assert_eq!((found[0].data(), found[0].name()), (&texts, "t"));
        assert_eq!((found[1].data(), found[1].shape()), (&Data::Raw(vec![1, 2, 3, 4].into()), &[1, 2][..]));
        for cut in 0..body.len() {
            assert_eq!(outputs(&body[..cut], json.len()), None, "{cut}");
        }
        assert_eq!(outputs(&body, json.len() + 1), None);
    }
}
