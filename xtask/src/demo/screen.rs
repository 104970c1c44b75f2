//! What the demo shows: headings, sentences, and a panel that is redrawn in place. Without a terminal the panel
//! becomes a plain line now and then, and there are no colours; `NO_COLOR` takes the colours away anywhere.

use std::env;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Cells of a bar: with what stands around it, a line of the panel has less than 80 columns. A longer one would be
/// broken by the terminal, and the panel would not find its beginning again.
const BAR_CELLS: usize = 22;

/// Columns text is wrapped to.
const COLUMNS: usize = 80;

/// Without a terminal, a panel is written this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(2);

/// A colour or weight of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Headings.
    Bold,
    /// What matters less.
    Dim,
    /// Good news.
    Green,
    /// Bad news.
    Red,
    /// What is under trial.
    Yellow,
    /// What serves.
    Blue,
    /// What a person types.
    Cyan,
}

/// The screen.
#[derive(Debug)]
pub struct Screen {
    is_live: bool,
    has_colour: bool,
    /// Lines of the panel that stand above the cursor.
    n_panel_lines: usize,
    last_plain: Option<Instant>,
    /// Without a terminal: the panel as it stands and was not written yet.
    unwritten: String,
}

impl Screen {
    /// Finds out what stdout can do.
    pub fn new() -> Self {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_live = io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let has_colour = is_live && !is_set("NO_COLOR");
        Self { is_live, has_colour, n_panel_lines: 0, last_plain: None, unwritten: String::new() }
    }

    /// A heading.
    pub fn act(&mut self, title: &str) {
        self.leave_panel();
        println!("\n{}", self.ink(Ink::Bold, &format!("── {title} ──")));
    }

    /// A sentence, wrapped.
    pub fn say(&mut self, text: &str) {
        self.leave_panel();
        println!("{}", wrap(text, "   ", "   ", 3));
    }

    /// A fact that is as it should be.
    pub fn good(&mut self, text: &str) {
        self.leave_panel();
        println!("{}", wrap(text, &format!(" {} ", self.ink(Ink::Green, "✓")), "   ", 3));
    }

    /// What a person would type.
    pub fn command(&mut self, text: &str) {
        self.leave_panel();
        println!("   {}", self.ink(Ink::Cyan, &format!("$ {text}")));
    }

    /// Text of a file or a program, line by line; long lines are broken and go on further in.
    pub fn quote(&mut self, text: &str) {
        self.leave_panel();
        let rule = format!("   {} ", self.ink(Ink::Dim, "│"));
        for line in text.lines() {
            let words = line.trim_start();
            let indent = &line[..line.len() - words.len()];
            println!("{}", wrap(words, &format!("{rule}{indent}"), &format!("{rule}{indent}  "), 7 + indent.len()));
        }
    }

    /// Shows the panel anew.
    pub fn panel(&mut self, lines: &[String]) {
        let text = lines.join("\n");
        if self.is_live {
            let up = if self.n_panel_lines > 0 { format!("\x1b[{}A\x1b[J", self.n_panel_lines) } else { String::new() };
            // One write that ends in a line feed: stdout passes it on at once and without flicker.
            println!("{up}{text}");
            self.n_panel_lines = lines.len();
        } else if self.last_plain.get_or_insert_with(Instant::now).elapsed() >= PLAIN_INTERVAL {
            println!("{text}");
            (self.last_plain, self.unwritten) = (Some(Instant::now()), String::new());
        } else {
            self.unwritten = text;
        }
    }

    /// Leaves the panel as it stands; the next one is drawn below.
    pub fn leave_panel(&mut self) {
        if !self.unwritten.is_empty() {
            println!("{}", std::mem::take(&mut self.unwritten));
        }
        (self.n_panel_lines, self.last_plain) = (0, None);
    }

    /// Text in a colour, if there are colours.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        if !self.has_colour {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Red => "31",
            Ink::Green => "32",
            Ink::Yellow => "33",
            Ink::Blue => "34",
            Ink::Cyan => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A bar that is filled to `share`, 0 to 1.
    pub fn bar(&self, ink: Ink, share: f64) -> String {
        let n_full = (share.clamp(0.0, 1.0) * BAR_CELLS as f64).round() as usize;
        let rest = "·".repeat(BAR_CELLS - n_full);
        format!("{}{}", self.ink(ink, &"█".repeat(n_full)), self.ink(Ink::Dim, &rest))
    }
}

/// A count with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// The end of a long text.
pub fn tail(text: &str, n_columns: usize) -> String {
    let n_chars = text.chars().count();
    if n_chars <= n_columns {
        return text.to_owned();
    }
    format!("…{}", text.chars().skip(n_chars + 1 - n_columns).collect::<String>())
}

/// Breaks text between words. Lines begin with `first` or `others`, which take up to `n_before` columns: not always
/// their length, because colours take none.
fn wrap(text: &str, first: &str, others: &str, n_before: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let n_columns = lines.last().map_or(0, |line| line.chars().count());
        if n_columns > 0 && n_columns + 1 + word.chars().count() > COLUMNS.saturating_sub(n_before) {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    let starts = std::iter::once(first).chain(std::iter::repeat(others));
    lines.iter().zip(starts).map(|(line, start)| format!("{start}{line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
