//! The state of the Git working tree that a file lies in, asked of `git` itself.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use thiserror::Error;

use crate::GitLineage;

/// How long `git` may take: so many times so long, ten seconds together.
const ATTEMPTS: u32 = 5_000;
const PAUSE: Duration = Duration::from_millis(2);
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Why nothing is known of a working tree. None of it keeps anything from being pushed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoGit {
    /// There is no such program.
    #[error("git is not installed")]
    Absent,
    /// The folder is in no working tree.
    #[error("the model lies in no Git working tree")]
    NoTree,
    /// Nothing was committed yet.
    #[error("the Git working tree has no commit yet")]
    NoCommit,
    /// It took too long.
    #[error("git did not answer within ten seconds")]
    Slow,
}

/// Asks for the state of the working tree around a file or folder.
pub fn git_of(path: &Path) -> Result<GitLineage, NoGit> {
    let path = path.canonicalize().map_err(|_| NoGit::NoTree)?;
    let folder = if path.is_dir() { path.as_path() } else { path.parent().ok_or(NoGit::NoTree)? };
    if ask(folder, &["rev-parse", "--is-inside-work-tree"])?.as_deref() != Some("true") {
        return Err(NoGit::NoTree);
    }
    let commit = ask(folder, &["rev-parse", "--verify", "--quiet", "HEAD"])?.ok_or(NoGit::NoCommit)?;
    let branch = ask(folder, &["symbolic-ref", "--short", "--quiet", "HEAD"])?;
    // Models are often not tracked; what made them is.
    let changes = ask(folder, &["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"])?;
    let remote = match ask(folder, &["remote", "get-url", "origin"])? {
        Some(origin) => Some(origin),
        None => first_remote(folder)?,
    };
    Ok(GitLineage {
        commit,
        branch: branch.filter(|branch| !branch.is_empty()),
        is_dirty: changes.is_some_and(|changes| !changes.is_empty()),
        remote: remote.map(|remote| without_credentials(&remote)),
    })
}

fn first_remote(folder: &Path) -> Result<Option<String>, NoGit> {
    let Some(names) = ask(folder, &["remote"])? else { return Ok(None) };
    names.lines().next().map_or(Ok(None), |name| ask(folder, &["remote", "get-url", name]))
}

/// One answer without its last line end; `None` when git says no.
fn ask(folder: &Path, arguments: &[&str]) -> Result<Option<String>, NoGit> {
    let mut command = Command::new("git");
    // A working tree may name a program of its own to run; none of it is run here, and nothing is written.
    command.args(["-c", "core.fsmonitor=false", "-C"]).arg(folder).args(arguments);
    command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = spawned.map_err(|_| NoGit::Absent)?;
    let stdout = child.stdout.take();
    // A thread reads, so that a long answer never keeps git from its end.
    let reader = std::thread::spawn(move || {
        let mut answer = Vec::new();
        if let Some(mut stdout) = stdout {
            let read = Read::by_ref(&mut stdout).take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
            let rest = std::io::copy(&mut stdout, &mut std::io::sink());
            // What could be read counts; git's exit code says whether it is an answer.
            let _partial = (read, rest);
        }
        answer
    });
    let is_yes = wait(&mut child)?;
    let answer = reader.join().unwrap_or_default();
    let text = String::from_utf8_lossy(&answer);
    Ok(is_yes.then(|| text.trim_end_matches(['\n', '\r']).to_owned()))
}

fn wait(child: &mut Child) -> Result<bool, NoGit> {
    for _ in 0..ATTEMPTS {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) => sleep(PAUSE),
            Err(_) => break,
        }
    }
    // It is of no use any more; whether it could be ended changes nothing here.
    let _ended = child.kill().and_then(|()| child.wait());
    Err(NoGit::Slow)
}

/// The address without a user's name, password or token.
fn without_credentials(remote: &str) -> String {
    let Some((scheme, rest)) = remote.split_once("://") else { return remote.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::fs;

    use super::*;

    #[test]
    fn addresses_lose_their_credentials() {
        for (remote, expected) in [
            ("https://host/team/repo.git", "https://host/team/repo.git"),
            ("https://ann:secret@host/team/repo.git", "https://host/team/repo.git"),
            ("https://token@host:8443/repo?access_token=x#y", "https://host:8443/repo"),
            ("https://a@b:c@host/x", "https://host/x"),
            ("https://ann:secret@host", "https://host"),
            ("ssh://git@host/repo", "ssh://host/repo"),
            ("git@host:team/repo.git", "git@host:team/repo.git"),
            ("/srv/repos/x", "/srv/repos/x"),
        ] {
            assert_eq!(without_credentials(remote), expected);
        }
    }

    #[test]
    fn a_working_tree_tells_commit_branch_state_and_remote() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("m.onnx");
        fs::write(&model, "x").unwrap();
        assert_eq!(git_of(&model), Err(NoGit::NoTree));
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
            let status =
                Command::new("git").arg("-C").arg(folder.path()).args(identity).args(arguments).output().unwrap();
            assert!(status.status.success(), "{arguments:?}: {status:?}");
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        assert_eq!(git_of(&model), Err(NoGit::NoCommit));
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message=first"]);
        git(&["remote", "add", "origin", "https://ann:secret@host/repo.git"]);
        let clean = git_of(&model).unwrap();
        assert_eq!((clean.commit.len(), clean.branch.as_deref(), clean.is_dirty), (40, Some("main"), false));
        assert_eq!(clean.remote.as_deref(), Some("https://host/repo.git"));
        fs::write(folder.path().join("new"), "untracked files say nothing").unwrap();
        assert!(!git_of(&model).unwrap().is_dirty);
        fs::write(&model, "y").unwrap();
        assert!(git_of(folder.path()).unwrap().is_dirty);
        git(&["checkout", "--quiet", "--detach"]);
        assert_eq!(git_of(&model).unwrap().branch, None);
    }
}
