//! The past as the journal tells it: what served at a moment is what was published then, and it can be brought back.

use std::collections::BTreeMap;
use std::time::Duration;

use base_serving::Snapshot;
use base_types::{Clock, SystemClock};
use control_loop::{Operation, Refused, Restore, Restored};
use control_registry::journal::{Action, HistoryQuery, Moment, Standing};

use crate::world::{MODEL, World, until, version};

/// What of a model a caller notices: stable, shares, and the content of each version.
type Seen = Option<(u64, Vec<(u64, String)>, BTreeMap<u64, String>)>;

fn seen_now(snapshot: &Snapshot) -> Seen {
    let model = snapshot.models.get(MODEL)?;
    let route = model.route.as_ref()?;
    let versions: BTreeMap<u64, String> = model.versions.iter().map(|(v, s)| (v.get(), s.digest.to_string())).collect();
    let shares = versions.keys().map(|v| (*v, route.split.share(version(*v), route.stable)));
    let shares = shares.filter(|(_, share)| *share > 0.0).map(|(v, share)| (v, format!("{share:.9}")));
    Some((route.stable.get(), shares.collect(), versions.clone()))
}

fn seen_then(moment: &Moment) -> Seen {
    let served = moment.models.iter().find(|served| served.model.as_str() == MODEL)?;
    let shares = served.table.shares().into_iter().map(|(v, share)| (v, format!("{share:.9}")));
    Some((served.table.stable?, shares.collect(), served.table.versions.clone()))
}

/// A moment at which surely this was published, with nothing else within a few milliseconds.
fn sample(world: &World) -> Option<(u64, Seen, u64)> {
    let (at, snapshot) = (SystemClock.unix_ms(), world.cell.load());
    std::thread::sleep(Duration::from_millis(4));
    let is_still = world.cell.load().generation == snapshot.generation;
    is_still.then(|| (at + 1, seen_now(&snapshot), snapshot.generation.0))
}

fn moment(world: &World, at: u64) -> Moment {
    world.control().at(at, None).unwrap()
}

/// Random lives with restarts and crashes in them: every moment that was looked at is told as it was, also by later lives.
#[test]
fn what_served_at_a_moment_is_what_was_published_then() {
    for seed in 100..104 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new();
        std::fs::write(world.routing_path(), "").unwrap();
        world.publish(1);
        world.start();
        let mut samples = Vec::new();
        for n_step in 0..50 {
            crate::chance::step(&mut world, &mut random);
            if let Some((at, seen, generation)) = sample(&world) {
                // A table is written a moment after it is in force; a crash must not come between.
                until(&format!("seed {seed}, step {n_step}: it is recorded"), || {
                    (seen_then(&moment(&world, at)) == seen).then_some(())
                });
                samples.push((at, seen, generation));
            }
        }
        assert!(samples.len() > 20, "seed {seed}: only {} samples", samples.len());
        for (at, seen, generation) in &samples {
            let then = moment(&world, *at);
            assert_eq!(seen_then(&then), *seen, "seed {seed}, at {at}");
            assert!(then.models.iter().all(|served| served.generation <= *generation), "seed {seed}, at {at}");
        }
        let audit = world.control().audit(Some(&world.control().journal_head().hex())).unwrap();
        assert!(audit.is_sound(), "seed {seed}: {audit:?}");
    }
}

#[test]
fn the_time_between_two_lives_is_known_and_so_is_who_decided() {
    let mut world = World::new();
    [1, 2].iter().for_each(|n| world.publish(*n));
    world.start();
    world.promote(1, false, true).unwrap();
    let served = SystemClock.unix_ms() + 1;
    std::thread::sleep(Duration::from_millis(5));
    world.stop();
    let stopped = SystemClock.unix_ms() + 1;
    std::thread::sleep(Duration::from_millis(5));
    world.start();
    assert!(matches!(moment(&world, stopped).standing, Standing::Down { .. }), "{:?}", moment(&world, stopped));
    let then = moment(&world, served);
    let [m] = then.models.as_slice() else { panic!("{then:?}") };
    let decided = m.decided.as_ref().unwrap();
    assert_eq!((m.table.stable, m.table.shares()), (Some(2), BTreeMap::from([(1, 1.0)])));
    assert_eq!((decided.entry.action, decided.entry.actor.as_str()), (Action::Promoted, "tester"));
    assert_eq!(decided.entry.reason.as_deref(), Some("a test says so"));
}

fn restore(world: &World, at_unix_ms: u64, is_dry_run: bool) -> Result<Restored, Refused> {
    let reason = Some("as it was".to_owned());
    let order = Restore { at_unix_ms, model: None, is_dry_run, actor: "tester".to_owned(), reason };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(world.control().restore(order))
}

fn shares(world: &World) -> Vec<(u64, f64)> {
    world.status().split.iter().map(|share| (share.version, share.share)).collect()
}

/// Waits until the clock has moved on, and gives a moment that lies after everything before.
fn now() -> u64 {
    std::thread::sleep(Duration::from_millis(3));
    let at = SystemClock.unix_ms();
    std::thread::sleep(Duration::from_millis(3));
    at
}

#[test]
fn an_earlier_split_is_brought_back_or_every_obstacle_is_told() {
    let mut world = World::new();
    world.publish(1);
    world.start();
    let alone = now();
    [2, 3].iter().for_each(|n| world.publish(*n));
    [2, 3].iter().for_each(|n| world.wait_ready(*n));
    world.canary(2, 0.25).unwrap();
    let on_trial = now();
    world.promote(2, true, true).unwrap();
    world.promote(3, true, true).unwrap();
    assert_eq!(shares(&world), [(3, 1.0)]);

    let previewed = restore(&world, on_trial, true).unwrap();
    assert!(!previewed.is_done && previewed.obstacles.is_empty(), "{previewed:?}");
    assert_eq!(previewed.differences[0].then, "1: 75 %, 2: 25 %");
    assert_eq!(shares(&world), [(3, 1.0)], "a dry run changes nothing");

    let done = restore(&world, on_trial, false).unwrap();
    assert!(done.is_done);
    assert_eq!(shares(&world), [(1, 0.75), (2, 0.25)]);
    assert_eq!((world.stable(), world.status().phase), (Some(1), "canary"), "and it is judged again");
    let restored = HistoryQuery { action: Some(Action::Restored), ..HistoryQuery::default() };
    let rows = world.control().history(restored.clone()).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].entry.before.as_deref(), rows[0].entry.after.as_deref()),
        (Some("3: 100 %"), Some("1: 75 %, 2: 25 %"))
    );
    let again = restore(&world, on_trial, false).unwrap();
    assert!(!again.is_done && again.differences.is_empty(), "it is as it was already: {again:?}");

    // It survives a restart, as every acknowledged order does.
    world.stop();
    world.start();
    assert_eq!(shares(&world), [(1, 0.75), (2, 0.25)]);

    world.rollback(None, true).unwrap();
    let refused = restore(&world, on_trial, false).unwrap();
    assert_eq!(refused.obstacles.iter().map(|o| o.code).collect::<Vec<_>>(), ["quarantined"]);
    assert!(!refused.is_done && shares(&world) == [(1, 1.0)]);
    assert_eq!(world.control().history(restored).unwrap().len(), 1, "nothing was recorded");
    world.promote(3, true, true).unwrap();
    restore(&world, alone, false).unwrap();
    assert_eq!((world.stable(), world.status().phase, shares(&world)), (Some(1), "settled", vec![(1, 1.0)]));
    assert_eq!(restore(&world, 5, false).unwrap_err().code, "nothing_served");
}

#[test]
fn what_is_brought_back_needs_a_reason_unless_it_is_a_dry_run() {
    let mut world = World::new();
    world.publish(1);
    world.start();
    let at = now();
    let order = |is_dry_run| Restore { at_unix_ms: at, model: None, is_dry_run, actor: "x".to_owned(), reason: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(world.control().restore(order(false))).unwrap_err().code, "reason_missing");
    runtime.block_on(world.control().restore(order(true))).unwrap();
    assert_eq!(world.order(Operation::Release { version: version(1) }).unwrap_err().code, "not_quarantined");
}
