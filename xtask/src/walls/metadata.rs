//! Who depends on whom, from `cargo metadata`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::table::{FOR_TESTS, HOMES, NEVER, Plane, plane};
use super::{Finding, WallsError};

/// A package of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The folder of its manifest, relative to the root.
    pub folder: String,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
}

/// One dependency of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The package.
    pub name: String,
    /// Whether it is a package of the workspace.
    pub is_ours: bool,
    /// Whether only tests, examples and benchmarks of the member see it.
    pub is_for_tests: bool,
}

/// The packages of the workspace.
pub fn members(root: &Path) -> Result<Vec<Member>, WallsError> {
    let text = output(root, "cargo", &["metadata", "--no-deps", "--offline", "--format-version", "1"])?;
    parse(&serde_json::from_str(&text)?)
}

/// Runs a tool in the root and takes what it prints.
pub fn output(root: &Path, program: &str, arguments: &[&str]) -> Result<String, WallsError> {
    let command = || format!("{program} {}", arguments.join(" "));
    let failed = |text: String| WallsError::Tool { command: command(), text };
    let output = Command::new(program).args(arguments).current_dir(root).output().map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    String::from_utf8(output.stdout).map_err(|e| failed(e.to_string()))
}

/// Reads the metadata of a workspace.
pub fn parse(metadata: &Value) -> Result<Vec<Member>, WallsError> {
    let missing = |part| WallsError::Missing { file: "the output of cargo metadata", part };
    let root = metadata["workspace_root"].as_str().ok_or(missing("workspace_root"))?;
    let packages = metadata["packages"].as_array().ok_or(missing("packages"))?;
    packages.iter().map(|package| member(package, root).ok_or(missing("name, manifest_path or dependencies"))).collect()
}

fn member(package: &Value, root: &str) -> Option<Member> {
    let folder = Path::new(package["manifest_path"].as_str()?).parent()?.strip_prefix(root).ok()?;
    let dependencies = package["dependencies"].as_array()?;
    let dependency = |d: &Value| {
        Some(Dependency {
            name: d["name"].as_str()?.to_owned(),
            is_ours: d["path"].is_string(),
            is_for_tests: d["kind"] == "dev",
        })
    };
    Some(Member {
        name: package["name"].as_str()?.to_owned(),
        folder: folder.to_str()?.to_owned(),
        dependencies: dependencies.iter().map(dependency).collect::<Option<_>>()?,
    })
}

/// Compares the dependencies of every member with the table.
pub fn check(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        let Some(of) = plane(&member.name) else {
            let text = format!("{} has a name of no plane: base-, engine-, data- or control-", member.name);
            findings.push(Finding { wall: "planes", text });
            continue;
        };
        let base = Path::new(&member.folder).file_name().and_then(|f| f.to_str());
        if of != Plane::Tools && base != Some(member.name.as_str()) {
            let text = format!("{} lives in {}: folder and crate have one name", member.name, member.folder);
            findings.push(Finding { wall: "names", text });
        }
        for dependency in &member.dependencies {
            let finding =
                if dependency.is_ours { ours(member, of, dependency) } else { theirs(member, of, dependency) };
            findings.extend(finding);
        }
    }
    findings.extend(stale(members));
    findings
}

fn ours(member: &Member, of: Plane, dependency: &Dependency) -> Option<Finding> {
    let (from, to) = (&member.name, &dependency.name);
    let other = plane(to)?;
    // Tests of a crate may use the fakes; the planes stay apart even there.
    let is_allowed = of.may_use(other) || (other == Plane::Testkit && dependency.is_for_tests);
    if !is_allowed {
        let text = format!("{from} depends on {to}: {of:?} must not know {other:?}");
        return Some(Finding { wall: "planes", text });
    }
    let (_, _, why) = NEVER.iter().find(|(name, never, _)| name == from && never.contains(&to.as_str()))?;
    (!dependency.is_for_tests).then(|| Finding { wall: "planes", text: format!("{from} depends on {to}: {why}") })
}

fn theirs(member: &Member, of: Plane, dependency: &Dependency) -> Option<Finding> {
    let (from, package) = (&member.name, dependency.name.as_str());
    let is_lenient = dependency.is_for_tests || matches!(of, Plane::Tools | Plane::Testkit);
    let wall = "homes";
    if FOR_TESTS.contains(&package) {
        let text = format!("{from} depends on {package}, which is for tests only");
        return (!is_lenient).then_some(Finding { wall, text });
    }
    let Some(home) = HOMES.iter().find(|home| home.packages.contains(&package)) else {
        let text = format!("{from} depends on {package}, which has no home: add a row with a reason to the table");
        return Some(Finding { wall, text });
    };
    let is_at_home = home.crates.is_empty() || home.crates.contains(&from.as_str());
    let text = || format!("{from} depends on {package}, which is at home in {}", home.crates.join(", "));
    (!is_at_home && !is_lenient).then(|| Finding { wall, text: text() })
}

/// Rows that nobody makes use of any more.
fn stale(members: &[Member]) -> Vec<Finding> {
    let is_used = |member: &Member, package: &str| {
        member.dependencies.iter().any(|d| d.name == package && !d.is_for_tests && !d.is_ours)
    };
    let mut findings = Vec::new();
    for home in HOMES {
        for package in home.packages {
            for name in home.crates {
                if !members.iter().any(|m| m.name == *name && is_used(m, package)) {
                    let text = format!("{package} is at home in {name}, which does not use it: mend the row");
                    findings.push(Finding { wall: "homes", text });
                }
            }
        }
    }
    findings
}

/// Rows of `[workspace.dependencies]` that no member uses.
pub fn check_workspace(members: &[Member], manifest: &str) -> Vec<Finding> {
    let used: BTreeSet<&str> = members.iter().flat_map(|m| &m.dependencies).map(|d| d.name.as_str()).collect();
    let section = manifest.lines().skip_while(|line| line.trim() != "[workspace.dependencies]").skip(1);
    let rows = section.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    let names = rows.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
    let unused = names.filter(|name| !used.contains(name));
    let text = |name| format!("{name} stands in [workspace.dependencies] and no crate uses it");
    unused.map(|name| Finding { wall: "homes", text: text(name) }).collect()
}

#[cfg(test)]
mod tests;
