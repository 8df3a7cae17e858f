//! Whether a cookie may be set from where it came (section 5.7, but for what depends on other cookies).

use super::matching::{default_path, domain_matches, is_secure, is_web};
use super::set_cookie::SetCookie;
use crate::cookie::{Cookie, Flags, LONGEST_ATTRIBUTE, SameSite};
use crate::proto::public_suffix::PublicSuffixes;
use http::HeaderMap;
use http::header::SET_COOKIE;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use url::Url;

/// No cookie lives longer (section 5.5): 400 days.
const LONGEST_LIFE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Why a cookie is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has a control character.
    Control,
    /// It has neither a name nor a value.
    Empty,
    TooLong,
    /// It is for a domain that its host is not in.
    ForeignDomain,
    /// It is for all of a public suffix.
    PublicSuffix,
    /// It is secure, and came over a connection that is not.
    NotSecure,
    /// It came over a connection that is not secure, and would be taken for one that is.
    OverSecure,
    /// It is not for requests from other sites, and came from one.
    CrossSite,
    /// It is for requests from other sites, and not secure.
    SameSiteNone,
    /// Its name promises what is not so.
    Prefix,
    /// It came by something else than HTTP.
    NotHttp,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Control => "it has a control character",
            Refusal::Empty => "it has neither a name nor a value",
            Refusal::TooLong => "its name and value have more than 4,096 bytes",
            Refusal::ForeignDomain => "its domain is not one of the host's",
            Refusal::PublicSuffix => "its domain is a public suffix",
            Refusal::NotSecure => "it is secure, and came over a connection that is not",
            Refusal::OverSecure => {
                "it would be taken for a secure one, and came over a connection that is not"
            }
            Refusal::CrossSite => "another site caused the request, and it is not SameSite=None",
            Refusal::SameSiteNone => "it is SameSite=None and not secure",
            Refusal::Prefix => "its name has a prefix that promises what is not so",
            Refusal::NotHttp => "its URL is not of HTTP",
        })
    }
}

/// The cookies that a response sets, in its order. `cross_site`: another site caused the request.
pub(crate) fn received<'a>(
    headers: &'a HeaderMap,
    url: &'a Url,
    cross_site: bool,
    suffixes: &'a PublicSuffixes,
    now: SystemTime,
) -> impl Iterator<Item = Cookie> + 'a {
    headers.get_all(SET_COOKIE).iter().filter_map(move |field| {
        let cookie = SetCookie::parse(field.as_bytes());
        match cookie.and_then(|cookie| admit(cookie, url, cross_site, suffixes, now)) {
            Ok(cookie) => Some(cookie),
            Err(refusal) => {
                // Not what it is: the value may be anything, and so may the name.
                log::debug!("a cookie of {} was ignored: {refusal}", url.host_str().unwrap_or_default());
                None
            }
        }
    })
}

/// The cookie that is set.
pub(super) fn admit(
    set: SetCookie,
    url: &Url,
    cross_site: bool,
    suffixes: &PublicSuffixes,
    now: SystemTime,
) -> Result<Cookie, Refusal> {
    let Some(host) = url.host_str().filter(|_| is_web(url)) else { return Err(Refusal::NotHttp) };
    if host.starts_with('.') {
        return Err(Refusal::ForeignDomain);
    }
    let domain = match set.domain {
        // The host of a public suffix may have cookies for itself.
        Some(domain) if suffixes.is_public_suffix(&domain) => {
            if domain != host {
                return Err(Refusal::PublicSuffix);
            }
            None
        }
        domain => domain,
    };
    if domain.as_deref().is_some_and(|domain| !domain_matches(host, domain)) {
        return Err(Refusal::ForeignDomain);
    }
    if set.secure && !is_secure(url) {
        return Err(Refusal::NotSecure);
    }
    if cross_site && set.same_site != Some(SameSite::None) {
        return Err(Refusal::CrossSite);
    }
    let is_root = set.path.as_deref() == Some("/");
    let expires = match (set.max_age, set.expires) {
        (Some(age), _) => Some(after(now, age)),
        (None, Some(date)) => Some(at(date)),
        (None, None) => None,
    };
    let last = now.checked_add(LONGEST_LIFE).unwrap_or(now);
    let cookie = Cookie {
        name: set.name,
        value: set.value,
        flags: Flags {
            secure: set.secure,
            http_only: set.http_only,
            host_only: domain.is_none(),
            latin1: set.latin1,
        },
        domain: domain.unwrap_or_else(|| host.to_owned()),
        path: set.path.unwrap_or_else(|| shortened(default_path(url.path())).to_owned()),
        expires: expires.map(|expires| expires.min(last)),
        same_site: set.same_site,
    };
    check_prefix(&cookie, is_root)?;
    Ok(cookie)
}

/// What names and `SameSite` promise has to be so. `is_root`: it was said that the path is `/`.
pub(crate) fn check_prefix(cookie: &Cookie, is_root: bool) -> Result<(), Refusal> {
    if cookie.same_site == Some(SameSite::None) && !cookie.flags.secure {
        return Err(Refusal::SameSiteNone);
    }
    let has = |text: &str, prefix: &str| {
        text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    let (secure, host) = ("__Secure-", "__Host-");
    // Without a name, a value is sent as if it were name and value.
    if cookie.name.is_empty() && (has(&cookie.value, secure) || has(&cookie.value, host)) {
        return Err(Refusal::Prefix);
    }
    let flags = cookie.flags;
    if has(&cookie.name, secure) && !flags.secure {
        return Err(Refusal::Prefix);
    }
    if has(&cookie.name, host) && !(flags.secure && flags.host_only && is_root) {
        return Err(Refusal::Prefix);
    }
    Ok(())
}

/// Of a path that is longer than an attribute may be, the directory that is not.
fn shortened(path: &str) -> &str {
    match path.as_bytes().get(..LONGEST_ATTRIBUTE) {
        Some(start) if path.len() > LONGEST_ATTRIBUTE => {
            let end = start.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
            path.get(..end.max(1)).unwrap_or("/")
        }
        _ => path,
    }
}

/// So many seconds from then on; what is not above zero is over.
fn after(now: SystemTime, seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => {
            now.checked_add(Duration::from_secs(seconds).min(LONGEST_LIFE)).unwrap_or(now)
        }
        _ => UNIX_EPOCH,
    }
}

/// So many seconds since 1970; all that is before is as good as that.
fn at(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
