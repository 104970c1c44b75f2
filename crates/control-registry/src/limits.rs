//! The bounds of the repository reader and the preflight; each has a name, a unit and a default.

/// Bounds on what one model repository may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most models in a repository. Beyond it the scan as a whole fails.
    pub models: usize,
    /// Most versions of one model.
    pub versions_per_model: usize,
    /// Most entries read from any one folder.
    pub folder_entries: usize,
    /// Largest model file, in bytes. Protobuf itself ends at 2 GiB.
    pub model_file_bytes: u64,
    /// Largest sum of all files of one version, in bytes.
    pub version_bytes: u64,
    /// Most external data files of one version.
    pub external_files: usize,
    /// Largest `config.pbtxt`, in bytes.
    pub config_bytes: u64,
    /// Most nodes in a model, subgraphs and expanded functions included.
    pub nodes: u64,
    /// Deepest nesting of subgraphs below the main graph.
    pub subgraph_depth: usize,
    /// Deepest nesting of value types (a sequence of maps of …).
    pub type_depth: usize,
    /// Longest name of a node, value, operator or domain, in bytes.
    pub name_bytes: usize,
    /// Longest single documentation text or metadata value, in bytes.
    pub text_bytes: usize,
    /// All documentation and metadata together, in bytes.
    pub text_total_bytes: u64,
    /// Largest tensor after a sparse one was made dense, in bytes.
    pub dense_tensor_bytes: u64,
    /// Most inputs, and most outputs, of the main graph.
    pub graph_values: usize,
}

const MIB: u64 = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            models: 1_024,
            versions_per_model: 256,
            folder_entries: 4_096,
            model_file_bytes: 2_048 * MIB,
            version_bytes: 8_192 * MIB,
            external_files: 1_024,
            config_bytes: MIB,
            nodes: 200_000,
            subgraph_depth: 16,
            type_depth: 16,
            name_bytes: 8_192,
            text_bytes: 16 * MIB as usize,
            text_total_bytes: 256 * MIB,
            dense_tensor_bytes: 2_048 * MIB,
            graph_values: 4_096,
        }
    }
}
