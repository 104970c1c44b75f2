//! base-types
