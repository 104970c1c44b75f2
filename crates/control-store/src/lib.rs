//! The store: versions of models that never change once they are in it.
//!
//! A *version* is a record: an immutable file that says of which parts the files of a model consist, where it came
//! from and who put it there. A *part* is an object under the name of its SHA-256, stored once however many versions
//! consist of it. Everything is complete and on the disk before it has its name, so a reader needs no lock, and a
//! writer that dies leaves what was before or what was to be.
//!
//! Read in this order: `record` (what is kept), `objects` (what a place must be able to do) and `folder` (a folder that
//! does), `store` (looking and labelling), `cut` (where files are parted), `source` and `manifest` (what lies on the
//! disk of whoever pushes), `push`, `bundle`, and for the keeper `collect` and `verify`.

mod bundle;
mod collect;
mod cut;
mod disk;
mod envelope;
mod error;
mod folder;
mod gates;
mod git;
mod held;
mod labels;
mod manifest;
mod names;
mod objects;
mod push;
mod record;
mod source;
mod store;
mod verify;

pub use collect::{CollectOptions, Collected};
pub use error::StoreError;
pub use folder::Folder;
pub use gates::GateResult;
pub use git::{NoGit, git_of};
pub use held::held_in;
pub use names::{label, model_name, tag};
pub use objects::{Guard, Listed, Objects, Put};
pub use push::{Push, Pushed, bundle_origin};
pub use record::{
    FileRecord, GitLineage, Lineage, OnnxRecord, OpsetRecord, Origin, PartRecord, Record, SignatureRecord, ValueRecord,
};
pub use store::{Listing, Store};
pub use verify::{Damage, Verified};

#[cfg(test)]
mod tests;
