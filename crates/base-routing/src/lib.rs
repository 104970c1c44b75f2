//! base-routing
