//! Changes as they are in a cookie file of ours: a byte that says what it is, and then
//!
//! | | |
//! |---|---|
//! | 1, a cookie | flags; seconds since 1970 at which it ends, microseconds since 1970 at which it came (8 bytes each); name, value, domain, path |
//! | 2, one that is gone | flags; name, domain, path |
//!
//! Numbers have the least byte first; a text is its length in 2 bytes and itself in UTF-8, or in ISO-8859-1 if it
//! came so.

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
            for text in [&cookie.name, &cookie.value] {
                // As it came: a cookie takes no more room than it may have.
                let mut bytes = Vec::with_capacity(text.len());
                cookie.push_text(text, &mut bytes);
                push_bytes(&mut record, &bytes);
            }
            for text in [&cookie.domain, &cookie.path] {
                push_bytes(&mut record, text.as_bytes());
            }
            record
        }
        Change::Removed(key) => {
            let mut record = vec![REMOVED, if key.host_only { HOST_ONLY } else { 0 }];
            for text in [&key.name, &key.domain, &key.path] {
                push_bytes(&mut record, text.as_bytes());
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
            let latin1 = flags & LATIN1 != 0;
            let cookie = Cookie {
                name: rest.text_of(latin1)?,
                value: rest.text_of(latin1)?,
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
                    latin1,
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

fn push_bytes(record: &mut Vec<u8>, bytes: &[u8]) {
    // No cookie has longer ones.
    let length = u16::try_from(bytes.len()).unwrap_or(0);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(bytes.get(..usize::from(length)).unwrap_or_default());
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

    fn bytes(&mut self) -> Option<&[u8]> {
        let length = usize::from(u16::from_le_bytes(self.take()?));
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }

    /// Of which each byte is a character, or in UTF-8.
    fn text_of(&mut self, latin1: bool) -> Option<String> {
        if latin1 { Some(self.bytes()?.iter().copied().map(char::from).collect()) } else { self.text() }
    }
}
