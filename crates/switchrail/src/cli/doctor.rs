//! `switchrail doctor`: what is there and what is missing to serve, each with its remedy. It takes the flags of
//! `serve` and changes nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use control_config::parse_address;
use serde_json::{Value, json};

use super::{Finished, print, print_json};

mod examine;
mod places;

/// Arguments of `switchrail doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// The model repository
    #[arg(long, value_name = "DIR or URL")]
    model_repository: Option<PathBuf>,
    /// The store of pushed versions
    #[arg(long, value_name = "DIR or URL")]
    store: Option<PathBuf>,
    /// Settings that are fixed at start
    #[arg(long, value_name = "gateway.toml")]
    config: Option<PathBuf>,
    /// Routing
    #[arg(long, value_name = "routing.toml")]
    routing: Option<PathBuf>,
    /// Where decisions are remembered
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where applications send requests
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    http_address: Option<SocketAddr>,
    /// Where applications send requests over gRPC
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    grpc_address: Option<SocketAddr>,
    /// Where Prometheus scrapes
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    metrics_address: Option<SocketAddr>,
    /// Where operators talk to the gateway
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    admin_address: Option<SocketAddr>,
    /// A file with the token operators must show
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// What was looked at.
    subject: &'static str,
    grade: Grade,
    /// What was found, with the remedy where one is needed.
    text: String,
}

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    /// As it should be.
    Good,
    /// Not given, so not looked at.
    Absent,
    /// It serves, and probably not as was meant.
    Doubtful,
    /// It would not serve.
    Bad,
}

/// Runs the command.
pub(super) fn run(arguments: &DoctorArguments) -> Finished {
    let findings = examine::examine(arguments);
    if arguments.json {
        print_json(&findings.iter().map(Finding::json).collect())?;
    } else {
        print(&page(&findings))?;
    }
    let is_healthy = findings.iter().all(|finding| finding.grade != Grade::Bad);
    Ok(if is_healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Finding {
    fn new(subject: &'static str, grade: Grade, text: impl Into<String>) -> Self {
        Self { subject, grade, text: text.into() }
    }

    fn json(&self) -> Value {
        json!({ "subject": self.subject, "grade": self.grade.as_str(), "text": self.text })
    }
}

impl Grade {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Absent => "none",
            Self::Doubtful => "warning",
            Self::Bad => "error",
        }
    }
}

fn page(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.subject.len()).max().unwrap_or(0);
    let line = |f: &Finding| {
        let indent = format!("\n{:1$}", "", width + 11);
        format!("{:<7}  {:<width$}  {}\n", f.grade.as_str(), f.subject, f.text.replace('\n', &indent))
    };
    let count = |grade| findings.iter().filter(|f| f.grade == grade).count();
    let result = match (count(Grade::Bad), count(Grade::Doubtful)) {
        (0, 0) => "nothing is in the way of serving".to_owned(),
        (0, n) => format!("nothing is in the way of serving; warnings: {n}"),
        (n, _) => format!("something is in the way of serving; errors: {n}"),
    };
    findings.iter().map(line).collect::<String>() + &result + "\n"
}

#[cfg(test)]
mod tests;
