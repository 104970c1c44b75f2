//! The Python environments of the clients, in the ignored folder.

use std::path::{Path, PathBuf};

use super::clients::Client;
use super::{ConformanceError, FOLDER};
use crate::python;

/// The Python of a client's environment.
pub fn python(place: &Path, client: &Client) -> PathBuf {
    python::of(&environment(place, client))
}

/// Makes sure that a client's environment is there with exactly its packages.
pub fn ensure(root: &Path, place: &Path, python: &Path, client: &Client) -> Result<(), ConformanceError> {
    let requirements = root.join(FOLDER).join("requirements").join(format!("{}.txt", client.requirements));
    Ok(python::ensure(&environment(place, client), &requirements, python)?)
}

fn environment(place: &Path, client: &Client) -> PathBuf {
    place.join(client.requirements)
}
