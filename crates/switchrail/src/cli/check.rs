//! `switchrail check`, which tells everything that is wrong with configuration files, and `switchrail diff`, which
//! says what an edit of routing.toml would change.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use control_admin::show;
use control_config::{
    Diagnostic, FILE_BYTES_MAX, RoutingConfig, SettingError, Severity, diff as compare, parse_gateway, parse_routing,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::Difference;
use super::gateway::GatewayArguments;
use super::{CliError, Finished, print, print_json};

/// Arguments of `switchrail check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Files such as routing.toml
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// They are such as gateway.toml
    #[arg(long)]
    gateway: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `switchrail diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// The routing.toml as it would be
    file: PathBuf,
    /// The routing.toml as it is, instead of what the gateway has in force
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admin", "token_file"])]
    against: Option<PathBuf>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// What was found in one file.
struct Findings {
    file: PathBuf,
    diagnostics: Vec<Diagnostic>,
    /// Settings that do not go together.
    misfits: Vec<SettingError>,
}

/// Runs `switchrail check`.
pub(super) fn check(arguments: &CheckArguments) -> Finished {
    let findings = arguments.files.iter().map(|file| examine(file, arguments.gateway));
    let findings = findings.collect::<Result<Vec<_>, _>>()?;
    if arguments.json {
        print_json(&findings.iter().map(Findings::json).collect())?;
    } else {
        print(&findings.iter().map(Findings::text).collect::<String>())?;
    }
    let is_valid = findings.iter().all(Findings::is_valid);
    Ok(if is_valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs `switchrail diff`.
pub(super) fn diff(arguments: &DiffArguments) -> Finished {
    let text = read(&arguments.file)?;
    // Read here first, so that problems are told with the file's own name.
    let wished = parse(&arguments.file, &text)?;
    let answer = match &arguments.against {
        Some(file) => {
            let differences = compare(&read_routing(file)?, &wished);
            json!({ "differences": differences.iter().map(show::difference).collect::<Vec<_>>() })
        }
        None => arguments.gateway.gateway()?.post_toml("/v1/config/diff", &text)?,
    };
    if arguments.gateway.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let differences = answer["differences"].as_array().cloned().unwrap_or_default();
    let lines: Vec<String> =
        differences.into_iter().filter_map(|d| Some(format!("{}\n", Difference::deserialize(d).ok()?.text))).collect();
    print(&if lines.is_empty() { "no change\n".to_owned() } else { lines.concat() })?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a routing.toml; prints its problems if there are any.
pub(super) fn read_routing(file: &Path) -> Result<RoutingConfig, CliError> {
    parse(file, &read(file)?)
}

fn parse(file: &Path, text: &[u8]) -> Result<RoutingConfig, CliError> {
    match parse_routing(file, text) {
        Ok(parsed) => Ok(parsed.value),
        Err(invalid) => {
            eprintln!("{}", super::printable(&invalid.to_string()));
            Err(CliError::Invalid(file.to_owned()))
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    use std::io::Read;
    let unreadable = |source| CliError::Unreadable { path: file.to_owned(), source };
    let mut bytes = Vec::new();
    // One more than allowed, so that a file over the bound is told apart.
    let open = std::fs::File::open(file).map_err(unreadable)?;
    open.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn examine(file: &Path, is_gateway: bool) -> Result<Findings, CliError> {
    let text = read(file)?;
    let mut misfits = Vec::new();
    let diagnostics = if is_gateway {
        parse_gateway(file, &text).map(|parsed| {
            misfits = parsed.value.check();
            // The folder may be given by a flag.
            misfits.retain(|misfit| *misfit != SettingError::NoRepository);
            parsed.warnings
        })
    } else {
        parse_routing(file, &text).map(|parsed| parsed.warnings)
    };
    let diagnostics = diagnostics.unwrap_or_else(|invalid| invalid.diagnostics);
    Ok(Findings { file: file.to_owned(), diagnostics, misfits })
}

impl Findings {
    fn is_valid(&self) -> bool {
        self.n_errors() == 0
    }

    fn n_errors(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count() + self.misfits.len()
    }

    fn text(&self) -> String {
        let file = self.file.display();
        let mut text: String = self.diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n")).collect();
        text.extend(self.misfits.iter().map(|misfit| format!("{file}: error: {misfit}\n")));
        let (n_errors, n_remarks) = (self.n_errors(), self.diagnostics.len() + self.misfits.len());
        let result = match (n_errors, n_remarks) {
            (0, 0) => "valid".to_owned(),
            (0, n) => format!("valid; warnings: {n}"),
            (n, _) => format!("not valid; errors: {n}"),
        };
        text + &format!("{file}: {result}\n")
    }

    fn json(&self) -> Value {
        json!({
            "file": self.file.display().to_string(),
            "valid": self.is_valid(),
            "diagnostics": show::diagnostics(&self.diagnostics),
            "misfits": self.misfits.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests;
