//! Whether the content is what was announced, and whether somebody who is trusted stands in for it.

use crate::report::Finding;
use crate::run::Asking;
use crate::sign::{self, Signed};

pub(crate) fn digest(asking: &Asking<'_>) -> Option<Finding> {
    let digest = asking.asked.digest;
    let announced = [(asking.manifest.digest, "the manifest"), (asking.asked.expected, "the record")];
    let announced: Vec<_> = announced.into_iter().filter_map(|(digest, by)| Some((digest?, by))).collect();
    let other = announced.iter().find(|(announced, _)| *announced != digest);
    match (announced.is_empty(), other) {
        (true, _) => None,
        (_, None) => Some(Finding::passed(format!("the content is {}, as announced", digest.short()))),
        (_, Some((announced, by))) => Some(Finding::failed(format!(
            "the content is {digest}, {by} announces {announced}: one of them is not this model's"
        ))),
    }
}

pub(crate) fn signed(asking: &Asking<'_>) -> Option<Finding> {
    let asked = asking.asked;
    let block = match &asked.beside.signature {
        Some(text) => match sign::parse(text) {
            Ok(block) => Some(block),
            Err(error) => return Some(Finding::failed(error)),
        },
        None => asking.manifest.signed.clone(),
    };
    let keys = &asked.rules.keys;
    if keys.is_empty() {
        return block.map(|_| Finding::skipped("it is signed, and no keys are set that could say by whom"));
    }
    let Some(block) = block else {
        let text =
            "it is not signed, and keys are set: sign it with `switchrail sign`, which writes model.sig beside it";
        return Some(Finding::failed(text));
    };
    let statement = Signed {
        model: asked.model,
        digest: asked.digest,
        signature: asked.candidate.graph(),
        expires: block.expires_unix_s,
    };
    let checked = sign::check(&block, keys, &statement, asked.clock.unix_ms() / 1_000);
    Some(match checked {
        Ok(()) => Finding::passed(format!("signed by {}", block.key)),
        Err(text) => Finding::failed(text),
    })
}
