//! Waiting for a version that is loaded on demand. Without it the request path pays one look at an option.

use std::sync::Arc;
use std::time::Instant;

use base_serving::{ServingModel, Snapshot};
use base_types::{Selector, Version, VersionState};

use crate::{Code, Failure, Gateway, InferRequest};

impl Gateway {
    /// The snapshot a request is answered from: the one in force, or, where versions are loaded on demand and the one
    /// meant is not in memory, the one in force once it is. Waits no longer than the request may take.
    pub(crate) async fn awaited(
        &self,
        snapshot: Arc<Snapshot>,
        request: &InferRequest,
        received: Instant,
    ) -> Result<Arc<Snapshot>, Failure> {
        let Some(on_demand) = &self.on_demand else { return Ok(snapshot) };
        let Some(model) = snapshot.models.get(request.model.as_str()) else { return Ok(snapshot) };
        let Some(version) = missing(model, request.pin.as_ref()) else { return Ok(snapshot) };
        let limit = model.limits.deadline;
        let deadline = received + request.timeout.unwrap_or(limit).min(limit);
        let left = deadline.saturating_duration_since(self.clock().now());
        let waited = tokio::time::timeout(left, on_demand.demand(&model.name, version)).await;
        let of = match version {
            Some(version) => format!("version {version} of model {:?}", request.model),
            None => format!("model {:?}", request.model),
        };
        let text = match waited {
            Ok(Ok(())) => return Ok(self.snapshot()),
            Ok(Err(refused)) => format!("{of} is not in memory: {}", refused.0),
            Err(_) => format!("{of} is being loaded, which takes longer than this request may; try again"),
        };
        let code = if version.is_some() { Code::VersionNotReady } else { Code::ModelNotReady };
        let failure = Failure::new(code, text);
        self.metrics().refused(request.protocol, Some(&model.name), failure.class);
        Err(failure)
    }
}

/// What has to be loaded for a request to be answered: a version, or any of the model; `None` when nothing has to, or
/// nothing would help.
fn missing(model: &ServingModel, pin: Option<&Selector>) -> Option<Option<Version>> {
    match pin {
        None => model.route.is_none().then_some(None),
        Some(Selector::Version(version)) => {
            let unready = model.unready.get(version)?;
            (!matches!(unready.state, VersionState::Quarantined)).then_some(Some(*version))
        }
        // A version with a label is needed, and in memory for that.
        Some(Selector::Label(_)) => None,
    }
}

#[cfg(test)]
mod tests;
