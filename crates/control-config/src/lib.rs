//! control-config
