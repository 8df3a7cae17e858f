//! Changes as they are in a cookie file of ours: a byte that says what it is, and then
//!
//! | | |
//! |---|---|
//! | 1, a cookie | flags; seconds since 1970 at which it ends, microseconds since 1970 at which it came (8 bytes each); name, value, domain, path |
//! | 2, one that is gone | flags; name, domain, path |
//!
//! Numbers have the least byte first; a text is its length in 2 bytes and itself in UTF-8.

use super::jar::{Change, Key};
use crate::cookie::{Cookie, Flags, SameSite, check};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SET: u8 = 1;
const REMOVED: u8 = 2;

const SECURE: u8 = 1;
const HTTP_ONLY: u8 = 2;
const HOST_ONLY: u8 = 4;
const LATIN1: u8 = 8;
/// Two bits from there on.
const SAME_SITE: u32 = 4;

/// A change as it is in a file.
pub(crate) fn encode(change: &Change) -> Vec<u8> {
    match change {
        Change::Set(cookie, created) => {
            let mut record = vec![SET, flags_of(cookie)];
            let since_1970 = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
            // Rounded down: nothing lives longer for having been stored.
            let expires = since_1970(cookie.expires.unwrap_or(UNIX_EPOCH)).as_secs();
            let created = u64::try_from(since_1970(*created).as_micros()).unwrap_or(u64::MAX);
            record.extend_from_slice(&expires.to_le_bytes());
            record.extend_from_slice(&created.to_le_bytes());
            for text in [&cookie.name, &cookie.value, &cookie.domain, &cookie.path] {
                push_text(&mut record, text);
            }
            record
        }
        Change::Removed(key) => {
            let mut record = vec![REMOVED, if key.host_only { HOST_ONLY } else { 0 }];
            for text in [&key.name, &key.domain, &key.path] {
                push_text(&mut record, text);
            }
            record
        }
    }
}

/// What a record says; `None` if it is none of ours.
pub(crate) fn decode(record: &[u8]) -> Option<Change> {
    let mut rest = Rest(record);
    let change = match rest.byte()? {
        SET => {
            let flags = rest.byte()?;
            let expires = UNIX_EPOCH.checked_add(Duration::from_secs(rest.number()?))?;
            let created = UNIX_EPOCH.checked_add(Duration::from_micros(rest.number()?))?;
            let cookie = Cookie {
                name: rest.text()?,
                value: rest.text()?,
                domain: rest.text()?,
                path: rest.text()?,
                expires: Some(expires),
                same_site: match flags >> SAME_SITE & 3 {
                    1 => Some(SameSite::None),
                    2 => Some(SameSite::Lax),
                    3 => Some(SameSite::Strict),
                    _ => None,
                },
                flags: Flags {
                    secure: flags & SECURE != 0,
                    http_only: flags & HTTP_ONLY != 0,
                    host_only: flags & HOST_ONLY != 0,
                    latin1: flags & LATIN1 != 0,
                },
            };
            if check(&cookie).is_some() {
                return None;
            }
            Change::Set(cookie, created)
        }
        REMOVED => {
            let host_only = rest.byte()? & HOST_ONLY != 0;
            Change::Removed(Key { name: rest.text()?, domain: rest.text()?, path: rest.text()?, host_only })
        }
        _ => return None,
    };
    rest.0.is_empty().then_some(change)
}

fn flags_of(cookie: &Cookie) -> u8 {
    let same_site = match cookie.same_site {
        None => 0,
        Some(SameSite::None) => 1,
        Some(SameSite::Lax) => 2,
        Some(SameSite::Strict) => 3,
    };
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    flag(cookie.flags.secure, SECURE)
        | flag(cookie.flags.http_only, HTTP_ONLY)
        | flag(cookie.flags.host_only, HOST_ONLY)
        | flag(cookie.flags.latin1, LATIN1)
        | same_site << SAME_SITE
}

fn push_text(record: &mut Vec<u8>, text: &str) {
    // No cookie has longer ones.
    let length = u16::try_from(text.len()).unwrap_or(0);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(text.as_bytes().get(..usize::from(length)).unwrap_or_default());
}

struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(u16::from_le_bytes(self.take()?));
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}
