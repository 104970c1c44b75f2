//! Asks both versions the same, and compares what they answer: here with the runtime, or at a gateway's pinned paths.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base_serving::engine::{Engine, Runner};
use base_types::{ModelName, SystemClock, Tensor, Version, argmax, largest_difference};
use control_gate::{RunnerSubject, answer, read_tensors};
use control_registry::captures::Captures;
use control_registry::repository::VersionFiles;
use engine_onnx::{OnnxEngine, Options};
use serde_json::Value;
use ureq::Agent;

use super::CompareArguments;
use super::place::Found;
use crate::cli::with_causes;

/// Most requests that are asked.
const REQUESTS_MAX: usize = 10_000;
/// The largest file of requests.
const INPUTS_BYTES_MAX: u64 = 1 << 30;
/// The largest answer of a gateway.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// A gateway itself gives up first.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How far the answers agree.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Agreement {
    /// Where the requests came from and where they were asked, for people.
    pub(super) place: String,
    /// Requests that both answered.
    pub(super) n_compared: usize,
    /// Those of them whose answers are the same in every bit.
    pub(super) n_same: usize,
    /// By output.
    pub(super) outputs: BTreeMap<String, OutputAgreement>,
    /// Requests that one of them did not answer, and the first reason.
    pub(super) n_failed: usize,
    pub(super) first_failure: Option<String>,
}

/// How far one output agrees.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct OutputAgreement {
    /// Answers that are not the same in every bit.
    pub(super) n_differing: usize,
    /// Answers of another type or shape, or that are there in one version alone.
    pub(super) n_other_form: usize,
    /// The largest distance between two numbers at the same place.
    pub(super) largest: Option<f64>,
    /// Rows of several numbers, and how many of them have their largest number at the same place.
    pub(super) n_rows: usize,
    pub(super) n_rows_same_class: usize,
}

/// Asks both; `None` where nothing was given to ask.
pub(super) fn agreement(
    arguments: &CompareArguments,
    (before, after): (&Found, &Found),
) -> Result<Option<Agreement>, String> {
    let (requests, origin) = match (&arguments.inputs, &arguments.state_dir) {
        (Some(file), _) => (from_file(file)?, format!("requests of {}", file.display())),
        (None, Some(folder)) => {
            (captured(folder, &arguments.model, arguments.captures)?, "captured requests".to_owned())
        }
        (None, None) => {
            return Err("give requests with --inputs FILE, or captured ones with --state-dir DIR".to_owned());
        }
    };
    if let Some(address) = &arguments.http {
        let ask = |version| Pinned::new(address, &arguments.model, version);
        let place = format!("{origin}, asked at {address}");
        let (before, after) = (ask(before.version), ask(after.version));
        return Ok(Some(compare(&requests, place, (&|r| before.ask(r), &|r| after.ask(r)))));
    }
    let (Ok(old), Ok(new)) = (&before.files, &after.files) else {
        return Err("the files are not at hand: ask a gateway with --http HOST:PORT".to_owned());
    };
    let engine = engine().map_err(|why| format!("{why}; or ask a gateway with --http HOST:PORT"))?;
    let (old, new) = (load(&engine, old, before.version)?, load(&engine, new, after.version)?);
    let place = format!("{origin}, run here");
    Ok(Some(compare(&requests, place, (&|r| run(&*old, r), &|r| run(&*new, r)))))
}

type Ask<'a> = &'a dyn Fn(&Value) -> Result<Vec<Tensor>, String>;

fn compare(requests: &[Value], place: String, (before, after): (Ask<'_>, Ask<'_>)) -> Agreement {
    let mut found = Agreement { place, ..Agreement::default() };
    for request in requests {
        match before(request).and_then(|old| Ok((old, after(request)?))) {
            Ok((old, new)) => found.take(&old, &new),
            Err(why) => {
                found.n_failed += 1;
                found.first_failure.get_or_insert(why);
            }
        }
    }
    found
}

impl Agreement {
    fn take(&mut self, before: &[Tensor], after: &[Tensor]) {
        let mut is_same = true;
        let gone = after.iter().filter(|new| !before.iter().any(|old| old.name() == new.name()));
        for new in gone {
            self.outputs.entry(new.name().to_owned()).or_default().n_other_form += 1;
            is_same = false;
        }
        for old in before {
            let output = self.outputs.entry(old.name().to_owned()).or_default();
            let new = after.iter().find(|new| new.name() == old.name());
            is_same &= output.take(old, new);
        }
        self.n_compared += 1;
        self.n_same += usize::from(is_same);
    }
}

impl OutputAgreement {
    /// Takes a pair of answers. Says whether they are the same in every bit.
    fn take(&mut self, old: &Tensor, new: Option<&Tensor>) -> bool {
        let form = |tensor: &Tensor| (tensor.datatype(), tensor.shape().to_vec());
        let Some(new) = new.filter(|new| form(new) == form(old)) else {
            self.n_other_form += 1;
            return false;
        };
        self.largest = [self.largest, largest_difference(old, new)].into_iter().flatten().reduce(f64::max);
        let length = old.row_length();
        if let (true, Some(a), Some(b)) = (length > 1, old.numbers(), new.numbers()) {
            let (a, b): (Vec<f64>, Vec<f64>) = (a.collect(), b.collect());
            let class = |row: &[f64]| argmax(row.iter().copied());
            self.n_rows += a.len() / length;
            let pairs = a.chunks(length).zip(b.chunks(length));
            self.n_rows_same_class += pairs.filter(|(a, b)| class(a) == class(b)).count();
        }
        let is_same = old.data() == new.data();
        self.n_differing += usize::from(!is_same);
        is_same
    }
}

fn from_file(file: &Path) -> Result<Vec<Value>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let n_bytes = std::fs::metadata(file).map_err(|error| failed(&error))?.len();
    if n_bytes > INPUTS_BYTES_MAX {
        return Err(failed(&format!("it has {n_bytes} bytes, the limit is {INPUTS_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    let requests = match serde_json::from_str::<Value>(&text) {
        Ok(Value::Array(requests)) => requests,
        Ok(request) => vec![request],
        Err(_) => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let read = lines.map(|(at, line)| {
                serde_json::from_str(line).map_err(|error| failed(&format!("line {}: {error}", at + 1)))
            });
            read.collect::<Result<_, _>>()?
        }
    };
    match requests.len() {
        0 => Err(failed(&"there is no request in it")),
        n if n > REQUESTS_MAX => Err(failed(&format!("it has {n} requests, the limit is {REQUESTS_MAX}"))),
        _ => Ok(requests),
    }
}

fn captured(state_dir: &Path, model: &ModelName, n: usize) -> Result<Vec<Value>, String> {
    let captures = Captures::open(state_dir).map_err(|error| with_causes(&error))?;
    let recent = captures.recent(model, n.min(REQUESTS_MAX)).map_err(|error| with_causes(&error))?;
    let requests: Vec<Value> = recent.iter().filter_map(|capture| capture.request()).collect();
    match requests.is_empty() {
        true => Err(format!("nothing was captured of {model} that can be asked again")),
        false => Ok(requests),
    }
}

fn engine() -> Result<OnnxEngine, String> {
    let library = engine_onnx::locate(None).map_err(|error| with_causes(&error))?;
    OnnxEngine::start(&Options { library: Some(library), ..Options::default() }).map_err(|error| with_causes(&error))
}

fn load(engine: &OnnxEngine, files: &VersionFiles, version: Version) -> Result<std::sync::Arc<dyn Runner>, String> {
    engine.load(&files.artifact).map_err(|error| format!("version {version}: {error}"))
}

fn run(runner: &dyn Runner, request: &Value) -> Result<Vec<Tensor>, String> {
    let inputs = read_tensors(request.to_string().as_bytes(), "inputs").map_err(|error| error.to_string())?;
    let ran = answer(&RunnerSubject::new(runner, &SystemClock), &inputs);
    ran.map(|ran| ran.outputs).map_err(|error| error.to_string())
}

/// A version at a gateway.
struct Pinned {
    agent: Agent,
    url: String,
}

impl Pinned {
    fn new(address: &str, model: &ModelName, version: Version) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None);
        let config = config.timeout_global(Some(TIMEOUT)).user_agent(concat!("switchrail/", env!("CARGO_PKG_VERSION")));
        let base = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let url = format!("{}/v2/models/{model}/versions/{version}/infer", base.trim_end_matches('/'));
        Self { agent: config.build().into(), url }
    }

    fn ask(&self, request: &Value) -> Result<Vec<Tensor>, String> {
        let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", self.url);
        let sent = self.agent.post(&self.url).header("content-type", "application/json");
        let mut response = sent.send(request.to_string().as_bytes()).map_err(|error| failed(&error))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| failed(&error))?;
        if !status.is_success() {
            let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            return Err(failed(&answer["error"].as_str().unwrap_or(status.as_str())));
        }
        read_tensors(&body, "outputs").map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_types::{Data, DataType};
    use serde_json::json;

    use super::*;

    fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Tensor::new(name, DataType::Fp32, shape.to_vec(), Data::Raw(raw.into())).unwrap()
    }

    #[test]
    fn answers_agree_bit_for_bit_by_distance_and_by_class() {
        let old = |_: &Value| Ok(vec![floats("y", &[2, 2], &[1.0, 2.0, 4.0, 3.0])]);
        let new = |request: &Value| match request["n"].as_u64() {
            Some(0) => old(request),
            Some(1) => Ok(vec![floats("y", &[2, 2], &[1.0, 2.5, 2.0, 3.0])]),
            Some(2) => Ok(vec![floats("z", &[1], &[1.0])]),
            _ => Err("no".to_owned()),
        };
        let requests: Vec<Value> = (0..4).map(|n| json!({ "n": n })).collect();
        let found = compare(&requests, String::new(), (&old, &new));
        assert_eq!((found.n_compared, found.n_same, found.n_failed), (3, 1, 1));
        assert_eq!(found.first_failure.as_deref(), Some("no"));
        let expected =
            OutputAgreement { n_differing: 1, n_other_form: 1, largest: Some(2.0), n_rows: 4, n_rows_same_class: 3 };
        assert_eq!(found.outputs["y"], expected);
        assert_eq!(found.outputs["z"].n_other_form, 1);
    }

    #[test]
    fn requests_are_read_as_one_document_a_list_or_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("inputs");
        for (text, n) in [("{\"inputs\":[]}", 1), ("[{},{}]", 2), ("{}\n\n{}\n{}\n", 3), ("{\n\"inputs\": []\n}", 1)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(from_file(&file).unwrap().len(), n, "{text}");
        }
        std::fs::write(&file, "{}\n{\n").unwrap();
        assert!(from_file(&file).unwrap_err().contains("line 2"));
        std::fs::write(&file, "").unwrap();
        assert!(from_file(&file).unwrap_err().contains("no request"));
    }
}
