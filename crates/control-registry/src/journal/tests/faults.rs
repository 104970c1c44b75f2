//! What damage, a full disk and failing storage do to the journal.

use super::*;

/// A second, writable connection without the triggers: someone with an editor.
fn tamper(dir: &TempDir, sql: &str) {
    let connection = Connection::open(journal_path(dir.path())).unwrap();
    connection.execute_batch("DROP TRIGGER journal_no_update; DROP TRIGGER journal_no_delete;").unwrap();
    connection.execute_batch(sql).unwrap();
}

fn told() -> TempDir {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    journal.append_all(&story(), Some("[models]")).unwrap();
    journal.reserve_generations(Generation(64)).unwrap();
    journal.checkpoint("iris", "{}").unwrap();
    journal.close().unwrap();
    dir
}

fn check_broken(dir: &TempDir, part: &str) {
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Broken { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(part) && text.contains("move it aside") && text.contains("journal.sqlite3"), "{text}");
}

#[test]
fn rows_can_neither_be_changed_nor_deleted_by_sql() {
    let dir = told();
    let connection = Connection::open(journal_path(dir.path())).unwrap();
    for sql in ["UPDATE journal SET actor = 'me'", "DELETE FROM journal WHERE seq = 8"] {
        let error = connection.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{error}");
    }
}

#[test]
fn altered_rows_are_found() {
    for (sql, part) in [
        ("UPDATE journal SET actor = 'me' WHERE seq = 3", "row 3 does not have the hash"),
        ("UPDATE journal SET at_unix_ms = at_unix_ms + 1 WHERE seq = 1", "row 1 "),
        ("UPDATE journal SET evidence_json = '{\"n\":4}' WHERE seq = 5", "row 5 "),
        ("UPDATE journal SET changes_json = '[]' WHERE seq = 5", "row 5 "),
        ("UPDATE journal SET reason = '' WHERE seq = 4", "row 4 "),
        ("UPDATE journal SET before = after, after = before WHERE seq = 5", "row 5 "),
        ("UPDATE journal SET hash = zeroblob(32) WHERE seq = 6", "row 6 "),
        ("UPDATE journal SET previous_hash = zeroblob(32) WHERE seq = 6", "row 6 does not follow"),
        ("DELETE FROM journal WHERE seq = 2", "row 2 is missing"),
        ("DELETE FROM journal WHERE seq = 1", "row 1 is missing"),
        ("DELETE FROM journal WHERE seq >= 7", "rows after 6 are missing"),
        ("DELETE FROM journal", "rows after 0 are missing"),
        ("UPDATE state SET value = '3' WHERE key = 'generation_floor'", "generation_floor"),
        ("UPDATE state SET value = '[other]' WHERE key = 'accepted_routing'", "accepted_routing"),
    ] {
        let dir = told();
        tamper(&dir, sql);
        check_broken(&dir, part);
    }
    let dir = told();
    tamper(&dir, "UPDATE checkpoint SET value = '{\"n\":9}'");
    assert_eq!(open(&dir).1.checkpoints, [], "damaged evidence is dropped");
}

#[test]
fn damage_below_the_rows_is_found() {
    let dir = told();
    let path = journal_path(dir.path());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [b"no database".repeat(100), whole[1_100..].to_vec()].concat()).unwrap();
    check_broken(&dir, "not a database");
    // Every flipped bit is found, harmless, or outside of what is read; none changes the decisions.
    let expected = fold(&story());
    let mut n_found = 0;
    for at in (100..whole.len()).step_by(61) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).unwrap();
        match Journal::open(dir.path()) {
            Ok((_, recovered)) => assert_eq!(recovered.decisions, expected, "flip at {at}"),
            Err(_) => n_found += 1,
        }
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(format!("{}{suffix}", path.display())).unwrap_or_default();
        }
    }
    assert!(n_found > 10, "only {n_found} flips were found");
}

#[test]
fn a_newer_format_is_refused() {
    let dir = told();
    Connection::open(journal_path(dir.path())).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Format { found: 99, .. }), "{error:?}");
}

/// A torn write-ahead log, cut anywhere, gives the entries up to some point, never others.
#[test]
fn a_cut_log_gives_a_prefix() {
    let dir = TempDir::new().unwrap();
    let story = story();
    let (mut journal, _) = open(&dir);
    for entry in &story {
        journal.append(entry).unwrap();
    }
    let wal = |path: PathBuf| PathBuf::from(format!("{}-wal", path.display()));
    let main = fs::read(journal_path(dir.path())).unwrap();
    let log = fs::read(wal(journal_path(dir.path()))).unwrap();
    assert!(log.len() > 10 * 4_096, "the log holds everything");
    let folds: Vec<Decisions> = (0..=story.len()).map(|n| fold(&story[..n])).collect();
    // A frame is a page and its header: cut at, before and after each border, and in between.
    let frame = 4_096 + 24;
    let borders = (0..log.len() / frame).flat_map(|n| [31, 32, 33, 56, 700, 4_119].map(|more| n * frame + more));
    let mut n_seen = std::collections::BTreeSet::new();
    for cut in borders.chain([0, log.len()]).filter(|cut| *cut <= log.len()) {
        let copy = TempDir::new().unwrap();
        fs::write(journal_path(copy.path()), &main).unwrap();
        fs::write(wal(journal_path(copy.path())), &log[..cut]).unwrap();
        let (mut journal, recovered) = open(&copy);
        let n = journal.head.seq as usize;
        assert_eq!(recovered.decisions, folds[n], "cut at {cut}");
        let rows = journal.history(&HistoryQuery::default()).unwrap();
        assert!(rows.iter().rev().map(|row| &row.entry).eq(&story[..n]), "cut at {cut}");
        // What follows goes on from there.
        journal.append(&story[0]).unwrap();
        n_seen.insert(n);
    }
    assert_eq!(n_seen.into_iter().collect::<Vec<_>>(), (0..=story.len()).collect::<Vec<_>>());
}

/// Lets the database grow by so many pages, as a disk that is nearly full would.
fn leave_pages(journal: &Journal, n_pages: i64) {
    let connection = &journal.connection;
    let now: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    connection.pragma_update_and_check(None, "max_page_count", now + n_pages, |_| Ok(())).unwrap();
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    let large = Entry { reason: Some("x".repeat(100_000)), ..entry(Action::Loaded, Vec::new()) };
    journal.append(&story()[0]).unwrap();
    leave_pages(&journal, 2);
    let error = journal.append(&large).unwrap_err();
    assert!(matches!(error, JournalError::DiskFull), "{error:?}");
    assert!(error.is_storage());
    assert!(!journal.is_read_only);
    // The rollback itself needs no space.
    let trials = journal.trials();
    trials.begin(&digest(2)).unwrap();
    trials.roll_back(&digest(2)).unwrap();
    leave_pages(&journal, 1_000);
    assert_eq!(journal.append(&large).unwrap(), 2, "the refused entry left no trace");
    drop(journal);
    let (journal, recovered) = open(&dir);
    assert_eq!(journal.head.seq, 2);
    assert_eq!(recovered.pending_quarantines, [digest(2)]);
}

#[test]
fn a_failed_write_makes_the_journal_read_only() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    journal.append(&story()[0]).unwrap();
    let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
    let error = journal.watch::<()>(Err(rusqlite::Error::SqliteFailure(failure, None))).unwrap_err();
    assert!(matches!(error, JournalError::Io(_)) && error.is_storage(), "{error:?}");
    assert!(journal.is_read_only);
    for error in [
        journal.append(&story()[1]).unwrap_err(),
        journal.reserve_generations(Generation(9)).unwrap_err(),
        journal.checkpoint("k", "{}").unwrap_err(),
    ] {
        assert!(matches!(error, JournalError::ReadOnly) && error.is_storage(), "{error:?}");
    }
    assert_eq!(journal.history(&HistoryQuery::default()).unwrap().len(), 1, "reading goes on");
    drop(journal);
    let (mut journal, _) = open(&dir);
    assert_eq!(journal.append(&story()[1]).unwrap(), 2);
}

/// `PRAGMA query_only` stands in for a file system that was remounted read-only.
#[test]
fn a_read_only_database_is_a_storage_error() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    journal.connection.pragma_update(None, "query_only", true).unwrap();
    let error = journal.append(&story()[0]).unwrap_err();
    assert!(matches!(error, JournalError::ReadOnly), "{error:?}");
}

#[test]
fn a_state_directory_that_is_a_file_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state");
    fs::write(&path, "").unwrap();
    let error = Journal::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::State { .. }) && error.to_string().contains("state"), "{error}");
}
