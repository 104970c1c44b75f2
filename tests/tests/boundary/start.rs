//! Start and its refusals: addresses, the ready line, exit codes, the runtime's library, what is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::Value;
use switchrail_tests::{Builder, Client, Exit, Gateway, Infer, run};
use testkit::onnx::affine4;

fn one_model() -> Builder {
    Gateway::builder().model("m", 1, &affine4(1.0, 0.0))
}

fn check_refused(exit: &Exit, code: Option<i32>, parts: &[&str]) {
    assert_ne!(exit.code, Some(0), "{exit:?}");
    assert!(exit.code.is_some(), "ended by a signal: {exit:?}");
    if code.is_some() {
        assert_eq!(exit.code, code, "{exit:?}");
    }
    assert_eq!(exit.stdout, "", "nothing is ready: {exit:?}");
    for part in parts {
        assert!(exit.stderr.contains(part), "{part:?} is not in: {}", exit.stderr);
    }
    assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);
}

#[test]
fn the_ready_line_names_the_bound_addresses() {
    let mut gateway = one_model().start();
    let line: Value = serde_json::from_str(gateway.ready_line()).unwrap();
    let keys: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["http", "grpc", "metrics", "admin"]));
    let all = gateway.addresses();
    let ports = BTreeSet::from([all.http.port(), all.grpc.port(), all.metrics.port(), all.admin.port()]);
    assert_eq!(ports.len(), 4);
    assert!(!ports.contains(&0));
    // Ready means ready: the first request is answered.
    gateway.ask("m", 1.0).ok();
    gateway.stop();
    assert!(!gateway.log().contains("STDOUT AFTER THE READY LINE"), "{}", gateway.log());
}

#[test]
fn without_a_config_file_a_repository_is_enough() {
    let builder = one_model().model("m", 2, &affine4(2.0, 0.0)).model("other", 7, &affine4(3.0, 0.0)).bare();
    let mut gateway = builder.start();
    let answer = gateway.ask("m", 1.0).ok();
    assert_eq!((answer.version(), answer.reason()), (2, "stable"));
    assert_eq!(answer.floats("y"), [2.0, 2.0, 4.0, 6.0]);
    assert_eq!(gateway.ask("other", 1.0).ok().version(), 7);
    gateway.stop();
    assert_eq!(fs::read_dir(gateway.builder_used().home()).unwrap().count(), 0, "the home folder stays as it was");
}

#[test]
fn the_default_addresses_are_loopback_at_the_known_ports() {
    let exit = run(&["serve", "--help"]);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    for flag in [
        "--model-repository",
        "--config",
        "--routing",
        "--state-dir",
        "--http-address",
        "--metrics-address",
        "--admin-address",
        "--follow-latest",
    ] {
        assert!(exit.stdout.contains(flag), "{flag} is not in: {}", exit.stdout);
    }
    let doc = fs::read_to_string(root().join("config/gateway.toml")).unwrap();
    for address in ["127.0.0.1:8000", "127.0.0.1:8002", "127.0.0.1:8003"] {
        assert!(doc.contains(address), "{address}");
    }
}

#[test]
fn flags_win_over_the_file() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let builder = one_model().set("http.address", &format!("{address:?}"));
    let gateway = builder.arguments(&["--http-address", "127.0.0.1:0"]).start();
    gateway.ask("m", 1.0).ok();
}

#[test]
fn bad_arguments_and_files_end_with_two() {
    let check = |builder: Builder, parts: &[&str]| check_refused(&builder.run_to_end(), Some(2), parts);
    check(one_model().arguments(&["--no-such-flag"]), &["--no-such-flag"]);
    check(one_model().arguments(&["--http-address", "somewhere"]), &["somewhere"]);
    check(one_model().set("limits.body_byte", "1"), &["gateway.toml", "body_byte", "body_bytes"]);
    check(
        one_model().set("limits.body_bytes", "\"many\"").set("colour", "1"),
        &["gateway.toml", "body_bytes", "colour"],
    );
    check(one_model().routing("[models.m]\nstable = 1\nsplitt = { 1 = 1 }\n"), &["routing.toml:3", "splitt", "split"]);
    check(one_model().routing_named(), &["routing.toml"]);
    check_refused(&run(&["serve"]), Some(2), &["--model-repository"]);
    check_refused(&run(&["serve", "--config", "/nowhere/gateway.toml"]), Some(2), &["/nowhere/gateway.toml"]);
    check_refused(&run(&["no-such-command"]), Some(2), &["no-such-command"]);
}

#[test]
fn a_repository_that_is_not_there_is_named() {
    let builder = one_model();
    fs::remove_dir_all(builder.repository().root()).unwrap();
    let exit = builder.run_to_end();
    check_refused(&exit, None, &[builder.repository().root().to_str().unwrap()]);
}

#[test]
fn a_taken_address_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let exit = one_model().set("metrics.address", &format!("{address:?}")).run_to_end();
    check_refused(&exit, None, &[&address]);
}

#[test]
fn a_second_process_on_one_state_folder_is_refused() {
    let gateway = one_model().start();
    let exit = gateway.builder_used().run_to_end();
    check_refused(&exit, None, &[gateway.builder_used().state_folder().to_str().unwrap()]);
    gateway.ask("m", 1.0).ok();
}

#[test]
fn an_open_admin_address_needs_a_token() {
    let open = || one_model().set("admin.address", "\"0.0.0.0:0\"");
    check_refused(&open().run_to_end(), Some(2), &["token", "0.0.0.0"]);
    let builder = open();
    let token = builder.folder().join("config/token");
    fs::write(&token, "a-token-of-some-length-0123456789\n").unwrap();
    fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let gateway = builder.set("admin.token_file", "\"token\"").start();
    let mut admin = Client::new(([127, 0, 0, 1], gateway.addresses().admin.port()).into());
    let mut status = |headers: &[(&str, &str)]| admin.send("GET", "/v1/status", headers, b"").status;
    assert_eq!(status(&[]), 401);
    assert_eq!(status(&[("authorization", "Bearer another-token-of-length-0123456789")]), 401);
    assert_eq!(status(&[("authorization", "Bearer a-token-of-some-length-0123456789")]), 200);
    assert!(!gateway.log().contains("a-token-of-some-length"), "a token in the log");
}

#[test]
fn an_unusable_runtime_library_gets_an_error_with_the_remedy() {
    let builder = one_model();
    let library = library();
    let head = fs::read(&library).unwrap().into_iter().take(1 << 20).collect::<Vec<u8>>();
    let cases: [(&str, Option<&[u8]>); 4] =
        [("missing.so", None), ("empty.so", Some(b"")), ("text.so", Some(b"not a library\n")), ("cut.so", Some(&head))];
    for (name, content) in cases {
        let path = builder.folder().join(name);
        content.into_iter().for_each(|content| fs::write(&path, content).unwrap());
        let exit = builder.clone().environment("SWITCHRAIL_ORT_DYLIB", path.to_str().unwrap()).run_to_end();
        check_refused(&exit, None, &[path.to_str().unwrap(), "cargo xtask setup"]);
    }
    let elsewhere = builder.folder().join("libonnxruntime.so");
    fs::copy(&library, &elsewhere).unwrap();
    let gateway = builder.environment("SWITCHRAIL_ORT_DYLIB", elsewhere.to_str().unwrap()).start();
    gateway.ask("m", 1.0).ok();
}

#[test]
fn doctor_says_what_is_there_and_what_is_missing() {
    let exit = run(&["doctor"]);
    assert_eq!(exit.code, Some(0), "{exit:?}");
    assert!(exit.stdout.contains("1.32.0"), "{exit:?}");
    let mut command = std::process::Command::new(switchrail_tests::binary());
    let output = command.arg("doctor").env("SWITCHRAIL_ORT_DYLIB", "/nowhere/lib.so").output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("/nowhere/lib.so") && text.contains("cargo xtask setup"), "{text}");
}

#[test]
fn no_socket_beyond_the_listeners_and_nothing_in_the_home_folder() {
    let mut gateway = one_model().start();
    for _ in 0..50 {
        gateway.ask("m", 1.0).ok();
    }
    gateway.repository().publish("m", 2, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    gateway.infer(&Infer::first("m", 1.0).pin(2)).ok();
    // Connections of this test close a moment after it dropped them.
    switchrail_tests::wait_until("only the listeners to be open", || {
        let sockets = sockets(gateway.pid());
        sockets.iter().all(|socket| socket == "tcp listen" || socket == "unix unnamed")
            && sockets.iter().filter(|socket| *socket == "tcp listen").count() == 4
    });
    gateway.stop();
    assert_eq!(fs::read_dir(gateway.builder_used().home()).unwrap().count(), 0);
}

/// What kind of socket each open one of a process is.
fn sockets(pid: u32) -> Vec<String> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    let inodes: BTreeSet<String> = links
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    for (table, inode_column, state_column) in
        [("tcp", 9, 3), ("tcp6", 9, 3), ("udp", 9, 3), ("udp6", 9, 3), ("unix", 6, 7)]
    {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let Some(inode) = columns.get(inode_column).filter(|inode| inodes.contains(**inode)) else { continue };
            known.insert((*inode).to_owned());
            let state = columns.get(state_column).copied();
            found.push(match (table, state) {
                ("tcp" | "tcp6", Some("0A")) => "tcp listen".to_owned(),
                // The pair that hands signals over inside the process has no name.
                ("unix", None) => "unix unnamed".to_owned(),
                _ => format!("{table} {line}"),
            });
        }
    }
    found.extend(inodes.difference(&known).map(|inode| format!("unknown {inode}")));
    found
}

/// The checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The library that the tests run with.
fn library() -> PathBuf {
    let named = std::env::var_os("SWITCHRAIL_ORT_DYLIB").filter(|path| !path.is_empty());
    named.map_or_else(|| root().join(".switchrail/runtime/1.32.0/libonnxruntime.so.1.32.0"), PathBuf::from)
}
