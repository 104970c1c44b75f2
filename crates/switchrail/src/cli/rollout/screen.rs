//! A rollout at a glance: who against whom, the steps with the one it is in, the shares, the evidence of each rule on its
//! way to the threshold, the proofs, what it waits for and until when.

use std::io::IsTerminal;
use std::time::Duration;

use control_admin::time;

use crate::cli::answers::{Rollout, RolloutProof, RolloutRule, Step};
use crate::cli::words::{count, percent};

/// Places of a bar.
const BAR: usize = 24;
/// Columns the steps are wrapped to.
const WIDTH: usize = 100;
/// Columns of the names at the left.
const NAMES: usize = 10;
/// Columns of a rule's name.
const RULES: usize = 18;

/// Whether a page has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// It has.
    Colours,
    /// It has none.
    Plain,
}

/// What stands out, and how.
#[derive(Debug, Clone, Copy)]
enum Ink {
    Bold,
    Good,
    Bad,
    Waiting,
    Faint,
}

impl Paint {
    /// Colours on a terminal, unless the user wants none.
    pub(super) fn of_terminal() -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !is_unwanted { Self::Colours } else { Self::Plain }
    }

    fn with(self, ink: Ink, text: &str) -> String {
        if self == Self::Plain {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Bold => "1",
            Ink::Good => "32",
            Ink::Bad => "1;31",
            Ink::Waiting => "1;33",
            Ink::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The whole page.
pub(super) fn page(rollout: &Rollout, now_unix_ms: u64, paint: Paint) -> String {
    let mut text = header(rollout, now_unix_ms, paint);
    text.push('\n');
    text.push_str(&steps(&rollout.steps, paint));
    text.push_str(&shares(rollout, paint));
    text.push('\n');
    // Before the evidence, so that it is seen where the terminal is short.
    text.push_str(&outlook(rollout, now_unix_ms, paint));
    text.push_str(&evidence(rollout, paint));
    text
}

/// A rollout in one line, without what changes all the time.
pub(super) fn line(rollout: &Rollout) -> String {
    let at = rollout.steps.iter().position(|step| step.state == "current" || step.state == "stopped");
    let step = at.and_then(|at| Some((at, rollout.steps.get(at)?)));
    let step = step.map(|(at, step)| format!(", step {} of {} ({})", at + 1, rollout.steps.len(), step.name));
    let Rollout { model, candidate, share, note, status, .. } = rollout;
    let step = step.unwrap_or_default();
    format!("{model} {candidate} {status}{step}, {} of the traffic; {note}", percent(*share))
}

fn header(rollout: &Rollout, now_unix_ms: u64, paint: Paint) -> String {
    let Rollout { model, candidate, stable, policy, number, status, .. } = rollout;
    let title = format!("{model}: version {candidate} against version {stable}");
    let (word, ink) = status_word(status);
    let why = rollout.standstill.as_deref().map(|why| format!(", {}", standstill_words(why))).unwrap_or_default();
    let ago = |then: u64| time::span(Duration::from_millis(now_unix_ms.saturating_sub(then)));
    let traffic = match rollout.requests_per_second {
        // Of a rollout that is over the gateway does not tell it.
        _ if rollout.waits_for.is_none() => String::new(),
        Some(rate) if rate >= 10.0 => format!("; {rate:.0} requests a second"),
        Some(rate) => format!("; {rate:.1} requests a second"),
        None => "; no requests lately".to_owned(),
    };
    format!(
        "{}   policy {policy}, rollout {number}\n{}{why} for {}; began {} ago, ordered by {}{traffic}\n",
        paint.with(Ink::Bold, &title),
        paint.with(ink, word),
        ago(rollout.status_since_unix_ms),
        ago(rollout.started_unix_ms),
        rollout.actor,
    )
}

fn status_word(status: &str) -> (&str, Ink) {
    match status {
        "running" => ("RUNNING", Ink::Good),
        "awaiting_approval" => ("WAITS FOR APPROVAL", Ink::Waiting),
        "paused" => ("PAUSED", Ink::Waiting),
        "held" => ("HELD", Ink::Waiting),
        "baking" => ("PROMOTED, not yet confirmed", Ink::Good),
        "promoted" => ("PROMOTED", Ink::Good),
        "rolled_back" => ("ROLLED BACK", Ink::Bad),
        "aborted" => ("ABORTED", Ink::Bad),
        "replaced" => ("REPLACED", Ink::Bad),
        other => (other, Ink::Bold),
    }
}

fn standstill_words(why: &str) -> &str {
    match why {
        "order" => "by order",
        "rule" => "by a rule",
        "inconclusive" => "without proof in its time",
        "shared_incident" => "because both versions are ill",
        "interrupted" => "because the process ended before it was confirmed",
        "no_steps_left" => "with every step over",
        other => other,
    }
}

/// The steps in a row, wrapped where they are many.
fn steps(steps: &[Step], paint: Paint) -> String {
    let mut text = label("steps");
    let mut width = NAMES;
    for step in steps {
        let (mark, ink) = match step.state.as_str() {
            "done" => ('✓', Ink::Good),
            "current" => ('▶', Ink::Bold),
            "stopped" => ('✗', Ink::Bad),
            _ => ('·', Ink::Faint),
        };
        let shown = format!("{mark} {}", step.name);
        let columns = shown.chars().count() + 3;
        if width + columns > WIDTH && width > NAMES {
            text.push_str(&format!("\n{}", label("")));
            width = NAMES;
        }
        let gap = if width > NAMES { "   " } else { "" };
        width += columns;
        text.push_str(&format!("{gap}{}", paint.with(ink, &shown)));
    }
    text + "\n"
}

fn shares(rollout: &Rollout, paint: Paint) -> String {
    let Rollout { candidate, stable, share, shadow_share, .. } = rollout;
    let row = |name: &str, part: f64, ink: Ink, what: String| {
        let bar = paint.with(ink, &bar(Some(part), Some(1.0)));
        format!("{}[{bar}] {:>7}  {what}\n", label(name), percent(part))
    };
    let n_requests =
        if rollout.n_requests > 0 { format!(", {} in this step", count(rollout.n_requests)) } else { String::new() };
    let mut text = row("traffic", *share, Ink::Bold, format!("version {candidate}{n_requests}"));
    text.push_str(&row("", 1.0 - share, Ink::Faint, format!("version {stable}")));
    if *shadow_share > 0.0 {
        let what = format!("copied to version {candidate}, {} in this step", count(rollout.n_shadowed));
        text.push_str(&row("copies", *shadow_share, Ink::Bold, what));
    }
    text
}

/// Rules on their way to a verdict, and proofs on their way to the promotion.
fn evidence(rollout: &Rollout, paint: Paint) -> String {
    let mut text = String::new();
    if !rollout.rules.is_empty() {
        text.push_str(
            &paint.with(Ink::Faint, "\nevidence of harm: a full bar trips the rule (log E of its threshold)\n"),
        );
    }
    text.extend(rollout.rules.iter().map(|rule| rule_row(rule, paint)));
    let Some(evidence) = &rollout.evidence else { return text };
    if !rollout.rules.is_empty() {
        let sum = &evidence.all_rules;
        let is_tripped = matches!((sum.log_e, sum.threshold), (Some(e), Some(t)) if e >= t);
        text.push_str(&bar_row(
            "all together",
            (sum.log_e, sum.threshold),
            ink_of(is_tripped),
            "full: it is rolled back",
            paint,
        ));
    }
    if !evidence.proofs.is_empty() {
        text.push_str(&paint.with(Ink::Faint, "\nproof of health: a full bar completes it\n"));
    }
    text.extend(evidence.proofs.iter().map(|proof| proof_row(proof, paint)));
    text
}

fn rule_row(rule: &RolloutRule, paint: Paint) -> String {
    let action = match (rule.on_failure.as_str(), rule.tripped) {
        ("rollback", true) => "; TRIPPED".to_owned(),
        ("rollback", false) => String::new(),
        (action, true) => format!("; TRIPPED: {action}"),
        (action, false) => format!("; would only {action}"),
    };
    let counts = format!("{}{action}", rule.counts);
    bar_row(&rule.rule, (rule.log_e, rule.threshold), ink_of(rule.tripped), &counts, paint)
}

fn proof_row(proof: &RolloutProof, paint: Paint) -> String {
    let (ink, left) = if proof.proven {
        (Ink::Good, "proven".to_owned())
    } else {
        (Ink::Bold, format!("{} clean requests more", count(proof.clean_requests_needed)))
    };
    bar_row(&proof.of, (proof.log_e, proof.threshold), ink, &left, paint)
}

fn ink_of(is_tripped: bool) -> Ink {
    if is_tripped { Ink::Bad } else { Ink::Waiting }
}

fn bar_row(name: &str, (value, full): (Option<f64>, Option<f64>), ink: Ink, words: &str, paint: Paint) -> String {
    let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
    let bar = paint.with(ink, &bar(value, full));
    let figures = format!("{} of {}", figure(value), figure(full));
    format!("  {name:<RULES$}[{bar}] {figures:>16}  {words}\n")
}

/// What it waits for and until when; when it is over, how it ended.
fn outlook(rollout: &Rollout, now_unix_ms: u64, paint: Paint) -> String {
    let mut text = String::new();
    let mut row = |name: &str, what: &str| text.push_str(&format!("{}{what}\n", label(name)));
    if let Some(waits_for) = &rollout.waits_for {
        row("now", &paint.with(Ink::Bold, waits_for));
        row("this step", &left(rollout.step_left_ms, now_unix_ms));
        row("the whole", &left(rollout.whole_left_ms, now_unix_ms));
    }
    if !rollout.note.is_empty() {
        row("last", &rollout.note);
    }
    if let Some(next) = rollout.next {
        row("next", &format!("version {next}"));
    }
    if rollout.waits_for.is_none() {
        row("report", &format!("switchrail rollout report {} --number {}", rollout.model, rollout.number));
    }
    text
}

fn left(left_ms: Option<u64>, now_unix_ms: u64) -> String {
    match left_ms {
        None => "nobody can say when: it depends on people, or on traffic that does not come".to_owned(),
        Some(0) => "due now".to_owned(),
        Some(ms) => {
            let whole_seconds = Duration::from_secs(ms.div_ceil(1000));
            let until = time::rfc3339(now_unix_ms.saturating_add(ms));
            let until = until.split('.').next().unwrap_or(&until).replace('T', " ");
            format!("about {} more if all goes well, until {until} UTC", time::span(whole_seconds))
        }
    }
}

/// How far a value has come on its way; nothing and less than nothing are an empty bar.
fn bar(value: Option<f64>, full: Option<f64>) -> String {
    let part = match (value, full) {
        (Some(value), Some(full)) if full > 0.0 => (value / full).clamp(0.0, 1.0),
        _ => 0.0,
    };
    // The last place is for what is full, the first for what has begun.
    let filled = match part {
        0.0 => 0,
        part if part >= 1.0 => BAR,
        part => ((part * BAR as f64).round() as usize).clamp(1, BAR - 1),
    };
    "█".repeat(filled) + &"░".repeat(BAR - filled)
}

fn label(name: &str) -> String {
    format!("{name:<NAMES$}")
}

#[cfg(test)]
mod tests;
