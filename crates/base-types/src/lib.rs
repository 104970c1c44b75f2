//! The words of Switchrail: ids, tensors, outcomes, decisions and the clock.
//!
//! Every other crate speaks in these types. This crate does no IO, knows no runtime and serialises
//! nothing; outside data becomes one of these types at the edge that received it (parse, don't check).

mod agreement;
mod clock;
mod comparison;
mod decision;
mod digest;
mod gate;
mod name;
mod numbers;
mod outcome;
mod protocol;
mod rollout;
mod tensor;
mod version;

pub use agreement::largest_difference;
pub use clock::{Clock, ManualClock, SystemClock};
pub use comparison::{Comparison, Match};
pub use decision::{Candidate, Change, Decisions, ModelResidence, OPERATOR, Phase, Quarantine, Residence, Stance};
pub use digest::{Digest, DigestError};
pub use gate::{Gate, GateOverride};
pub use name::{Label, ModelName, NameError, Pin, Selector, Version};
pub use numbers::argmax;
pub use outcome::{FaultKind, Outcome, OutcomeClass, Reason};
pub use protocol::Protocol;
pub use rollout::{NOTED_MAX, NextCandidate, Rollout, RolloutStatus, Standstill};
pub use tensor::{
    Data, DataType, Signature, SignatureMismatch, Tensor, TensorError, TensorSpec, element_count, without_ones,
};
pub use version::{Generation, MemoryUse, VersionId, VersionState};
