//! The walls as declared. ARCHITECTURE.md shows `HOMES` between its markers; `cargo xtask docs` writes it there.

use std::fmt::Write;

/// Where packages of others may be used in the product.
pub struct Home {
    /// The packages.
    pub packages: &'static [&'static str],
    /// The crates that may depend on them; empty means any crate of the product.
    pub crates: &'static [&'static str],
    /// Why there.
    pub why: &'static str,
}

const fn home(packages: &'static [&'static str], crates: &'static [&'static str], why: &'static str) -> Home {
    Home { packages, crates, why }
}

/// Every package of others that the product uses, and its home. Tests, benchmarks and xtask may use any of them.
pub const HOMES: &[Home] = &[
    home(&["arc-swap"], &["base-serving"], "one pointer is swapped in the whole process"),
    home(&["ort", "libloading", "libc"], &["engine-onnx"], "one door to the runtime and to unsafe code"),
    home(
        &["base64"],
        &["data-codec", "base-serving", "control-registry"],
        "binary values in JSON; ids of answers; tensors of captures",
    ),
    home(&["siphasher"], &["base-serving"], "ids of answers that nobody else can make"),
    home(&["prometheus"], &["base-metrics"], "names and labels of metrics are decided in one place"),
    home(&["notify"], &["control-config"], "files are watched in one place"),
    home(
        &["toml"],
        &["control-config", "control-gate", "control-store"],
        "files of operators, and manifests beside models, become types",
    ),
    home(&["tar", "semver"], &["control-store"], "bundles of versions; tags of versions"),
    home(&["rusqlite"], &["control-registry"], "the journal is kept by one crate"),
    home(
        &["sha2"],
        &["control-registry", "control-bucket", "control-gate", "engine-onnx", "control-store"],
        "digests of versions; contents of a cache, and weights in memory, by their hash",
    ),
    home(
        &["object_store", "futures-util", "reqwest", "rustls"],
        &["control-bucket"],
        "buckets are asked in one place; the last two only with the feature of a cloud",
    ),
    home(&["twox-hash"], &["base-routing", "control-config"], "sticky keys; the fingerprint of a routing block"),
    home(
        &["fastrand"],
        &["data-path", "control-loop"],
        "one draw for each request without a sticky key; the draws of an allocation",
    ),
    home(&["hyper"], &["data-edge", "data-http", "data-grpc", "control-admin"], "HTTP is served by the edges"),
    home(&["hyper-util"], &["data-edge", "control-admin"], "connections are taken in one place of each plane"),
    home(
        &["tower"],
        &["data-http", "data-grpc", "control-admin"],
        "limits of the scrape and of the admin API; the call of reflection",
    ),
    home(&["http"], &["data-edge", "data-http", "data-grpc"], "the types of the data edges"),
    home(
        &["http-body"],
        &["data-edge", "data-grpc"],
        "bodies are read and answers written in one place; streams of messages",
    ),
    home(&["flate2"], &["data-edge"], "bodies are packed and unpacked in one place"),
    home(
        &["prost", "prost-types", "prost-build", "protox", "tonic", "tonic-reflection"],
        &["data-grpc"],
        "messages of protocol buffers, made without a compiler of the system; reflection",
    ),
    home(&["ed25519-dalek"], &["control-gate"], "who stands in for a version is checked in one place"),
    home(&["quick-junit"], &["switchrail"], "results of gates, for pipelines"),
    home(&["axum"], &["control-admin"], "comfort where speed does not matter"),
    home(&["ureq"], &["control-loop", "switchrail"], "webhooks; the command line's questions to the admin API"),
    home(
        &["tokio"],
        &[
            "base-serving",
            "data-path",
            "data-exec",
            "data-edge",
            "data-http",
            "data-grpc",
            "control-bucket",
            "control-loop",
            "control-admin",
            "switchrail",
        ],
        "waiting is kept out of the pure crates, the codec and everything that reads files",
    ),
    home(
        &["serde"],
        &[
            "data-codec",
            "control-registry",
            "control-bucket",
            "control-loop",
            "control-admin",
            "switchrail",
            "control-gate",
            "control-store",
        ],
        "bytes become types at doors: wire, journal, checkpoints and views, admin API, command line",
    ),
    home(
        &["serde_json"],
        &[
            "data-codec",
            "control-registry",
            "control-bucket",
            "control-loop",
            "control-admin",
            "switchrail",
            "control-gate",
            "control-store",
        ],
        "as serde",
    ),
    home(
        &["schemars"],
        &["control-loop", "control-admin"],
        "the admin API's document is made from the types it answers with",
    ),
    home(&["rustix"], &["control-registry", "control-store"], "durable and locked files"),
    home(
        &["bytes"],
        &[
            "base-types",
            "data-codec",
            "data-exec",
            "data-edge",
            "data-http",
            "data-grpc",
            "engine-onnx",
            "control-loop",
            "control-gate",
        ],
        "tensor data, shared",
    ),
    home(
        &["tracing"],
        &[
            "engine-onnx",
            "data-path",
            "data-exec",
            "data-edge",
            "data-http",
            "control-config",
            "control-registry",
            "control-bucket",
            "control-loop",
            "control-admin",
            "switchrail",
        ],
        "pure crates return what there is to say",
    ),
    home(&["clap", "tracing-subscriber"], &["switchrail"], "only a program has arguments and a log"),
    home(&["thiserror"], &[], "error types of every crate"),
];

/// Packages that only tests and tools use.
pub const FOR_TESTS: &[&str] =
    &["http-body-util", "jsonschema", "peak_alloc", "plotters", "proptest", "tempfile", "tokio-stream", "tonic-prost"];

/// What a crate must not know although its plane could, and why.
pub const NEVER: &[(&str, &[&str], &str)] = &[
    ("base-types", &["base-routing", "base-metrics", "base-serving"], "the words stand at the bottom"),
    ("base-routing", &["base-metrics", "base-serving"], "a pure decision knows tables only"),
    ("base-metrics", &["base-routing", "base-serving"], "figures decide nothing"),
    ("data-codec", &["base-serving", "base-routing", "base-metrics", "data-path"], "bytes and tensors, nothing else"),
    (
        "data-exec",
        &["data-path", "data-edge", "data-http", "data-grpc", "data-codec", "base-routing"],
        "runs jobs, wherever they come from",
    ),
    ("data-edge", &["data-http", "data-grpc"], "what edges share knows no protocol's routes"),
    ("data-http", &["data-grpc"], "an edge knows no other"),
    ("data-grpc", &["data-http"], "an edge knows no other"),
    (
        "data-path",
        &["data-edge", "data-http", "data-grpc", "data-codec", "data-exec"],
        "a request is the same on every edge",
    ),
    ("control-config", &["control-registry", "control-loop", "control-admin"], "reads wishes, knows no state"),
    ("control-registry", &["control-config", "control-rollout", "control-loop"], "remembers, does not decide"),
    (
        "control-rollout",
        &["base-routing", "base-metrics", "base-serving", "control-config", "control-registry"],
        "numbers and words in, decision out",
    ),
    (
        "control-bucket",
        &["control-config", "control-registry", "control-rollout", "control-loop", "control-admin"],
        "keeps a folder; what is in it is for others to judge",
    ),
    (
        "control-gate",
        &["control-registry", "control-store", "control-rollout", "control-loop", "control-admin"],
        "what is asked, and of whom, is brought to it",
    ),
    ("control-loop", &["control-admin"], "orders come in through its own interface"),
];

/// Words that may stand only in the code of these crates, tests aside, and why.
pub const WORDS: &[(&str, &[&str], &str)] = &[
    ("unsafe", &["engine-onnx"], "one home of unsafe code, reviewed as a whole"),
    (
        "SnapshotCell",
        &["base-serving", "data-path", "control-loop", "switchrail"],
        "one reader and one writer of what is in force",
    ),
];

/// The only product file that reads the clock; everything else takes the time as an argument or a `Clock`.
pub const CLOCK: &str = "crates/base-types/src/clock.rs";

/// The only product file that makes a cell to swap.
pub const CELL: &str = "crates/base-serving/src/cell.rs";

/// Longer files are reported.
pub const FILE_LINES_MAX: usize = 400;

/// A part of the system that crates are sorted into by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// Words both planes share.
    Base,
    /// The runtime.
    Engine,
    /// Requests.
    Data,
    /// Decisions.
    Control,
    /// The program, the only one that sees both planes.
    Program,
    /// Fakes and samples.
    Testkit,
    /// Tests, benchmarks and xtask: not the product.
    Tools,
}

/// Which plane a package of the workspace belongs to; `None` for a name that says none.
pub fn plane(package: &str) -> Option<Plane> {
    match package {
        "switchrail" => Some(Plane::Program),
        "testkit" => Some(Plane::Testkit),
        "switchrail-tests" | "switchrail-benches" | "switchrail-simulation" | "xtask" | "fuzz-checks" => {
            Some(Plane::Tools)
        }
        _ => match package.split_once('-')?.0 {
            "base" => Some(Plane::Base),
            "engine" => Some(Plane::Engine),
            "data" => Some(Plane::Data),
            "control" => Some(Plane::Control),
            _ => None,
        },
    }
}

impl Plane {
    /// Whether a crate of this plane may depend on one of another, tests aside.
    pub fn may_use(self, other: Self) -> bool {
        match (self, other) {
            (Self::Tools, Self::Tools) | (_, Self::Tools | Self::Program | Self::Testkit) => self == Self::Tools,
            (Self::Tools | Self::Program, _) | (_, Self::Base) => true,
            (one, other) => one == other,
        }
    }
}

/// The homes as the table of ARCHITECTURE.md.
pub fn homes_table() -> String {
    let mut text = "| package | at home in | why |\n|---|---|---|\n".to_owned();
    for Home { packages, crates, why } in HOMES {
        let crates = if crates.is_empty() { "any crate".to_owned() } else { crates.join(", ") };
        // Writing to a String cannot fail.
        writeln!(text, "| {} | {crates} | {why} |", packages.join(", ")).ok();
    }
    text
}
