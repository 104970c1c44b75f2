//! Numbers as people read them: spans of time, percentages, counts.

/// A span of time with two digits or so: "0.3 s", "55 s", "3.3 minutes", "2 hours", "3 days".
pub(crate) fn span(seconds: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(86_400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "s")];
    if !seconds.is_finite() {
        return "for ever".to_owned();
    }
    // The next larger unit begins at one and a half of it: "90 s" reads better than "1.5 minutes".
    let fits = |(size, _): &&(f64, &str)| seconds >= 1.5 * size || *size <= 1.0;
    let Some((size, unit)) = UNITS.iter().find(fits) else { return String::new() };
    let value = two_digits(seconds / size);
    let plural = if *unit == "s" || value == "1" { "" } else { "s" };
    format!("{value} {unit}{plural}")
}

/// A probability as a percentage: "1 %", "0.1 %", "99.9 %".
pub(crate) fn percent(p: f64) -> String {
    format!("{} %", plain(p * 100.0))
}

/// A count, with a comma for every three digits.
pub(crate) fn count(n: f64) -> String {
    let digits = format!("{:.0}", n.max(0.0));
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Up to four significant digits, without zeros at the end.
pub(crate) fn plain(x: f64) -> String {
    rounded(x, 4)
}

/// Two significant digits below 100, whole numbers above.
pub(crate) fn two_digits(x: f64) -> String {
    if x >= 99.5 { count(x) } else { rounded(x, 2) }
}

fn rounded(x: f64, n_digits: i32) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}").replace("-0", "0");
    }
    let magnitude = x.abs().log10().floor() as i32;
    let n_decimals = (n_digits - 1 - magnitude).clamp(0, 12) as usize;
    let text = format!("{x:.n_decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_in_the_unit_that_fits() {
        let spans = [
            (0.034, "0.034 s"),
            (0.3, "0.3 s"),
            (55.2, "55 s"),
            (89.0, "89 s"),
            (198.0, "3.3 minutes"),
            (7200.0, "2 hours"),
            (259_200.0, "3 days"),
            (86_400.0 * 400.0, "400 days"),
            (f64::INFINITY, "for ever"),
        ];
        for (seconds, want) in spans {
            assert_eq!(span(seconds), want);
        }
    }

    #[test]
    fn numbers_are_short_and_exact_enough() {
        assert_eq!(percent(0.001), "0.1 %");
        assert_eq!(percent(0.999), "99.9 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.05), "5 %");
        assert_eq!(count(1_234_567.0), "1,234,567");
        assert_eq!(count(348.0), "348");
        assert_eq!(plain(0.0), "0");
        assert_eq!(two_digits(114.7), "115");
        assert_eq!(two_digits(6.44), "6.4");
    }
}
