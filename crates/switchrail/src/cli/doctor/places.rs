//! Folders and ports: whether they are there, can be used, and are free.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use base_types::{Clock, SystemClock};
use control_bucket::Address;
use control_config::{GatewayConfig, is_bucket};
use control_registry::repository::{ConfigEntry, Scan, ScanOptions, VersionEntry, scan};

use super::{Finding, Grade};
use crate::bucket::{bounds, limits};
use crate::cli::with_causes;

/// More refused entries than these are counted, not listed.
const REFUSED_SHOWN: usize = 20;

/// The model repository.
pub(super) fn repository(config: &GatewayConfig) -> Finding {
    if config.model_repository.is_none() && config.store.path.is_some() {
        return Finding::new("repository", Grade::Absent, "none given: versions come from the store alone");
    }
    let Some(folder) = &config.model_repository else {
        return Finding::new("repository", Grade::Absent, "none given: serve needs --model-repository DIR");
    };
    if is_bucket(folder) {
        return bucket(&folder.to_string_lossy(), config);
    }
    match scan(folder, &ScanOptions { settle_ms: 0, limits: limits(config) }, SystemClock.unix_ms()) {
        Ok(found) => described(folder, &found),
        Err(error) => Finding::new("repository", Grade::Bad, with_causes(&error)),
    }
}

/// The store, if one is named. It is listed, and no record is read.
pub(super) fn store(config: &GatewayConfig) -> Option<Finding> {
    let place = config.store.path.as_ref()?;
    let listed = crate::store::open_existing(place, None)
        .map_err(|error| with_causes(&error))
        .and_then(|store| store.list().map_err(|error| with_causes(&error)));
    let (grade, text) = match listed {
        Ok(found) => {
            let n_versions: usize = found.models.values().map(|versions| versions.len()).sum();
            let text = format!("models: {}, versions: {n_versions}, in {}", found.models.len(), place.display());
            let strange = found.strangers.iter().take(REFUSED_SHOWN);
            let strange: String = strange.map(|key| format!("\ndoes not belong there: {key}")).collect();
            let is_good = n_versions > 0 && strange.is_empty();
            (if is_good { Grade::Good } else { Grade::Doubtful }, text + &strange)
        }
        // What was read of a bucket earlier may serve all the same.
        Err(text) if is_bucket(place) => (Grade::Doubtful, text),
        Err(text) => (Grade::Bad, text),
    };
    Some(Finding::new("store", grade, text))
}

/// A model repository in a bucket. It is listed, and nothing of it is fetched.
fn bucket(address: &str, config: &GatewayConfig) -> Finding {
    let (grade, text) = match Address::parse(address) {
        Err(error) => (Grade::Bad, error.to_string()),
        Ok(address) => match control_bucket::examine(&address, &bounds(config), SystemClock.unix_ms()) {
            Ok(found) => {
                let text = format!("models: {}, versions: {}, in {address}", found.n_models, found.n_versions);
                let refused = found.refused.iter().take(REFUSED_SHOWN).map(|line| format!("\nrefused: {line}"));
                let is_good = found.n_versions > 0 && found.refused.is_empty();
                (if is_good { Grade::Good } else { Grade::Doubtful }, text + &refused.collect::<String>())
            }
            // What is cached may serve all the same.
            Err(text) => (Grade::Doubtful, format!("{address}: {text}")),
        },
    };
    Finding::new("repository", grade, text)
}

fn described(folder: &Path, found: &Scan) -> Finding {
    let usable = |entry: &VersionEntry| !matches!(entry, VersionEntry::Refused(_));
    let n_versions: usize = found.models.values().map(|m| m.versions.values().filter(|v| usable(v)).count()).sum();
    let refused = refused(found);
    let mut text = format!("models: {}, versions: {n_versions}, in {}", found.models.len(), folder.display());
    if n_versions == 0 {
        text.push_str("; versions belong at <model>/<version>/model.onnx");
    }
    text.extend(refused.iter().take(REFUSED_SHOWN).map(|line| format!("\nrefused: {line}")));
    if refused.len() > REFUSED_SHOWN {
        text.push_str(&format!("\nand {} more", refused.len() - REFUSED_SHOWN));
    }
    let is_good = n_versions > 0 && refused.is_empty();
    Finding::new("repository", if is_good { Grade::Good } else { Grade::Doubtful }, text)
}

/// Everything in the repository that would not be taken up, one line each.
fn refused(found: &Scan) -> Vec<String> {
    let mut lines: Vec<String> = found.refused.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    for (name, model) in &found.models {
        lines.extend(model.refused.iter().map(|(folder, why)| format!("{name}/{folder}: {why}")));
        lines.extend(model.incomplete.iter().map(|why| format!("{name}: {why}")));
        if let ConfigEntry::Refused(why) = &model.config {
            lines.push(format!("{name}/config.pbtxt: {why}"));
        }
        for (version, entry) in &model.versions {
            if let VersionEntry::Refused(why) = entry {
                lines.push(format!("{name}/{version}: {why}"));
            }
        }
    }
    lines
}

/// The state directory. Where it is not there yet, the folder it would be made in.
pub(super) fn state_dir(folder: Option<&Path>) -> Finding {
    let finding = |grade, text: String| Finding::new("state", grade, text);
    let Some(folder) = folder else {
        return finding(Grade::Absent, "none given: it lies in the model repository then (--state-dir)".to_owned());
    };
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let Some(existing) = absolute.ancestors().find(|path| path.exists()) else {
        return finding(
            Grade::Bad,
            format!("{} cannot be made: name another folder with --state-dir", folder.display()),
        );
    };
    let remedy = "make it writable, or name another folder with --state-dir";
    match try_writing(existing) {
        Ok(()) if existing == absolute => finding(Grade::Good, format!("{} is writable", folder.display())),
        Ok(()) => finding(Grade::Good, format!("{} will be made", folder.display())),
        Err(error) => finding(Grade::Bad, format!("cannot write in {}: {error}; {remedy}", existing.display())),
    }
}

/// Permissions alone do not tell: the file system may be read-only or full.
fn try_writing(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".switchrail-doctor-{}", std::process::id()));
    std::fs::write(&probe, b"x")?;
    std::fs::remove_file(&probe)
}

/// The listeners' addresses. One in use may well be a gateway that is running: that is worth a word, and no error.
pub(super) fn listeners(config: &GatewayConfig) -> Vec<Finding> {
    let addresses = [
        ("http", "--http-address", config.http),
        ("grpc", "--grpc-address", config.grpc),
        ("metrics", "--metrics-address", config.metrics),
        ("admin", "--admin-address", config.admin.address),
    ];
    let look = |(subject, flag, address)| match TcpListener::bind(address) {
        Ok(_) => Finding::new(subject, Grade::Good, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let text = format!("{address} is in use, by a running gateway or another program: stop it, or use {flag}");
            Finding::new(subject, Grade::Doubtful, text)
        }
        Err(error) => Finding::new(subject, Grade::Bad, format!("cannot listen on {address}: {error}; use {flag}")),
    };
    addresses.into_iter().map(look).collect()
}
