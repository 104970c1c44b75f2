//! Settings of the listeners that take requests, from gateway.toml.

use std::sync::Arc;

use control_config::GatewayConfig;
use data_edge::{AccessLog, EdgeOptions, HttpLimits, Readiness};

/// What the operator says about the edges, and what they say about themselves.
pub(crate) fn edge_options(config: &GatewayConfig, readiness: Arc<Readiness>) -> EdgeOptions {
    let limits = &config.limits;
    let sizes = HttpLimits { bodies_bytes: size(limits.bodies_bytes), ..HttpLimits::default() };
    EdgeOptions {
        limits: HttpLimits {
            connections: limits.connections,
            head_bytes: limits.header_bytes,
            head_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            body_timeout: limits.body_timeout,
            write_timeout: limits.answer_timeout,
            drain_timeout: limits.drain,
            ..sizes.with_body_bytes(size(limits.body_bytes))
        },
        readiness,
        access_log: if config.log.access { AccessLog::All } else { AccessLog::Off },
        has_feedback: config.feedback,
        ..EdgeOptions::default()
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_body_an_operator_allows_has_room_among_all_bodies() {
        for body_bytes in [1, 64 << 20, 4 << 30] {
            let mut config = GatewayConfig::default();
            config.limits.body_bytes = body_bytes;
            let limits = edge_options(&config, Arc::default()).limits;
            assert_eq!(limits.body_bytes as u64, body_bytes);
            assert!(limits.bodies_bytes as u64 >= 3 * body_bytes, "{} of {body_bytes}", limits.bodies_bytes);
        }
    }

    #[test]
    fn the_room_for_all_bodies_is_the_operators_but_never_too_little_for_one() {
        let bodies_bytes = |wanted: u64| {
            let mut config = GatewayConfig::default();
            (config.limits.body_bytes, config.limits.bodies_bytes) = (1000, wanted);
            edge_options(&config, Arc::default()).limits.bodies_bytes
        };
        assert_eq!((bodies_bytes(5_000_000), bodies_bytes(4000), bodies_bytes(1)), (5_000_000, 4000, 4000));
    }
}
