//! data-codec
