//! The clients, in the order in which they run and stand on the page.

/// A client and how it is run.
#[derive(Debug)]
pub struct Client {
    /// Its name, which is its driver's too.
    pub name: &'static str,
    /// Its heading on the page.
    pub title: &'static str,
    /// The list of packages it needs; clients share environments.
    pub requirements: &'static str,
    /// Whether CI can afford it.
    pub is_short: bool,
}

const fn client(name: &'static str, title: &'static str, requirements: &'static str, is_short: bool) -> Client {
    Client { name, title, requirements, is_short }
}

/// All clients. What floods the gateway comes last.
pub const CLIENTS: &[Client] = &[
    client("triton_http", "tritonclient, HTTP", "triton", true),
    client("triton_http_aio", "tritonclient, HTTP, asynchronous", "triton", true),
    client("triton_grpc", "tritonclient, gRPC", "triton", true),
    client("triton_grpc_aio", "tritonclient, gRPC, asynchronous", "triton", true),
    client("open_inference_rest", "open-inference, REST", "open-inference", true),
    client("open_inference_grpc", "open-inference, gRPC", "open-inference", true),
    client("grpc_services", "gRPC health and reflection", "open-inference", true),
    client("kserve_rest", "kserve, REST", "kserve", false),
    client("kserve_grpc", "kserve, gRPC", "kserve", false),
    client("mlserver_infer", "mlserver infer", "mlserver", false),
    client("tfs_rest", "TensorFlow Serving, REST", "min-tfs", true),
    client("tfs_grpc", "TensorFlow Serving, gRPC, without TensorFlow", "min-tfs", true),
    client("tfs_grpc_tensorflow", "TensorFlow Serving, gRPC", "tensorflow", false),
    client("curl", "curl", "open-inference", true),
    client("openapi", "schemathesis", "schemathesis", false),
    client("perf_analyzer", "perf_analyzer", "perf-analyzer", false),
];

#[cfg(test)]
mod tests;
