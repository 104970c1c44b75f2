//! How versions did in the traffic of a running gateway, as it keeps it.

use base_types::{ModelName, Version};
use serde_json::Value;

use crate::cli::gateway::GatewayArguments;
use crate::cli::with_causes;

/// How one version did; as the admin API tells it.
pub(super) struct Live(pub(super) Value);

/// Asks the gateway about both.
pub(super) fn live(
    arguments: &GatewayArguments,
    model: &ModelName,
    (before, after): (Version, Version),
) -> Result<(Live, Live), String> {
    let gateway = arguments.gateway().map_err(|error| with_causes(&error))?;
    let ask = |version: Version| {
        let path = format!("/v1/models/{model}/versions/{version}/performance");
        gateway.get(&path, &[]).map(Live).map_err(|error| with_causes(&error))
    };
    Ok((ask(before)?, ask(after)?))
}

impl Live {
    /// A number by the path to it, such as `/latency_ms/p95`.
    pub(super) fn number(&self, pointer: &str) -> Option<f64> {
        self.0.pointer(pointer)?.as_f64()
    }
}
