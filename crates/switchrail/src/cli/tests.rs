#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use clap::{CommandFactory, Parser};

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[test]
fn the_commands_are_consistent() {
    Program::command().debug_assert();
}

#[test]
fn arguments_are_understood_or_refused() {
    let check = |line: &str, is_understood: bool| {
        let parsed = Program::try_parse_from(line.split_whitespace());
        assert_eq!(parsed.is_ok(), is_understood, "{line}: {parsed:?}");
    };
    check("switchrail status", true);
    check("switchrail status fraud --watch", true);
    check("switchrail status --watch 5 --json", true);
    check("switchrail status --watch 0", false);
    check("switchrail status ../x", false);
    check("switchrail history --model fraud --since 7d --limit 1000", true);
    check("switchrail history --since yesterday", false);
    check("switchrail history --limit 1001", false);
    check("switchrail history --state-dir s --admin localhost:1", false);
    check("switchrail canary fraud --version 2 --share 25%", true);
    check("switchrail canary fraud --version champion --share 0.25 --reason why --actor ann", true);
    check("switchrail canary fraud --version 02 --share 0.25", false);
    check("switchrail canary fraud --version 2", false);
    check("switchrail promote fraud --confirm", true);
    check("switchrail promote fraud --force", false);
    check("switchrail promote fraud --force --reason why", true);
    check("switchrail rollback fraud --to 1 --no-quarantine", true);
    check("switchrail release fraud --version 2 --reason why", true);
    check("switchrail release fraud --version 2", false);
    check("switchrail release fraud --version champion --reason why", false);
    check("switchrail explain fraud --header a=b --header c=d --cookie e= --query f=g=h --parameter i=j", true);
    check("switchrail explain fraud --header a", false);
    check("switchrail explain fraud --header =b", false);
    check("switchrail explain fraud --routing f --admin localhost:1", false);
    check("switchrail diff f --against g", true);
    check("switchrail check", false);
    check("switchrail check f g --gateway", true);
    check("switchrail doctor --http-address localhost:0", true);
    check("switchrail doctor --http-address here", false);
}

#[test]
fn texts_of_others_cannot_steer_the_terminal() {
    assert_eq!(printable("a\x1b[2Jb\rc\nd\u{9b}é"), "a\u{fffd}[2Jb\u{fffd}c\nd\u{fffd}é");
}

#[test]
fn the_reference_names_every_command_and_flag() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md")).unwrap();
    for command in Program::command().get_subcommands() {
        assert!(page.contains(command.get_name()), "docs/cli.md is to name {}", command.get_name());
        for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(page.contains(&format!("--{flag}")), "docs/cli.md is to name --{flag} of {}", command.get_name());
        }
    }
}
