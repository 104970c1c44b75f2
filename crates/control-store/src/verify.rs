//! Reads everything and says what is not as it was stored.

use std::collections::{BTreeMap, BTreeSet};

use base_types::{Digest, ModelName, Version};
use control_registry::repository::digest_of;

use crate::cut::PART_BYTES_MAX;
use crate::store::{object_key, record_key};
use crate::{PartRecord, Record, Store, StoreError, envelope};

/// What is damaged, and who suffers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The object, record or file of labels.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
    /// The versions that cannot be read because of it; none for a part that no version consists of.
    pub versions: Vec<(ModelName, Version)>,
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Versions.
    pub n_versions: usize,
    /// Objects.
    pub n_objects: usize,
    /// Bytes of the objects.
    pub bytes: u64,
    /// Objects that no version consists of: left by pushes that were broken off.
    pub n_orphans: usize,
    /// Everything that is wrong.
    pub damage: Vec<Damage>,
}

type Users = BTreeMap<Digest, (PartRecord, BTreeSet<(ModelName, Version)>)>;

impl Store {
    /// Reads every record, label, result of gates and object. Damage is found and named, not mended.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        let listing = self.list()?;
        let strangers = listing.strangers.iter().map(|key| damage(key, "it does not belong into a store", &[]));
        verified.damage.extend(strangers);
        let mut users = Users::new();
        for (model, versions) in &listing.models {
            for version in versions {
                verified.n_versions += 1;
                match self.record(model, *version) {
                    Ok(Some(record)) => {
                        verified.damage.extend(check_record(&record));
                        note_parts(&record, &mut users);
                    }
                    Ok(None) => {}
                    Err(error) => verified.damage.push(from_error(error, model, *version)?),
                }
                if let Err(error) = self.gate_results(model, *version) {
                    verified.damage.push(from_error(error, model, *version)?);
                }
            }
            match self.labels(model) {
                Ok(labels) => verified.damage.extend(
                    labels.iter().filter(|(_, version)| !versions.contains(version)).map(|(label, version)| {
                        damage(
                            &format!("models/{model}/labels.json"),
                            &format!("label {label} names version {version}, which is not there"),
                            &[],
                        )
                    }),
                ),
                // A damaged record was told above.
                Err(StoreError::Damaged { key, .. }) if verified.damage.iter().any(|known| known.key == key) => {}
                Err(StoreError::Damaged { key, reason }) => verified.damage.push(damage(&key, &reason, &[])),
                Err(error) => return Err(error),
            }
        }
        self.verify_objects(&users, &mut verified)?;
        Ok(verified)
    }

    fn verify_objects(&self, users: &Users, verified: &mut Verified) -> Result<(), StoreError> {
        for (part, versions) in users.values() {
            verified.n_objects += 1;
            verified.bytes += part.size;
            match self.part(part) {
                Ok(_) => {}
                Err(StoreError::Damaged { key, reason }) => {
                    let versions: Vec<_> = versions.iter().cloned().collect();
                    verified.damage.push(damage(&key, &reason, &versions));
                }
                Err(error) => return Err(error),
            }
        }
        for listed in self.objects.list("objects/")? {
            let name: Option<Digest> = listed.key.rsplit('/').next().and_then(|name| name.parse().ok());
            let Some(name) = name.filter(|name| object_key(name) == listed.key) else {
                verified.damage.push(damage(&listed.key, "it does not belong into a store", &[]));
                continue;
            };
            if users.contains_key(&name) {
                continue;
            }
            verified.n_orphans += 1;
            let bytes = match self.objects.get(&listed.key, PART_BYTES_MAX) {
                // Collected since it was listed.
                Ok(None) => continue,
                Ok(Some(bytes)) => bytes,
                Err(StoreError::Damaged { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            if envelope::sha256(&bytes) != name {
                let reason = "its content does not have the SHA-256 it is named by; no version needs it";
                verified.damage.push(damage(&listed.key, reason, &[]));
            }
        }
        Ok(())
    }
}

fn note_parts(record: &Record, users: &mut Users) {
    for part in record.parts() {
        let (_, versions) = users.entry(part.sha256).or_insert_with(|| (*part, BTreeSet::new()));
        versions.insert((record.model.clone(), record.version));
    }
}

/// A record that contradicts itself was not written by a push.
fn check_record(record: &Record) -> Option<Damage> {
    let hashes = record.files.iter().map(|file| (file.path.clone(), file.size, *file.sha256.as_bytes()));
    let are_sizes_right =
        record.all_files().all(|file| file.parts.iter().map(|part| part.size).sum::<u64>() == file.size);
    if digest_of(hashes.collect()) == record.digest && are_sizes_right {
        return None;
    }
    let versions = [(record.model.clone(), record.version)];
    Some(damage(
        &record_key(&record.model, record.version),
        "its digest or sizes are not those of its files",
        &versions,
    ))
}

fn from_error(error: StoreError, model: &ModelName, version: Version) -> Result<Damage, StoreError> {
    let versions = [(model.clone(), version)];
    match error {
        StoreError::Damaged { key, reason } => Ok(damage(&key, &reason, &versions)),
        StoreError::Format { place, found, .. } => Ok(damage(&place, &format!("it has the format {found}"), &versions)),
        error => Err(error),
    }
}

fn damage(key: &str, reason: &str, versions: &[(ModelName, Version)]) -> Damage {
    Damage { key: key.to_owned(), reason: reason.to_owned(), versions: versions.to_vec() }
}
