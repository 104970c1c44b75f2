//! What is validated and what it is held against, wherever they lie.

use std::path::Path;

use base_types::{Gate, ModelName, Selector, Version};
use control_gate::{Beside, GateReport, MANIFEST_FILE, Verdict};
use control_registry::preflight::Facts;
use control_registry::repository::{HashedFile, LocalVersion, VersionFiles, assemble, read_attached_to};
use control_registry::{Limits, RefusalCode};
use control_store::Store;

use crate::cli::{CliError, with_causes};

/// The version to be validated.
pub(super) struct Candidate {
    pub(super) files: VersionFiles,
    pub(super) beside: Beside,
    /// What the scan of the file found out.
    pub(super) preflight: String,
}

/// Why there is nothing to ask gates about.
pub(super) enum NoCandidate {
    /// The file is refused: the report of the gate that did it.
    Refused(Box<GateReport>),
    /// What was named is not there.
    Misuse(CliError),
}

/// Where versions are looked for by their numbers.
pub(super) struct Place<'a> {
    pub(super) model: &'a ModelName,
    pub(super) store: Option<&'a Path>,
    pub(super) repository: Option<&'a Path>,
}

/// The version that would be replaced.
pub(super) struct Against {
    /// Its number; 1 where it lies somewhere without one.
    pub(super) version: Version,
    pub(super) files: VersionFiles,
}

/// Reads what is to be validated.
pub(super) fn candidate(path: &Path, manifest: Option<&Path>) -> Result<Candidate, NoCandidate> {
    let refused = |refusal: control_registry::Refusal| match refusal.code {
        RefusalCode::Unreadable | RefusalCode::NoModelFile | RefusalCode::SeveralModelFiles => {
            NoCandidate::Misuse(CliError::Gates(refusal.text))
        }
        code => NoCandidate::Refused(Box::new(preflight_failure(format!("{}: {}", code.as_str(), refusal.text)))),
    };
    let local = LocalVersion::find(path).map_err(refused)?;
    let files = local.read(&Limits::default()).map_err(refused)?;
    let (folder, name) = match manifest {
        None => (local.folder.clone(), MANIFEST_FILE.to_owned()),
        Some(path) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            (parent.unwrap_or(Path::new(".")).to_owned(), name.unwrap_or_default())
        }
    };
    if manifest.is_some_and(|path| !path.is_file()) {
        let text = format!("there is no manifest {}", folder.join(name).display());
        return Err(NoCandidate::Misuse(CliError::Gates(text)));
    }
    let read = |path: &str, bytes_max: u64| {
        let (folder, path) = match path {
            MANIFEST_FILE => (&folder, name.as_str()),
            // A signature lies beside the model, wherever the manifest does.
            control_gate::sign::SIGNATURE_FILE => (&local.folder, path),
            path => (&folder, path),
        };
        read_attached_to(folder, path, bytes_max).map_err(|refusal| refusal.text)
    };
    let beside = Beside::read(&read);
    let preflight = told(&files.facts);
    Ok(Candidate { files, beside, preflight })
}

/// The report of a file that the runtime must not, or could not, read.
pub(super) fn preflight_failure(text: String) -> GateReport {
    let gate = Gate::Preflight.as_str().to_owned();
    let (measured, threshold) = (None, None);
    GateReport { gate, verdict: Verdict::Failed, is_required: true, text, measured, threshold, took_ms: 0 }
}

fn told(facts: &Facts) -> String {
    let opset = |(domain, version): &(String, i64)| match domain.as_str() {
        "" => format!("{version}"),
        domain => format!("{domain} {version}"),
    };
    let opsets: Vec<String> = facts.opsets.iter().map(opset).collect();
    format!(
        "the file can be read: IR {}, operator sets {}, {} nodes, {} files of external data",
        facts.ir_version,
        opsets.join(", "),
        facts.nodes,
        facts.external.len()
    )
}

impl Place<'_> {
    /// Reads what a path, a number or a label names.
    pub(super) fn against(&self, named: &str) -> Result<Against, CliError> {
        if let Some(store) = self.store {
            return self.in_store(store, named);
        }
        let in_repository = self.repository.zip(named.parse::<Version>().ok());
        let path = match in_repository {
            Some((root, version)) => root.join(self.model.as_str()).join(version.to_string()),
            None => named.into(),
        };
        let version = in_repository.map(|(_, version)| version).or_else(|| Version::new(1));
        let version = version.ok_or_else(|| CliError::Gates("a version is at least 1".to_owned()))?;
        let files = LocalVersion::find(&path).and_then(|local| local.read(&Limits::default()));
        let files = files.map_err(|refusal| CliError::Gates(format!("--against {named}: {}", refusal.text)))?;
        Ok(Against { version, files })
    }

    fn in_store(&self, folder: &Path, named: &str) -> Result<Against, CliError> {
        let told =
            |error: &dyn std::error::Error| CliError::Gates(format!("--against {named}: {}", with_causes(error)));
        let selector: Selector = named.parse()?;
        let store = Store::open_existing(folder).map_err(|error| told(&error))?;
        let record = store.find(self.model, &selector).map_err(|error| told(&error))?;
        let files = store.read(&record).map_err(|error| told(&error))?;
        let hashed = files.into_iter().zip(&record.files).map(|((path, content), file)| HashedFile {
            path,
            content: content.into(),
            sha256: *file.sha256.as_bytes(),
        });
        let files = assemble(hashed.collect(), &Limits::default()).map_err(|refusal| told(&refusal))?;
        Ok(Against { version: record.version, files })
    }
}
