//! base-serving
