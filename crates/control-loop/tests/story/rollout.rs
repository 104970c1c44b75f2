//! Rollouts by policy, from the order to the report.

use std::time::Duration;

use base_types::OutcomeClass::{Ok as Good, VersionFault};
use base_types::Selector;
use control_loop::view::rollout::RolloutStatus;
use control_loop::{Done, Operation, Refused, RolloutOrder};

use crate::world::{World, model, until, version};

/// Short steps; the promotion is watched long enough for a test to look.
const POLICY: &str = r#"
[policies.quick]
steps = [
    { gate = true },
    { warm_up = 3 },
    { weight = 0.25, proofs = ["errors"] },
    { pause = "the team" },
    { weight = 0.5, min_requests = 20 },
    { promote = true, bake = "1s" },
]
[defaults]
policy = "quick"
"#;

impl World {
    fn rollout(&self, asked: RolloutOrder) -> Result<Done, Refused> {
        self.order(Operation::Rollout(asked))
    }

    fn begin(&self, n: u64) -> Result<Done, Refused> {
        let version = Selector::Version(version(n));
        self.rollout(RolloutOrder::Start { version, policy: None, is_forced: false })
    }

    fn seen(&self) -> RolloutStatus {
        self.control().rollout(&model()).unwrap()
    }

    fn wait_status(&self, status: &str) {
        let give_up = std::time::Instant::now() + Duration::from_secs(10);
        while self.seen().status != status {
            assert!(std::time::Instant::now() < give_up, "never {status}: {:#?}", self.seen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The same while the candidate answers requests.
    fn serve_until(&self, n: u64, status: &str) {
        until(&format!("the rollout is {status}"), || {
            (0..20).for_each(|_| self.attempt(n, Good));
            (self.seen().status == status).then_some(())
        });
    }

    fn wait_share(&self, share: f64) {
        until(&format!("the share is {share}"), || ((self.seen().share - share).abs() < 1e-9).then_some(()));
    }
}

/// Version 1 serves, version 2 is there.
fn world() -> World {
    let mut world = World::new();
    std::fs::write(world.routing_path(), POLICY).unwrap();
    world.publish(1);
    world.start();
    world.publish(2);
    world.wait_ready(2);
    world
}

#[test]
fn a_healthy_version_goes_through_every_step_and_is_confirmed() {
    let world = world();
    world.begin(2).unwrap();
    world.wait_share(0.25);
    assert_eq!(world.begin(2).unwrap_err().code, "same_candidate");
    assert_eq!(world.canary(2, 0.5).unwrap_err().code, "rollout_under_way");
    std::thread::sleep(Duration::from_millis(700));
    assert!((world.seen().share - 0.25).abs() < 1e-9, "no request, no step");
    assert!(world.seen().waits_for.unwrap().contains("proof"), "{:?}", world.seen().waits_for);
    (0..400).for_each(|_| world.attempt(2, Good));
    world.wait_status("awaiting_approval");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(world.seen().status, "awaiting_approval");
    world.rollout(RolloutOrder::Approve).unwrap();
    world.wait_share(0.5);
    (0..30).for_each(|_| world.attempt(2, Good));
    world.wait_status("baking");
    assert_eq!(world.stable(), Some(1), "the fallback until it is confirmed");
    world.serve_until(2, "promoted");
    assert_eq!((world.stable(), world.status().phase), (Some(2), "settled"));
    let (report, life) = world.control().rollout_report(&model(), None).unwrap();
    assert_eq!(report["rollout"]["status"], "promoted");
    assert!(report["rollout"]["policy_text"].as_str().unwrap().contains("bake"));
    assert!(report["evidence"]["rules"][0]["log_e"].is_number(), "{report}");
    let is_approval = |row: &control_registry::journal::Row| {
        row.entry.reason.as_ref().is_some_and(|r| r.contains("approved by tester"))
    };
    assert!(life.iter().any(is_approval), "{life:?}");
    let actions = world.actions();
    for action in ["rollout_started", "rollout_advanced", "rollout_ordered", "rollout_ended"] {
        assert!(actions.contains(&action), "{action} in {actions:?}");
    }
}

#[test]
fn a_broken_version_ends_its_rollout_at_the_deciding_fault() {
    let mut world = world();
    world.begin(2).unwrap();
    world.wait_share(0.25);
    (0..20).for_each(|_| world.attempt(1, Good));
    let n_faults = (1..100).find(|_| {
        world.attempt(2, VersionFault);
        !world.is_ready(2)
    });
    assert!((2..10).contains(&n_faults.unwrap()), "{n_faults:?}");
    assert_eq!(world.seen().status, "rolled_back", "at once, not with the next tick");
    assert!(world.seen().share < 1e-9);
    until("its report is there", || world.control().rollout_report(&model(), None).ok());
    let (report, _) = world.control().rollout_report(&model(), None).unwrap();
    assert!(report["rollout"]["why"].as_str().unwrap().contains("faults"), "{report}");
    assert_eq!(world.begin(2).unwrap_err().code, "quarantined");
    world.stop();
    world.start();
    assert_eq!(world.seen().status, "rolled_back", "what was decided is remembered");

    // Tried again, once, as the policy allows.
    world.rollout(RolloutOrder::Retry).unwrap();
    world.wait_share(0.25);
    world.rollout(RolloutOrder::Abort { is_quarantined: false }).unwrap();
    assert_eq!(world.rollout(RolloutOrder::Retry).unwrap_err().code, "no_retries_left");
}

#[test]
fn pause_stops_the_steps_and_abort_ends_them_from_anywhere() {
    let world = world();
    world.begin(2).unwrap();
    world.wait_share(0.25);
    world.rollout(RolloutOrder::Pause).unwrap();
    (0..400).for_each(|_| world.attempt(2, Good));
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!((world.seen().status, world.seen().step_left_ms), ("paused", None));
    assert!((world.seen().share - 0.25).abs() < 1e-9, "shares stay");
    world.rollout(RolloutOrder::Resume).unwrap();
    world.wait_status("awaiting_approval");
    world.rollback(None, false).unwrap();
    assert_eq!((world.seen().status, world.stable()), ("aborted", Some(1)));
    assert!(world.is_ready(2), "not quarantined, because that was not asked for");
    let split = world.serving().unwrap().route.as_ref().unwrap().split.clone();
    assert!(split.share(version(2), version(1)) < 1e-9);
    assert_eq!(world.rollout(RolloutOrder::Approve).unwrap_err().code, "rollout_is_over");
}

#[test]
fn rules_stay_armed_while_a_rollout_is_paused() {
    let world = world();
    world.begin(2).unwrap();
    world.wait_share(0.25);
    world.rollout(RolloutOrder::Pause).unwrap();
    (0..20).for_each(|_| world.attempt(1, Good));
    let is_out = (1..100).any(|_| {
        world.attempt(2, VersionFault);
        !world.is_ready(2)
    });
    assert!(is_out);
    assert_eq!(world.seen().status, "rolled_back");
}

#[test]
fn a_restart_finds_the_rollout_where_it_was_or_somewhere_safer() {
    let mut world = world();
    world.begin(2).unwrap();
    world.wait_share(0.25);
    (0..50).for_each(|_| world.attempt(2, Good));
    std::thread::sleep(Duration::from_millis(1300));
    world.crash();
    world.start();
    world.wait_ready(2);
    assert_eq!(world.seen().status, "running");
    world.wait_share(0.25);
    until("its evidence is back", || {
        let evidence = world.seen().evidence;
        (evidence["rules"][0]["others"].as_u64()? >= 50).then_some(())
    });
    world.serve_until(2, "awaiting_approval");
    world.rollout(RolloutOrder::Promote { is_forced: true }).unwrap();
    world.wait_status("baking");
    world.crash();
    world.start();
    assert_eq!((world.stable(), world.seen().status), (Some(1), "held"), "not confirmed, so not taken for it");
    assert!(world.seen().share < 1e-9);
    world.wait_ready(2);
    world.rollout(RolloutOrder::Resume).unwrap();
    world.serve_until(2, "promoted");
    assert_eq!(world.stable(), Some(2));
}

#[test]
fn an_edit_that_gives_the_traffic_to_others_ends_a_rollout() {
    let world = world();
    world.begin(2).unwrap();
    world.wait_share(0.25);
    let pinned = format!("{POLICY}\n[models.m]\nstable = 1\n");
    std::fs::write(world.routing_path(), pinned).unwrap();
    world.wait_status("aborted");
    assert_eq!(world.stable(), Some(1));
}

#[test]
fn rollouts_freeze_after_too_many_rollbacks_until_a_person_thaws_them() {
    let mut world = World::new();
    let policy = POLICY.replace("[defaults]", "freeze_after = { rollbacks = 2, within = \"1h\" }\n[defaults]");
    std::fs::write(world.routing_path(), policy).unwrap();
    world.publish(1);
    world.start();
    for n in 2..=3 {
        world.publish(n);
        world.wait_ready(n);
        world.begin(n).unwrap();
        world.wait_share(0.25);
        (0..20).for_each(|_| world.attempt(1, Good));
        assert!((1..100).any(|_| {
            world.attempt(n, VersionFault);
            !world.is_ready(n)
        }));
    }
    world.publish(4);
    world.wait_ready(4);
    assert_eq!(world.begin(4).unwrap_err().code, "rollouts_frozen");
    world.rollout(RolloutOrder::Thaw).unwrap();
    world.begin(4).unwrap();
    world.wait_share(0.25);
}

#[test]
fn after_a_restart_a_rollout_is_judged_by_its_own_policy_with_its_evidence() {
    let mut world = World::new();
    let policy = POLICY.replace("[defaults]", "guardrail = { limit = 0.05 }\n[defaults]");
    std::fs::write(world.routing_path(), policy).unwrap();
    world.publish(1);
    world.start();
    world.publish(2);
    world.wait_ready(2);
    world.begin(2).unwrap();
    world.wait_share(0.25);
    (0..30).for_each(|_| world.attempt(2, Good));
    std::thread::sleep(Duration::from_millis(1300));
    world.crash();
    world.start();
    world.wait_ready(2);
    let rules = || world.status().trials.first().map(|trial| trial.evidence["rules"].clone());
    let rules = until("the trial is open again", rules);
    assert_eq!(rules[0]["others"], 30, "{rules:#}");
}

#[test]
fn a_freeze_holds_back_a_retry_too() {
    let mut world = World::new();
    let policy = POLICY.replace("[defaults]", "freeze_after = { rollbacks = 1, within = \"1h\" }\n[defaults]");
    std::fs::write(world.routing_path(), policy).unwrap();
    world.publish(1);
    world.start();
    world.publish(2);
    world.wait_ready(2);
    world.begin(2).unwrap();
    world.wait_share(0.25);
    (0..20).for_each(|_| world.attempt(1, Good));
    assert!((1..100).any(|_| {
        world.attempt(2, VersionFault);
        !world.is_ready(2)
    }));
    assert_eq!(world.rollout(RolloutOrder::Retry).unwrap_err().code, "rollouts_frozen");
    world.rollout(RolloutOrder::Thaw).unwrap();
    world.rollout(RolloutOrder::Retry).unwrap();
}

#[test]
fn an_abort_ends_a_promotion_that_a_restart_cut_short() {
    let mut world = world();
    world.begin(2).unwrap();
    world.wait_share(0.25);
    world.rollout(RolloutOrder::Promote { is_forced: true }).unwrap();
    world.wait_status("baking");
    world.crash();
    world.start();
    assert_eq!((world.seen().status, world.status().phase), ("held", "interrupted"));
    world.rollout(RolloutOrder::Abort { is_quarantined: false }).unwrap();
    assert_eq!((world.seen().status, world.status().phase, world.stable()), ("aborted", "settled", Some(1)));
}

#[test]
fn rolling_back_while_the_candidate_has_no_traffic_says_that_stable_was_not_left() {
    let mut world = World::new();
    let policy = POLICY.replace("{ warm_up = 3 }", "{ pause = \"nobody\" }");
    std::fs::write(world.routing_path(), policy).unwrap();
    world.publish(1);
    world.start();
    world.publish(2);
    world.wait_ready(2);
    world.begin(2).unwrap();
    world.wait_status("awaiting_approval");
    let done = world.rollback(None, false).unwrap();
    assert!(done.message.contains("stable was not left"), "{}", done.message);
    assert_eq!((world.seen().status, world.stable()), ("aborted", Some(1)));
}

#[test]
fn a_candidate_that_waits_is_rolled_out_by_the_policy_it_was_ordered_with() {
    let mut world = World::new();
    let policies = r#"
[policies.patient]
steps = [{ weight = 0.25, min = "1h" }, { promote = true, bake = "1s" }]
on_new_candidate = "queue"
[policies.other]
steps = [{ weight = 0.125, min = "1h" }, { promote = true, bake = "1s" }]
[defaults]
policy = "patient"
"#;
    std::fs::write(world.routing_path(), policies).unwrap();
    world.publish(1);
    world.start();
    for n in [2, 3] {
        world.publish(n);
        world.wait_ready(n);
    }
    world.begin(2).unwrap();
    world.wait_share(0.25);
    let ask = |policy: &str| RolloutOrder::Start {
        version: Selector::Version(version(3)),
        policy: Some(policy.to_owned()),
        is_forced: false,
    };
    assert_eq!(world.rollout(ask("no-such")).unwrap_err().code, "policy_unknown");
    world.rollout(ask("other")).unwrap();
    assert_eq!(world.seen().next, Some(3));
    world.rollout(RolloutOrder::Abort { is_quarantined: false }).unwrap();
    world.wait_share(0.125);
    let seen = world.seen();
    assert_eq!((seen.candidate, seen.policy.as_str()), (3, "other"));
}
