//! engine-onnx
