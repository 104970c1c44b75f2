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
use data_path::{Code, Failure, Gateway};
use http::HeaderValue;
use http::request::Parts;

use crate::access::{self, Ending};
use crate::body::BodyBudget;
use crate::manage::{LogControl, Management};
use crate::options::{EdgeOptions, Phase};
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
}

impl Edge {
    /// An edge in front of the request path.
    pub fn new(gateway: Arc<Gateway>, options: EdgeOptions) -> Self {
        let budget = BodyBudget::new(options.limits.bodies_bytes);
        Self { gateway, options, budget, ids: Ids::new(), management: Management::default() }
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
        Err(Failure::new(Code::ModelNotReady, format!("the gateway is starting; model {model:?} is not there yet")))
    }

    /// Logs the end of the request.
    pub fn log(&self, ending: &Ending<'_>) {
        access::log(self, ending);
    }

    /// Logs a caller who leaves before [`Gone::is_over`] is set; data-path counts it.
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
