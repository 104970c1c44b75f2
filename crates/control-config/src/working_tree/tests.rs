#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// A working tree with a committed routing.toml.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.git(&["init", "--quiet", "--initial-branch=main"]);
        tree.commit("one");
        tree
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]);
        let output = command.args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, text: &str) -> String {
        fs::create_dir_all(self.0.path().join("deep")).unwrap();
        fs::write(self.file(), text).unwrap();
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", text]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("deep/routing.toml")
    }
}

#[test]
fn a_committed_file_names_its_commit_and_an_edit_is_told() {
    let tree = Tree::new();
    let second = tree.commit("two");
    let found = working_tree(&tree.file(), b"two").unwrap();
    assert_eq!(found, TreeState { commit: second.clone(), branch: Some("main".into()), is_dirty: false, remote: None });
    assert_eq!(found.short(), &second[..12]);
    assert!(working_tree(&tree.file(), b"other").unwrap().is_dirty);
    tree.git(&["rm", "--quiet", "--cached", "deep/routing.toml"]);
    tree.git(&["commit", "--quiet", "--message", "gone"]);
    assert!(working_tree(&tree.file(), b"two").unwrap().is_dirty, "it is not in the commit");
    tree.git(&["checkout", "--quiet", "--force", &second]);
    assert_eq!(working_tree(&tree.file(), b"two").unwrap().branch, None);
}

#[test]
fn a_link_that_is_swapped_leads_to_the_working_tree() {
    let tree = Tree::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("routing.toml");
    symlink(tree.file(), &link).unwrap();
    assert_eq!(working_tree(&link, b"one").unwrap().commit, tree.git(&["rev-parse", "HEAD"]));
}

#[test]
fn beside_no_repository_and_before_the_first_commit_there_is_nothing_to_tell() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routing.toml");
    fs::write(&file, "").unwrap();
    assert_eq!(working_tree(&file, b""), None);
    let init = Command::new("git").args(["init", "--quiet"]).current_dir(folder.path()).status().unwrap();
    assert!(init.success());
    assert_eq!(working_tree(&file, b""), None);
    assert_eq!(working_tree(&folder.path().join("none.toml"), b""), None);
}

#[test]
fn nothing_of_the_repository_is_run() {
    let tree = Tree::new();
    let trap = tree.0.path().join("trap.sh");
    let sprung = tree.0.path().join("sprung");
    fs::write(&trap, format!("#!/bin/sh\ntouch {}\ncat\n", sprung.display())).unwrap();
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    let program = trap.to_str().unwrap();
    for key in ["core.fsmonitor", "core.pager", "filter.trap.clean", "filter.trap.smudge", "diff.trap.textconv"] {
        tree.git(&["config", key, program]);
    }
    fs::write(tree.0.path().join(".gitattributes"), "*.toml filter=trap diff=trap\n").unwrap();
    let hooks = tree.0.path().join(".git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in ["post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"] {
        fs::copy(&trap, hooks.join(hook)).unwrap();
    }
    assert!(!working_tree(&tree.file(), b"one").unwrap().is_dirty);
    assert!(!sprung.exists(), "a program of the repository was run");
}

#[test]
fn remotes_are_shown_without_credentials() {
    let check = |url: &str, expected: &str| assert_eq!(without_credentials(url), expected);
    check("https://ann:secret@git.example/team/routing.git", "https://git.example/team/routing.git");
    check("https://token@git.example:8443/r?access_token=x#y", "https://git.example:8443/r");
    check("https://a@b:p@ss@git.example/r", "https://git.example/r");
    check("https://git.example/r@v2", "https://git.example/r@v2");
    check("ssh://git@git.example:22/r.git", "ssh://git.example:22/r.git");
    check("git@git.example:team/r.git", "git.example:team/r.git");
    check("/srv/git/r.git", "/srv/git/r.git");
    let list = "remote.backup.url /b\nremote.origin.url https://x:y@h/p\n";
    assert_eq!(first_remote(list).unwrap(), "https://h/p");
    assert_eq!(first_remote("remote.backup.url /b\n").unwrap(), "/b");
    assert_eq!(first_remote("remote.origin.url https://h/\u{1b}[2J\n"), None);
}

#[test]
fn a_git_that_hangs_is_given_up() {
    let tree = Tree::new();
    let git = Git { folder: tree.0.path(), until: SystemClock.now() };
    assert_eq!(git.ask(&["rev-parse", "HEAD"], 100), None);
    let git = Git { folder: tree.0.path(), until: SystemClock.now() + PATIENCE * 10 };
    assert_eq!(git.ask(&["rev-parse", "HEAD"], 10), None, "longer than it may be");
    assert_eq!(git.ask(&["rev-parse", "HEAD"], 100).unwrap().len(), 41);
}
