//! The id that every answer carries, and that feedback comes back by. It describes itself: who answered, how that was
//! drawn and when, under a keyed checksum. So nothing has to be kept between answer and feedback, an id survives a
//! restart, and one that nobody here gave out is found out.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use base_types::{ModelName, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use siphasher::sip::{SipHasher, SipHasher13};

/// Characters of an id.
pub const PREDICTION_ID_CHARS: usize = 48;
/// What an id says, without its checksum.
const BODY_BYTES: usize = 28;
const CHECKSUM_BYTES: usize = 8;
/// The form of an id, in the low bits of its first byte. Another form would be another number.
const FORM: u8 = 1;
const FORM_BITS: u8 = 0b0000_0111;
const RANDOM_BIT: u8 = 0b0000_1000;
const EXPERIMENT_BIT: u8 = 0b0001_0000;
const HELD_OUT_BIT: u8 = 0b0010_0000;

/// What an id says about its answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The version that answered.
    pub version: Version,
    /// Whether it was drawn at random: only then can the answer be compared with those of other versions.
    pub is_random: bool,
    /// Where the answer was part of an experiment, which one and how.
    pub experiment: Option<ExperimentMark>,
    /// Share of the candidate among the candidate's and stable's traffic when the request was routed, rounded to 24
    /// bits; 0 where no two versions were under comparison.
    pub share: f32,
    /// When it was answered, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Tells answers of the same millisecond apart.
    pub sequence: u32,
}

/// The experiment that an answer was part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExperimentMark {
    /// Stands for its name; see [`experiment_tag`].
    pub tag: u32,
    /// Position of the arm in the experiment's split; `None` for a unit that was held out: stable answered it.
    pub arm: Option<u8>,
}

/// An id, ready to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PredictionId([u8; PREDICTION_ID_CHARS]);

/// A genuine id, read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// What it says.
    pub prediction: Prediction,
    /// The same for every copy of the id, different for others: what to look for duplicates by.
    pub mark: u64,
}

/// What ids are made and known by. Whoever has it can make ids, so it stays in the state directory.
#[derive(Clone, Copy)]
pub struct PredictionKey(SipHasher13, [u8; 16]);

/// A short stand-in for an experiment's name in ids. The same in every process.
pub fn experiment_tag(name: &str) -> u32 {
    // The low half is as good as the rest.
    SipHasher::new().hash(name.as_bytes()) as u32
}

impl PredictionKey {
    /// A key from a secret.
    pub fn new(secret: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&secret), secret)
    }

    /// A key that nobody else has, from the randomness that the system gives each process.
    pub fn random() -> Self {
        let half = || RandomState::new().build_hasher().finish().to_le_bytes();
        let (mut secret, halves) = ([0; 16], [half(), half()]);
        secret.copy_from_slice(halves.as_flattened());
        Self::new(secret)
    }

    /// The secret, to be kept where nobody else can read it.
    pub fn secret(&self) -> [u8; 16] {
        self.1
    }

    /// Makes the id of an answer of a model.
    pub fn sign(&self, model: &ModelName, prediction: &Prediction) -> PredictionId {
        let mut bytes = [0; BODY_BYTES + CHECKSUM_BYTES];
        let body = body(prediction);
        bytes[..BODY_BYTES].copy_from_slice(&body);
        bytes[BODY_BYTES..].copy_from_slice(&self.checksum(model, &body).to_le_bytes());
        let mut text = [b'A'; PREDICTION_ID_CHARS];
        // The room is exactly what so many bytes take.
        let _fits = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        PredictionId(text)
    }

    /// Reads an id that came back for a model. `None` where it was not given out for an answer of that model by somebody
    /// with this key.
    pub fn read(&self, model: &ModelName, id: &str) -> Option<Known> {
        if id.len() != PREDICTION_ID_CHARS {
            return None;
        }
        let mut bytes = [0; BODY_BYTES + CHECKSUM_BYTES];
        URL_SAFE_NO_PAD.decode_slice(id, &mut bytes).ok().filter(|n_bytes| *n_bytes == bytes.len())?;
        let (body, checksum) = bytes.split_first_chunk::<BODY_BYTES>()?;
        let mark = u64::from_le_bytes(checksum.try_into().ok()?);
        if self.checksum(model, body) != mark {
            return None;
        }
        Some(Known { prediction: unbody(body)?, mark })
    }

    fn checksum(&self, model: &ModelName, body: &[u8; BODY_BYTES]) -> u64 {
        let mut hasher = self.0;
        hasher.write(body);
        hasher.write(model.as_str().as_bytes());
        hasher.finish()
    }
}

fn body(prediction: &Prediction) -> [u8; BODY_BYTES] {
    let Prediction { version, is_random, experiment, share, unix_ms, sequence } = *prediction;
    let mut flags = FORM;
    flags |= if is_random { RANDOM_BIT } else { 0 };
    flags |= if experiment.is_some() { EXPERIMENT_BIT } else { 0 };
    flags |= if experiment.is_some_and(|e| e.arm.is_none()) { HELD_OUT_BIT } else { 0 };
    let mut body = [0; BODY_BYTES];
    body[0] = flags;
    body[1..5].copy_from_slice(&experiment.map_or(0, |e| e.tag).to_le_bytes());
    body[5..13].copy_from_slice(&version.get().to_le_bytes());
    // Six bytes of milliseconds last for 8,900 years.
    body[13..19].copy_from_slice(&unix_ms.to_le_bytes()[..6]);
    body[19..23].copy_from_slice(&sequence.to_le_bytes());
    body[23..27].copy_from_slice(&share.to_le_bytes());
    body[27] = experiment.and_then(|e| e.arm).unwrap_or_default();
    body
}

fn unbody(body: &[u8; BODY_BYTES]) -> Option<Prediction> {
    let flags = body[0];
    if flags & FORM_BITS != FORM {
        return None;
    }
    let mut unix_ms = [0; 8];
    unix_ms[..6].copy_from_slice(&body[13..19]);
    let tag = u32::from_le_bytes(body[1..5].try_into().ok()?);
    let mark = ExperimentMark { tag, arm: (flags & HELD_OUT_BIT == 0).then_some(body[27]) };
    Some(Prediction {
        version: Version::new(u64::from_le_bytes(body[5..13].try_into().ok()?))?,
        is_random: flags & RANDOM_BIT != 0,
        experiment: (flags & EXPERIMENT_BIT != 0).then_some(mark),
        share: f32::from_le_bytes(body[23..27].try_into().ok()?),
        unix_ms: u64::from_le_bytes(unix_ms),
        sequence: u32::from_le_bytes(body[19..23].try_into().ok()?),
    })
}

impl PredictionId {
    /// The id as it is sent: letters, digits, `-` and `_`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for PredictionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for PredictionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PredictionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PredictionKey(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    fn model(name: &str) -> ModelName {
        ModelName::new(name).unwrap()
    }

    fn predictions() -> Vec<Prediction> {
        let plain = Prediction {
            version: Version::new(3).unwrap(),
            is_random: true,
            experiment: None,
            share: 0.05,
            unix_ms: 1_790_000_000_123,
            sequence: 7,
        };
        let mark = |arm| Some(ExperimentMark { tag: experiment_tag("price"), arm });
        vec![
            plain,
            Prediction { is_random: false, share: 0.0, ..plain },
            Prediction { experiment: mark(Some(2)), version: Version::new(u64::from(u32::MAX) + 9).unwrap(), ..plain },
            Prediction { experiment: mark(None), sequence: u32::MAX, unix_ms: (1 << 48) - 1, ..plain },
        ]
    }

    #[test]
    fn an_id_says_what_it_was_made_of() {
        let key = PredictionKey::new([9; 16]);
        for prediction in predictions() {
            let id = key.sign(&model("m"), &prediction);
            assert_eq!(id.as_str().len(), PREDICTION_ID_CHARS);
            assert!(id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{id}");
            let known = key.read(&model("m"), id.as_str()).unwrap();
            assert_eq!(known.prediction, prediction);
            assert_eq!(key.read(&model("m"), id.as_str()).unwrap().mark, known.mark);
        }
    }

    #[test]
    fn ids_of_others_are_not_known() {
        let (key, other) = (PredictionKey::new([9; 16]), PredictionKey::random());
        for prediction in predictions() {
            let id = key.sign(&model("m"), &prediction);
            assert_eq!(key.read(&model("n"), id.as_str()), None, "of another model");
            assert_eq!(other.read(&model("m"), id.as_str()), None, "of another gateway");
            for at in 0..PREDICTION_ID_CHARS {
                let mut forged = id.as_bytes().to_vec();
                forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(key.read(&model("m"), std::str::from_utf8(&forged).unwrap()), None, "changed at {at}");
            }
        }
        for text in ["", "x", "é", &"A".repeat(47), &"A".repeat(48), &"A".repeat(49), &"=".repeat(48), &"é".repeat(24)]
        {
            assert_eq!(key.read(&model("m"), text), None, "{text}");
        }
    }

    #[test]
    fn a_key_outlives_the_process_by_its_secret_and_two_are_never_the_same() {
        let key = PredictionKey::random();
        let again = PredictionKey::new(key.secret());
        let id = key.sign(&model("m"), &predictions()[0]);
        assert!(again.read(&model("m"), id.as_str()).is_some());
        assert_ne!(PredictionKey::random().secret(), key.secret());
        assert_eq!(format!("{key:?}"), "PredictionKey(..)", "a log never shows it");
    }
}
