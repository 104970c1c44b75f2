//! Recorded outcomes, read line by line: one JSON object a line, as `[record] outcomes = true` writes them.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use base_types::{ModelName, OutcomeClass, Reason, Version};
use control_rollout::replay::{Recorded, Rerun};
use serde::Deserialize;

use crate::cli::CliError;

/// Longest line, its end included; the program itself writes a few hundred bytes.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A line. What a newer release adds is passed over.
#[derive(Debug, Deserialize)]
struct Line {
    unix_ms: u64,
    model: ModelText,
    version: u64,
    class: String,
    reason: String,
    seconds: f64,
    key: Option<String>,
    candidate: Option<u64>,
    share: f64,
    rerun: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct ModelText(String);

/// Files of recorded outcomes, in the order of the first moment in each, and what went wrong with them.
pub(super) struct Outcomes {
    files: Vec<PathBuf>,
    model: ModelName,
    /// Whether lines of other models are passed over.
    is_chosen: bool,
    problem: RefCell<Option<CliError>>,
}

impl Outcomes {
    /// Looks at the first line of each file. `model` is whose outcomes are wanted; `None`: the only model there is.
    pub(super) fn open(files: &[PathBuf], model: Option<&ModelName>) -> Result<Self, CliError> {
        let mut dated = Vec::new();
        let mut first_model = None;
        for path in files {
            // A file that was just begun is empty.
            let Some(line) = Reader::open(path)?.next_line()? else { continue };
            first_model.get_or_insert_with(|| line.model.0.clone());
            dated.push((line.unix_ms, path.clone()));
        }
        dated.sort_by_key(|(unix_ms, _)| *unix_ms);
        let nothing = || CliError::NoOutcomes(files.first().cloned().unwrap_or_default());
        let first_model = ModelName::new(&first_model.ok_or_else(nothing)?)?;
        Ok(Self {
            files: dated.into_iter().map(|(_, path)| path).collect(),
            model: model.cloned().unwrap_or(first_model),
            is_chosen: model.is_some(),
            problem: RefCell::new(None),
        })
    }

    /// Whose outcomes they are.
    pub(super) fn model(&self) -> &ModelName {
        &self.model
    }

    /// Every outcome, from the beginning. Ends early at a line that cannot be used; [`Self::check`] tells which.
    pub(super) fn iter(&self) -> impl Iterator<Item = Recorded> + '_ {
        self.files.iter().flat_map(|path| Source { outcomes: self, path, reader: None })
    }

    /// The first problem that was met, if there was one.
    pub(super) fn check(&self) -> Result<(), CliError> {
        self.problem.borrow_mut().take().map_or(Ok(()), Err)
    }

    /// Whether a problem was met.
    fn is_broken(&self) -> bool {
        self.problem.borrow().is_some()
    }

    fn next_of(&self, reader: &mut Reader) -> Result<Option<Recorded>, CliError> {
        while let Some(line) = reader.next_line()? {
            if line.model.0 == self.model.as_str() {
                return line.recorded().map(Some).map_err(|reason| reader.bad(reason));
            }
            if !self.is_chosen {
                let reason =
                    format!("it is of model {}, those before of {}: choose with --model", line.model.0, self.model);
                return Err(reader.bad(reason));
            }
        }
        Ok(None)
    }
}

/// One file being read.
struct Source<'a> {
    outcomes: &'a Outcomes,
    path: &'a Path,
    reader: Option<Reader>,
}

impl Iterator for Source<'_> {
    type Item = Recorded;

    fn next(&mut self) -> Option<Recorded> {
        if self.outcomes.is_broken() {
            return None;
        }
        let reader = match self.reader.take() {
            Some(reader) => Ok(reader),
            None => Reader::open(self.path),
        };
        let next = reader.and_then(|mut reader| {
            let next = self.outcomes.next_of(&mut reader);
            self.reader = Some(reader);
            next
        });
        next.unwrap_or_else(|problem| {
            *self.outcomes.problem.borrow_mut() = Some(problem);
            None
        })
    }
}

/// Lines of one file.
struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    n_lines: u64,
    buffer: Vec<u8>,
}

impl Reader {
    fn open(path: &Path) -> Result<Self, CliError> {
        let file = File::open(path).map_err(|source| CliError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), n_lines: 0, buffer: Vec::new() })
    }

    /// The next line that is not empty.
    fn next_line(&mut self) -> Result<Option<Line>, CliError> {
        loop {
            self.buffer.clear();
            let read = (&mut self.file).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.buffer);
            let n_bytes = read.map_err(|source| CliError::Unreadable { path: self.path.clone(), source })?;
            if n_bytes == 0 {
                return Ok(None);
            }
            self.n_lines += 1;
            let is_whole = self.buffer.ends_with(b"\n");
            if !is_whole && n_bytes as u64 == LINE_BYTES_MAX {
                return Err(self.bad(format!("it has more than {LINE_BYTES_MAX} bytes")));
            }
            if self.buffer.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(&self.buffer) {
                Ok(line) => return Ok(Some(line)),
                // The gateway may be writing it at this moment, or have died over it.
                Err(_) if !is_whole => return Ok(None),
                Err(error) => {
                    // It speaks of the first line of one, which is all it saw.
                    let error = error.to_string();
                    let what = error.split(" at line").next().unwrap_or(&error);
                    return Err(self.bad(format!("no outcome as [record] writes it: {what}")));
                }
            }
        }
    }

    /// What is wrong with the line read last.
    fn bad(&self, reason: String) -> CliError {
        CliError::Outcomes { path: self.path.clone(), line: self.n_lines, reason }
    }
}

impl Line {
    fn recorded(&self) -> Result<Recorded, String> {
        let Self { unix_ms, version, seconds, share, .. } = *self;
        let class = OutcomeClass::ALL.into_iter().find(|class| class.as_str() == self.class);
        let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == self.reason);
        let key = self.key.as_deref().map(|key| u64::from_str_radix(key, 16)).transpose();
        let rerun = match self.rerun.as_deref() {
            None => Some(Rerun::NotAsked),
            Some("answered") => Some(Rerun::Answered),
            Some("faulted") => Some(Rerun::Faulted),
            Some(_) => None,
        };
        Ok(Recorded {
            unix_ms,
            version: Version::new(version).ok_or("version must be above 0")?,
            class: class.ok_or_else(|| format!("unknown class {:?}", self.class))?,
            reason: reason.ok_or_else(|| format!("unknown reason {:?}", self.reason))?,
            latency_seconds: if seconds >= 0.0 { seconds } else { return Err("seconds must be 0 or more".to_owned()) },
            candidate: self.candidate.and_then(Version::new),
            key: key.map_err(|_| "key must be hexadecimal digits, or null")?,
            share: if (0.0..=1.0).contains(&share) {
                share
            } else {
                return Err("share must be from 0 to 1".to_owned());
            },
            rerun: rerun.ok_or("rerun must be answered, faulted or null")?,
        })
    }
}

#[cfg(test)]
mod tests;
