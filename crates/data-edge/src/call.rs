//! One request under way, as every edge sees it.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use base_serving::ChangeRequest;
use base_types::{ModelName, OutcomeClass, Protocol};
use data_codec::{DecodeError, Mistake};
use data_path::{Code, Failure, Gateway, no_such_model};
use http::HeaderValue;
use http::request::Parts;

use crate::access::{self, Ending};
use crate::body::BodyBudget;
use crate::manage::{LogControl, Management};
use crate::options::{EdgeOptions, Phase};
use crate::seldom::Seldom;
use crate::trace::Ids;

/// What the requests of a listener share.
pub struct Edge {
    /// The request path.
    pub gateway: Arc<Gateway>,
    /// Settings.
    pub options: EdgeOptions,
    /// The bytes of large bodies held at once.
    pub budget: Arc<BodyBudget>,
    /// Where request ids come from.
    pub ids: Ids,
    /// What stands behind the routes that change something.
    pub(crate) management: Management,
    /// Which faults have a line in the log.
    pub(crate) faults: Seldom,
}

impl Edge {
    /// An edge in front of the request path.
    pub fn new(gateway: Arc<Gateway>, options: EdgeOptions) -> Self {
        let budget = BodyBudget::new(options.limits.bodies_bytes);
        let (management, faults) = (Management::default(), Seldom::default());
        Self { gateway, options, budget, ids: Ids::new(), management, faults }
    }

    /// Lets callers load and unload models and set log and trace. Without this they may not.
    #[must_use]
    pub fn with_changes(mut self, changes: Arc<dyn ChangeRequest>) -> Self {
        self.management.set_changes(changes);
        self
    }

    /// Shows callers what is logged. Whether they may change it is [`Edge::with_changes`].
    #[must_use]
    pub fn with_log_control(mut self, log: Arc<dyn LogControl>) -> Self {
        self.management.set_log(log);
        self
    }

    /// Why there is no model of that name: it does not exist, or is one of those still being loaded at start.
    pub fn absent(&self, model: &str) -> Failure {
        match self.options.readiness.phase() {
            Phase::Starting => {
                Failure::new(Code::ModelNotReady, format!("the gateway is starting; model {model:?} is not there yet"))
            }
            _ => no_such_model(model),
        }
    }
}

/// One request under way.
pub struct Call<'a> {
    /// What it shares with others.
    pub edge: &'a Edge,
    /// Its head.
    pub parts: &'a Parts,
    /// The caller's id of it, or ours.
    pub request_id: &'a HeaderValue,
    /// What it speaks.
    pub protocol: Protocol,
    /// Set before the request is counted or handed to data-path, which counts it.
    is_counted: AtomicBool,
}

impl<'a> Call<'a> {
    /// A request that has just come in.
    pub fn new(edge: &'a Edge, parts: &'a Parts, request_id: &'a HeaderValue, protocol: Protocol) -> Self {
        Self { edge, parts, request_id, protocol, is_counted: AtomicBool::new(false) }
    }

    /// From here on data-path counts the request.
    pub fn hand_over(&self) {
        self.is_counted.store(true, Ordering::Relaxed);
    }

    /// Counts a request that ends before data-path has seen it, once.
    pub fn count_refused(&self, model: Option<&ModelName>, class: OutcomeClass) {
        if !self.is_counted.swap(true, Ordering::Relaxed) {
            self.edge.gateway.metrics().refused(self.protocol, model, class);
        }
    }

    /// The same for a request to a model by a name that may be nobody's.
    pub fn count_refused_of(&self, model: &str, class: OutcomeClass) {
        let snapshot = self.edge.gateway.snapshot();
        self.count_refused(snapshot.models.get(model).map(|m| &m.name), class);
    }

    /// While the versions wanted at start are being loaded, an absent model may be one of theirs.
    pub fn check_started(&self, model: &str) -> Result<(), Failure> {
        let is_starting = self.edge.options.readiness.phase() == Phase::Starting;
        if !is_starting || self.edge.gateway.snapshot().models.contains_key(model) {
            return Ok(());
        }
        Err(self.edge.absent(model))
    }

    /// Logs the end of the request.
    pub fn log(&self, ending: &Ending<'_>) {
        access::log(self, ending);
    }

    /// Logs a caller who leaves before [`Gone::is_over`] is set, and counts one who leaves before data-path does.
    pub fn watch<'c>(&'c self, model: &'c str) -> Gone<'c> {
        Gone { call: self, model, is_over: false }
    }
}

/// See [`Call::watch`].
pub struct Gone<'a> {
    call: &'a Call<'a>,
    model: &'a str,
    /// The request has its answer.
    pub is_over: bool,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        if self.is_over || std::thread::panicking() {
            return;
        }
        let failure = Failure::new(Code::CallerGone, "the caller closed the connection");
        self.call.count_refused_of(self.model, failure.class);
        self.call.log(&Ending { model: self.model, served: None, reason: None, failure: Some(&failure) });
    }
}

/// A body that says nothing, as the failure of its request.
pub fn mistaken(error: &DecodeError) -> Failure {
    let code = match error.mistake() {
        Mistake::Malformed => Code::Malformed,
        Mistake::Mismatch => Code::InputMismatch,
        Mistake::Unsupported => Code::Unsupported,
        Mistake::UnknownInput => Code::InputUnknown,
    };
    Failure::new(code, error.to_string())
}

/// Waits for an answer; `None` where making it panicked, so that neither the connection nor other streams on it
/// suffer.
pub async fn without_panic<T>(answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::time::Instant;

    use base_metrics::Metrics;
    use base_serving::{FaultReport, Judge, OutcomeLedger, Snapshot, SnapshotCell};
    use base_types::SystemClock;
    use http::Request;

    use super::*;

    struct NoJudge;

    impl Judge for NoJudge {
        fn on_fault(&self, _: &FaultReport<'_>) {}
    }

    fn edge() -> Edge {
        let cell = Arc::new(SnapshotCell::new(Snapshot::default()));
        let ledger = Arc::new(OutcomeLedger::new(Arc::new(NoJudge), Instant::now()));
        let metrics = Metrics::new("0", "0").unwrap();
        Edge::new(Arc::new(Gateway::new(cell, ledger, metrics, Arc::new(SystemClock))), EdgeOptions::default())
    }

    #[test]
    fn a_caller_who_leaves_before_the_model_is_asked_is_counted_once() {
        let edge = edge();
        let (parts, ()) = Request::new(()).into_parts();
        let request_id = HeaderValue::from_static("1");
        let n_cancelled = || {
            let text = String::from_utf8(edge.gateway.metrics().render().unwrap()).unwrap();
            let is_meant = |l: &&str| l.starts_with("switchrail_requests_total{") && l.contains("cancelled");
            text.lines().filter(is_meant).map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
        };
        let leave = |prepare: &dyn Fn(&Call<'_>)| {
            let call = Call::new(&edge, &parts, &request_id, Protocol::OipRest);
            prepare(&call);
            drop(call.watch("m"));
        };
        leave(&|_| {});
        assert!((n_cancelled() - 1.0).abs() < 0.1);
        leave(&|call| call.hand_over());
        leave(&|call| call.count_refused(None, OutcomeClass::Client));
        assert!((n_cancelled() - 1.0).abs() < 0.1, "others have counted it");
        let call = Call::new(&edge, &parts, &request_id, Protocol::OipRest);
        call.watch("m").is_over = true;
        assert!((n_cancelled() - 1.0).abs() < 0.1, "it has its answer");
    }
}
