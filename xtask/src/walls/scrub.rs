//! Rust source without what only looks like code: comments, the contents of literals, and tests.

/// Blanks comments and the contents of literals; lines stay where they are.
pub fn scrub(source: &str) -> String {
    let bytes: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            ('/', Some('/')) => line_end(&bytes, at),
            ('/', Some('*')) => comment_end(&bytes, at),
            ('"', _) => string_end(&bytes, at + 1),
            ('r', Some('"' | '#')) if !is_word_before(&bytes, at) => raw_string_end(&bytes, at),
            ('\'', _) => char_end(&bytes, at),
            _ => at,
        };
        if end == at {
            out.push(bytes[at]);
            at += 1;
        } else {
            out.extend(bytes[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Scrubbed source without items under `#[cfg(test)]`, and the names of the modules such items declare.
pub fn without_tests(scrubbed: &str) -> (String, Vec<String>) {
    const MARK: &str = "#[cfg(test)]";
    let (mut kept, mut modules) = (String::new(), Vec::new());
    let mut rest = scrubbed;
    while let Some(start) = rest.find(MARK) {
        kept.push_str(&rest[..start]);
        let item = &rest[start + MARK.len()..];
        let (length, module) = item_length(item);
        modules.extend(module);
        // Line numbers stay right.
        kept.extend(rest[start..start + MARK.len() + length].chars().filter(|c| *c == '\n'));
        rest = &item[length..];
    }
    kept.push_str(rest);
    (kept, modules)
}

/// How long an item is, to its semicolon or closing brace; and the module it declares in another file.
fn item_length(item: &str) -> (usize, Option<String>) {
    let mut depth = 0usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return (at + 1, None);
                }
            }
            ';' if depth == 0 => {
                let mut words = item[..at].split_whitespace().rev();
                let (name, keyword) = (words.next(), words.next());
                return (at + 1, name.filter(|_| keyword == Some("mod")).map(ToOwned::to_owned));
            }
            _ => {}
        }
    }
    (item.len(), None)
}

/// Lines, counted from 1, on which a word stands.
pub fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let has = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
            // A word that ends in punctuation ends there.
            let ends = word.ends_with(is_word);
            !(before.is_some_and(is_word) || ends && after.is_some_and(is_word))
        })
    };
    code.lines().enumerate().filter(|(_, line)| has(line)).map(|(index, _)| index + 1).collect()
}

fn is_word_before(bytes: &[char], at: usize) -> bool {
    // `br"…"` is a raw string as well.
    let before = at.checked_sub(1).map(|i| bytes[i]);
    before.is_some_and(|c| (c.is_alphanumeric() || c == '_') && c != 'b')
}

fn line_end(bytes: &[char], at: usize) -> usize {
    (at..bytes.len()).find(|i| bytes[*i] == '\n').unwrap_or(bytes.len())
}

fn comment_end(bytes: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

fn string_end(bytes: &[char], start: usize) -> usize {
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of `r"…"` or `r#"…"#`; the start itself when it is neither, as in `r#type`.
fn raw_string_end(bytes: &[char], start: usize) -> usize {
    let n_hashes = bytes[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + n_hashes;
    if bytes.get(open) != Some(&'"') {
        return start;
    }
    let is_close =
        |i: &usize| bytes[*i] == '"' && bytes[i + 1..].iter().take(n_hashes).filter(|c| **c == '#').count() == n_hashes;
    (open + 1..bytes.len()).find(is_close).map_or(bytes.len(), |i| i + 1 + n_hashes)
}

/// The end of a character; the start itself for a lifetime.
fn char_end(bytes: &[char], start: usize) -> usize {
    match (bytes.get(start + 1), bytes.get(start + 2)) {
        (Some('\\'), _) => (start + 3..bytes.len()).find(|i| bytes[*i] == '\'').map_or(bytes.len(), |i| i + 1),
        (Some(_), Some('\'')) => start + 3,
        _ => start,
    }
}

#[cfg(test)]
mod tests;
