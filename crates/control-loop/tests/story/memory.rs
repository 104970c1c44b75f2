//! Versions and models that callers order in and out of memory.

use base_serving::ChangeKind::{Load, Unload};
use base_types::OutcomeClass::VersionFault;

use crate::world::{World, until};

fn world(n_versions: u64) -> World {
    let mut world = World::new();
    (1..=n_versions).for_each(|n| world.publish(n));
    world.start();
    world
}

#[test]
fn an_order_is_done_when_it_is_answered_and_holds_until_the_next() {
    let mut world = world(3);
    world.change(Unload, Some(1)).unwrap();
    assert_eq!((world.is_ready(1), world.state_of(1)), (false, Some("unloaded")));
    world.publish(4);
    world.wait_ready(4);
    assert!(!world.is_ready(1), "looks leave it out");
    world.crash();
    world.start();
    assert_eq!((world.is_ready(1), world.state_of(1)), (false, Some("unloaded")), "restarts, too");
    world.change(Load, Some(1)).unwrap();
    assert!(world.is_ready(1));
    world.change(Load, Some(1)).unwrap();
    let n_orders = world.actions().iter().filter(|action| action.ends_with("_ordered")).count();
    assert_eq!(n_orders, 2, "what changes nothing is not recorded");
}

#[test]
fn what_traffic_or_a_rollback_needs_stays() {
    let world = world(2);
    let refused = |n, part: &str| {
        let refused = world.change(Unload, Some(n)).unwrap_err();
        assert!(refused.text.contains(part) && !refused.is_unknown, "{refused:?}");
        assert!(world.is_ready(n));
    };
    refused(2, "stable");
    world.canary(1, 0.5).unwrap();
    refused(1, "takes traffic");
    assert!(world.change(Unload, None).unwrap_err().text.contains("under trial"));
    world.promote(1, true, true).unwrap();
    world.promote(1, true, true).unwrap_err();
    refused(2, "a rollback would go back to");
    world.rollback(None, false).unwrap();
    assert_eq!(world.stable(), Some(2));
}

#[test]
fn a_model_without_versions_in_memory_has_no_route_until_it_is_loaded() {
    let mut world = world(2);
    world.change(Unload, None).unwrap();
    let serving = world.serving().unwrap();
    assert!(serving.route.is_none() && serving.versions.is_empty() && serving.unready.len() == 2);
    assert!(serving.unready.values().all(|unready| unready.reason.contains("by order")));
    world.stop();
    world.start();
    assert!(world.serving().unwrap().versions.is_empty());
    world.change(Load, Some(1)).unwrap();
    assert_eq!((world.is_ready(1), world.is_ready(2)), (true, false));
    world.change(Load, None).unwrap();
    assert_eq!((world.stable(), world.is_ready(1)), (Some(2), true));
}

#[test]
fn a_load_is_refused_with_the_reason() {
    let world = world(2);
    world.repository.publish(crate::world::MODEL, 3, b"no model").unwrap();
    let refused = world.change(Load, Some(3)).unwrap_err();
    assert!(refused.text.contains("m@3 is not loaded") && !refused.is_unknown, "{refused:?}");
    world.publish(3);
    world.change(Load, Some(3)).unwrap();
    assert!(world.change(Load, Some(9)).unwrap_err().is_unknown);
    assert!(world.change(Unload, Some(9)).unwrap_err().is_unknown);
    world.canary(1, 0.5).unwrap();
    (0..20).for_each(|_| world.attempt(1, VersionFault));
    until("it is out", || (!world.is_ready(1)).then_some(()));
    assert!(world.change(Load, Some(1)).unwrap_err().text.contains("quarantined"));
}

#[test]
fn many_may_wait_for_the_same_load() {
    let world = world(2);
    world.change(Unload, Some(1)).unwrap();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| world.change(Load, Some(1)))).collect();
        waiting.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    });
    assert!(world.is_ready(1));
}

#[test]
fn an_order_overtaken_by_its_opposite_is_told_so_at_once() {
    let world = world(2);
    // As long as a request holds the version, the unload goes on.
    let held = world.serving();
    std::thread::scope(|scope| {
        let unload = scope.spawn(|| world.change(Unload, Some(1)));
        until("it drains", || (world.state_of(1) == Some("draining")).then_some(()));
        let load = scope.spawn(|| world.change(Load, Some(1)));
        until("the unload is answered", || unload.is_finished().then_some(()));
        let refused = unload.join().unwrap().unwrap_err();
        assert!(refused.text.contains("a later order took its place") && !refused.is_unknown, "{refused:?}");
        assert!(!load.is_finished(), "it is in memory still, but out of service");
        drop(held);
        load.join().unwrap().unwrap();
    });
    assert!(world.is_ready(1));
}
