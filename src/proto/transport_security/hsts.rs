//! `Strict-Transport-Security` (RFC 6797): what a server asks for, and what becomes of a URL when it did.

use super::host::without_root;
use url::{Host, Url};

/// What a server asks for: its host, for so long, by https only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StrictTransport {
    /// In seconds. 0 takes back what was asked for before.
    pub(crate) max_age: u64,
    /// The same for the names below it.
    pub(crate) include_subdomains: bool,
}

/// How long a field may be. What is longer is none.
const MOST_BYTES: usize = 4096;

/// Reads a field's value. None if it is malformed, and then it asks for nothing (section 8.1): without `max-age`,
/// or with one of the known directives twice, or with a value where there is none. What is not known is passed
/// over (section 6.1).
pub(crate) fn parse(value: &[u8]) -> Option<StrictTransport> {
    if value.len() > MOST_BYTES {
        return None;
    }
    let mut rest = std::str::from_utf8(value).ok()?;
    let (mut max_age, mut include_subdomains) = (None, false);
    loop {
        rest = trim(rest);
        if let Some(next) = rest.strip_prefix(';') {
            rest = next;
            continue;
        }
        if rest.is_empty() {
            break;
        }
        let (name, after) = token(rest)?;
        rest = trim(after);
        let mut value = None;
        if let Some(after) = rest.strip_prefix('=') {
            let (found, after) = value_of(trim(after))?;
            value = Some(found);
            rest = trim(after);
        }
        if !rest.is_empty() && !rest.starts_with(';') {
            return None;
        }
        let is_wrong = if name.eq_ignore_ascii_case("max-age") {
            max_age.replace(seconds(value?)?).is_some()
        } else if name.eq_ignore_ascii_case("includesubdomains") {
            value.is_some() || std::mem::replace(&mut include_subdomains, true)
        } else {
            false
        };
        if is_wrong {
            return None;
        }
    }
    Some(StrictTransport { max_age: max_age?, include_subdomains })
}

/// The name by which a host is remembered, if it can be: not by an address (section 8.1.1), and not that
/// of this machine, where every program has its servers.
pub(crate) fn name_of<'a>(host: &Host<&'a str>) -> Option<&'a str> {
    let Host::Domain(name) = host else { return None };
    let name = without_root(name);
    let is_this_machine = name == "localhost" || name.ends_with(".localhost");
    (!name.is_empty() && !is_this_machine).then_some(name)
}

/// Makes a cleartext URL a secure one (section 8.3): port 80 becomes 443, others stay. False if it is none.
pub(crate) fn upgrade(url: &mut Url) -> bool {
    // The port of a scheme is not named in a URL of that scheme, and so goes with it.
    url.scheme() == "http" && url.set_scheme("https").is_ok()
}

fn trim(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// A token, and what is behind it.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A token or a quoted string, without the quotes, and what is behind it. No known value has anything in it
/// that is quoted, so a quoted pair stays as it is.
fn value_of(text: &str) -> Option<(&str, &str)> {
    let Some(quoted) = text.strip_prefix('"') else { return token(text) };
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((&quoted[..at], &quoted[at + 1..])),
            _ => {}
        }
    }
    None
}

/// A number, as large as there is one.
fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(value: &str) -> Option<(u64, bool)> {
        parse(value.as_bytes()).map(|asked| (asked.max_age, asked.include_subdomains))
    }

    #[test]
    fn what_is_well_formed() {
        // The examples of section 6.2, and what its grammar allows besides.
        for (value, expected) in [
            ("max-age=31536000", (31_536_000, false)),
            ("max-age=15768000 ; includeSubDomains", (15_768_000, true)),
            ("max-age=\"31536000\"", (31_536_000, false)),
            ("max-age=0", (0, false)),
            ("max-age=0; includeSubDomains", (0, true)),
            ("MAX-AGE=1;INCLUDESUBDOMAINS", (1, true)),
            (";; includeSubDomains ;; max-age = 5 ;;", (5, true)),
            ("max-age=5; preload", (5, false)),
            ("max-age=5; x=\"a;b\\\"c;max-age=9\"; y=z; y=z", (5, false)),
            ("max-age=99999999999999999999999", (u64::MAX, false)),
            ("max-age=007", (7, false)),
        ] {
            assert_eq!(asks(value), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_malformed_asks_for_nothing() {
        for value in [
            "",
            ";",
            "includeSubDomains",
            "max-age",
            "max-age=",
            "max-age=\"\"",
            "max-age=-1",
            "max-age=+1",
            "max-age=1.5",
            "max-age=1e3",
            "max-age=x",
            "max-age=\"1",
            "max-age=1 2",
            "max-age=1, max-age=2",
            "max-age=1; max-age=1",
            "max-age=1; includeSubDomains; includesubdomains",
            "max-age=1; includeSubDomains=1",
            "max-age=1; =",
            "max-age=1; é",
            "max-age=1; x=\"",
        ] {
            assert_eq!(asks(value), None, "{value}");
        }
        assert_eq!(parse(b"max-age=1; \xff"), None);
        assert_eq!(asks(&format!("max-age=1;{}", " ".repeat(MOST_BYTES))), None);
    }

    #[test]
    fn urls_become_secure() {
        for (url, expected) in [
            ("http://example.com/a?b#c", "https://example.com/a?b#c"),
            ("http://example.com:80/", "https://example.com/"),
            ("http://example.com:8080/", "https://example.com:8080/"),
            ("http://example.com:443/", "https://example.com/"),
            ("http://u:p@example.com/", "https://u:p@example.com/"),
        ] {
            let mut url = Url::parse(url).unwrap();
            assert!(upgrade(&mut url));
            assert_eq!(url.as_str(), expected);
            assert!(!upgrade(&mut url));
        }
    }

    #[test]
    fn addresses_and_this_machine_are_not_remembered() {
        let name = |url: &str| {
            let url = Url::parse(url).unwrap();
            url.host().and_then(|host| name_of(&host).map(str::to_owned))
        };
        assert_eq!(name("https://Example.COM./").as_deref(), Some("example.com"));
        assert_eq!(name("https://intranet/").as_deref(), Some("intranet"));
        for url in ["https://127.0.0.1/", "https://[::1]/", "https://localhost/", "https://a.localhost./"] {
            assert_eq!(name(url), None, "{url}");
        }
    }
}
