//! Feedback on answers, and how much of it counted.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{DocumentError, json};

/// Most pieces of feedback in one body.
pub const FEEDBACK_ENTRIES_MAX: usize = 10_000;

/// What a caller tells about one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackEntry {
    /// The id that the answer came with.
    pub prediction_id: String,
    /// What is told.
    pub said: FeedbackSaid,
}

/// What is told about an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FeedbackSaid {
    /// Whether it was right.
    Correct(bool),
    /// How bad it was, in [0, 1].
    Loss(f64),
}

/// How many pieces of feedback ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FeedbackCounts {
    /// They count.
    pub accepted: u64,
    /// No answer of the model had that id.
    pub unknown: u64,
    /// Their answers are too old.
    pub late: u64,
    /// There was feedback on these answers before.
    pub duplicate: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    prediction_id: String,
    correct: Option<bool>,
    score: Option<f64>,
    reward: Option<f64>,
    loss: Option<f64>,
}

/// The answer to feedback.
pub fn feedback_counts(counts: &FeedbackCounts) -> Vec<u8> {
    json(counts)
}

/// Reads feedback: one piece, or `{"feedback": [...]}` with at most [`FEEDBACK_ENTRIES_MAX`].
///
/// # Errors
/// The first piece that is wrong, and why.
pub fn decode_feedback(body: &[u8]) -> Result<Vec<FeedbackEntry>, DocumentError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let told = deserializer.deserialize_map(Body).and_then(|list| deserializer.end().map(|()| list));
    match told.map_err(|error| DocumentError(error.to_string()))? {
        None => entry(body).map(|entry| vec![entry]).map_err(DocumentError),
        Some(list) => {
            let entries = list.into_iter().enumerate();
            let read = |(index, raw): (usize, &RawValue)| {
                entry(raw.get().as_bytes()).map_err(|why| DocumentError(format!("feedback[{index}]: {why}")))
            };
            entries.map(read).collect()
        }
    }
}

fn entry(text: &[u8]) -> Result<FeedbackEntry, String> {
    let read: Result<Entry, _> = serde_json::from_slice(text);
    let Entry { prediction_id, correct, score, reward, loss } = read.map_err(|error| match error.to_string() {
        why if why.contains("unknown field `label`") => {
            format!(
                "{why}: a label cannot be compared here, because answers are not kept; send `correct`, true or false"
            )
        }
        why => why,
    })?;
    let losses =
        [score.map(|score| ("score", 1.0 - score)), reward.map(|r| ("reward", 1.0 - r)), loss.map(|l| ("loss", l))];
    let mut losses = losses.into_iter().flatten();
    let said = match (correct, losses.next(), losses.next()) {
        (Some(is_correct), None, _) => FeedbackSaid::Correct(is_correct),
        (None, Some((_, loss)), None) if (0.0..=1.0).contains(&loss) => FeedbackSaid::Loss(loss),
        (None, Some((name, _)), None) => return Err(format!("{name} is a number from 0 to 1")),
        (None, None, _) => return Err("one of correct, score, reward and loss is missing".to_owned()),
        _ => return Err("there is more than one of correct, score, reward and loss".to_owned()),
    };
    Ok(FeedbackEntry { prediction_id, said })
}

/// The body: a list where it has one, else `None`. What it holds beside its list is refused, what it holds without one
/// is read later.
struct Body;

impl<'de> Visitor<'de> for Body {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object: feedback on one answer, or a list of it under `feedback`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut list, mut n_fields) = (None, 0);
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            n_fields += 1;
            if name == "feedback" {
                list = Some(map.next_value_seed(List)?);
            } else {
                map.next_value::<serde::de::IgnoredAny>()?;
            }
        }
        match list {
            Some(_) if n_fields > 1 => Err(A::Error::custom("beside `feedback` there is nothing else, and one of it")),
            list => Ok(list),
        }
    }
}

/// A list that is not read beyond its bound.
struct List;

impl<'de> DeserializeSeed<'de> for List {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of feedback")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(raw) = seq.next_element()? {
            if list.len() >= FEEDBACK_ENTRIES_MAX {
                return Err(A::Error::custom(format!("more than {FEEDBACK_ENTRIES_MAX} pieces of feedback at once")));
            }
            list.push(raw);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    fn check(body: &str, expected: &[(&str, FeedbackSaid)]) {
        let read = decode_feedback(body.as_bytes()).unwrap();
        let read: Vec<_> = read.iter().map(|entry| (entry.prediction_id.as_str(), entry.said)).collect();
        assert_eq!(read, expected, "{body}");
    }

    fn check_wrong(body: &str, part: &str) {
        let error = decode_feedback(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{body}: {error}");
    }

    #[test]
    fn one_piece_and_many_are_read() {
        check(r#"{"prediction_id":"a","correct":true}"#, &[("a", FeedbackSaid::Correct(true))]);
        check(r#" {"score":0.75,"prediction_id":"é\n"} "#, &[("é\n", FeedbackSaid::Loss(0.25))]);
        check(r#"{"prediction_id":"a","reward":1}"#, &[("a", FeedbackSaid::Loss(0.0))]);
        check(
            r#"{"feedback":[{"prediction_id":"a","loss":0},{"prediction_id":"b","correct":false,"score":null}]}"#,
            &[("a", FeedbackSaid::Loss(0.0)), ("b", FeedbackSaid::Correct(false))],
        );
        check(r#"{"f\u0065edback":[]}"#, &[]);
    }

    #[test]
    fn the_first_piece_that_is_wrong_is_named() {
        check_wrong("", "EOF");
        check_wrong("[]", "an object");
        check_wrong("{}", "prediction_id");
        check_wrong(r#"{"prediction_id":"a"}"#, "is missing");
        check_wrong(r#"{"prediction_id":"a","correct":true,"loss":0}"#, "more than one");
        check_wrong(r#"{"prediction_id":"a","score":1,"loss":0}"#, "more than one");
        check_wrong(r#"{"prediction_id":"a","correct":1}"#, "boolean");
        check_wrong(r#"{"prediction_id":"a","label":"cat"}"#, "send `correct`");
        check_wrong(r#"{"prediction_id":"a","correct":true,"note":"x"}"#, "unknown field");
        for outside in ["-0.1", "1.1", "1e999"] {
            check_wrong(
                &format!(
                    r#"{{"feedback":[{{"prediction_id":"a","loss":0}},{{"prediction_id":"a","score":{outside}}}]}}"#
                ),
                "",
            );
        }
        check_wrong(
            r#"{"feedback":[{"prediction_id":"a","loss":0},{"prediction_id":"a","score":2}]}"#,
            "feedback[1]: score",
        );
        check_wrong(r#"{"feedback":[],"correct":true}"#, "nothing else");
        check_wrong(r#"{"feedback":[],"feedback":[]}"#, "nothing else");
        check_wrong(r#"{"feedback":{}}"#, "a list");
        check_wrong(r#"{"prediction_id":"a","loss":0} x"#, "trailing");
    }

    #[test]
    fn a_list_is_not_read_beyond_its_bound() {
        let body = |n: usize| format!(r#"{{"feedback":[{}]}}"#, vec![r#"{"prediction_id":"a","loss":1}"#; n].join(","));
        assert_eq!(decode_feedback(body(FEEDBACK_ENTRIES_MAX).as_bytes()).unwrap().len(), FEEDBACK_ENTRIES_MAX);
        check_wrong(&body(FEEDBACK_ENTRIES_MAX + 1), "more than 10000");
    }

    #[test]
    fn the_answer_counts() {
        let counts = FeedbackCounts { accepted: 1, unknown: 2, late: 3, duplicate: 4 };
        assert_eq!(feedback_counts(&counts), br#"{"accepted":1,"unknown":2,"late":3,"duplicate":4}"#);
    }
}
