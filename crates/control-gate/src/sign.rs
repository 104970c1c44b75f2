//! Signatures over content: who stands in for a version.
//!
//! What is signed is a text of the model's name, the digest, the inputs and outputs of the graph, and until when it
//! holds. The signature lies in `model.sig` beside the model, or in `[signature_ed25519]` of its manifest.

use base_types::{Digest, ModelName, Signature, TensorSpec};
use control_config::{key_text, parse_key};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::manifest::SignatureBlock;

/// Its name, in the version's folder.
pub const SIGNATURE_FILE: &str = "model.sig";

/// What begins the text of a secret key.
const SECRET_PREFIX: &str = "ed25519-secret:";

/// What a signature is over.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The model it may serve as.
    pub model: &'a ModelName,
    /// The content.
    pub digest: Digest,
    /// Inputs and outputs of the graph.
    pub signature: &'a Signature,
    /// Until when it holds, in seconds since 1970.
    pub expires: Option<u64>,
}

impl Signed<'_> {
    /// The text that is signed. Never changes for the same facts, in any release.
    pub fn text(&self) -> String {
        let mut text = format!("switchrail version v1\nmodel {}\ndigest {}\n", self.model, self.digest);
        let lines = |word: &str, specs: &[TensorSpec]| -> String {
            let line = |spec: &TensorSpec| {
                let dims: Vec<String> = spec.wire_dims().map(|dim| dim.to_string()).collect();
                // Escaped, so that no name can look like a line of its own.
                format!("{word} {:?} {}[{}]\n", spec.name, spec.datatype, dims.join(","))
            };
            specs.iter().map(line).collect()
        };
        text.push_str(&lines("input", &self.signature.inputs));
        text.push_str(&lines("output", &self.signature.outputs));
        text.push_str(&self.expires.map_or_else(|| "expires never\n".to_owned(), |at| format!("expires {at}\n")));
        text
    }
}

/// A secret key, made of 32 random bytes.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Makes a key of bytes that nobody else knows.
    pub fn new(random: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(random))
    }

    /// Reads the text of a key file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.trim().strip_prefix(SECRET_PREFIX);
        let bytes = digits.and_then(bytes_of::<32>);
        let bytes = bytes.ok_or_else(|| "it holds no secret key: `switchrail keygen` makes one".to_owned())?;
        Ok(Self::new(&bytes))
    }

    /// The text of a key file.
    pub fn secret_text(&self) -> String {
        format!("{SECRET_PREFIX}{}\n", hex(&self.0.to_bytes()))
    }

    /// The public key, as routing.toml has it.
    pub fn public_text(&self) -> String {
        key_text(&self.0.verifying_key().to_bytes())
    }

    /// Signs; gives the content of `model.sig`.
    pub fn sign(&self, signed: &Signed<'_>) -> String {
        let signature = self.0.sign(signed.text().as_bytes());
        let expires = signed.expires.map(|at| format!("expires_unix_s = {at}\n")).unwrap_or_default();
        format!("key = \"{}\"\nsignature = \"{}\"\n{expires}", self.public_text(), hex(&signature.to_bytes()))
    }
}

/// Reads the content of `model.sig`.
pub(crate) fn parse(text: &str) -> Result<SignatureBlock, String> {
    let told = |error: toml::de::Error| format!("{SIGNATURE_FILE}: {}", error.message());
    toml::from_str(text).map_err(told)
}

/// Whether a signature is by one of the keys, over these facts, and still holds.
pub(crate) fn check(
    block: &SignatureBlock,
    keys: &[[u8; 32]],
    signed: &Signed<'_>,
    now_unix_s: u64,
) -> Result<(), String> {
    let key = parse_key(&block.key)?;
    if !keys.contains(&key) {
        return Err(format!(
            "it is signed by {}, which is none of the keys in [models.{}.gates]",
            block.key, signed.model
        ));
    }
    let signature = bytes_of::<64>(&block.signature);
    let signature = signature.ok_or_else(|| "its signature is not 128 hexadecimal digits".to_owned())?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature);
    let key = VerifyingKey::from_bytes(&key).map_err(|_| format!("{} is no point of the curve", block.key))?;
    // Strict: no second signature of the same text by a key of small order.
    key.verify_strict(signed.text().as_bytes(), &signature).map_err(|_| {
        format!(
            "its signature does not hold for model {}, content {}: it was made for something else",
            signed.model,
            signed.digest.short()
        )
    })?;
    match block.expires_unix_s {
        Some(at) if at <= now_unix_s => {
            Err(format!("its signature held until {at} (seconds since 1970): sign it again"))
        }
        _ => Ok(()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.trim().as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_types::DataType;

    use super::*;

    fn signature(name: &str) -> Signature {
        let spec = TensorSpec { name: name.to_owned(), datatype: DataType::Fp32, dims: vec![None, Some(4)] };
        Signature { inputs: vec![spec.clone()], outputs: vec![spec] }
    }

    #[test]
    fn a_signature_holds_for_what_it_was_made_for_and_nothing_else() {
        let key = SecretKey::new(&[7; 32]);
        let key = SecretKey::parse(&key.secret_text()).unwrap();
        let public = parse_key(&key.public_text()).unwrap();
        let (model, io) = (ModelName::new("m").unwrap(), signature("x"));
        let signed = Signed { model: &model, digest: Digest::new([1; 32]), signature: &io, expires: Some(100) };
        let block = parse(&key.sign(&signed)).unwrap();
        assert_eq!(check(&block, &[public], &signed, 99), Ok(()));
        let refused = |block: &SignatureBlock, keys: &[[u8; 32]], signed: &Signed<'_>, now, expected: &str| {
            let error = check(block, keys, signed, now).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        refused(&block, &[public], &signed, 100, "sign it again");
        refused(&block, &[[9; 32]], &signed, 99, "none of the keys");
        let other = ModelName::new("n").unwrap();
        let renamed = signature("z");
        for wrong in [
            Signed { digest: Digest::new([2; 32]), ..signed },
            Signed { model: &other, ..signed },
            Signed { signature: &renamed, ..signed },
            Signed { expires: None, ..signed },
        ] {
            refused(&block, &[public], &wrong, 99, "made for something else");
        }
        let flipped = SignatureBlock { signature: block.signature.replace(['0', '1'], "2"), ..block.clone() };
        refused(&flipped, &[public], &signed, 99, "made for something else");
        refused(&SignatureBlock { signature: "ab".to_owned(), ..block }, &[public], &signed, 99, "128 hexadecimal");
    }

    #[test]
    fn the_signed_text_never_changes() {
        let (model, io) = (ModelName::new("m").unwrap(), signature("x\ny"));
        let signed = Signed { model: &model, digest: Digest::new([1; 32]), signature: &io, expires: None };
        let expected = format!(
            "switchrail version v1\nmodel m\ndigest {}\ninput \"x\\ny\" FP32[-1,4]\noutput \"x\\ny\" FP32[-1,4]\nexpires never\n",
            "01".repeat(32)
        );
        assert_eq!(signed.text(), expected);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(SecretKey::parse("ed25519-secret:12").is_err());
        assert!(SecretKey::parse(&format!("ed25519:{}", "ab".repeat(32))).is_err());
        assert!(parse("key = 1").is_err());
    }
}
