//! What a version has to pass before it may take traffic, by name.

use std::fmt;

macro_rules! gates {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// A check of a version before traffic. The words are part of the API, the journal and the metrics: never rename
        /// one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Gate {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Gate {
            /// Every gate, in the order in which they are asked: the cheap ones first.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word used in files, the API, journal, metrics and logs.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

gates! {
    /// What lies beside the model is readable and makes sense.
    Manifest = "manifest",
    /// The content is what the manifest or the record says.
    Digest = "digest",
    /// A key that the operator trusts has signed the content.
    Signed = "signed",
    /// The file was scanned before the runtime saw a byte of it.
    Preflight = "preflight",
    /// Inputs and outputs are as expected, and callers of the version it would replace are served by it.
    Contract = "contract",
    /// Known inputs get the known outputs.
    Golden = "golden",
    /// Answers to labelled inputs are right often enough, and about as often as stable's.
    Quality = "quality",
    /// It answers fast enough here.
    Latency = "latency",
    /// It holds no more memory than it may.
    Memory = "memory",
    /// It answers recorded requests as stable does.
    Replay = "replay",
}

impl Gate {
    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|gate| gate.as_str() == text)
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A person's word that a failed gate does not matter for some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateOverride {
    /// Which gate.
    pub gate: Gate,
    /// Who says so.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since 1970.
    pub since_unix_ms: u64,
}
