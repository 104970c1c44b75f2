//! The binary as a child process.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

/// How a run ended.
#[derive(Debug)]
pub struct Exit {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it logged.
    pub stderr: String,
}

/// The binary under test: `SWITCHRAIL_TEST_BINARY`, else the one in the target folder of this test program.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SWITCHRAIL_TEST_BINARY") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test program has a path");
    // <target>/<profile>/deps/<test program>
    let profile = test.parent().and_then(|deps| deps.parent()).expect("test programs lie in <profile>/deps");
    let path = profile.join("switchrail");
    assert!(path.is_file(), "{} is missing: run `cargo build -p switchrail` or `cargo xtask test`", path.display());
    path
}

/// Runs the binary to its end, which must come by itself.
pub fn run(arguments: &[&str]) -> Exit {
    finish(Command::new(binary()).args(arguments))
}

/// Runs a command to its end; kills it when that takes too long.
pub(crate) fn finish(command: &mut Command) -> Exit {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = |pipe: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.into_iter().for_each(|mut pipe| drop(pipe.read_to_end(&mut bytes)));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(stdout.map(|pipe| Box::new(pipe) as _));
    let stderr = read(stderr.map(|pipe| Box::new(pipe) as _));
    let deadline = std::time::Instant::now() + crate::PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break Some(status);
        }
        if std::time::Instant::now() > deadline {
            child.kill().expect("the child can be killed");
            child.wait().expect("the child can be waited for");
            break None;
        }
        thread::sleep(std::time::Duration::from_millis(5));
    };
    let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
    let status = status.unwrap_or_else(|| panic!("{command:?} did not end by itself\n{stdout}\n{stderr}"));
    Exit { code: status.code(), stdout, stderr }
}
