//! The power goes at any moment of a push, and the disk keeps only what it was told to keep, or a little more.
//!
//! What a push does to the disk is noted and played back onto a model of a disk: what was written counts once its file
//! was synced, a name once its folder was. Everything else may be there after a power cut or may not, at random.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::{State, before, state};
use super::*;
use crate::disk::faults::{Event, take_events};

/// A disk: which names lead where, now and after a power cut.
#[derive(Default)]
struct Disk {
    files: Vec<(Vec<u8>, bool)>,
    now: BTreeMap<PathBuf, usize>,
    kept: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
    kept_folders: BTreeSet<PathBuf>,
}

/// Numbers that look random.
struct Chance(u64);

impl Chance {
    fn is_so(&mut self) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 63 == 1
    }
}

impl Disk {
    /// A disk on which all of this has been for long.
    fn with(root: &Path) -> Self {
        let mut disk = Self::default();
        for (name, content) in files_below(root) {
            disk.files.push((content, true));
            disk.now.insert(root.join(name), disk.files.len() - 1);
        }
        let mut waiting = vec![root.to_owned()];
        while let Some(folder) = waiting.pop() {
            let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            waiting.extend(entries.filter(|path| path.is_dir()));
            disk.folders.insert(folder);
        }
        disk.kept.clone_from(&disk.now);
        disk.kept_folders.clone_from(&disk.folders);
        disk
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Written(path, content) => {
                self.files.push((content.clone(), false));
                self.now.insert(path.clone(), self.files.len() - 1);
            }
            Event::FileSynced(path) => self.files[self.now[path]].1 = true,
            Event::Renamed(from, to) => {
                let file = self.now.remove(from).unwrap();
                self.now.insert(to.clone(), file);
            }
            Event::Removed(path) => drop(self.now.remove(path)),
            Event::FolderMade(path) => drop(self.folders.insert(path.clone())),
            Event::FolderSynced(folder) => {
                let is_in = |path: &PathBuf| path.parent() == Some(folder);
                self.kept.retain(|path, _| !is_in(path));
                self.kept
                    .extend(self.now.iter().filter(|(path, _)| is_in(path)).map(|(path, file)| (path.clone(), *file)));
                self.kept_folders.extend(self.folders.iter().filter(|path| is_in(path)).cloned());
            }
        }
    }

    /// Writes down what a power cut leaves: what is kept, and of the rest whatever chance leaves.
    fn cut_power(&self, root: &Path, to: &Path, chance: &mut Chance) {
        let moved = |path: &Path| to.join(path.strip_prefix(root).unwrap());
        let mut there: BTreeSet<&PathBuf> = BTreeSet::new();
        for folder in &self.folders {
            let has_parent = folder == root || folder.parent().is_some_and(|parent| there.contains(&parent.to_owned()));
            if has_parent && (self.kept_folders.contains(folder) || chance.is_so()) {
                fs::create_dir_all(moved(folder)).unwrap();
                there.insert(folder);
            }
        }
        let names: BTreeSet<&PathBuf> = self.now.keys().chain(self.kept.keys()).collect();
        for name in names {
            let (now, kept) = (self.now.get(name), self.kept.get(name));
            let Some(file) = (if now == kept || chance.is_so() { now } else { kept }) else { continue };
            if !name.parent().is_some_and(|parent| there.contains(&parent.to_owned())) {
                continue;
            }
            let (content, is_synced) = &self.files[*file];
            let end = if *is_synced || chance.is_so() { content.len() } else { content.len() / 2 };
            fs::write(moved(name), &content[..end]).unwrap();
        }
    }
}

/// What can be seen of the store after the power went when this much had happened.
fn after(disk: &Disk, root: &Path, chance: &mut Chance, what: &str) -> State {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("store");
    disk.cut_power(root, &place, chance);
    let store = Store::open(&place).unwrap();
    assert_eq!(store.verify().unwrap().damage, [], "{what}");
    state(&store)
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_and_nothing_is_ever_half_there() {
    let (bench, second) = before();
    let root = bench.path("store");
    let disk_before = || Disk::with(&root);
    let (mut disk, old) = (disk_before(), state(&bench.store));
    take_events();
    bench.store.push(&second).unwrap();
    let events = take_events();
    let new = state(&bench.store);
    let mut chance = Chance(7);
    let mut n_seen = (0, 0);
    for number in 0..=events.len() {
        let what = format!(
            "{number} of {} events, the last {:?}",
            events.len(),
            number.checked_sub(1).map(|n| name(&events[n]))
        );
        for _ in 0..12 {
            match after(&disk, &root, &mut chance, &what) {
                found if found == old => n_seen.0 += 1,
                found if found == new => n_seen.1 += 1,
                found => panic!("neither before nor after: {found:?} after {what}"),
            }
        }
        if let Some(event) = events.get(number) {
            disk.take(event);
        }
    }
    assert!(n_seen.0 > 50 && n_seen.1 > 12, "{n_seen:?}");
    for _ in 0..40 {
        assert!(after(&disk, &root, &mut chance, "the push was acknowledged") == new);
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Written(..) => "written",
        Event::FileSynced(_) => "file synced",
        Event::Renamed(..) => "renamed",
        Event::FolderMade(_) => "folder made",
        Event::FolderSynced(_) => "folder synced",
        Event::Removed(_) => "removed",
    }
}
