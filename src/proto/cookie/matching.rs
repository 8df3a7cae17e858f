//! Which hosts and paths a cookie is for (section 5.1), and what belongs together as one site (5.2).

use crate::proto::public_suffix::PublicSuffixes;
use url::{Host, Url};

/// Section 5.1.3. Both are canonical: as they are in a URL.
pub(super) fn domain_matches(host: &str, domain: &str) -> bool {
    match host.strip_suffix(domain) {
        Some("") => true,
        Some(before) => before.ends_with('.') && !is_address(host),
        None => false,
    }
}

/// Section 5.1.4.
pub(super) fn path_matches(path: &str, cookie: &str) -> bool {
    match path.strip_prefix(cookie) {
        Some(rest) => rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

/// The path of a cookie that does not say one (section 5.1.4): that of the URL up to its last slash.
pub(super) fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(end) if end > 0 && path.starts_with('/') => path.get(..end).unwrap_or("/"),
        _ => "/",
    }
}

/// Whether cookies are for this URL at all: they are HTTP's, though the program may answer in a server's
/// place.
pub(crate) fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https" | "ws" | "wss")
}

/// Whether it goes over a connection on which nobody listens. A server on this machine is none: whose it
/// is, a host's name does not tell.
pub(crate) fn is_secure(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "wss")
}

/// What is kept together: all names below one that was registered. A host without such a name is alone.
pub(super) fn site<'a>(host: &'a str, suffixes: &PublicSuffixes) -> &'a str {
    if is_address(host) {
        return host;
    }
    suffixes.registrable_domain(host).unwrap_or(host)
}

/// Whether two URLs are of one site, whose connections are of one kind, too (section 5.2).
pub(crate) fn is_same_site(one: &Url, other: &Url, suffixes: &PublicSuffixes) -> bool {
    is_secure(one) == is_secure(other) && is_same_party(one, other, suffixes)
}

/// Whether two URLs have hosts of one site.
pub(crate) fn is_same_party(one: &Url, other: &Url, suffixes: &PublicSuffixes) -> bool {
    match (one.host_str(), other.host_str()) {
        (Some(one), Some(other)) => site(one, suffixes) == site(other, suffixes),
        _ => false,
    }
}

/// Of a host in its canonical form.
fn is_address(host: &str) -> bool {
    // Names end in a letter, or the parser of URLs has taken them for an address.
    host.ends_with(']')
        || (host.ends_with(|last: char| last.is_ascii_digit() || last == '.')
            && matches!(Host::parse(host), Ok(Host::Ipv4(_))))
}
