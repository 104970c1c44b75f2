//! control-registry
