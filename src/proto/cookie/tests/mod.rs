//! What the RFC says, section by section.

mod admission;
mod files;
mod jar;
mod parsing;

use super::*;
use crate::cookie::Cookie;
use crate::proto::public_suffix::PublicSuffixes;

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use url::Url;

use super::admission::admit;
use super::set_cookie::SetCookie;

const SUFFIXES: PublicSuffixes = PublicSuffixes::built_in();
const URL: &str = "https://www.example.com/a/b";

/// So many seconds after some day.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn url(text: &str) -> Url {
    Url::parse(text).expect(text)
}

/// The cookie that a field sets if it comes from there.
fn from(address: &str, field: &str) -> Result<Cookie, Refusal> {
    SetCookie::parse(field.as_bytes()).and_then(|set| admit(set, &url(address), false, &SUFFIXES, at(0)))
}

fn asked(url: &Url) -> Asked<'_> {
    Asked {
        host: url.host_str().expect("a host"),
        path: url.path(),
        secure: url.scheme() == "https",
        cross_site: false,
    }
}
