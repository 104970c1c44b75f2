//! What the state directory keeps beside the journal: the key that ids of answers are made with, and the lines written
//! down for later analysis.

use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use base_metrics::Metrics;
use base_serving::{ExposureSink, OutcomeSink, PredictionKey};
use control_config::RecordSettings;
use control_loop::{Exposures, Outcomes};
use control_registry::{LineLog, LineLogLimits};

const KEY_FILE: &str = "prediction-key";
const KEY_BYTES: usize = 16;

/// The key of this state directory, made at the first start: feedback on answers from before a restart is understood.
pub fn prediction_key(state_dir: &Path) -> Result<PredictionKey, Error> {
    let path = state_dir.join(KEY_FILE);
    match OpenOptions::new().read(true).open(&path) {
        Ok(mut file) => {
            let mut secret = [0; KEY_BYTES];
            let read = file.read_exact(&mut secret);
            let told = |error: Error| Error::new(error.kind(), format!("{} is no key: {error}", path.display()));
            read.map(|()| PredictionKey::new(secret)).map_err(told)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = PredictionKey::random();
            // Whole before it has its name: a key that was half written would be another one.
            let new = path.with_extension("new");
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&key.secret())?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

/// The key of a state directory, where it has one: for reading ids that somebody else gave out.
pub fn known_key(state_dir: &Path) -> Option<PredictionKey> {
    let secret = std::fs::read(state_dir.join(KEY_FILE)).ok()?;
    Some(PredictionKey::new(secret.try_into().ok()?))
}

/// Where exposures go, if they are wanted.
pub fn exposures(
    settings: &RecordSettings,
    state_dir: &Path,
    metrics: &Metrics,
) -> Result<Option<Arc<dyn ExposureSink>>, Error> {
    if !settings.exposures {
        return Ok(None);
    }
    let log = LineLog::open(state_dir, "exposures", limits(settings))?;
    Ok(Some(Arc::new(Exposures::new(log, metrics.clone()))))
}

/// Where outcomes go, if they are wanted.
pub fn outcomes(settings: &RecordSettings, state_dir: &Path) -> Result<Option<Arc<dyn OutcomeSink>>, Error> {
    if !settings.outcomes {
        return Ok(None);
    }
    let log = LineLog::open(state_dir, "outcomes", limits(settings))?;
    Ok(Some(Arc::new(Outcomes::new(log))))
}

fn limits(settings: &RecordSettings) -> LineLogLimits {
    LineLogLimits { file_bytes: settings.file_bytes, files_kept: settings.files }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn a_state_directory_has_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let first = prediction_key(folder.path()).unwrap().secret();
        assert_eq!(prediction_key(folder.path()).unwrap().secret(), first);
        assert_eq!(known_key(folder.path()).unwrap().secret(), first);
        assert!(known_key(&folder.path().join("elsewhere")).is_none());
        std::fs::write(folder.path().join(KEY_FILE), b"short").unwrap();
        assert!(prediction_key(folder.path()).is_err_and(|error| error.to_string().contains(KEY_FILE)));
    }
}
