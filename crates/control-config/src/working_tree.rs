//! Which commit of a Git working tree a file is of, for those who keep routing.toml in one.
//!
//! `git` is asked for what it has stored and nothing else: no hook, filter, pager, file monitor or network is needed to
//! tell the commit, or to compare a file's bytes with what the commit holds of it. Where there is no `git`, no working
//! tree, or no answer in time, there is nothing to tell.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use base_types::{Clock, SystemClock};

use crate::FILE_BYTES_MAX;

/// For all questions about one file.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer that is not a file.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Bytes of a name that is shown.
const NAME_BYTES_MAX: usize = 256;
/// Digits of a commit that people compare.
const SHORT: usize = 12;
/// Variables that tell `git` where to look or what to run: it is to look beside the file and run nothing.
const KEPT: [&str; 3] = ["PATH", "HOME", "XDG_CONFIG_HOME"];

/// The state of a working tree, as far as one file is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeState {
    /// The commit that is checked out, in full.
    pub commit: String,
    /// The branch, unless none is.
    pub branch: Option<String>,
    /// Whether the file differs from the commit, or is not in it.
    pub is_dirty: bool,
    /// The remote, without credentials.
    pub remote: Option<String>,
}

impl TreeState {
    /// The commit's first digits.
    pub fn short(&self) -> &str {
        self.commit.get(..SHORT).unwrap_or(&self.commit)
    }
}

impl std::fmt::Display for TreeState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "commit {}", self.short())?;
        if self.is_dirty {
            f.write_str(" with changes that are not committed")?;
        }
        if let Some(branch) = &self.branch {
            write!(f, ", branch {branch}")?;
        }
        self.remote.iter().try_for_each(|remote| write!(f, ", {remote}"))
    }
}

/// Which commit a file with this content is of; `None` where that cannot be told. Blocks, for two seconds at most.
pub fn working_tree(file: &Path, content: &[u8]) -> Option<TreeState> {
    // Behind a symbolic link, which tools that fetch repositories swap, lies the working tree.
    let file = std::fs::canonicalize(file).ok()?;
    let (folder, name) = (file.parent()?, file.file_name()?.to_str()?);
    let git = Git { folder, until: SystemClock.now() + PATIENCE };
    let commit = git.word(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?;
    let is_commit = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_commit {
        return None;
    }
    let committed = git.ask(&["cat-file", "blob", &format!("{commit}:./{name}")], FILE_BYTES_MAX);
    let branch = git.word(&["symbolic-ref", "--quiet", "--short", "HEAD"]);
    let remotes = git.ask(&["config", "--get-regexp", r"^remote\..*\.url$"], ANSWER_BYTES_MAX);
    let remote = remotes.as_deref().and_then(|list| first_remote(&String::from_utf8_lossy(list)));
    Some(TreeState { commit, branch, is_dirty: committed.as_deref() != Some(content), remote })
}

struct Git<'a> {
    folder: &'a Path,
    until: Instant,
}

impl Git<'_> {
    /// The first line of an answer, fit to be shown.
    fn word(&self, arguments: &[&str]) -> Option<String> {
        let answer = self.ask(arguments, ANSWER_BYTES_MAX)?;
        shown(String::from_utf8_lossy(&answer).lines().next()?)
    }

    /// What `git` prints; `None` when it fails, takes too long or prints more than that.
    fn ask(&self, arguments: &[&str], bytes_max: usize) -> Option<Vec<u8>> {
        let mut command = Command::new("git");
        command.env_clear();
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        for (name, value) in [("GIT_OPTIONAL_LOCKS", "0"), ("GIT_TERMINAL_PROMPT", "0"), ("GIT_NO_LAZY_FETCH", "1")] {
            command.env(name, value);
        }
        command.args(["--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]);
        command.args(arguments).current_dir(self.folder);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.ok()?;
        let mut printed = child.stdout.take()?;
        let (tell, told) = sync_channel(1);
        // Ends with the process, which is killed when it takes too long.
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = printed.by_ref().take(bytes_max as u64 + 1).read_to_end(&mut bytes);
            // Nobody waits any more when the time is over.
            let _late = tell.send(read.ok().map(|_| bytes));
        });
        let left = self.until.saturating_duration_since(SystemClock.now());
        let answer = told.recv_timeout(left).ok().flatten().filter(|bytes| bytes.len() <= bytes_max);
        if answer.is_none() {
            // It may have ended by itself.
            let _ended = child.kill();
        }
        let status = child.wait().ok()?;
        answer.filter(|_| status.success())
    }
}

/// The remote called origin, else the first, out of lines like `remote.origin.url https://…`.
fn first_remote(list: &str) -> Option<String> {
    let urls = || list.lines().filter_map(|line| line.split_once(' '));
    let origin = urls().find(|(key, _)| *key == "remote.origin.url");
    let (_, url) = origin.or_else(|| urls().next())?;
    shown(&without_credentials(url))
}

/// A remote's address without user, password, query and fragment: any of them may hold a token.
fn without_credentials(url: &str) -> String {
    if let Some((scheme, rest)) = url.split_once("://") {
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = host.rsplit('@').next().unwrap_or_default();
        return format!("{scheme}://{host}{path}");
    }
    // user@host:path; a path of this machine has no colon before its first slash.
    let host = url.split('/').next().unwrap_or_default();
    match host.rfind('@') {
        Some(at) if host.contains(':') => url[at + 1..].to_owned(),
        _ => url.to_owned(),
    }
}

/// A name from elsewhere, fit to be shown.
fn shown(text: &str) -> Option<String> {
    let text = text.trim();
    let is_fit = !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
    is_fit.then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
