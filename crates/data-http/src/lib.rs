//! data-http
