//! A file without a name that holds weights, each where a mapping of it may begin.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What the runtime's own memory is aligned to, and the most a kernel may rely on.
const ALIGNMENT: usize = 64;

/// Writes one file.
pub(super) struct Keeper {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    n_bytes: usize,
}

impl Keeper {
    /// The file is made when there is something to write.
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join("kept"), file: None, n_bytes: 0 }
    }

    /// Appends, and says where.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Range<usize>> {
        let start = self.n_bytes.next_multiple_of(ALIGNMENT);
        if self.file.is_none() {
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&self.path)?;
            // From here on it goes when its last mapping does, whatever happens to this process.
            fs::remove_file(&self.path)?;
            self.file = Some(BufWriter::new(file));
        }
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(start as u64))?;
            file.write_all(bytes)?;
        }
        self.n_bytes = start + bytes.len();
        Ok(start..self.n_bytes)
    }

    /// The file, complete; `None` if nothing was written.
    pub(super) fn finish(self) -> io::Result<Option<File>> {
        self.file.map(|file| file.into_inner().map_err(|e| e.into_error())).transpose()
    }
}
