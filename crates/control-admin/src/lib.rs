//! control-admin
