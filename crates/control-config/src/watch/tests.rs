#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// Long enough for the slowest machine; a test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
const QUIET: Duration = Duration::from_millis(20);

/// With events, polls are too rare to help; without, they are all there is.
#[derive(Clone, Copy, Debug)]
enum By {
    Events,
    Polls,
}

struct Rig {
    folder: TempDir,
    path: PathBuf,
    events: Receiver<FileEvent>,
    _watcher: Watcher,
}

impl Rig {
    /// A watcher of `routing.toml` in a folder that `prepare` fills; it has said that it knows the content `old`.
    fn new(by: By, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let path = folder.path().join("routing.toml");
        let (watcher, events) = start(by, &path, Some(b"old"));
        let rig = Self { folder, path, events, _watcher: watcher };
        rig.expect_silence_so_far();
        rig
    }

    fn with_file(by: By) -> Self {
        Self::new(by, |folder| fs::write(folder.join("routing.toml"), "old").unwrap())
    }

    fn expect(&self, content: &str) {
        let event = self.events.recv_timeout(PATIENCE).unwrap();
        assert_eq!(event, FileEvent { path: self.path.clone(), content: Ok(content.as_bytes().to_vec()) });
    }

    fn expect_problem(&self, problem: FileProblem) {
        assert_eq!(self.events.recv_timeout(PATIENCE).unwrap().content, Err(problem));
    }

    fn expect_silence_so_far(&self) {
        assert!(self.events.try_recv().is_err());
    }

    /// Saves as editors do: a new file beside the old one takes its name.
    fn rename_save(&self, content: &str) {
        let beside = self.folder.path().join(".routing.toml.swp");
        fs::write(&beside, content).unwrap();
        fs::rename(&beside, &self.path).unwrap();
    }

    /// Swaps `..data` to a new folder, as a ConfigMap volume does.
    fn swap(&self, name: &str, content: &str) {
        let target = self.folder.path().join(name);
        fs::create_dir(&target).unwrap();
        fs::write(target.join("routing.toml"), content).unwrap();
        let link = self.folder.path().join("..data_tmp");
        symlink(name, &link).unwrap();
        fs::rename(&link, self.folder.path().join("..data")).unwrap();
    }
}

fn start(by: By, path: &Path, known: Option<&[u8]>) -> (Watcher, Receiver<FileEvent>) {
    let options = match by {
        By::Events => WatchOptions { poll: Duration::from_secs(3_600), quiet: QUIET, uses_events: true },
        By::Polls => WatchOptions { poll: Duration::from_millis(10), quiet: QUIET, uses_events: false },
    };
    let known = known.map(<[u8]>::to_vec);
    Watcher::start(vec![Watched { path: path.to_owned(), known }], options).unwrap()
}

fn both(test: impl Fn(By)) {
    [By::Events, By::Polls].into_iter().for_each(test);
}

#[test]
fn in_place_writes_are_seen() {
    both(|by| {
        let rig = Rig::with_file(by);
        for content in ["new", "newer and longer", "new"] {
            fs::write(&rig.path, content).unwrap();
            rig.expect(content);
        }
    });
}

#[test]
fn a_file_that_is_truncated_and_then_written_is_never_seen_empty() {
    use std::io::Write;
    both(|by| {
        let rig = Rig::with_file(by);
        for content in ["one", "two"] {
            let mut file = fs::File::create(&rig.path).unwrap();
            file.sync_all().unwrap();
            file.write_all(content.as_bytes()).unwrap();
            rig.expect(content);
        }
    });
}

#[test]
fn renaming_saves_are_seen_again_and_again() {
    both(|by| {
        let rig = Rig::with_file(by);
        for content in ["one", "two", "three"] {
            rig.rename_save(content);
            rig.expect(content);
        }
    });
}

#[test]
fn swaps_of_a_config_map_are_seen_again_and_again() {
    both(|by| {
        let rig = Rig::new(by, |folder| {
            fs::create_dir(folder.join("..2024_01")).unwrap();
            fs::write(folder.join("..2024_01/routing.toml"), "old").unwrap();
            symlink("..2024_01", folder.join("..data")).unwrap();
            symlink("..data/routing.toml", folder.join("routing.toml")).unwrap();
        });
        for (name, content) in [("..2024_02", "one"), ("..2024_03", "two"), ("..2024_04", "three")] {
            rig.swap(name, content);
            rig.expect(content);
        }
    });
}

#[test]
fn a_touch_and_a_save_of_the_same_content_are_no_change() {
    both(|by| {
        let rig = Rig::with_file(by);
        let file = fs::File::options().append(true).open(&rig.path).unwrap();
        file.set_modified(std::time::SystemTime::now() + Duration::from_secs(60)).unwrap();
        rig.rename_save("old");
        rig.rename_save("new");
        // The first thing that arrives is the real change.
        rig.expect("new");
    });
}

#[test]
fn a_deleted_file_is_missing_and_not_empty_and_comes_back() {
    both(|by| {
        let rig = Rig::with_file(by);
        for _ in 0..2 {
            fs::remove_file(&rig.path).unwrap();
            rig.expect_problem(FileProblem::Missing);
            fs::write(&rig.path, "old").unwrap();
            rig.expect("old");
        }
    });
}

#[test]
fn an_emptied_file_is_believed_in_the_end() {
    both(|by| {
        let rig = Rig::with_file(by);
        fs::write(&rig.path, "").unwrap();
        rig.expect("");
    });
}

#[test]
fn the_target_of_a_symlink_in_another_folder_is_watched_too() {
    both(|by| {
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("real.toml");
        fs::write(&target, "old").unwrap();
        let rig = Rig::new(by, |folder| symlink(&target, folder.join("routing.toml")).unwrap());
        fs::write(&target, "new").unwrap();
        rig.expect("new");
    });
}

#[test]
fn what_is_no_readable_file_is_reported() {
    both(|by| {
        let rig = Rig::with_file(by);
        fs::write(&rig.path, vec![b'#'; crate::FILE_BYTES_MAX + 1]).unwrap();
        rig.expect_problem(FileProblem::TooLarge(crate::FILE_BYTES_MAX));
        fs::remove_file(&rig.path).unwrap();
        fs::create_dir(&rig.path).unwrap();
        rig.expect_problem(FileProblem::Unreadable("it is not a regular file".to_owned()));
    });
}

#[test]
fn a_file_whose_content_is_not_known_is_delivered_at_once() {
    both(|by| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("routing.toml");
        fs::write(&path, "old").unwrap();
        let (_watcher, events) = start(by, &path, None);
        assert_eq!(events.recv_timeout(PATIENCE).unwrap().content, Ok(b"old".to_vec()));
    });
}

/// Events of the replaced folder are needed for the last step: the poll that finds the new folder arms it.
#[test]
fn a_replaced_folder_is_watched_anew() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("config");
    let path = folder.join("routing.toml");
    let mut folders = Folders::new([path.clone()].into_iter(), Some(sync_channel(1).0));
    folders.arm();
    assert_eq!(folders.armed().count(), 0);
    fs::create_dir(&folder).unwrap();
    folders.arm();
    let before: Vec<_> = folders.armed().collect();
    fs::rename(&folder, outer.path().join("gone")).unwrap();
    fs::create_dir(&folder).unwrap();
    folders.arm();
    let after: Vec<_> = folders.armed().collect();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);

    let (wake, hints) = sync_channel(1);
    let mut folders = Folders::new([path.clone()].into_iter(), Some(wake));
    folders.arm();
    fs::rename(&folder, outer.path().join("gone too")).unwrap();
    fs::create_dir(&folder).unwrap();
    folders.arm();
    while hints.try_recv().is_ok() {}
    fs::write(&path, "new").unwrap();
    hints.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn several_files_are_told_apart() {
    both(|by| {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a.toml", "b.toml"].map(|name| folder.path().join(name));
        let options =
            WatchOptions { poll: Duration::from_millis(10), quiet: QUIET, uses_events: matches!(by, By::Events) };
        let watched = |path: &PathBuf| Watched { path: path.clone(), known: Some(b"old".to_vec()) };
        fs::write(&a, "old").unwrap();
        fs::write(&b, "old").unwrap();
        let (_watcher, events) = Watcher::start(vec![watched(&a), watched(&b)], options).unwrap();
        fs::write(&b, "new").unwrap();
        assert_eq!(events.recv_timeout(PATIENCE).unwrap(), FileEvent { path: b, content: Ok(b"new".to_vec()) });
    });
}

#[test]
fn too_many_files_are_refused() {
    let files = vec![Watched { path: "x".into(), known: None }; FILES_MAX + 1];
    assert!(matches!(Watcher::start(files, WatchOptions::default()), Err(WatchError::TooManyFiles(17))));
}

#[test]
fn dropping_the_watcher_ends_its_thread_at_once() {
    both(|by| {
        let rig = Rig::with_file(by);
        let Rig { _watcher: watcher, events, .. } = rig;
        drop(watcher);
        // The thread held the other end.
        assert!(matches!(events.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected)));
    });
}

#[test]
fn a_slow_receiver_gets_the_latest_content_in_the_end() {
    both(|by| {
        let rig = Rig::with_file(by);
        let last = format!("content {}", PENDING_EVENTS_MAX * 3);
        for i in 0..=PENDING_EVENTS_MAX * 3 {
            rig.rename_save(&format!("content {i}"));
        }
        let found = std::iter::from_fn(|| rig.events.recv_timeout(PATIENCE).ok())
            .any(|event| event.content == Ok(last.clone().into_bytes()));
        assert!(found);
    });
}
