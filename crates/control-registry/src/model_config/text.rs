//! The protobuf text format, read into a tree that remembers lines.
//!
//! Covers what configuration files use: `name: value`, nested `{}` and `<>` messages with or without a colon, lists in
//! brackets, `#` comments, `,` and `;` between fields, single and double quotes, adjacent strings. Depth is capped.

use crate::{Refusal, RefusalCode};

/// Deepest nesting of messages and lists.
const DEPTH_MAX: usize = 16;
/// Most fields and list items in one file.
const ITEMS_MAX: usize = 65_536;

/// One field of a message. A list in the file becomes one field per item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub name: String,
    pub line: usize,
    pub value: Value,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A quoted text.
    Text(String),
    /// A number, boolean or enum word, as it stands.
    Word(String),
    /// A nested message.
    Message(Vec<Field>),
}

/// Parses a whole file.
pub(super) fn parse(text: &str) -> Result<Vec<Field>, Refusal> {
    let mut parser = Parser { bytes: text.as_bytes(), at: 0, line: 1, n_items: 0 };
    let fields = parser.fields(None, 0)?;
    Ok(fields)
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    n_items: usize,
}

impl Parser<'_> {
    /// Reads fields up to `close`, or to the end of the file.
    fn fields(&mut self, close: Option<u8>, depth: usize) -> Result<Vec<Field>, Refusal> {
        if depth > DEPTH_MAX {
            return Err(self.error(&format!("nested more than {DEPTH_MAX} deep")));
        }
        let mut fields = Vec::new();
        loop {
            match (self.peek(), close) {
                (None, None) => return Ok(fields),
                (None, Some(_)) => return Err(self.error("the file ends within a message")),
                (Some(byte), Some(close)) if byte == close => {
                    self.at += 1;
                    return Ok(fields);
                }
                (Some(b',' | b';'), _) if !fields.is_empty() => self.at += 1,
                _ => self.field(&mut fields, depth)?,
            }
        }
    }

    fn field(&mut self, fields: &mut Vec<Field>, depth: usize) -> Result<(), Refusal> {
        let line = self.line;
        let name = self.word().ok_or_else(|| self.unexpected("a field name"))?;
        let has_colon = self.take(b':');
        match self.peek() {
            Some(b'[') => {
                self.at += 1;
                self.list(&name, fields, depth)
            }
            Some(b'{' | b'<') => {
                let value = self.value(depth)?;
                self.push(fields, Field { name, line, value })
            }
            _ if !has_colon => Err(self.unexpected("':'")),
            _ => {
                let value = self.value(depth)?;
                self.push(fields, Field { name, line, value })
            }
        }
    }

    /// The items of a list, after its opening bracket.
    fn list(&mut self, name: &str, fields: &mut Vec<Field>, depth: usize) -> Result<(), Refusal> {
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.skip_blank();
            let line = self.line;
            let value = self.value(depth)?;
            self.push(fields, Field { name: name.to_owned(), line, value })?;
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.unexpected("',' or ']'"));
            }
        }
    }

    fn push(&mut self, fields: &mut Vec<Field>, field: Field) -> Result<(), Refusal> {
        self.n_items += 1;
        if self.n_items > ITEMS_MAX {
            return Err(self.error(&format!("more than {ITEMS_MAX} fields")));
        }
        fields.push(field);
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Refusal> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                self.fields(Some(b'}'), depth + 1).map(Value::Message)
            }
            Some(b'<') => {
                self.at += 1;
                self.fields(Some(b'>'), depth + 1).map(Value::Message)
            }
            Some(b'"' | b'\'') => self.text().map(Value::Text),
            _ => self.word().map(Value::Word).ok_or_else(|| self.unexpected("a value")),
        }
    }

    /// One quoted text, or several in a row, which mean one.
    fn text(&mut self) -> Result<String, Refusal> {
        let mut content = Vec::new();
        while let Some(quote @ (b'"' | b'\'')) = self.peek() {
            self.at += 1;
            loop {
                let byte = self.bytes.get(self.at).copied();
                self.at += 1;
                match byte {
                    None | Some(b'\n') => return Err(self.error("a text without its closing quote")),
                    Some(byte) if byte == quote => break,
                    Some(b'\\') => content.push(self.escape()?),
                    Some(byte) => content.push(byte),
                }
            }
        }
        String::from_utf8(content).map_err(|_| self.error("a text that is not UTF-8"))
    }

    /// The byte an escape stands for, after its backslash.
    fn escape(&mut self) -> Result<u8, Refusal> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        match byte {
            Some(b'n') => Ok(b'\n'),
            Some(b't') => Ok(b'\t'),
            Some(b'r') => Ok(b'\r'),
            Some(byte @ (b'\\' | b'"' | b'\'')) => Ok(byte),
            _ => Err(self.error("an escape other than \\n, \\t, \\r, \\\\, \\\" and \\'")),
        }
    }

    /// A name, number or enum word.
    fn word(&mut self) -> Option<String> {
        self.skip_blank();
        let rest = &self.bytes[self.at..];
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'.');
        let length = rest.iter().take_while(|b| is_word(b)).count();
        self.at += length;
        // Word bytes are ASCII.
        (length > 0).then(|| rest[..length].iter().map(|b| char::from(*b)).collect())
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_blank();
        self.bytes.get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        let mut is_comment = false;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'\n' => {
                    self.line += 1;
                    is_comment = false;
                }
                b'#' => is_comment = true,
                _ if is_comment || byte.is_ascii_whitespace() => {}
                _ => return,
            }
            self.at += 1;
        }
    }

    fn unexpected(&mut self, wanted: &str) -> Refusal {
        let found = match self.peek() {
            None => "the end of the file".to_owned(),
            Some(byte) => format!("{:?}", char::from(byte)),
        };
        self.error(&format!("expected {wanted}, found {found}"))
    }

    fn error(&self, what: &str) -> Refusal {
        Refusal::new(RefusalCode::ConfigSyntax, format!("config.pbtxt line {}: {what}", self.line))
    }
}
