//! Which URLs a webhook may have. Names are resolved by whoever calls them, and checked there again.

use std::net::{IpAddr, Ipv6Addr};

use thiserror::Error;

const URL_BYTES_MAX: usize = 2_048;

/// Why a URL may not be called.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum UrlError {
    #[error("a URL starts with http:// or https://")]
    Scheme,
    #[error("a URL has at most {URL_BYTES_MAX} characters, all of them printable ASCII without spaces and backslashes")]
    Characters,
    #[error("the URL names no valid host and port")]
    Host,
    #[error("a user name or password in the URL would be logged: leave it out")]
    Credentials,
    #[error("link-local addresses are refused: cloud machines answer there with their own secrets")]
    LinkLocal,
}

/// Checks the form of a URL.
pub(super) fn check_url(url: &str) -> Result<(), UrlError> {
    // Clients differ in what a backslash means; without one, all read the same host.
    let is_url_byte = |b: u8| b.is_ascii_graphic() && b != b'\\';
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or(UrlError::Scheme)?;
    if url.len() > URL_BYTES_MAX || !url.bytes().all(is_url_byte) {
        return Err(UrlError::Characters);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(UrlError::Credentials);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(UrlError::Host)?;
            host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
            (host, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_port = |port: &str| port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok_and(|p| p > 0));
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_name) || !(port.is_empty() || is_port(port)) {
        return Err(UrlError::Host);
    }
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) if ip.is_link_local() => Err(UrlError::LinkLocal),
        Ok(IpAddr::V6(ip)) if ip.is_unicast_link_local() => Err(UrlError::LinkLocal),
        _ => Ok(()),
    }
}
