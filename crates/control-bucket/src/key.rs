//! What a key of the bucket is in a model repository. Pure: a key is text, and everything odd about it is told here,
//! so that no key ever becomes a path that was not looked at.

use base_types::{ModelName, Version};

/// A file or folder name longer than this is none on most file systems.
const NAME_BYTES_MAX: usize = 255;

/// Where in the repository a key belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// `<model>/<version>/<file>`, or one folder deeper in `model.onnx/`.
    Version { model: ModelName, version: Version, file: String },
    /// `<model>/config.pbtxt`, a file of labels beside it, or `<model>/warmup/<file>`.
    Model { model: ModelName, file: String },
    /// Where a folder belongs: the marker of one, if it is empty.
    Folder,
    /// Nothing that a repository knows: a hidden name, a file beside the models.
    Passed,
    /// A key in the place of a version that cannot be one of its files.
    RefusedVersion { model: ModelName, version: Version, why: &'static str },
    /// A key that cannot be a file.
    Refused(&'static str),
}

const WARMUP: &str = "warmup";
const MODEL_FOLDER: &str = "model.onnx";

/// Sorts a key whose prefix has been taken away.
pub(crate) fn place(key: &str) -> Place {
    let parts: Vec<&str> = key.split('/').collect();
    let (Some(first), true) = (parts.first(), parts.len() > 1) else { return Place::Passed };
    if parts.iter().any(|part| part.starts_with('.') && *part != "." && *part != "..") {
        return Place::Passed;
    }
    if let Some(why) = parts.iter().find_map(|part| odd(part)) {
        return at_version(&parts).map_or(Place::Refused(why), |(model, version)| Place::RefusedVersion {
            model,
            version,
            why,
        });
    }
    let Ok(model) = ModelName::new(first) else {
        return Place::Refused("its first part is no name of a model: letters, digits, '.', '_' and '-', up to 128");
    };
    match (&parts[1..], at_version(&parts)) {
        ([_, file], Some((model, version))) => Place::Version { model, version, file: (*file).to_owned() },
        ([_, MODEL_FOLDER, file], Some((model, version))) => {
            Place::Version { model, version, file: format!("{MODEL_FOLDER}/{file}") }
        }
        (_, Some((model, version))) => {
            Place::RefusedVersion { model, version, why: "a version holds files, and no folder but model.onnx" }
        }
        ([digits, _, ..], None) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Place::Refused("its version is no positive integer without leading zeros")
        }
        ([file], None) if *file == WARMUP || file.bytes().all(|b| b.is_ascii_digit()) => Place::Folder,
        ([file], None) => Place::Model { model, file: (*file).to_owned() },
        ([WARMUP, file], None) => Place::Model { model, file: format!("{WARMUP}/{file}") },
        _ => Place::Passed,
    }
}

/// The version that a key lies under.
fn at_version(parts: &[&str]) -> Option<(ModelName, Version)> {
    let [model, version, _, ..] = parts else { return None };
    let number: Version = version.parse().ok()?;
    let is_version = i64::try_from(number.get()).is_ok() && number.to_string() == *version;
    is_version.then(|| Some((ModelName::new(model).ok()?, number))).flatten()
}

/// What makes a part of a key unfit to be the name of a file.
fn odd(part: &str) -> Option<&'static str> {
    match part {
        "" => Some("it has an empty part"),
        "." | ".." => Some("it has a part \".\" or \"..\", which would lead elsewhere"),
        part if part.len() > NAME_BYTES_MAX => Some("it has a part longer than 255 bytes"),
        part if part.contains(char::is_control) || part.contains('\\') => {
            Some("it has a control character or a backslash")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    fn model() -> ModelName {
        ModelName::new("m").unwrap()
    }

    fn version() -> Version {
        "3".parse().unwrap()
    }

    #[test]
    fn files_of_versions_and_of_models_have_their_places() {
        let of_version = |file: &str| Place::Version { model: model(), version: version(), file: file.to_owned() };
        let of_model = |file: &str| Place::Model { model: model(), file: file.to_owned() };
        assert_eq!(place("m/3/model.onnx"), of_version("model.onnx"));
        assert_eq!(place("m/3/weights.bin"), of_version("weights.bin"));
        assert_eq!(place("m/3/model.onnx/weights.bin"), of_version("model.onnx/weights.bin"));
        assert_eq!(place("m/config.pbtxt"), of_model("config.pbtxt"));
        assert_eq!(place("m/labels.txt"), of_model("labels.txt"));
        assert_eq!(place("m/warmup/input"), of_model("warmup/input"));
    }

    #[test]
    fn what_a_repository_does_not_know_is_passed_over() {
        for key in ["", "README.md", "m", "m/.git/config", ".cache/x/y", "m/3/.part", "m/docs/page", "m/a/b/c"] {
            assert_eq!(place(key), Place::Passed, "{key}");
        }
    }

    #[test]
    fn odd_keys_are_refused_and_spoil_the_version_they_lie_in() {
        for key in ["m/../x", "m/3/../../etc/passwd", "m//model.onnx", "./m/3/x", "m/3/a\nb", "m/3/a\\b", "m/3/a/b"] {
            assert!(matches!(place(key), Place::Refused(_) | Place::RefusedVersion { .. }), "{key}");
        }
        assert!(matches!(place("m/3/../x"), Place::RefusedVersion { .. }));
        assert!(matches!(place("m/3//x"), Place::RefusedVersion { .. }));
        assert!(matches!(place(&format!("m/3/{}", "x".repeat(256))), Place::RefusedVersion { .. }));
        for key in ["m/03/model.onnx", "m/0/model.onnx", "m/99999999999999999999/model.onnx", "m/9223372036854775808/x"]
        {
            assert!(matches!(place(key), Place::Refused(_)), "{key}");
        }
        for key in ["m/3", "m/warmup"] {
            assert_eq!(place(key), Place::Folder, "{key}");
        }
        assert!(matches!(place("not a model/1/model.onnx"), Place::Refused(_)));
    }
}
