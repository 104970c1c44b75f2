//! Files that only grow, line by line: exposures of experiments, outcomes of requests.
//!
//! Lines come from threads that serve requests, so writing never waits: a line that finds no room is left out and
//! counted. A file that has grown to its bound is set aside, and of those set aside the oldest goes. Lines are facts
//! for later analysis, not decisions: losing the last ones in a crash loses nothing that is in force.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tracing::error;

/// Lines waiting to be written.
const WAITING_MAX: usize = 8_192;
/// What was written is on its way to the disk after this long.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// As other programs read what is analysed; narrowed by the mask of the process.
const FILE_MODE: u32 = 0o666;

/// How large the files may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineLogLimits {
    /// One file, in bytes.
    pub file_bytes: u64,
    /// Files set aside, beside the one being written.
    pub files_kept: u32,
}

impl Default for LineLogLimits {
    fn default() -> Self {
        Self { file_bytes: 64 << 20, files_kept: 4 }
    }
}

/// Takes lines; clones write to the same file. The file is complete when the last clone is gone and its thread has ended.
#[derive(Clone)]
pub struct LineLog {
    lines: SyncSender<Vec<u8>>,
    n_left_out: Arc<AtomicU64>,
}

impl LineLog {
    /// Opens `<folder>/<name>.jsonl`, made if it is not there, to append to it on a thread of its own.
    pub fn open(folder: &Path, name: &'static str, limits: LineLogLimits) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut files = Files::new(folder.join(format!("{name}.jsonl")), limits, FILE_MODE);
        files.open()?;
        let (lines, waiting) = sync_channel(WAITING_MAX);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || write(&mut files, &waiting))?;
        Ok(Self { lines, n_left_out: Arc::default() })
    }

    /// Has a line written, without its end; never waits. Says whether there was room for it.
    pub fn append(&self, line: Vec<u8>) -> bool {
        let is_taken = self.lines.try_send(line).is_ok();
        if !is_taken {
            self.n_left_out.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    /// Lines that found no room.
    pub fn n_left_out(&self) -> u64 {
        self.n_left_out.load(Ordering::Relaxed)
    }
}

fn write(files: &mut Files, lines: &Receiver<Vec<u8>>) {
    let mut is_failing = false;
    loop {
        let result = match lines.recv_timeout(FLUSH_EVERY) {
            Ok(line) => files.append(&line),
            Err(RecvTimeoutError::Timeout) => files.flush(),
            Err(RecvTimeoutError::Disconnected) => {
                let _last = files.flush();
                return;
            }
        };
        match result {
            Ok(()) => is_failing = false,
            // Once per trouble: the disk may be full for hours.
            Err(error) if !is_failing => {
                error!(%error, file = %files.path.display(), "lines cannot be written and are lost");
                is_failing = true;
            }
            Err(_) => {}
        }
    }
}

/// The file being written and those set aside.
pub(crate) struct Files {
    path: PathBuf,
    limits: LineLogLimits,
    mode: u32,
    file: Option<BufWriter<File>>,
    n_bytes: u64,
}

impl Files {
    /// Opens nothing yet: the first line does.
    pub(crate) fn new(path: PathBuf, limits: LineLogLimits, mode: u32) -> Self {
        Self { path, limits, mode, file: None, n_bytes: 0 }
    }

    fn open(&mut self) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).read(true).append(true).mode(self.mode).open(&self.path)?;
        self.n_bytes = file.metadata()?.len();
        let is_torn = self.n_bytes > 0 && last_byte(&mut file)? != b'\n';
        let mut file = BufWriter::new(file);
        if is_torn {
            // A process died in the middle of a line: the next one must not become part of it.
            file.write_all(b"\n")?;
            self.n_bytes += 1;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Adds a line.
    pub(crate) fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.n_bytes > 0 && self.n_bytes + line.len() as u64 >= self.limits.file_bytes {
            self.set_aside()?;
        }
        if self.file.is_none() {
            self.open()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(line)?;
        file.write_all(b"\n")?;
        self.n_bytes += line.len() as u64 + 1;
        Ok(())
    }

    /// Hands what was added to the system.
    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }

    /// `name.jsonl` becomes `name.1.jsonl`, that one `name.2.jsonl`, and the oldest goes.
    fn set_aside(&mut self) -> std::io::Result<()> {
        self.flush()?;
        self.file = None;
        let aside = |n: u32| self.path.with_extension(format!("{n}.jsonl"));
        for n in (1..self.limits.files_kept).rev() {
            rename_if_there(&aside(n), &aside(n + 1))?;
        }
        match self.limits.files_kept {
            0 => std::fs::remove_file(&self.path)?,
            _ => rename_if_there(&self.path, &aside(1))?,
        }
        self.open()
    }
}

fn last_byte(file: &mut File) -> std::io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn rename_if_there(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    fn files(folder: &Path, file_bytes: u64, files_kept: u32) -> Files {
        let limits = LineLogLimits { file_bytes, files_kept };
        let mut files = Files::new(folder.join("x.jsonl"), limits, FILE_MODE);
        files.open().unwrap();
        files
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_written_is_added_to() {
        let folder = tempfile::tempdir().unwrap();
        for line in ["one", "two"] {
            let mut files = files(folder.path(), 1000, 1);
            files.append(line.as_bytes()).unwrap();
            files.flush().unwrap();
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("x.jsonl")).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_line_that_was_torn_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        std::fs::write(&path, "whole\nto").unwrap();
        let mut files = files(folder.path(), 1000, 1);
        files.append(b"next").unwrap();
        files.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\nto\nnext\n");
    }

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = files(folder.path(), 8, 2);
        for n in 0..10 {
            files.append(format!("line{n}").as_bytes()).unwrap();
        }
        files.flush().unwrap();
        assert_eq!(names(folder.path()), ["x.1.jsonl", "x.2.jsonl", "x.jsonl"]);
        assert_eq!(std::fs::read_to_string(folder.path().join("x.jsonl")).unwrap(), "line9\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("x.1.jsonl")).unwrap(), "line8\n");
    }

    #[test]
    fn lines_reach_the_file_and_those_without_room_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let log = LineLog::open(folder.path(), "y", LineLogLimits::default()).unwrap();
        let n_lines = 4 * WAITING_MAX;
        let n_taken = (0..n_lines).filter(|n| log.append(n.to_string().into_bytes())).count();
        assert_eq!(n_taken + log.n_left_out() as usize, n_lines);
        let n_left_out = log.n_left_out() as usize;
        drop(log);
        let path = folder.path().join("y.jsonl");
        let n_written = || std::fs::read_to_string(&path).unwrap().lines().count();
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while n_written() + n_left_out < n_lines && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(n_written() + n_left_out, n_lines);
    }
}
