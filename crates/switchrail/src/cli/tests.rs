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
    check("switchrail rollout start fraud 8", true);
    check("switchrail rollout start fraud champion --policy cautious --force --reason why --actor ann", true);
    check("switchrail rollout start fraud", false);
    check("switchrail rollout start fraud 08", false);
    check("switchrail rollout status fraud --watch", true);
    check("switchrail rollout status fraud --watch --json --admin localhost:1", true);
    check("switchrail rollout approve fraud --actor ann", true);
    check("switchrail rollout pause", false);
    check("switchrail rollout resume fraud --reason why", true);
    check("switchrail rollout abort fraud --quarantine", true);
    check("switchrail rollout promote fraud", true);
    check("switchrail rollout promote fraud --force", false);
    check("switchrail rollout promote fraud --force --reason why", true);
    check("switchrail rollout confirm fraud", true);
    check("switchrail rollout retry fraud", true);
    check("switchrail rollout thaw fraud --reason why", true);
    check("switchrail rollout report fraud --number 2 --json", true);
    check("switchrail rollout report fraud --number last", false);
    check("switchrail rollout power fraud --policy fast --rps 42 --stable-error-rate 0.1%", true);
    check("switchrail rollout power fraud --latency-p50 5 --latency-p99 20", true);
    check("switchrail rollout power fraud --latency-p50 5", false);
    check("switchrail rollout power fraud --stable-error-rate 2", false);
    check("switchrail rollout power fraud --routing f --admin localhost:1", false);
    let replay = "switchrail rollout replay --outcomes a b --candidate 8 --stable 7 --routing f";
    check(replay, true);
    check(&format!("{replay} --model m --policy p --inject-faults 5% --from 2026-01-31 --runs 50 --json"), true);
    check(&format!("{replay} --inject-latency 1.5 --seed 7"), true);
    check(&format!("{replay} --inject-latency 0"), false);
    check(&format!("{replay} --inject-faults 5"), false);
    check(&format!("{replay} --from yesterday"), false);
    check(&format!("{replay} --runs 0"), false);
    check("switchrail rollout replay --outcomes a --candidate champion --stable 7 --routing f", false);
    check("switchrail rollout replay --candidate 8 --stable 7 --routing f", false);
    check("switchrail experiment list --json", true);
    check("switchrail experiment report ranker", true);
    check("switchrail experiment plan --rate 42 --baseline 0.05 --effect 0.01 --share 0.5,0.5 --days-max 60", true);
    check("switchrail experiment plan --rate 42 --baseline 0.05 --effect -10% --measure loss --deviation 0.1", true);
    check("switchrail experiment plan --rate 42 --baseline 0.05 --effect 0.01 --measure luck", false);
    check("switchrail experiment plan --rate 42 --baseline 0.05", false);
    let push = "switchrail push m.onnx --model fraud";
    check(push, true);
    check(&format!("{push} --version 3 --label a --label b --tag 2.1.0 --set a=b=c --set d= --by ann --store s"), true);
    check(&format!("{push} --label 42"), false);
    check(&format!("{push} --tag v2"), false);
    check(&format!("{push} --set =b"), false);
    check(&format!("{push} --version 0"), false);
    check("switchrail push m.onnx --model ../x", false);
    check("switchrail versions fraud --store s --json", true);
    check("switchrail show fraud champion --state-dir d", true);
    check("switchrail show fraud", false);
    check("switchrail label fraud champion 3", true);
    check("switchrail label fraud champion --remove", true);
    check("switchrail label fraud champion", false);
    check("switchrail label fraud champion 3 --remove", false);
    check("switchrail export fraud 3 -o f.tar", true);
    check("switchrail export fraud 3", false);
    check("switchrail store verify --store s", true);
    check("switchrail store gc --grace 12h --dry-run", true);
    check("switchrail store gc --grace soon", false);
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
    let program = Program::command();
    // `rollout` and `experiment` have commands of their own.
    let inner = program.get_subcommands().flat_map(clap::Command::get_subcommands);
    for command in program.get_subcommands().chain(inner) {
        assert!(page.contains(command.get_name()), "docs/cli.md is to name {}", command.get_name());
        for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(page.contains(&format!("--{flag}")), "docs/cli.md is to name --{flag} of {}", command.get_name());
        }
    }
}
