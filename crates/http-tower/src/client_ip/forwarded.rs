//! Parses the headers in which proxies name the addresses of their clients.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use http::{HeaderMap, HeaderName, header};

use crate::bounds::MAX_FORWARDED_LENGTH;

/// The client of a proxy, or `None` if the proxy does not name its address.
pub(super) type Hop = Option<IpAddr>;

/// The white space in and around the elements of a list (RFC 9110, section 5.6.3).
const WHITE_SPACE: [char; 2] = [' ', '\t'];

/// Returns the hops in `Forwarded`, the client of the last proxy last. `None` without the header.
pub(super) fn forwarded(headers: &HeaderMap) -> Option<Vec<Hop>> {
    // A malformed line is one unknown hop. No part of it can be trusted: the end of each element
    // depends on the quotes before it, which the client may have written.
    hops(headers, &header::FORWARDED, |line| {
        elements(line).unwrap_or_else(|| vec![None])
    })
}

/// Returns the hops in `X-Forwarded-For`, the client of the last proxy last. `None` without the
/// header.
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Hop>> {
    let name = HeaderName::from_static("x-forwarded-for");
    hops(headers, &name, |line| {
        let entries = line.split(',').map(|entry| entry.trim_matches(WHITE_SPACE));
        entries
            .map(|entry| entry.parse().ok().or_else(|| node(entry)))
            .collect()
    })
}

/// Returns the hops in all lines of a header.
fn hops(headers: &HeaderMap, name: &HeaderName, read: fn(&str) -> Vec<Hop>) -> Option<Vec<Hop>> {
    let lines = headers.get_all(name);
    let length: usize = lines.iter().map(|line| line.len()).sum();
    if length > MAX_FORWARDED_LENGTH {
        return Some(vec![None]);
    }
    let hops = lines.iter().flat_map(|line| match line.to_str() {
        Ok(line) => read(line),
        Err(_) => vec![None],
    });
    headers.contains_key(name).then(|| hops.collect())
}

/// Parses a line of `Forwarded` (RFC 7239, section 4). White space around a semicolon is accepted,
/// because proxies write it.
fn elements(line: &str) -> Option<Vec<Hop>> {
    let mut elements = Vec::new();
    let mut rest = line;
    loop {
        let (element, after) = element(rest)?;
        elements.push(element);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None => return after.is_empty().then_some(elements),
        }
    }
}

/// Parses an element. Returns its `for`, if that is an address, and the rest of the line.
fn element(text: &str) -> Option<(Hop, &str)> {
    let mut client = None;
    let mut rest = text.trim_start_matches(WHITE_SPACE);
    loop {
        if !rest.is_empty() && !rest.starts_with([';', ',']) {
            let (name, after) = token(rest)?;
            let (value, after) = value(after.strip_prefix('=')?)?;
            if name.eq_ignore_ascii_case("for") && client.replace(value).is_some() {
                return None;
            }
            rest = after.trim_start_matches(WHITE_SPACE);
        }
        match rest.strip_prefix(';') {
            Some(after) => rest = after.trim_start_matches(WHITE_SPACE),
            None => return Some((client.and_then(|client| node(&client)), rest)),
        }
    }
}

/// Splits off a token (RFC 9110, section 5.6.2).
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.bytes().position(|byte| !is_token(byte));
    let (token, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
    (!token.is_empty()).then_some((token, rest))
}

/// Splits off a token or a quoted string (RFC 9110, section 5.6.4).
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, rest) = token(text)?;
        return Some((token.into(), rest));
    };
    let mut value = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '"' => return Some((value.into(), rest.as_str())),
            '\\' => value.push(rest.next()?),
            character => value.push(character),
        }
    }
}

/// Parses the address in a node (RFC 7239, section 6): an IPv4 address, or an IPv6 address in
/// brackets, each with or without a port.
fn node(text: &str) -> Hop {
    let Some(bracketed) = text.strip_prefix('[') else {
        let (address, port) = match text.split_once(':') {
            Some((address, port)) => (address, Some(port)),
            None => (text, None),
        };
        let address: Ipv4Addr = address.parse().ok()?;
        return port.is_none_or(is_port).then_some(address.into());
    };
    let (address, after) = bracketed.split_once(']')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let is_valid = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
    is_valid.then_some(address.into())
}

/// Whether a text is a port, or an obfuscated one.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(hidden) => {
            let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !hidden.is_empty() && hidden.bytes().all(is_valid)
        }
        None => text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok(),
    }
}
