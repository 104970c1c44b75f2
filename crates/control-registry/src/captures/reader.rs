//! Finding captures, beside a running gateway or without one.
//!
//! All files are opened at once, the newest first, so that one which is set aside meanwhile is read all the same; what
//! is written after that is not seen. Lines that are torn or too long are passed over.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base_types::ModelName;

use super::{Capture, CapturesError, NAME, folder, line};

/// Most captures that [`Captures::recent`] gives.
pub const RECENT_MAX: usize = 10_000;
/// Most bytes of the files that [`Captures::recent`] holds as captures.
pub const RECENT_BYTES_MAX: u64 = 1 << 30;
/// The longest line read. The largest capture that can be configured is well below.
const LINE_BYTES_MAX: u64 = 256 << 20;
/// Most files looked at: more than can be configured.
const FILES_MAX: u32 = 1_001;

/// The captures of a state directory, as they were when it was opened.
#[derive(Debug)]
pub struct Captures {
    /// The newest first.
    pub(super) files: Vec<(PathBuf, File)>,
}

/// What is kept, told without reading elements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// Captures.
    pub n_captures: u64,
    /// Models with captures, in alphabetical order.
    pub models: Vec<String>,
    /// When the oldest was made, in milliseconds since 1970.
    pub oldest_unix_ms: Option<u64>,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u64,
    n_bytes: u64,
}

impl Captures {
    /// Opens what was captured.
    ///
    /// # Errors
    /// Nothing was captured, or a file cannot be opened.
    pub fn open(state_dir: &Path) -> Result<Self, CapturesError> {
        let folder = folder(state_dir);
        let (mut files, mut known) = (Vec::new(), HashSet::new());
        for n in 0..FILES_MAX {
            let path = match n {
                0 => folder.join(format!("{NAME}.jsonl")),
                n => folder.join(format!("{NAME}.{n}.jsonl")),
            };
            let file = match File::open(&path) {
                Ok(file) => file,
                // While the newest is set aside there is none of its name for a moment.
                Err(error) if error.kind() == ErrorKind::NotFound && n == 0 => continue,
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(source) => return Err(CapturesError::Unreadable { path, source }),
            };
            let metadata =
                file.metadata().map_err(|source| CapturesError::Unreadable { path: path.clone(), source })?;
            // One that was set aside meanwhile is met again under its next name.
            if metadata.is_file() && known.insert((metadata.dev(), metadata.ino())) {
                files.push((path, file));
            }
        }
        if files.is_empty() { Err(CapturesError::None(folder)) } else { Ok(Self { files }) }
    }

    /// The capture of an answer, by the answer's id.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn find(&self, prediction_id: &str) -> Result<Option<Capture>, CapturesError> {
        for (path, file) in &self.files {
            let mut found = None;
            let unreadable = |source| CapturesError::Unreadable { path: path.clone(), source };
            let looked = lines(file, |line, _| {
                if line::head(line).is_some_and(|(id, _)| id == prediction_id) {
                    found = line::read(line);
                }
                found.is_none()
            });
            looked.map_err(unreadable)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The newest captures of a model, the newest first: at most `n`, [`RECENT_MAX`], and as many as
    /// [`RECENT_BYTES_MAX`] of the files hold. Redacted ones are among them; see [`Capture::inputs`].
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn recent(&self, model: &ModelName, n: usize) -> Result<Vec<Capture>, CapturesError> {
        let n = n.min(RECENT_MAX);
        let (mut captures, mut n_bytes) = (Vec::new(), 0);
        for (path, file) in &self.files {
            let unreadable = |source| CapturesError::Unreadable { path: path.clone(), source };
            let mut places = VecDeque::new();
            let looked = lines(file, |line, place| {
                if line::head(line).is_some_and(|(_, of)| of == model.as_str()) {
                    places.push_back(place);
                    if places.len() > n - captures.len() {
                        places.pop_front();
                    }
                }
                true
            });
            looked.map_err(unreadable)?;
            for place in places.into_iter().rev() {
                n_bytes += place.n_bytes;
                if n_bytes > RECENT_BYTES_MAX {
                    return Ok(captures);
                }
                captures.extend(line::read(&at(file, place).map_err(unreadable)?));
            }
            if captures.len() >= n {
                break;
            }
        }
        Ok(captures)
    }

    /// What there is.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn held(&self) -> Result<Held, CapturesError> {
        let mut held = Held::default();
        let mut models = std::collections::BTreeSet::new();
        for (path, file) in &self.files {
            let mut first = None;
            let looked = lines(file, |line, _| {
                if let Some((_, model)) = line::head(line) {
                    held.n_captures += 1;
                    if !models.contains(model) {
                        models.insert(model.to_owned());
                    }
                    if first.is_none() {
                        first = line::read(line).map(|capture| capture.at_unix_ms);
                    }
                }
                true
            });
            looked.map_err(|source| CapturesError::Unreadable { path: path.clone(), source })?;
            held.oldest_unix_ms = first.or(held.oldest_unix_ms);
        }
        held.models = models.into_iter().collect();
        Ok(held)
    }
}

/// Calls with each whole line and its place until that says `false`.
fn lines(file: &File, mut each: impl FnMut(&[u8], Place) -> bool) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    reader.seek(SeekFrom::Start(0))?;
    let (mut start, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let n_bytes = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? as u64;
        if n_bytes == 0 {
            return Ok(());
        }
        let place = Place { start, n_bytes };
        start += n_bytes;
        // Without its end a line is torn, or still being written.
        if line.strip_suffix(b"\n").is_some_and(|line| !each(line, place)) {
            return Ok(());
        }
    }
}

fn at(mut file: &File, place: Place) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(place.start))?;
    let mut line = Vec::new();
    file.take(place.n_bytes).read_to_end(&mut line)?;
    Ok(line)
}
