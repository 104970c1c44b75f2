//! From bytes to a tree of TOML with positions, within bounds, and the collecting of what is wrong with it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use crate::{Code, Diagnostic, Invalid, Parsed, Severity};

/// The largest configuration file, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Dots in one key. The parser bounds nested brackets but not dotted keys, and its tree is freed recursively.
const KEY_DOTS_MAX: usize = 64;
/// More remarks on one file help nobody.
const DIAGNOSTICS_MAX: usize = 200;

/// Positions and messages of one file.
pub(crate) struct Report<'t> {
    file: PathBuf,
    text: &'t str,
    line_starts: Vec<usize>,
    diagnostics: Vec<Diagnostic>,
    n_dropped: usize,
}

/// Reads a file's bytes and hands the tree to `walk`, which makes a value of it and reports what is wrong.
pub(crate) fn read<T>(
    file: &Path,
    bytes: &[u8],
    walk: impl FnOnce(&Spanned<DeTable<'_>>, &mut Report<'_>) -> T,
) -> Result<Parsed<T>, Invalid> {
    let (text, flaw) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => (std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(), Some(error)),
    };
    let mut report = Report::new(file, text);
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, at most {FILE_BYTES_MAX} are read", bytes.len());
        report.add(0..0, Code::TooLarge, message, None);
    } else if let Some(error) = flaw {
        let at = error.valid_up_to();
        let hint = "save the file as UTF-8";
        report.add(at..at, Code::NotUtf8, "the file is not UTF-8 from here on".to_owned(), Some(hint.to_owned()));
    } else if let Some(at) = too_many_dots(text) {
        let message = format!("a key with more than {KEY_DOTS_MAX} dots");
        report.add(at..at, Code::TooDeep, message, None);
    }
    if !report.diagnostics.is_empty() {
        return Err(report.refuse());
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    let value = walk(&tree, &mut report);
    if !errors.is_empty() {
        report.keep_before(errors.iter().filter_map(|e| e.span()).map(|s| s.start).min().unwrap_or(0));
        for error in errors {
            report.add(error.span().unwrap_or(0..0), Code::Syntax, error.message().to_owned(), None);
        }
    }
    report.finish(value)
}

impl<'t> Report<'t> {
    fn new(file: &Path, text: &'t str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        let line_starts = std::iter::once(0).chain(newlines).collect();
        Self { file: file.to_owned(), text, line_starts, diagnostics: Vec::new(), n_dropped: 0 }
    }

    /// Notes a problem at a place.
    pub(crate) fn add(&mut self, span: Range<usize>, code: Code, message: String, hint: Option<String>) {
        if self.diagnostics.len() >= DIAGNOSTICS_MAX {
            self.n_dropped += 1;
            return;
        }
        let (line, column) = self.position(span.start);
        let (file, severity) = (self.file.clone(), code.severity());
        self.diagnostics.push(Diagnostic { file, line, column, severity, code, message, hint });
    }

    /// Line and column of an offset, both counted from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }

    /// After a syntax error the tree is a guess: what was said about lines from there on, or about things that
    /// are missing and may follow, would mislead.
    fn keep_before(&mut self, offset: usize) {
        let (line, _) = self.position(offset);
        let is_sure = |d: &Diagnostic| d.line < line && d.severity == Severity::Error && d.code != Code::MissingKey;
        self.diagnostics.retain(is_sure);
        self.n_dropped = 0;
    }

    fn finish<T>(mut self, value: T) -> Result<Parsed<T>, Invalid> {
        let is_valid = self.n_dropped == 0 && self.diagnostics.iter().all(|d| d.severity == Severity::Warning);
        if !is_valid {
            return Err(self.refuse());
        }
        self.diagnostics.sort_by_key(|d| (d.line, d.column));
        Ok(Parsed { value, warnings: self.diagnostics })
    }

    fn refuse(mut self) -> Invalid {
        self.diagnostics.sort_by_key(|d| (d.line, d.column));
        if let (Some(last), 1..) = (self.diagnostics.last().cloned(), self.n_dropped) {
            let message = format!("{} more problems are not shown", self.n_dropped);
            self.diagnostics.push(Diagnostic {
                severity: Severity::Error,
                code: Code::TooMany,
                message,
                hint: None,
                ..last
            });
        }
        Invalid { diagnostics: self.diagnostics }
    }
}

/// Finds a run of too many dots that could be one key. Lines that are comments as a whole are passed over;
/// strings are not told apart, which no real file will notice.
fn too_many_dots(text: &str) -> Option<usize> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let mut n_dots = 0;
        for (i, byte) in line.bytes().enumerate() {
            match byte {
                b'#' if line[..i].trim().is_empty() => break,
                b'.' => n_dots += 1,
                b'=' | b',' | b'{' | b'[' => n_dots = 0,
                _ => {}
            }
            if n_dots > KEY_DOTS_MAX {
                return Some(offset + i);
            }
        }
        offset += line.len();
    }
    None
}

#[cfg(test)]
mod tests;
