//! control-rollout
