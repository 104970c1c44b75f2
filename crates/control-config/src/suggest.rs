//! "Did you mean": the nearest known word to a mistyped one.

/// The known word nearest to what was written, as a hint; `None` when nothing is near.
pub(crate) fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // A long text is no typing mistake, and the comparison is quadratic.
    const CHARS_MAX: usize = 64;
    if written.chars().count() > CHARS_MAX {
        return None;
    }
    let furthest = (written.chars().count() / 3).clamp(1, 3);
    let nearest = known.into_iter().map(|word| (distance(written, word), word)).min()?;
    (nearest.0 <= furthest).then(|| format!("did you mean {:?}?", nearest.1))
}

/// How many insertions, deletions, replacements and swaps of neighbours turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests;
