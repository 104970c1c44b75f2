//! The course of one request after routing: attempt, fall back to stable after a version fault, record each
//! attempt once and the request once, whatever happens, also when the caller leaves in the middle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base_metrics::FallbackResult;
use base_routing::Assignment;
use base_serving::{AnswerTimes, Attempt, Rerun, ServingModel, ServingVersion};
use base_types::{FaultKind, Generation, Outcome, OutcomeClass, Protocol, Reason, Tensor};

use crate::attempt::{Tried, Why, Work, attempt};
use crate::capture::{By, Drawn};
use crate::check::Wanted;
use crate::tracer::Traced;
use crate::watched::{Watching, predict};
use crate::{Answer, Code, Failure, Gateway, InferRequest, Served, check};

/// When and how a request came in.
pub(crate) struct Asked {
    pub(crate) protocol: Protocol,
    pub(crate) received: Instant,
    pub(crate) timeout: Option<Duration>,
}

/// One request under way. Dropping it before its end records a cancelled request.
pub(crate) struct Course<'a> {
    gateway: &'a Gateway,
    model: &'a Arc<ServingModel>,
    generation: Generation,
    assignment: Assignment,
    protocol: Protocol,
    received: Instant,
    deadline: Instant,
    n_rows: usize,
    is_callers_deadline: bool,
    /// A fault that waits for what stable makes of the same input.
    open_fault: Option<OpenFault<'a>>,
    /// What is under way.
    asking: Option<Asking<'a>>,
    /// What this request does for the watch of its model, where there is one.
    watching: Option<Box<Watching<'a>>>,
    /// What is to be kept of this request, where it was drawn for that.
    pub(crate) drawn: Option<Box<Drawn<'a>>>,
}

/// An attempt under way, or one that is recorded and whose answer is being written.
#[derive(Clone, Copy)]
struct Asking<'a> {
    version: &'a Arc<ServingVersion>,
    reason: Reason,
    is_recorded: bool,
}

/// The times of an attempt that never ran.
const NO_TIME: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);

#[derive(Clone, Copy)]
struct OpenFault<'a> {
    version: &'a Arc<ServingVersion>,
    kind: FaultKind,
    queue: Duration,
    run: Duration,
}

impl<'a> Course<'a> {
    pub(crate) fn new(
        gateway: &'a Gateway,
        (model, generation): (&'a Arc<ServingModel>, Generation),
        assignment: Assignment,
        Asked { protocol, received, timeout }: Asked,
    ) -> Self {
        let limit = model.limits.deadline;
        Self {
            gateway,
            model,
            generation,
            assignment,
            protocol,
            received,
            n_rows: 1,
            deadline: received + timeout.unwrap_or(limit).min(limit),
            is_callers_deadline: timeout.is_some_and(|t| t < limit),
            open_fault: None,
            asking: None,
            watching: None,
            drawn: None,
        }
    }

    pub(crate) async fn run<T>(
        mut self,
        version: &'a Arc<ServingVersion>,
        request: InferRequest,
        write: impl FnOnce(Answer) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let reason = self.assignment.reason;
        let wanted = Wanted { names: request.outputs, uncarried: request.uncarried };
        let work = self.check(version, request.inputs, &wanted).map_err(|failure| {
            self.end_request(version, reason, failure.class, NO_TIME);
            Failure { served: Some(self.served(version)), reason: Some(reason), ..failure }
        })?;
        self.n_rows = check::rows(self.model, version, &work.inputs);
        self.watching = Watching::begin(self.gateway, self.model, &self.assignment, &work.inputs);
        let stable = self.fallback_for(version);
        if stable.is_some() {
            self.model.budget.earn();
        }
        // The inputs are kept only where stable may need them again.
        let kept = stable.map(|stable| (stable, work.inputs.clone()));
        let first = self.ask(version, reason, work).await;
        let (why, stable, inputs) = match (first.result, kept) {
            (Err(Why { fault: Some(kind), detail, .. }), Some((stable, inputs))) => {
                self.asking = None;
                self.open_fault = Some(OpenFault { version, kind, queue: first.queue, run: first.run });
                (detail, stable, inputs)
            }
            (result, _) => return self.end(version, reason, Tried { result, ..first }, write),
        };
        tracing::debug!(version = %version.id, detail = why, "version fault: stable is asked");
        let second = self.fall_back(stable, inputs.to_vec(), &wanted, why).await?;
        self.end(stable, Reason::Fallback, second, write)
    }

    fn check(&self, version: &ServingVersion, inputs: Vec<Tensor>, wanted: &Wanted) -> Result<Work, Failure> {
        Ok(Work {
            inputs: check::inputs(self.model, version, inputs)?,
            outputs: check::outputs(self.model, version, wanted)?,
            deadline: self.deadline,
            is_callers_deadline: self.is_callers_deadline,
            limits: self.model.limits.clone(),
        })
    }

    /// The version that answers if this one cannot: stable, unless the caller named the version.
    fn fallback_for(&self, version: &ServingVersion) -> Option<&'a Arc<ServingVersion>> {
        let route = self.model.route.as_ref()?;
        let is_named = matches!(self.assignment.reason, Reason::Pin | Reason::Label);
        if is_named || !self.model.limits.has_fallback || route.stable == version.id.version {
            return None;
        }
        self.model.versions.get(&route.stable)
    }

    async fn ask(&mut self, version: &'a Arc<ServingVersion>, reason: Reason, work: Work) -> Tried {
        self.asking = Some(Asking { version, reason, is_recorded: false });
        if let Some(drawn) = &mut self.drawn {
            drawn.tried(&work);
        }
        let inputs = check::shaped(self.model, version, work.inputs);
        attempt(version, reason, Work { inputs, ..work }).await
    }

    /// Asks stable the same; the fault is judged by what stable makes of it.
    async fn fall_back(
        &mut self,
        stable: &'a Arc<ServingVersion>,
        inputs: Vec<Tensor>,
        wanted: &Wanted,
        detail: String,
    ) -> Result<Tried, Failure> {
        let has_time = self.gateway.clock().now() < self.deadline;
        let refused = if !has_time {
            Some(FallbackResult::NoTime)
        } else if !self.model.budget.spend() {
            Some(FallbackResult::NoBudget)
        } else {
            None
        };
        let work = match (refused, self.check(stable, inputs, wanted)) {
            (None, Ok(work)) => work,
            // Stable cannot take the input at all: the signatures differ where the gate let them.
            (None, Err(_)) => return Err(self.end_without_fallback(FallbackResult::Failed, detail)),
            (Some(result), _) => return Err(self.end_without_fallback(result, detail)),
        };
        let second = self.ask(stable, Reason::Fallback, work).await;
        let (rerun, result) = match &second.result {
            Ok(_) => (Rerun::Answered, FallbackResult::Answered),
            Err(Why { class: OutcomeClass::VersionFault, .. }) => (Rerun::Failed, FallbackResult::Failed),
            Err(_) => (Rerun::None, FallbackResult::NoTime),
        };
        self.close_fault(rerun, result);
        Ok(second)
    }

    fn end_without_fallback(&mut self, result: FallbackResult, detail: String) -> Failure {
        let Some(OpenFault { version, queue, run, .. }) = self.open_fault else {
            return Failure::new(Code::Internal, "a fault was lost");
        };
        self.close_fault(Rerun::None, result);
        let reason = self.assignment.reason;
        self.end_request(version, reason, OutcomeClass::VersionFault, (queue, run));
        let why = Why { detail, ..Why::fault() };
        self.failure(version, reason, why)
    }

    /// Records the first attempt, now that stable has been asked or could not be.
    fn close_fault(&mut self, rerun: Rerun, result: FallbackResult) {
        if let Some(OpenFault { version, kind, queue, run }) = self.open_fault.take() {
            version.metrics.fallback(result);
            let end = (OutcomeClass::VersionFault, Some(kind));
            self.record(version, self.assignment.reason, rerun, end, (queue, run));
        }
    }

    /// Records the last attempt, has its answer written, records the request, and gives the caller's view of it.
    fn end<T>(
        &mut self,
        version: &'a Arc<ServingVersion>,
        reason: Reason,
        Tried { result, queue, run, batch }: Tried,
        write: impl FnOnce(Answer) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let end = result.as_ref().map_or_else(|why| (why.class, why.fault), |_| (OutcomeClass::Ok, None));
        self.record(version, reason, Rerun::None, end, (queue, run));
        self.asking = Some(Asking { version, reason, is_recorded: true });
        let (mut answered_unix_ms, mut copy, mut kept) = (0, None, None);
        let written = match result {
            Ok(outputs) => {
                let outputs = check::renamed(self.model, version, outputs);
                let declared = self.model.declared.clone();
                let (prediction, unix_ms) = predict(self.gateway, self.model, (version, reason), &self.assignment);
                answered_unix_ms = unix_ms;
                let watching = self.watching.take().filter(|_| reason == self.assignment.reason);
                copy = watching.and_then(|watching| watching.answered(&outputs, (prediction, unix_ms)));
                let by = By { version, reason, batch, prediction, unix_ms };
                kept = self.drawn.take().and_then(|drawn| drawn.answered(&outputs, by));
                write(Answer { served: self.served(version), reason, outputs, declared, prediction })
            }
            Err(why) => Err(self.failure(version, reason, why)),
        };
        self.asking = None;
        let class = written.as_ref().map_or_else(|failure| failure.class, |_| OutcomeClass::Ok);
        let total = self.end_request(version, reason, class, (queue, run));
        if class == OutcomeClass::Ok {
            let times = AnswerTimes { queue, run, total, batch };
            version.stats.answered(&times, self.n_rows, answered_unix_ms);
            if let Some((draft, answered)) = copy {
                draft.offer(answered);
            }
            if let Some(kept) = kept {
                kept.keep();
            }
        }
        written
    }

    fn record(
        &self,
        version: &ServingVersion,
        reason: Reason,
        rerun: Rerun,
        (class, fault): (OutcomeClass, Option<FaultKind>),
        (queue, run): (Duration, Duration),
    ) {
        let now = self.gateway.clock().now();
        let total = now.saturating_duration_since(self.received);
        let outcome = Outcome { class, fault, reason, queue, run, total };
        let attempt = Attempt { model: self.model, version, assignment: &self.assignment, rerun };
        self.gateway.ledger().attempt(&attempt, &outcome, now);
    }

    /// Counts the request, and traces it if it is to be traced; gives the time it took.
    fn end_request(
        &self,
        version: &ServingVersion,
        reason: Reason,
        class: OutcomeClass,
        (queue, run): (Duration, Duration),
    ) -> Duration {
        let total = self.gateway.clock().now().saturating_duration_since(self.received);
        version.metrics.request(self.protocol, class, reason, total);
        if class != OutcomeClass::Ok {
            version.stats.failed(total);
        }
        self.gateway.tracer().trace(version, || Traced {
            outcome: class,
            received_unix_ms: self.gateway.clock().unix_ms().saturating_sub(total.as_millis() as u64),
            queue,
            run,
            total,
        });
        total
    }

    fn served(&self, version: &Arc<ServingVersion>) -> Served {
        Served { version: version.clone(), generation: self.generation }
    }

    fn failure(&self, version: &Arc<ServingVersion>, reason: Reason, why: Why) -> Failure {
        Failure {
            class: why.class,
            detail: why.detail,
            retry_after: why.retry_after,
            served: Some(self.served(version)),
            reason: Some(reason),
            ..Failure::new(why.code, message(why.code, version))
        }
    }
}

fn message(code: Code, version: &ServingVersion) -> String {
    let id = &version.id;
    match code {
        Code::QueueFull => format!("the queue of {id} is full"),
        Code::DeadlineTooShort => format!("the deadline would pass in the queue of {id}"),
        Code::DeadlineInQueue => format!("the deadline passed in the queue of {id}"),
        Code::DeadlineInRun => format!("the deadline passed while {id} was running"),
        Code::Draining => format!("{id} is going out of service"),
        Code::VersionFault => format!("{id} could not answer; this is the version's fault, not the request's"),
        _ => format!("the request to {id} failed"),
    }
}

impl Drop for Course<'_> {
    fn drop(&mut self) {
        if self.open_fault.is_some() {
            self.close_fault(Rerun::None, FallbackResult::NoTime);
        }
        if let Some(Asking { version, reason, is_recorded }) = self.asking.take() {
            // A panic on the way is our defect; otherwise the caller has left.
            let class = if std::thread::panicking() { OutcomeClass::Internal } else { OutcomeClass::Cancelled };
            if !is_recorded {
                self.record(version, reason, Rerun::None, (class, None), NO_TIME);
            }
            self.end_request(version, reason, class, NO_TIME);
        }
    }
}
