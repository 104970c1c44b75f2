//! What a version's runs are computed by.

use std::fmt;

/// An execution provider of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Provider {
    /// The CPU, which every library has.
    #[default]
    Cpu,
    /// A GPU through CUDA.
    Cuda,
    /// A GPU through TensorRT.
    TensorRt,
    /// Devices of OpenVINO.
    OpenVino,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Cuda, Self::TensorRt, Self::OpenVino];

    /// The word of routing.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
