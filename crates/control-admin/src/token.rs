//! The operators' token. It is never shown: the type has neither `Debug` nor `Display`.

use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Shorter tokens can be guessed.
const TOKEN_BYTES_MIN: usize = 16;
/// Longer ones do not fit the head of a request.
const TOKEN_BYTES_MAX: usize = 1_024;

/// A secret that callers must show.
#[derive(Clone)]
pub struct Token(Box<str>);

/// Why there is no token. Never tells what was read.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token file {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too short or too long.
    #[error(
        "the token in {} has {bytes} bytes, but {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} are needed: \
         write a long random text into the file, such as the output of `openssl rand -hex 32`", .path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// How long it is.
        bytes: usize,
    },
    /// It could not be sent in a header.
    #[error("the token in {} holds a character that is not visible ASCII: use letters, digits and signs only", .path.display())]
    Character {
        /// The file.
        path: PathBuf,
    },
}

impl Token {
    /// Reads a file that holds the token and nothing else but white space around it.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TokenError::Unreadable { path: path.to_owned(), source })?;
        let text = text.trim();
        if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&text.len()) {
            return Err(TokenError::Length { path: path.to_owned(), bytes: text.len() });
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TokenError::Character { path: path.to_owned() });
        }
        Ok(Self(text.into()))
    }

    /// The value of an `authorization` header that shows the token.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether the value of an `authorization` header shows the token. How long that takes depends on the length of
    /// what was shown, not on how much of it is right.
    pub(crate) fn is_shown_by(&self, authorization: &str) -> bool {
        let Some((scheme, shown)) = authorization.split_once(' ') else { return false };
        let (token, shown) = (self.0.as_bytes(), shown.trim().as_bytes());
        let mut difference = u8::from(token.len() != shown.len());
        for (index, byte) in shown.iter().enumerate() {
            // Never empty, so that the remainder is defined.
            difference |= black_box(byte ^ token[index % token.len()]);
        }
        scheme.eq_ignore_ascii_case("bearer") && black_box(difference) == 0
    }
}

#[cfg(test)]
mod tests;
