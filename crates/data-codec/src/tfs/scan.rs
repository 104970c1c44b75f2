//! Reads JSON as TensorFlow Serving does: with the tokens `NaN`, `Infinity` and `-Infinity`, which no parser of
//! standard JSON takes, and without knowing the shape of a tensor before its last bracket.

use std::borrow::Cow;

use crate::error::Mistake;
use crate::tfs::flaw::Flaw;

/// A place in a text that is read from front to back.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// A value that is neither an array nor an object.
#[derive(Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    /// A number as JSON writes it.
    Number(&'a str),
    /// NaN or an infinity.
    Special(f64),
    /// Text, its escapes resolved.
    Text(Cow<'a, str>),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

impl Scalar<'_> {
    /// What was found, for those who expected something else.
    pub(super) fn found(&self) -> &'static str {
        match self {
            Self::Number(_) | Self::Special(_) => "a number",
            Self::Text(_) => "a string",
            Self::Bool(_) => "a boolean",
            Self::Null => "null",
        }
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// The next byte that is no white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let n_blank = self.rest().iter().take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t')).count();
        self.at += n_blank;
        self.rest().first().copied()
    }

    /// Reads over a byte, if it is the next one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Fails because of the text itself.
    pub(super) fn syntax(&mut self, expected: &str) -> Flaw {
        self.peek();
        let before = &self.text.as_bytes()[..self.at];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        Flaw::syntax(format!("expected {expected} at line {line} column {column}"))
    }

    /// Reads an array; each item is read by `read`, which gets its position. Gives the number of items.
    pub(super) fn items(&mut self, mut read: impl FnMut(&mut Self, usize) -> Result<(), Flaw>) -> Result<usize, Flaw> {
        if !self.take(b'[') {
            return Err(self.syntax("an array"));
        }
        if self.take(b']') {
            return Ok(0);
        }
        let mut n_items = 0;
        loop {
            read(self, n_items).map_err(|flaw| flaw.inside(|| format!("[{n_items}]")))?;
            n_items += 1;
            if self.take(b']') {
                return Ok(n_items);
            }
            if !self.take(b',') {
                return Err(self.syntax("`,` or `]`"));
            }
        }
    }

    /// Reads an object; each value is read by `read`, which gets its key.
    pub(super) fn entries(&mut self, mut read: impl FnMut(&mut Self, &str) -> Result<(), Flaw>) -> Result<(), Flaw> {
        if !self.take(b'{') {
            return Err(self.syntax("an object"));
        }
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            if !self.take(b':') {
                return Err(self.syntax("`:`"));
            }
            read(self, &key)?;
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.syntax("`,` or `}`"));
            }
        }
    }

    /// Reads a value that is neither an array nor an object.
    pub(super) fn scalar(&mut self) -> Result<Scalar<'a>, Flaw> {
        match self.peek() {
            Some(b'"') => self.string().map(Scalar::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let word = self.word(0);
                let found = match word {
                    "true" => Scalar::Bool(true),
                    "false" => Scalar::Bool(false),
                    "null" => Scalar::Null,
                    _ => Scalar::Special(special(word).ok_or_else(|| self.syntax("a value"))?),
                };
                self.at += word.len();
                Ok(found)
            }
        }
    }

    /// Reads text in quotes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Flaw> {
        if !self.take(b'"') {
            return Err(self.syntax("a string"));
        }
        let bytes = self.rest();
        let (mut end, mut has_escapes) = (0, false);
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    end += 2;
                }
                Some(0x20..) => end += 1,
                _ => {
                    self.at += end.min(bytes.len());
                    return Err(self.syntax("the rest of a string"));
                }
            }
        }
        let from = self.at;
        self.at += end + 1;
        if !has_escapes {
            return Ok(Cow::Borrowed(&self.text[from..from + end]));
        }
        let quoted = &self.text[from - 1..=from + end];
        serde_json::from_str(quoted)
            .map(Cow::Owned)
            .map_err(|_| self.syntax("only valid escapes in the string that ends"))
    }

    /// Reads over any value that opens at most this many arrays and objects.
    pub(super) fn skip(&mut self, depth_left: usize) -> Result<(), Flaw> {
        let deeper = || depth_left.checked_sub(1).ok_or_else(|| Flaw::at(Mistake::Malformed, "nested too deeply"));
        match self.peek() {
            Some(b'[') => {
                let inner = deeper()?;
                self.items(|scan, _| scan.skip(inner)).map(|_| ())
            }
            Some(b'{') => {
                let inner = deeper()?;
                self.entries(|scan, _| scan.skip(inner))
            }
            _ => self.scalar().map(|_| ()),
        }
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), Flaw> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax("the end of the body")),
        }
    }

    fn word(&self, from: usize) -> &'a str {
        let rest = &self.rest()[from.min(self.rest().len())..];
        let n_letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        &self.text[self.at + from..self.at + from + n_letters]
    }

    fn number(&mut self) -> Result<Scalar<'a>, Flaw> {
        let bytes = self.rest();
        let sign = usize::from(bytes.first() == Some(&b'-'));
        if let Some(value) = special(self.word(sign)) {
            self.at += sign + self.word(sign).len();
            // There is one NaN, with or without a sign.
            return Ok(Scalar::Special(if value.is_nan() { value } else { -value }));
        }
        let digits = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
        let whole = digits(sign);
        let mut end = sign + whole;
        let mut is_valid = whole == 1 || (whole > 1 && bytes[sign] != b'0');
        if bytes.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            is_valid &= fraction > 0;
            end += 1 + fraction;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let has_sign = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
            let exponent = digits(end + 1 + usize::from(has_sign));
            is_valid &= exponent > 0;
            end += 1 + usize::from(has_sign) + exponent;
        }
        if !is_valid {
            return Err(self.syntax("a number"));
        }
        let text = &self.text[self.at..self.at + end];
        self.at += end;
        Ok(Scalar::Number(text))
    }
}

/// The tokens of TensorFlow Serving's parser beside those of JSON.
fn special(word: &str) -> Option<f64> {
    match word {
        "NaN" => Some(f64::NAN),
        "Infinity" | "Inf" => Some(f64::INFINITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn scalars_are_those_of_json_and_three_more() {
        let check = |text: &str, expected: Scalar<'_>| {
            let mut scan = Scan::new(text);
            assert_eq!(scan.scalar().unwrap(), expected, "{text}");
            assert!(scan.end().is_ok(), "{text}");
        };
        for number in ["0", "-0", "10", "-1.50", "0.1e-7", "1E+3", "123456789012345678901234567890"] {
            check(&format!(" {number} "), Scalar::Number(number));
        }
        check("Infinity", Scalar::Special(f64::INFINITY));
        check("Inf", Scalar::Special(f64::INFINITY));
        check("-Infinity", Scalar::Special(f64::NEG_INFINITY));
        assert!(matches!(Scan::new("NaN").scalar().unwrap(), Scalar::Special(value) if value.is_nan()));
        check("true", Scalar::Bool(true));
        check("null", Scalar::Null);
        check(r#""ü\n\u00e9\ud83d\ude00""#, Scalar::Text("ü\né😀".into()));
        check(r#""""#, Scalar::Text("".into()));
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for text in [
            "",
            "-",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "nan",
            "NAN",
            "tru",
            "\"",
            "\"a",
            "\"a\\",
            "\"a\\\"",
            "\"\\x\"",
            "\"\n\"",
            "\"\\ud800\"",
            "'a'",
            "-é",
            "é",
        ] {
            let mut scan = Scan::new(text);
            assert!(scan.scalar().is_err() || scan.end().is_err(), "{text}");
        }
        let mut scan = Scan::new("[1,\n 2 3]");
        let flaw = scan.skip(4).unwrap_err().explain("inputs");
        assert_eq!(flaw.to_string(), "the body is not an inference request: expected `,` or `]` at line 2 column 4");
        for text in ["[1,]", "[,1]", "{\"a\"}", "{\"a\":1,}", "{1:2}", "[1", "{", "[[[]]]", "{\"a\":{\"b\":{}}}"] {
            assert!(Scan::new(text).skip(2).is_err(), "{text}");
        }
    }
}
