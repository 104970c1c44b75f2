//! What a request speaks.

/// The protocol a request came in by. A label of metrics: never more of them than these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Open Inference Protocol v2 over REST.
    OipRest,
    /// Open Inference Protocol v2 over gRPC.
    OipGrpc,
    /// TensorFlow Serving over REST.
    TfsRest,
    /// TensorFlow Serving over gRPC.
    TfsGrpc,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 4] = [Self::OipRest, Self::OipGrpc, Self::TfsRest, Self::TfsGrpc];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OipRest => "oip_rest",
            Self::OipGrpc => "oip_grpc",
            Self::TfsRest => "tfs_rest",
            Self::TfsGrpc => "tfs_grpc",
        }
    }
}
