//! control-loop
