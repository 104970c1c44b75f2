//! Random lives: whatever operators, versions and faults do, in whatever order, what must hold holds.

use base_serving::ChangeKind::{Load, Unload};
use base_types::OutcomeClass::{Ok as Good, VersionFault};
use control_loop::Operation;

use crate::world::{World, until, version};

const N_VERSIONS: u64 = 4;
const N_STEPS: usize = 60;

/// What must hold after every step.
fn check(world: &World, had_route: &mut bool) {
    let Some(model) = world.serving() else { return };
    let quarantined: Vec<u64> = world.control().status().quarantine.iter().map(|q| q.version).collect();
    let Some(route) = &model.route else {
        assert!(!*had_route, "a model that had a route lost it");
        return;
    };
    *had_route = true;
    for routed in route.routed_versions() {
        assert!(model.versions.contains_key(&routed), "routed but not in memory: {routed}");
        assert!(!quarantined.contains(&routed.get()), "routed but quarantined: {routed}");
    }
    assert!(model.versions.keys().all(|v| !quarantined.contains(&v.get())), "addressable but quarantined");
    assert_eq!(model.is_judged, !route.candidates().is_empty(), "a version takes traffic and is not judged");
}

/// Does something. Says whether the process lives on.
pub fn step(world: &mut World, random: &mut fastrand::Rng) -> bool {
    let n = random.u64(1..=N_VERSIONS);
    match random.u8(0..14) {
        0 => world.publish(n),
        1 if n > 1 => drop(world.repository.remove(crate::world::MODEL, n)),
        2 | 3 => drop(world.canary(n, random.f64() * 0.98 + 0.01)),
        4 => drop(world.promote(n, random.bool(), true)),
        5 => drop(world.rollback(Some(n), random.bool())),
        6 => drop(world.rollback(None, random.bool())),
        7 => drop(world.order(Operation::Release { version: version(n) })),
        8 => (0..12).for_each(|_| world.attempt(n, VersionFault)),
        9 => (0..50).for_each(|_| world.attempt(n, Good)),
        10 => {
            let m = random.u64(1..=N_VERSIONS);
            let text = format!("[models.m]\nstable = {n}\nsplit = {{ {n} = 3, {m} = {} }}\n", random.u8(0..4));
            let text = if n == m { format!("[models.m]\nstable = {n}\n") } else { text };
            std::fs::write(world.routing_path(), text).unwrap();
        }
        11 => drop(world.change(Unload, Some(n))),
        12 => drop(world.change(Load, Some(n))),
        _ => {
            if random.bool() {
                world.stop();
            } else {
                world.crash();
            }
            world.start();
            return false;
        }
    }
    true
}

fn live(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new();
    std::fs::write(world.routing_path(), "").unwrap();
    world.publish(1);
    world.start();
    let mut had_route = false;
    for _ in 0..N_STEPS {
        // A restart may find stable's folder removed: only within one life may a route not be lost.
        had_route &= step(&mut world, &mut random);
        check(&world, &mut had_route);
    }
    // The journal explains the live state: a restart leads to the same quarantine and the same stable version.
    until("the journal has everything", || {
        let text = String::from_utf8(world.metrics.render().unwrap()).unwrap();
        text.contains("switchrail_journal_pending 0").then_some(())
    });
    let quarantine =
        |world: &World| world.control().status().quarantine.iter().map(|q| q.digest.clone()).collect::<Vec<_>>();
    let before = quarantine(&world);
    world.stop();
    world.start();
    assert_eq!(quarantine(&world), before);
}

#[test]
fn what_must_hold_holds_through_random_lives() {
    for seed in 0..6 {
        live(seed);
    }
}
