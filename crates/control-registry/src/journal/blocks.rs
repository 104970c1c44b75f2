//! Which rows lie in a span of time.
//!
//! The order of the journal is that of its rows; times are annotations, and clocks are set back now and then. So rows
//! are not sorted by time: for each block of rows the earliest and latest time in it is kept, and what lies in a span is
//! looked for in the blocks that touch it. That is exact whatever the clock did, and quick as long as it mostly ran on.

use rusqlite::{Connection, params};

use super::schema::has_table;

/// Rows in a block, as a power of two.
const BLOCK_BITS: u32 = 8;

/// Numbers of rows, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub first: i64,
    pub last: i64,
}

/// Fills the table from the rows: once, when a journal of an older format is opened.
pub(super) const FILL: &str = "
INSERT INTO block (number, at_min, at_max)
SELECT seq >> 8, min(at_unix_ms), max(at_unix_ms) FROM journal GROUP BY seq >> 8;
";

/// Notes the time of a row.
pub(super) fn note(connection: &Connection, seq: i64, at_unix_ms: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO block (number, at_min, at_max) VALUES (?1, ?2, ?2)
         ON CONFLICT (number) DO UPDATE SET at_min = min(at_min, ?2), at_max = max(at_max, ?2)",
    )?;
    statement.execute(params![seq >> BLOCK_BITS, at_unix_ms])?;
    Ok(())
}

/// The rows among which all lie that were written in a span of time, both ends included; `None` when there is none.
pub(super) fn span(
    connection: &Connection,
    (since_unix_ms, until_unix_ms): (Option<i64>, Option<i64>),
) -> rusqlite::Result<Option<Span>> {
    if !has_table(connection, "block")? {
        return Ok(Some(Span { first: 0, last: i64::MAX }));
    }
    let sql = "SELECT min(number), max(number) FROM block WHERE at_max >= ?1 AND at_min <= ?2";
    let bounds = params![since_unix_ms.unwrap_or(i64::MIN), until_unix_ms.unwrap_or(i64::MAX)];
    let mut statement = connection.prepare_cached(sql)?;
    let (first, last): (Option<i64>, Option<i64>) =
        statement.query_row(bounds, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let whole = |(first, last): (i64, i64)| Span {
        first: first << BLOCK_BITS,
        last: (last << BLOCK_BITS) + (1 << BLOCK_BITS) - 1,
    };
    Ok(first.zip(last).map(whole))
}

/// The first block that does not say what its rows say.
pub(super) fn first_wrong(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    if !has_table(connection, "block")? {
        return Ok(None);
    }
    let sql = "SELECT min(number) FROM (
        SELECT seq >> 8 AS number, min(at_unix_ms) AS a, max(at_unix_ms) AS b FROM journal GROUP BY seq >> 8
        EXCEPT SELECT number, at_min, at_max FROM block)";
    let missing: Option<i64> = connection.query_row(sql, [], |row| row.get(0))?;
    let extra = "SELECT min(number) FROM block WHERE number NOT IN (SELECT seq >> 8 FROM journal)";
    let extra: Option<i64> = connection.query_row(extra, [], |row| row.get(0))?;
    Ok(missing.into_iter().chain(extra).min())
}
