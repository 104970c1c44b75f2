//! Percent-encoding of paths and query strings.

use std::borrow::Cow;

/// Decodes `%41`; `None` when an escape is broken or the result is not text.
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = tail else { return None };
        let digit = |b: u8| char::from(b).to_digit(16);
        bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
        rest = after;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// The first value of a parameter of a query string, where `+` is a space.
pub fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (form_decode(key)? == name).then(|| form_decode(value))?
    })
}

fn form_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return decode(text);
    }
    decode(&text.replace('+', " ")).map(|decoded| Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_or_refused() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(decode(text).as_deref(), expected, "{text}");
        check("plain+", Some("plain+"));
        check("a%20b%2Fc%c3%A9", Some("a b/cé"));
        for broken in ["%", "%4", "%zz", "%+1", "%ff"] {
            check(broken, None);
        }
    }

    #[test]
    fn the_first_value_of_a_query_parameter_counts() {
        let check = |query: &str, expected: Option<&str>| {
            assert_eq!(query_value(query, "user").as_deref(), expected, "{query}");
        };
        check("user=a", Some("a"));
        check("x=1&user=a+b%2B&user=c", Some("a b+"));
        check("us%65r=a", Some("a"));
        check("user", Some(""));
        check("", None);
        check("users=a", None);
        check("user=%ff", None);
    }
}
