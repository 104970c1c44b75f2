//! base-metrics
