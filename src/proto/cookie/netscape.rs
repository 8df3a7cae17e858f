//! The cookie file of Netscape, which curl and many others read and write: a cookie a line, its fields
//! divided by tabs.
//!
//! ```text
//! [#HttpOnly_][.]domain  for all below  path  secure  ends, or 0  name  value
//! ```

use crate::cookie::{Cookie, Flags, check};
use crate::proto::public_suffix::PublicSuffixes;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use url::Host;

const HTTP_ONLY: &[u8] = b"#HttpOnly_";

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Cookie(Box<Cookie>),
    /// A comment, or empty.
    Nothing,
    Bad,
}

/// Reads a line, without its end.
pub(crate) fn read_line(line: &[u8], suffixes: &PublicSuffixes) -> Line {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (line, http_only) = match line.strip_prefix(HTTP_ONLY) {
        Some(rest) => (rest, true),
        None if line.starts_with(b"#") || line.trim_ascii().is_empty() => return Line::Nothing,
        None => (line, false),
    };
    match cookie(line, http_only, suffixes) {
        Some(cookie) => Line::Cookie(Box::new(cookie)),
        None => Line::Bad,
    }
}

fn cookie(line: &[u8], http_only: bool, suffixes: &PublicSuffixes) -> Option<Cookie> {
    let mut fields = line.splitn(7, |&byte| byte == b'\t');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let (domain, below, path, secure, ends) = (text()?, flag(text()?)?, text()?, flag(text()?)?, text()?);
    // An empty value may be left out with its tab.
    let (name, value) = (fields.next()?, fields.next().unwrap_or_default());
    let domain = Host::parse(domain.strip_prefix('.').unwrap_or(domain)).ok()?.to_string();
    // `localhost` has nothing below it either.
    let is_suffix = suffixes.is_public_suffix(&domain);
    if below && is_suffix && domain.contains('.') {
        return None;
    }
    let expires = match ends.parse().ok()? {
        0 => None,
        seconds => Some(UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?),
    };
    let (name, value, latin1) = match (std::str::from_utf8(name), std::str::from_utf8(value)) {
        (Ok(name), Ok(value)) => (name.to_owned(), value.to_owned(), false),
        _ => (latin1(name), latin1(value), true),
    };
    let cookie = Cookie {
        name,
        value,
        domain,
        // Some write none where they mean all.
        path: if path.is_empty() { "/".into() } else { path.into() },
        expires,
        same_site: None,
        flags: Flags { secure, http_only, host_only: !below || is_suffix, latin1 },
    };
    check(&cookie).is_none().then_some(cookie)
}

/// Adds a cookie as a line. False if it cannot be one: it has a tab, or no name, which others take for a
/// cookie without a value.
pub(crate) fn write_line(cookie: &Cookie, out: &mut Vec<u8>) -> bool {
    let has_tab = [&cookie.name, &cookie.value, &cookie.path].iter().any(|text| text.contains('\t'));
    if has_tab || cookie.name.is_empty() {
        return false;
    }
    if cookie.flags.http_only {
        out.extend_from_slice(HTTP_ONLY);
    }
    let below = !cookie.flags.host_only;
    let flag = |is| if is { "TRUE" } else { "FALSE" };
    let dot = if below { "." } else { "" };
    let line = format!(
        "{dot}{}\t{}\t{}\t{}\t{}\t",
        cookie.domain,
        flag(below),
        cookie.path,
        flag(cookie.flags.secure),
        ends(cookie)
    );
    out.extend_from_slice(line.as_bytes());
    cookie.push_text(&cookie.name, out);
    out.push(b'\t');
    cookie.push_text(&cookie.value, out);
    out.push(b'\n');
    true
}

/// Never 0, which is the end of the session.
fn ends(cookie: &Cookie) -> u64 {
    let seconds =
        |ends: SystemTime| ends.duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs().max(1));
    cookie.expires.map_or(0, seconds)
}

fn flag(text: &str) -> Option<bool> {
    match () {
        () if text.eq_ignore_ascii_case("true") => Some(true),
        () if text.eq_ignore_ascii_case("false") => Some(false),
        () => None,
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
