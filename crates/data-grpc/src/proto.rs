//! The messages of the protocols, made from `proto/`.
#![allow(missing_docs, clippy::all, reason = "generated; the protocols' own pages explain them")]

/// The Open Inference Protocol with Triton's extensions.
pub mod inference {
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));
}

/// Health checks.
pub mod health {
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
}

/// TensorFlow's tensors and signatures.
pub mod tensorflow {
    include!(concat!(env!("OUT_DIR"), "/tensorflow.rs"));

    /// TensorFlow Serving.
    pub mod serving {
        include!(concat!(env!("OUT_DIR"), "/tensorflow.serving.rs"));
    }
}

/// Descriptors of all of them, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
