//! The results for people: a summary on the screen, and docs/conformance.md.

use std::fmt::Write;

use super::clients::CLIENTS;
use super::record::{Outcome, Record, Session};

const HEAD: &str = "# Conformance

What clients that nobody changed can do with this gateway, call by call. `cargo xtask conformance` installs the pinned
packages, starts the real program on models of its own with `model_control = true`, runs every call and writes this
page; `--short` runs the clients that install quickly. What each call does stands in
[tests/conformance/drivers](../tests/conformance/drivers).

- *passed*: the client got what its own documentation promises, checked by value.
- *absent*: there is no such thing here, on purpose, and the client was told so in a clear error. That is tested too.
- *differs*: the call fails, for the reason given.

";

/// The page.
pub fn render(record: &Record) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| client | packages | passed | absent | differs |\n|---|---|---|---|---|\n");
    for session in &record.sessions {
        let [passed, absent, known, ..] = counts(session);
        let title = title(session);
        let link = format!("[{title}](#{})", anchor(title));
        // Writing to a String cannot fail, here and below.
        writeln!(page, "| {link} | {} | {passed} | {absent} | {known} |", session.packages).ok();
    }
    for session in &record.sessions {
        write!(page, "\n## {}\n\n| call | shows | result |\n|---|---|---|\n", title(session)).ok();
        for call in &session.calls {
            let cells = [&call.name, &call.shows, &words(&call.outcome)].map(|text| text.replace('|', "\\|"));
            writeln!(page, "| {} |", cells.join(" | ")).ok();
        }
    }
    page.push_str("\nGenerated from the run of the clients: `cargo xtask conformance`.\n");
    page
}

/// The counts of a run, for the screen.
pub fn summary(sessions: &[Session]) -> String {
    let row = |cells: [&str; 6]| {
        let [client, numbers @ ..] = cells;
        format!("{client:<22}{}\n", numbers.map(|number| format!("{number:>9}")).concat())
    };
    let mut text = row(["client", "passed", "absent", "differs", "skipped", "failed"]);
    for session in sessions {
        let [passed, absent, known, skipped, failed] = counts(session).map(|count| count.to_string());
        text.push_str(&row([&session.client, &passed, &absent, &known, &skipped, &failed]));
    }
    text
}

/// An outcome in words.
pub fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Absent(why) => format!("absent: {why}"),
        Outcome::Known(why) => format!("differs: {why}"),
        Outcome::Failed(why) => format!("FAILED: {why}"),
        Outcome::Skipped(why) => format!("not run: {why}"),
    }
}

/// Passed, absent, known, skipped, failed.
fn counts(session: &Session) -> [usize; 5] {
    let count = |is_it: fn(&Outcome) -> bool| session.calls.iter().filter(|call| is_it(&call.outcome)).count();
    [
        count(|outcome| matches!(outcome, Outcome::Passed)),
        count(|outcome| matches!(outcome, Outcome::Absent(_))),
        count(|outcome| matches!(outcome, Outcome::Known(_))),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        count(|outcome| matches!(outcome, Outcome::Failed(_))),
    ]
}

fn title(session: &Session) -> &str {
    let client = CLIENTS.iter().find(|client| client.name == session.client);
    client.map_or(&session.client, |client| client.title)
}

/// The anchor that a heading gets.
fn anchor(title: &str) -> String {
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    title.to_lowercase().chars().filter(is_kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests;
