//! Moments as people write them: RFC 3339 in UTC, to the millisecond.

use std::time::Duration;

const DAY_MS: u64 = 86_400_000;
/// The last moment of the year 9999: the format has four digits for the year.
const LAST_UNIX_MS: u64 = 253_402_300_799_999;

/// Writes a moment, given in milliseconds since 1970: `2026-01-02T03:04:05.678Z`.
pub fn rfc3339(unix_ms: u64) -> String {
    let unix_ms = unix_ms.min(LAST_UNIX_MS);
    let (year, month, day) = date(unix_ms / DAY_MS);
    let ms = unix_ms % DAY_MS;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

/// Reads a moment: `2026-01-02`, or `2026-01-02T03:04:05`, with an optional fraction and `Z`, `+hh:mm` or `-hh:mm`.
/// Without an offset it is UTC. `None` when the text is no such moment, or lies before 1970.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        None => (text, None),
        Some((date, time)) => (date, Some(time)),
    };
    let days = i64::try_from(days(date)?).ok()?;
    let ms = time.map_or(Some(0), milliseconds)?;
    u64::try_from(days * DAY_MS as i64 + ms).ok().filter(|ms| *ms <= LAST_UNIX_MS)
}

/// Reads a span of time: `90s`, `30m`, `12h`, `7d`.
pub fn parse_span(text: &str) -> Option<Duration> {
    let seconds = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    number(&text[..text.len() - 1])?.checked_mul(seconds).map(Duration::from_secs)
}

/// Writes a span of time in its two largest units: `3 d 4 h`, `5 min 6 s`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [("d", 86_400, u64::MAX), ("h", 3_600, 24), ("min", 60, 60), ("s", 1, 60)];
    let parts = units.map(|(unit, size, wrap)| (seconds / size % wrap, unit));
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(parts.len() - 1);
    let shown = parts.iter().skip(first).take(2).filter(|(n, unit)| *n > 0 || (seconds == 0 && *unit == "s"));
    shown.map(|(n, unit)| format!("{n} {unit}")).collect::<Vec<_>>().join(" ")
}

/// Year, month and day of a day counted from 1970-01-01. Eras of 400 years, years that begin in March, so that the
/// leap day is the last of a year.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The day counted from 1970-01-01 of a date that exists.
fn days(text: &str) -> Option<u64> {
    let mut parts = text.split('-');
    let (year, month, day) = (fixed(parts.next()?, 4)?, fixed(parts.next()?, 2)?, fixed(parts.next()?, 2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || year < 1970 {
        return None;
    }
    let (year_from_march, month_from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    // The 31st of a month of 30 days comes out as the first of the next.
    (date(days) == (year, month, day)).then_some(days)
}

/// Milliseconds since midnight UTC of a time of day with its offset; may lie in a neighbouring day.
fn milliseconds(text: &str) -> Option<i64> {
    let at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (time, offset) = (text.get(..at)?, text.get(at..)?);
    let offset_minutes = match offset {
        "" | "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let minutes = fixed(hours, 2).filter(|h| *h < 24)? * 60 + fixed(minutes, 2).filter(|m| *m < 60)?;
            if offset.starts_with('-') { -(minutes as i64) } else { minutes as i64 }
        }
    };
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, fraction)| (time, Some(fraction)));
    let mut parts = time.split(':');
    let (hour, minute) = (fixed(parts.next()?, 2)?, fixed(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |s| fixed(s, 2))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let ms = match fraction {
        None => 0,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            number(&format!("{digits:0<3}")[..3])?
        }
        Some(_) => return None,
    };
    Some(((hour * 60 + minute) * 60 + second) as i64 * 1_000 + ms as i64 - offset_minutes * 60_000)
}

/// A number of exactly so many digits.
fn fixed(text: &str, n_digits: usize) -> Option<u64> {
    number(text).filter(|_| text.len() == n_digits)
}

/// Digits only; the standard library would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;
