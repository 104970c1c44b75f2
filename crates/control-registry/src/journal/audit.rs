//! Reads everything again and says what is not as it was written: each row by its hash and the hash before it, the sums of
//! what stands beside the chain, and SQLite's own structures.
//!
//! What someone who can rewrite the whole file has done, and rows cut off the end together with the note of the head, show
//! only against an anchor: the hash of a row that was kept elsewhere.

use rusqlite::Connection;

use super::chain::hex;
use super::fold::{self, Fold};
use super::history::History;
use super::schema::{COLUMNS, Texts, read_row};
use super::{Head, JournalError, blocks};

/// Damages told, the first; there may be more.
const DAMAGES_MAX: usize = 20;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The row, where it is one.
    pub seq: Option<u64>,
    /// In a sentence.
    pub text: String,
}

/// What became of the anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorFinding {
    /// None was given.
    NotGiven,
    /// The row with this number has that hash: the chain up to it is the one that was anchored.
    Found(u64),
    /// No row has that hash: rows were cut off the end, or everything was rewritten.
    Missing,
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Rows read.
    pub n_rows: u64,
    /// Number and hash of the last row.
    pub head: Head,
    /// What is wrong, the first things first.
    pub damages: Vec<Damage>,
    /// Rows that follow the first wrong one and agree with the rows before them.
    pub n_intact_after: u64,
    /// What became of the anchor.
    pub anchor: AnchorFinding,
}

impl Audit {
    /// Whether everything is as it was written, and the anchor, if given, is there.
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty() && self.anchor != AnchorFinding::Missing
    }
}

impl History {
    /// Reads everything again. `anchor` is the hash of a row, or how it begins, in hexadecimal digits. Works beside a
    /// gateway that writes: it sees the journal as of one moment.
    pub fn audit(&self, anchor: Option<&str>) -> Result<Audit, JournalError> {
        let connection = &self.connection;
        let transaction = connection.unchecked_transaction()?;
        let mut audit = Audit {
            n_rows: 0,
            head: Head::default(),
            damages: Vec::new(),
            n_intact_after: 0,
            anchor: if anchor.is_some() { AnchorFinding::Missing } else { AnchorFinding::NotGiven },
        };
        let anchor = anchor.map(str::to_ascii_lowercase);
        // What cannot even be read is damage, too: an audit that breaks off says nothing.
        let read = |audit: &mut Audit| {
            structure(connection, audit)?;
            let folded = rows(connection, anchor.as_deref(), audit)?;
            texts(connection, &folded, audit)
        };
        if let Err(error) = read(&mut audit) {
            match JournalError::from(error) {
                JournalError::Database(error) => audit.damaged(None, format!("it cannot be read on: {error}")),
                error => return Err(error),
            }
        }
        drop(transaction);
        Ok(audit)
    }
}

impl Audit {
    fn damaged(&mut self, seq: Option<u64>, text: String) {
        if self.damages.len() < DAMAGES_MAX {
            self.damages.push(Damage { seq, text });
        }
    }
}

/// The pages and indexes, which the chain knows nothing about.
fn structure(connection: &Connection, audit: &mut Audit) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({DAMAGES_MAX})"))?;
    let mut lines = statement.query([])?;
    while let Some(line) = lines.next()? {
        let line: String = line.get(0)?;
        if line != "ok" {
            audit.damaged(None, format!("the file's structure: {line}"));
        }
    }
    Ok(())
}

/// The chain. After a wrong row it goes on from what the row says, so that what follows is judged by itself.
fn rows(connection: &Connection, anchor: Option<&str>, audit: &mut Audit) -> rusqlite::Result<Fold> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM journal ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    let (mut fold, mut is_broken) = (Fold::default(), false);
    let mut kept = kept(connection, audit)?;
    while let Some(row) = rows.next()? {
        let seq = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
        audit.n_rows += 1;
        let (number, stored) = (fold.head.seq + 1, row.get::<_, Vec<u8>>(14));
        let found = read_row(row).map_err(|error| error.to_string()).and_then(|row| fold.row(row));
        match found {
            Ok(()) if is_broken => audit.n_intact_after += 1,
            // Derived, so it has to be what the rows up to its own give.
            Ok(()) => {
                let copy = kept.take_if(|(seq, _)| *seq == fold.head.seq);
                if copy.is_some_and(|(_, json)| !fold.agrees(&json)) {
                    audit.damaged(None, "the copy of what the rows fold to is not what they fold to".to_owned());
                }
            }
            Err(what) => {
                is_broken = true;
                // Whoever is missing is the one before, not the one that is there.
                let named = if what == "is missing" { number } else { seq };
                audit.damaged(Some(named), format!("row {named} {what}"));
                let hash = stored.ok().and_then(|hash| hash.try_into().ok()).unwrap_or_default();
                fold.head = Head { seq, hash };
            }
        }
        if anchor.is_some_and(|anchor| hex(&fold.head.hash).starts_with(anchor)) {
            audit.anchor = AnchorFinding::Found(fold.head.seq);
        }
    }
    audit.head = fold.head;
    if let Some((seq, _)) = kept.filter(|_| !is_broken) {
        audit.damaged(None, format!("the copy of what the rows fold to names row {seq}, which is not there"));
    }
    Ok(fold)
}

/// The copy of what the rows fold to, and the row it names.
fn kept(connection: &Connection, audit: &mut Audit) -> rusqlite::Result<Option<(u64, String)>> {
    let texts = Texts::Folds.read(connection)?;
    let Some(json) = texts.into_iter().find(|(key, _)| key == fold::KEY).and_then(|(_, json)| json) else {
        return Ok(None);
    };
    let seq = Fold::seq_of(&json);
    if seq.is_none() {
        audit.damaged(None, "the copy of what the rows fold to is unreadable".to_owned());
    }
    Ok(seq.map(|seq| (seq, json)))
}

/// What stands beside the chain.
fn texts(connection: &Connection, folded: &Fold, audit: &mut Audit) -> rusqlite::Result<()> {
    let mut noted = None;
    for table in Texts::ALL {
        for (key, value) in table.read(connection)? {
            match value {
                None => {
                    audit.damaged(None, format!("{} {key:?} does not have the sum it was written with", table.noun()));
                }
                Some(value) if table == Texts::State && ["head_seq", "head_hash"].contains(&key.as_str()) => {
                    noted.get_or_insert_with(Vec::new).push(value);
                }
                Some(_) => {}
            }
        }
    }
    // In order of their keys: the hash stands before the number.
    let head = [hex(&folded.head.hash), folded.head.seq.to_string()];
    if folded.head.seq > 0 && noted.as_deref() != Some(&head) {
        let after = folded.head.seq;
        audit.damaged(Some(after + 1), format!("rows after {after} are missing, or the note of the last row is wrong"));
    }
    if let Some(number) = blocks::first_wrong(connection)? {
        audit.damaged(None, format!("the times of block {number} of the rows are not those of its rows"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
