//! The callers: threads that send files over keep-alive connections, one request after the other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Response};

use super::corpus::Sample;
use super::labels::N_SCORES;
use super::tally::{Reply, Tally, Timing};

/// The model's name in the repository.
pub const MODEL: &str = "magika";

/// A request without an answer after this has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// A caller whose request failed waits this long, so that a gateway that is down is not hammered.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Characters of an error shown.
const ERROR_CHARS_MAX: usize = 300;

/// Callers under way. They stop when this is dropped.
pub struct Traffic {
    is_stopped: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

/// What all callers share.
#[derive(Clone)]
struct Caller {
    url: String,
    samples: Arc<[Sample]>,
    next: Arc<AtomicUsize>,
    tally: Arc<Mutex<Tally>>,
    is_stopped: Arc<AtomicBool>,
}

impl Traffic {
    /// Starts callers, each with a connection of its own, that take the files in turns.
    pub fn start(address: &str, n_callers: usize, samples: &Arc<[Sample]>, tally: &Arc<Mutex<Tally>>) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let caller = Caller {
            url: infer_url(address, None),
            samples: samples.clone(),
            next: Arc::default(),
            tally: tally.clone(),
            is_stopped: is_stopped.clone(),
        };
        let start = |_| {
            let caller = caller.clone();
            thread::spawn(move || caller.call())
        };
        Self { is_stopped, callers: (0..n_callers).map(start).collect() }
    }

    /// Lets every caller finish its request.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        for caller in self.callers.drain(..) {
            if caller.join().is_err() {
                eprintln!("a caller of the demo panicked");
            }
        }
    }
}

impl Caller {
    fn call(&self) {
        let agent = agent();
        while !self.is_stopped.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed) % self.samples.len();
            let (sent, sent_unix_ms) = (Instant::now(), unix_ms());
            let result = ask(&agent, &self.url, &self.samples[index].body);
            let timing = Timing { sent, sent_unix_ms, done: Instant::now() };
            match result {
                Ok(reply) => lock(&self.tally).answered(index, timing, reply),
                Err(why) => {
                    lock(&self.tally).failed(why);
                    thread::sleep(PAUSE_AFTER_FAILURE);
                }
            }
        }
    }
}

/// A client with keep-alive that takes every status for an answer.
pub fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(REQUEST_TIMEOUT))
        // The gateway is on this machine, whatever proxy the environment names.
        .proxy(None)
        .build();
    config.into()
}

/// Where to ask the model, or one version of it.
pub fn infer_url(address: &str, version: Option<u64>) -> String {
    let version = version.map(|v| format!("/versions/{v}")).unwrap_or_default();
    format!("http://{address}/v2/models/{MODEL}{version}/infer")
}

/// Sends one file. Anything but 200 with 214 finite numbers and the headers that name their origin is an error.
pub fn ask(agent: &Agent, url: &str, body: &[u8]) -> Result<Reply, String> {
    let (status, headers, body) = post(agent, url, body)?;
    if status != 200 {
        return Err(format!("status {status}: {}", shorten(&body)));
    }
    let version = header(&headers, "switchrail-version")?;
    let generation = header(&headers, "switchrail-generation")?;
    let reason = header(&headers, "switchrail-reason")?;
    let scores = scores(&body, version).ok_or_else(|| format!("not a good answer: {}", shorten(&body)))?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
    Ok(Reply { version: number(version)?, generation: number(generation)?, reason: reason.to_owned(), scores })
}

/// Sends a request; the answer's status, headers and text.
pub fn post(agent: &Agent, url: &str, body: &[u8]) -> Result<(u16, HeaderMap, String), String> {
    let answer = agent.post(url).header("content-type", "application/json").send(body);
    answer.and_then(read).map_err(|e| e.to_string())
}

/// Locks the tally; a caller that panicked is reported when it is joined.
pub fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(answer: Response<ureq::Body>) -> Result<(u16, HeaderMap, String), ureq::Error> {
    let (head, mut body) = answer.into_parts();
    let text = body.with_config().limit(ANSWER_BYTES_MAX).read_to_string()?;
    Ok((head.status.as_u16(), head.headers, text))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, String> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| format!("the answer has no header {name}"))
}

/// The output, if it is complete and finite and the body names the same version as the headers.
fn scores(body: &str, version: &str) -> Option<Box<[f32]>> {
    let body: Value = serde_json::from_str(body).ok()?;
    let output = body["outputs"].as_array()?.iter().find(|output| output["name"] == "target_label")?;
    let scores: Option<Box<[f32]>> = output["data"].as_array()?.iter().map(|v| v.as_f64().map(|v| v as f32)).collect();
    let is_good = |scores: &[f32]| scores.len() == N_SCORES && scores.iter().all(|score| score.is_finite());
    scores.filter(|scores| is_good(scores) && body["model_version"] == version)
}

fn shorten(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX).collect()
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
