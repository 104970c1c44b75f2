//! The keys of routing.toml about gates.

use super::{Row, row};

const GATES: &str = "models.<name>.gates";
const REPLAY: &str = "models.<name>.gates.replay";

pub(super) const ROWS: &[Row] = &[
    row(
        GATES,
        "required",
        "list of gates",
        "",
        "Which of `manifest`, `digest`, `signed`, `preflight`, `contract`, `golden`, `quality`, `latency`, `memory` and `replay` keep a version out that fails them. Default: those that the manifest beside the model asks for. What is required and not asked for there counts as failed; keys and an unreadable manifest always keep out.",
    ),
    row(GATES, "replay", "table or false", "", "Answers recorded requests again and compares with stable."),
    row(
        GATES,
        "keys",
        "list of public keys",
        "[]",
        "One of these has to have signed a version, each as `ed25519:` and 64 hexadecimal digits. See `switchrail keygen` and `sign`.",
    ),
    row(
        GATES,
        "is_enforced",
        "true or false",
        "true",
        "Whether a version that fails is kept out; with false its failures are only told, and keep it out of rollouts.",
    ),
    row(GATES, "time_ms", "1 to 3600000", "60000", "How long all gates of a version may take together."),
    row(REPLAY, "captures", "1 to 10000", "200", "The newest so many recorded requests of the model."),
    row(
        REPLAY,
        "agreement_at_least",
        "above 0, up to 1",
        "0.99",
        "The smallest share of them that is answered as stable answers them, by the model's `disagreement.compare`.",
    ),
];
