//! The examination, from what everything depends on to what is particular.

use std::path::Path;

use control_admin::Token;
use control_config::{Diagnostic, GatewayConfig, SettingError, Severity, is_bucket, parse_gateway, parse_routing};
use engine_onnx::{locate, probe};

use super::places::{listeners, repository, state_dir, store};
use super::{DoctorArguments, Finding, Grade};
use crate::cli::with_causes;
use crate::settings::STATE_IN_REPOSITORY;

/// Looks at everything.
pub(super) fn examine(arguments: &DoctorArguments) -> Vec<Finding> {
    let (config, finding) = config(arguments);
    let mut findings = vec![finding, runtime(&config), routing(&config), token(&config)];
    findings.extend(misfits(&config));
    findings.push(repository(&config));
    findings.extend(store(&config));
    let folder = config.model_repository.as_ref().filter(|repository| !is_bucket(repository));
    let in_repository = folder.map(|folder| folder.join(STATE_IN_REPOSITORY));
    findings.push(state_dir(config.state_dir.clone().or(in_repository).as_deref()));
    findings.extend(listeners(&config));
    findings
}

/// gateway.toml with the flags on top. An unusable file counts as none, so that the rest can be looked at.
fn config(arguments: &DoctorArguments) -> (GatewayConfig, Finding) {
    let (mut config, finding) = match &arguments.config {
        None => (
            GatewayConfig::default(),
            Finding::new("gateway.toml", Grade::Absent, "none given: the defaults hold (--config)"),
        ),
        Some(path) => gateway_file(path),
    };
    let DoctorArguments { model_repository, store, routing, state_dir, token_file, .. } = arguments;
    config.model_repository = model_repository.clone().or(config.model_repository);
    config.store.path = store.clone().or(config.store.path);
    config.routing = routing.clone().or(config.routing);
    config.state_dir = state_dir.clone().or(config.state_dir);
    config.http = arguments.http_address.unwrap_or(config.http);
    config.grpc = arguments.grpc_address.unwrap_or(config.grpc);
    config.metrics = arguments.metrics_address.unwrap_or(config.metrics);
    config.admin.address = arguments.admin_address.unwrap_or(config.admin.address);
    config.admin.token_file = token_file.clone().or(config.admin.token_file);
    (config, finding)
}

fn gateway_file(path: &Path) -> (GatewayConfig, Finding) {
    let parsed = match std::fs::read(path) {
        Ok(bytes) => parse_gateway(path, &bytes),
        Err(error) => {
            let text = format!("cannot read {}: {error}; correct --config", path.display());
            return (GatewayConfig::default(), Finding::new("gateway.toml", Grade::Bad, text));
        }
    };
    match parsed {
        Ok(parsed) => (parsed.value, file("gateway.toml", path, &parsed.warnings)),
        Err(invalid) => (GatewayConfig::default(), file("gateway.toml", path, &invalid.diagnostics)),
    }
}

fn runtime(config: &GatewayConfig) -> Finding {
    let settings = &config.runtime;
    let found = locate(settings.library.as_deref()).and_then(|path| probe(&path, settings.allow_old));
    match found {
        Ok(library) => {
            let text = format!("ONNX Runtime {} at {}", library.version, library.path.display());
            Finding::new("runtime", Grade::Good, text)
        }
        Err(error) => Finding::new("runtime", Grade::Bad, with_causes(&error)),
    }
}

fn routing(config: &GatewayConfig) -> Finding {
    let Some(path) = &config.routing else {
        return Finding::new("routing.toml", Grade::Absent, "none given: commands alone decide (--routing)");
    };
    match std::fs::read(path) {
        Ok(bytes) => {
            let parsed = parse_routing(path, &bytes);
            let remarks = parsed.map_or_else(|invalid| invalid.diagnostics, |parsed| parsed.warnings);
            file("routing.toml", path, &remarks)
        }
        Err(error) => {
            let text = format!("cannot read {}: {error}; correct --routing", path.display());
            Finding::new("routing.toml", Grade::Bad, text)
        }
    }
}

/// A file by the remarks on it.
fn file(subject: &'static str, path: &Path, remarks: &[Diagnostic]) -> Finding {
    let worst = remarks.iter().map(|d| d.severity).min();
    let (grade, word) = match worst {
        None => (Grade::Good, "valid"),
        Some(Severity::Warning) => (Grade::Doubtful, "valid, but"),
        Some(Severity::Error) => (Grade::Bad, "not valid:"),
    };
    let lines: String = remarks.iter().map(|d| format!("\n{d}")).collect();
    Finding::new(subject, grade, format!("{} is {word}{lines}", path.display()))
}

fn token(config: &GatewayConfig) -> Finding {
    match config.admin.token_file.as_deref().map(Token::read) {
        None => {
            Finding::new("token", Grade::Absent, "none given: the admin API answers on loopback only (--token-file)")
        }
        Some(Ok(_)) => Finding::new("token", Grade::Good, "usable"),
        Some(Err(error)) => Finding::new("token", Grade::Bad, with_causes(&error)),
    }
}

fn misfits(config: &GatewayConfig) -> Vec<Finding> {
    let mut misfits = config.check();
    // Told where the repository is looked at.
    misfits.retain(|misfit| *misfit != SettingError::NoRepository);
    misfits.iter().map(|misfit| Finding::new("settings", Grade::Bad, misfit.to_string())).collect()
}
