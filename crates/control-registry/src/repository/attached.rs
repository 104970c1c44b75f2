//! Files that lie beside a model in its version's folder: its manifest, and what that names.

use std::path::Path;

use base_types::{ModelName, Version};
use rustix::io::Errno;

use super::folder::{open_folder, open_own_subfolder, open_subfolder, read_contained};
use super::unreadable;
use crate::{Refusal, RefusalCode};

/// Deepest folder such a file may lie in.
const DEPTH_MAX: usize = 8;

/// Reads a file below a version's folder by its path, with `/`; `None` when it is not there. The version's folder may be
/// a link, what is in it may not: a link could lead to what its publisher could not read.
pub fn read_attached(
    root: &Path,
    (model, version): (&ModelName, Version),
    path: &str,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, Refusal> {
    let open = || open_subfolder(&open_subfolder(&open_folder(root)?, model.as_str())?, &version.to_string());
    let folder = open().map_err(|error| unreadable("the version folder", &error))?;
    read_below(folder, path, bytes_max)
}

/// Reads a file below a folder that is no part of a repository.
pub fn read_attached_to(folder: &Path, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Refusal> {
    let folder = open_folder(folder).map_err(|error| unreadable("the folder", &error))?;
    read_below(folder, path, bytes_max)
}

fn read_below(mut folder: rustix::fd::OwnedFd, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Refusal> {
    let mut parts: Vec<&str> = path.split('/').collect();
    let is_part = |part: &&str| !part.is_empty() && *part != "." && *part != "..";
    if parts.len() > DEPTH_MAX || !parts.iter().all(is_part) {
        let text = format!("{path:?} is no path of a file beside the model");
        return Err(Refusal::new(RefusalCode::NotContained, text));
    }
    let Some(name) = parts.pop() else { return Ok(None) };
    for part in parts {
        folder = match open_own_subfolder(&folder, part) {
            Ok(folder) => folder,
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => return Ok(None),
            Err(error) => return Err(unreadable(&format!("the folder {part:?} of {path:?}"), &error)),
        };
    }
    read_contained(&folder, name, bytes_max)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn files_beside_a_model_are_read_and_links_are_not_followed() {
        let root = TempDir::new().unwrap();
        let folder = root.path().join("m/3");
        fs::create_dir_all(folder.join("golden")).unwrap();
        fs::write(folder.join("manifest.toml"), "tag = \"1\"").unwrap();
        fs::write(folder.join("golden/0.json"), "{}").unwrap();
        fs::write(root.path().join("secret"), "x").unwrap();
        symlink(root.path().join("secret"), folder.join("link")).unwrap();
        symlink(root.path(), folder.join("out")).unwrap();
        let id = (&ModelName::new("m").unwrap(), Version::new(3).unwrap());
        let read = |path: &str| read_attached(root.path(), id, path, 100);
        assert_eq!(read("manifest.toml").unwrap().unwrap(), b"tag = \"1\"");
        assert_eq!(read("golden/0.json").unwrap().unwrap(), b"{}");
        assert_eq!(read("golden/1.json").unwrap(), None);
        assert_eq!(read("silver/1.json").unwrap(), None);
        for path in ["link", "out/secret", "../3/manifest.toml", "/etc/passwd", "golden//0.json", ""] {
            assert!(read(path).is_err(), "{path:?}");
        }
        assert_eq!(read_attached(root.path(), id, "manifest.toml", 3).unwrap_err().code, RefusalCode::TooLarge);
        assert_eq!(read_attached_to(&folder, "golden/0.json", 100).unwrap().unwrap(), b"{}");
    }
}
