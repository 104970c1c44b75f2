//! Gates before traffic: a version that is loaded and warm is asked before it may be addressed.
//!
//! Who passed is not asked again under the same manifest and rules, so that a restart neither waits nor turns out
//! otherwise; and a version that was confirmed once has been in traffic, which no gate can tell more about. The gates
//! run on a thread of their own with the loader's low priority, as the warm-up does.
//!
//! Reading order: this file, `lane` (how a version is asked), `desk` (what is known and kept), `order` (overrides).

mod desk;
mod lane;
mod order;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use base_serving::engine::Runner;
use base_serving::lane::Lane;
use base_types::{Clock, Comparison, Digest, ModelName, Signature, Version, VersionId, VersionState};
use control_config::{GateRules, RoutingConfig};
use control_gate::{Asked, Beside, GateReport, Recorded, Subject, Verdict, failing, fingerprint, run};
use control_registry::captures::Captures;
use tracing::{debug, warn};

use crate::load::{LoadContext, LoadRequest};
use crate::source::{Source, read_attached};
use crate::state::{Entry, State};

pub(crate) use desk::{Desk, Gated, overrides, stored};
pub(crate) use lane::LaneSubject;

/// The stable code of a version that is kept out.
const CODE: &str = "gate_failed";
/// What the gate of the file's content says where a version is loaded: it was scanned before.
const PREFLIGHT: &str = "the file was looked through before the runtime saw it";
/// Beyond the time of the gates and one run, for reading what lies beside the model.
const PATIENCE: Duration = Duration::from_secs(60);

/// A version that is loaded and warm.
pub(crate) struct Warm<'a> {
    pub(crate) digest: Digest,
    pub(crate) signature: &'a Signature,
    pub(crate) shown: Option<&'a Signature>,
    pub(crate) lane: &'a Arc<dyn Lane>,
    pub(crate) runner: &'a Arc<dyn Runner>,
}

/// Asks a version, unless it is known to have passed. An error keeps it out: stable code and text.
pub(crate) fn check(
    context: &LoadContext,
    request: &LoadRequest,
    warm: &Warm<'_>,
) -> Result<(), (&'static str, String)> {
    let (id, desk) = (&request.id, &context.gates);
    if desk.is_trusted(id, warm.digest) {
        return Ok(());
    }
    let rules = desk.rules(&id.model);
    let read =
        |path: &str, bytes_max: u64| read_attached(context, request, path, bytes_max).map_err(|refusal| refusal.text);
    let beside = Beside::read(&read);
    let mark = fingerprint(&beside, &rules);
    if desk.has_passed(id, warm.digest, &mark) {
        debug!(version = %id, "gates passed before");
        return Ok(());
    }
    let is_asked = beside.has_manifest || beside.manifest.is_err() || rules != GateRules::default();
    if !is_asked && beside.signature.is_none() {
        return Ok(());
    }
    let reports = ask(context, request, warm, (beside, rules.clone()));
    keep_in_store(context, request, &reports);
    let refused = desk.settle(id, Gated { digest: warm.digest, mark, reports });
    match refused.filter(|_| rules.is_enforced) {
        Some(text) => Err((CODE, text)),
        None => Ok(()),
    }
}

/// Everything the gates need, on a thread of its own.
struct Work {
    id: VersionId,
    digest: Digest,
    expected: Option<Digest>,
    beside: Beside,
    rules: GateRules,
    comparison: Comparison,
    candidate: LaneSubject,
    stable: Option<(Version, LaneSubject)>,
    recorded: Vec<Recorded>,
    clock: Arc<dyn Clock>,
}

fn ask(
    context: &LoadContext,
    request: &LoadRequest,
    warm: &Warm<'_>,
    (beside, rules): (Beside, GateRules),
) -> Vec<GateReport> {
    let id = request.id.clone();
    let contract = request.names.apply(warm.shown.unwrap_or(warm.signature)).signature;
    let candidate = LaneSubject {
        contract,
        graph: warm.signature.clone(),
        lane: warm.lane.clone(),
        runner: warm.runner.clone(),
        limits: request.limits.clone(),
        clock: context.clock.clone(),
        serving: None,
    };
    let patience = rules.time + request.limits.run_timeout + PATIENCE;
    let expected = match &request.stamp {
        Source::Store(pushed) => Some(pushed.record.digest),
        Source::Folder(_) => None,
    };
    let recorded = rules.replay.map(|rule| recorded(context, &id.model, rule.captures)).unwrap_or_default();
    let work = Work {
        digest: warm.digest,
        expected,
        comparison: context.gates.comparison(&id.model),
        stable: context.gates.stable(&id, &context.clock),
        id,
        beside,
        rules,
        candidate,
        recorded,
        clock: context.clock.clone(),
    };
    let (tell, told) = sync_channel(1);
    let made = thread::Builder::new().name("gates".to_owned()).spawn(move || {
        let reports = work.run();
        // Versions end on the loader's thread, which has them still.
        drop(work);
        // The loader may have given up.
        let _gone = tell.send(reports);
    });
    let reports = made.map_err(|error| format!("no thread for the gates: {error}"));
    let reports = reports
        .and_then(|_| told.recv_timeout(patience).map_err(|_| "a run neither ended nor could be stopped".to_owned()));
    reports.unwrap_or_else(|text| vec![failure(text)])
}

impl Work {
    fn run(&self) -> Vec<GateReport> {
        let stable = self.stable.as_ref().map(|(version, subject)| (*version, subject as &dyn Subject));
        run(&Asked {
            model: &self.id.model,
            digest: self.digest,
            expected: self.expected,
            beside: &self.beside,
            rules: &self.rules,
            comparison: &self.comparison,
            preflight: PREFLIGHT,
            candidate: &self.candidate,
            stable,
            recorded: &self.recorded,
            clock: &*self.clock,
        })
    }
}

/// The report where the gates themselves could not be asked to the end.
fn failure(text: String) -> GateReport {
    let gate = base_types::Gate::Manifest.as_str().to_owned();
    let (measured, threshold) = (None, None);
    GateReport { gate, verdict: Verdict::Failed, is_required: true, text, measured, threshold, took_ms: 0 }
}

/// The newest recorded requests of a model that are whole.
fn recorded(context: &LoadContext, model: &ModelName, n: usize) -> Vec<Recorded> {
    let captures = Captures::open(context.trials.state_dir()).and_then(|captures| captures.recent(model, n));
    match captures {
        Ok(captures) => captures
            .into_iter()
            .filter_map(|capture| Some(Recorded { inputs: capture.inputs()?, id: capture.prediction_id }))
            .collect(),
        Err(error) => {
            debug!(%model, %error, "no recorded requests for the gates");
            Vec::new()
        }
    }
}

/// Keeps the reports beside the record, where the version comes from the store.
fn keep_in_store(context: &LoadContext, request: &LoadRequest, reports: &[GateReport]) {
    let (Source::Store(_), Some(store)) = (&request.stamp, &context.store) else { return };
    let VersionId { model, version } = &request.id;
    let kept = serde_json::to_value(reports).map_err(|error| error.to_string()).and_then(|report| {
        let now = context.clock.unix_ms();
        store.add_gate_results(model, *version, &report, now).map_err(|error| error.to_string())
    });
    if let Err(error) = kept {
        // The journal has them; a store that may only be read is no mistake.
        warn!(version = %request.id, error, "the results of the gates are not kept in the store");
    }
}

/// Has a version that failed its gates taken up again at the next look.
pub(crate) fn try_again(entry: &mut Entry) {
    if entry.state == VersionState::Failed && entry.reason.as_ref().is_some_and(|(code, _)| code == CODE) {
        entry.stamp = None;
    }
}

/// Versions that failed may pass under other rules.
pub(crate) fn retry_ruled(state: &mut State, before: &RoutingConfig) {
    let State { models, routing, .. } = state;
    for (name, model) in models {
        if before.gates(name) != routing.gates(name) {
            model.versions.values_mut().for_each(try_again);
        }
    }
}

/// What the gate of a rollout asks of its candidate: no gate failed that nobody overrode, required or not.
pub(crate) fn misgiving(state: &State, model: &ModelName, version: Version) -> Option<String> {
    let id = State::id(model, version);
    let gated = state.gates.get(&id)?;
    // What was said of other content says nothing.
    let serving = state.models.get(model)?.serving(version).filter(|serving| serving.digest == gated.digest)?;
    let report = failing(&gated.reports, desk::overrides(state, model, serving.digest), false).next()?;
    Some(format!(
        "gate {}: {}; if that does not matter: switchrail override {model} {version} --gate {} --reason WHY",
        report.gate, report.text, report.gate
    ))
}
