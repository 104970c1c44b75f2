//! `switchrail validate`: the gates of a version, asked here, before it goes anywhere.
//!
//! Exit codes: 0 every required gate passed, 1 one failed, 2 there was nothing to ask. Reading order: here,
//! `place` (what is validated, and against what), `told` (in words, JSON and JUnit).

mod place;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;

use base_serving::engine::Engine;
use base_types::{Comparison, ModelName, SystemClock};
use clap::Args;
use control_config::{GateRules, RoutingConfig, parse_routing};
use control_gate::{Asked, GateReport, Recorded, RunnerSubject, Subject, run};
use control_registry::captures::Captures;
use engine_onnx::{OnnxEngine, Options};

use self::place::{Against, Place};
use super::{CliError, Finished, print, print_json};

/// The exit code where nothing could be asked.
const MISUSE: u8 = 2;

/// Arguments of `switchrail validate`.
#[derive(Debug, Args)]
pub struct ValidateArguments {
    /// The model file, or a folder with it and its manifest.toml
    path: PathBuf,
    /// The model it is to be a version of
    #[arg(long)]
    model: ModelName,
    /// The version it would replace: a file or folder, or a number in the store or the model repository
    #[arg(long, value_name = "PATH|VERSION")]
    against: Option<String>,
    /// The store that holds that version
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The model repository that holds that version
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    model_repository: Option<PathBuf>,
    /// A manifest that does not lie beside the model; what it names lies beside it
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// A routing.toml whose [models.MODEL.gates] are asked too
    #[arg(long, value_name = "FILE")]
    routing: Option<PathBuf>,
    /// The state directory of the gateway whose recorded requests are answered again
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Write the results as a JUnit file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the gates said.
pub(super) struct Validation {
    model: ModelName,
    digest: String,
    reports: Vec<GateReport>,
    /// Gates are asked, and their failures told, but keep nothing out.
    is_enforced: bool,
}

/// Runs the command.
pub(super) fn run_command(arguments: &ValidateArguments) -> Finished {
    let validation = match validate(arguments) {
        Ok(validation) => validation,
        Err(error) => {
            // Nothing was asked, so nothing failed: a pipeline must be able to tell.
            eprintln!("switchrail: {}", super::with_causes(&error));
            return Ok(ExitCode::from(MISUSE));
        }
    };
    if let Some(path) = &arguments.junit {
        let text =
            told::junit(&validation).map_err(|reason| CliError::Gates(format!("cannot write JUnit: {reason}")))?;
        std::fs::write(path, text).map_err(|source| CliError::Unwritable { path: path.clone(), source })?;
    }
    if arguments.json {
        print_json(&told::json(&validation))?
    } else {
        print(&told::text(&validation))?
    }
    Ok(if validation.is_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Validation {
    fn is_passed(&self) -> bool {
        !self.is_enforced || !self.reports.iter().any(|report| report.is_required && report.is_failed())
    }
}

fn validate(arguments: &ValidateArguments) -> Result<Validation, CliError> {
    let model = &arguments.model;
    let place = Place { model, store: arguments.store.as_deref(), repository: arguments.model_repository.as_deref() };
    let (rules, comparison) = rules(arguments)?;
    let candidate = match place::candidate(&arguments.path, arguments.manifest.as_deref()) {
        Ok(candidate) => candidate,
        // A file that is refused is a result, not a mistake of whoever asks.
        Err(place::NoCandidate::Refused(report)) => {
            let (model, digest) = (model.clone(), String::new());
            return Ok(Validation { model, digest, reports: vec![*report], is_enforced: rules.is_enforced });
        }
        Err(place::NoCandidate::Misuse(error)) => return Err(error),
    };
    let stable = arguments.against.as_deref().map(|against| place.against(against)).transpose()?;
    let recorded = recorded(arguments, &rules)?;
    let engine = engine()?;
    let digest = candidate.files.digest;
    let runner = match engine.load(&candidate.files.artifact) {
        Ok(runner) => runner,
        Err(error) => {
            let reports = vec![place::preflight_failure(error.to_string())];
            let (model, digest) = (model.clone(), digest.to_string());
            return Ok(Validation { model, digest, reports, is_enforced: rules.is_enforced });
        }
    };
    let stable_runner = stable.as_ref().map(|stable| engine.load(&stable.files.artifact));
    let stable_runner = stable_runner.transpose().map_err(|error| CliError::Gates(format!("--against: {error}")))?;
    let clock = SystemClock;
    let subject = RunnerSubject::new(&*runner, &clock);
    let stable_subject = stable_runner.as_ref().map(|runner| RunnerSubject::new(&**runner, &clock));
    let stable = stable.as_ref().zip(stable_subject.as_ref());
    let reports = run(&Asked {
        model,
        digest,
        expected: None,
        beside: &candidate.beside,
        rules: &rules,
        comparison: &comparison,
        preflight: &candidate.preflight,
        candidate: &subject,
        stable: stable.map(|(Against { version, .. }, subject)| (*version, subject as &dyn Subject)),
        recorded: &recorded,
        clock: &clock,
    });
    Ok(Validation { model: model.clone(), digest: digest.to_string(), reports, is_enforced: rules.is_enforced })
}

/// The runtime, started here.
pub(super) fn engine() -> Result<OnnxEngine, CliError> {
    let told = |error: engine_onnx::RuntimeError| CliError::Gates(super::with_causes(&error));
    let library = engine_onnx::locate(None).map_err(told)?;
    OnnxEngine::start(&Options { library: Some(library), ..Options::default() }).map_err(told)
}

/// What routing.toml asks of the model's versions.
fn rules(arguments: &ValidateArguments) -> Result<(GateRules, Comparison), CliError> {
    let Some(path) = &arguments.routing else { return Ok((GateRules::default(), Comparison::default())) };
    let bytes = std::fs::read(path).map_err(|source| CliError::Unreadable { path: path.clone(), source })?;
    let parsed = parse_routing(path, &bytes).map_err(|invalid| {
        invalid.diagnostics.iter().for_each(|problem| eprintln!("{problem}"));
        CliError::Invalid(path.clone())
    })?;
    let routing: RoutingConfig = parsed.value;
    let disagreement = routing.guardrail(&arguments.model).disagreement.as_ref();
    let comparison = disagreement.map(|limit| limit.compare.clone()).unwrap_or_default();
    Ok((routing.gates(&arguments.model).clone(), comparison))
}

/// The newest recorded requests that are whole.
fn recorded(arguments: &ValidateArguments, rules: &GateRules) -> Result<Vec<Recorded>, CliError> {
    let (Some(state_dir), Some(rule)) = (&arguments.state_dir, rules.replay) else { return Ok(Vec::new()) };
    let captures = Captures::open(state_dir).and_then(|captures| captures.recent(&arguments.model, rule.captures));
    let captures = captures.map_err(|error| CliError::Gates(super::with_causes(&error)))?;
    let whole = captures.into_iter();
    Ok(whole.filter_map(|capture| Some(Recorded { inputs: capture.inputs()?, id: capture.prediction_id })).collect())
}
