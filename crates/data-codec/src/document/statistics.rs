//! Figures of versions as Triton shows them. Clients measure with them and take a missing member for a broken server.

use serde::Serialize;

use super::json;

/// The figures of one version.
#[derive(Debug, Clone, Default)]
pub struct StatisticsView<'a> {
    /// The model.
    pub model: &'a str,
    /// The version.
    pub version: u64,
    /// When the last answer was made, in milliseconds of Unix time.
    pub last_unix_ms: u64,
    /// Rows of all answered requests.
    pub n_rows: u64,
    /// Runs.
    pub n_runs: u64,
    /// Answered requests, their whole time.
    pub success: CountNs,
    /// Requests without an answer.
    pub fail: CountNs,
    /// Time in the queue.
    pub queue: CountNs,
    /// Time around the run.
    pub input: CountNs,
    /// Time in the runtime.
    pub infer: CountNs,
    /// Time after the run.
    pub output: CountNs,
    /// Times in the runtime by number of rows.
    pub batches: Vec<(usize, CountNs)>,
}

/// How often and how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CountNs {
    /// How often.
    pub count: u64,
    /// How long in all, in nanoseconds.
    pub ns: u64,
}

#[derive(Serialize)]
struct All<'a> {
    model_stats: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    name: &'a str,
    version: String,
    last_inference: u64,
    inference_count: u64,
    execution_count: u64,
    inference_stats: Parts,
    batch_stats: Vec<Batch>,
    memory_usage: [u64; 0],
    response_stats: None,
}

/// An object without fields.
#[derive(Serialize)]
struct None {}

#[derive(Serialize)]
struct Parts {
    success: CountNs,
    fail: CountNs,
    queue: CountNs,
    compute_input: CountNs,
    compute_infer: CountNs,
    compute_output: CountNs,
    cache_hit: CountNs,
    cache_miss: CountNs,
}

#[derive(Serialize)]
struct Batch {
    batch_size: usize,
    compute_input: CountNs,
    compute_infer: CountNs,
    compute_output: CountNs,
}

/// The answer of `stats`.
pub fn statistics(versions: &[StatisticsView<'_>]) -> Vec<u8> {
    json(&All { model_stats: versions.iter().map(one).collect() })
}

fn one<'a>(view: &StatisticsView<'a>) -> One<'a> {
    One {
        name: view.model,
        version: view.version.to_string(),
        last_inference: view.last_unix_ms,
        inference_count: view.n_rows,
        execution_count: view.n_runs,
        inference_stats: Parts {
            success: view.success,
            fail: view.fail,
            queue: view.queue,
            compute_input: view.input,
            compute_infer: view.infer,
            compute_output: view.output,
            cache_hit: CountNs::default(),
            cache_miss: CountNs::default(),
        },
        batch_stats: view.batches.iter().map(|(batch_size, infer)| batch(*batch_size, *infer)).collect(),
        memory_usage: [],
        response_stats: None {},
    }
}

/// Only the run is counted by size; the counts are equal, as clients expect of them.
fn batch(batch_size: usize, infer: CountNs) -> Batch {
    let around = CountNs { count: infer.count, ns: 0 };
    Batch { batch_size, compute_input: around, compute_infer: infer, compute_output: around }
}
