//! Where a bucket is, as operators write it.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// What stands between the scheme and the rest.
const SEPARATOR: &str = "://";

/// Longer addresses are no addresses.
const BYTES_MAX: usize = 2_048;

/// A bucket, and the prefix in it under which the models are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A folder of this machine, read as if it were a bucket.
    Folder(PathBuf),
    /// A bucket of a cloud.
    Cloud {
        /// Whose.
        cloud: Cloud,
        /// The bucket, or Azure's container.
        bucket: String,
        /// What the keys of all models start with, without slashes around it; empty for the whole bucket.
        prefix: String,
    },
}

/// A kind of object store that is reached over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon S3, and what speaks like it.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

/// A text that is no address of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// The scheme is none we know.
    #[error(
        "cannot read models from {0}: use s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder"
    )]
    Scheme(String),
    /// The program was built without this cloud.
    #[error("{address} needs a switchrail built with the feature {feature}: cargo build --features {feature}")]
    NotBuilt {
        /// The address.
        address: String,
        /// The feature of the program.
        feature: &'static str,
    },
    /// The bucket is missing or has characters that no bucket's name has.
    #[error("{0} names no bucket: write scheme://bucket/prefix, without user, port or query")]
    Bucket(String),
    /// The prefix cannot be one of keys.
    #[error("the prefix of {0} is no clean path: leave out empty parts, \".\", \"..\" and control characters")]
    Prefix(String),
    /// A folder that depends on where the program is started.
    #[error("{0} is no absolute folder: write file:///folder with three slashes and without \"..\"")]
    Folder(String),
}

impl Cloud {
    /// The feature of the program that this cloud needs.
    pub fn feature(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
        }
    }

    /// The scheme of its addresses.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }

    /// Whether this program can reach it.
    pub fn is_built(self) -> bool {
        match self {
            Self::S3 => cfg!(feature = "s3"),
            Self::Gcs => cfg!(feature = "gcs"),
            Self::Azure => cfg!(feature = "azure"),
        }
    }
}

impl Address {
    /// Reads an address, and checks that this program can reach such a bucket.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once(SEPARATOR).ok_or_else(|| AddressError::Scheme(shown(text)))?;
        if text.len() > BYTES_MAX {
            return Err(AddressError::Prefix(shown(text)));
        }
        let cloud = match scheme {
            "file" => return folder(text, rest),
            "s3" | "s3a" => Cloud::S3,
            "gs" => Cloud::Gcs,
            "az" | "azure" => Cloud::Azure,
            _ => return Err(AddressError::Scheme(shown(text))),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_named = bucket.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if bucket.is_empty() || !is_named {
            return Err(AddressError::Bucket(shown(text)));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_clean = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control);
        if !prefix.is_empty() && !prefix.split('/').all(is_clean) {
            return Err(AddressError::Prefix(shown(text)));
        }
        if !cloud.is_built() {
            return Err(AddressError::NotBuilt { address: shown(text), feature: cloud.feature() });
        }
        Ok(Self::Cloud { cloud, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// What keys start with, without slashes around it.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::Folder(_) => "",
            Self::Cloud { prefix, .. } => prefix,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "file://{}", folder.display()),
            Self::Cloud { cloud, bucket, prefix } if prefix.is_empty() => write!(f, "{}://{bucket}", cloud.scheme()),
            Self::Cloud { cloud, bucket, prefix } => write!(f, "{}://{bucket}/{prefix}", cloud.scheme()),
        }
    }
}

fn folder(text: &str, rest: &str) -> Result<Address, AddressError> {
    let path = Path::new(rest);
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !is_plain || rest.contains(char::is_control) {
        return Err(AddressError::Folder(shown(text)));
    }
    Ok(Address::Folder(path.to_owned()))
}

/// An address in a message: what stands before an `@` may be a password.
fn shown(text: &str) -> String {
    let (scheme, rest) = text.split_once(SEPARATOR).unwrap_or(("", text));
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    let rest: String = rest.chars().take(200).flat_map(char::escape_debug).collect();
    if scheme.is_empty() { rest } else { format!("{}{SEPARATOR}{rest}", scheme.escape_debug()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn a_folder_is_a_bucket_when_it_is_absolute() {
        assert_eq!(Address::parse("file:///srv/models").unwrap(), Address::Folder("/srv/models".into()));
        for text in ["file://models", "file:///srv/../etc", "file://"] {
            assert_eq!(Address::parse(text), Err(AddressError::Folder(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_bucket_is_named_in_full_and_cleanly() {
        for text in ["s3://", "s3:///p", "gs://user@bucket/p", "az://host:80/p", "s3://b?x=1/p"] {
            assert!(matches!(Address::parse(text), Err(AddressError::Bucket(_))), "{text}");
        }
        for text in ["s3://b//p", "s3://b/../p", "gs://b/a/./c", "az://b/a\nb"] {
            assert!(matches!(Address::parse(text), Err(AddressError::Prefix(_))), "{text}");
        }
        assert!(matches!(Address::parse("ftp://host/p"), Err(AddressError::Scheme(_))));
    }

    #[test]
    fn what_may_be_a_password_is_not_repeated() {
        let error = Address::parse("s3://key:secret@bucket/p").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn a_cloud_that_is_not_built_in_is_named_by_its_feature() {
        for (text, cloud) in [
            ("s3://b/p", Cloud::S3),
            ("gs://b/p/q/", Cloud::Gcs),
            ("az://c", Cloud::Azure),
            ("azure://c/p", Cloud::Azure),
        ] {
            let parsed = Address::parse(text);
            if cloud.is_built() {
                assert!(matches!(parsed, Ok(Address::Cloud { cloud: found, .. }) if found == cloud), "{text}");
            } else {
                let error = parsed.unwrap_err().to_string();
                assert!(error.contains(&format!("--features {}", cloud.feature())), "{error}");
            }
        }
    }
}
