//! How old a stored response is and how long it is fresh (RFC 9111, section 4.2), with the clock of whoever
//! asks.

use super::directives::{FOREVER, ResponseDirectives, delta_seconds};
use super::stored::Stored;
use crate::proto::date::http_date;
use http::header::{AGE, DATE, EXPIRES, HeaderMap, HeaderName, LAST_MODIFIED};
use std::time::{Duration, SystemTime};

/// The part of its age since its last modification that a response is taken to stay as it is
/// (section 4.2.2), one in so many, and the longest time that is taken for it.
const HEURISTIC_PART: u64 = 10;
const HEURISTIC_MOST: u64 = 24 * 60 * 60;
/// How far the clock may have been set back before what is stored is of no known age.
const CLOCK_BACK: Duration = Duration::from_secs(60);

/// The age of a stored response and the time it is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// Current age (section 4.2.3).
    pub(crate) age: Duration,
    /// Freshness lifetime, in seconds (section 4.2.1).
    pub(crate) lifetime: u64,
}

impl Freshness {
    /// Of a stored response, whose directives are known already.
    pub(crate) fn of(stored: &Stored, directives: &ResponseDirectives, now: SystemTime) -> Self {
        let year = year_of(stored.response_time);
        Freshness { age: age(stored, now, year), lifetime: lifetime(stored, directives, year) }
    }

    pub(crate) fn is_fresh(self) -> bool {
        Duration::from_secs(self.lifetime) > self.age
    }

    /// For how long it has been stale. Zero if it is not.
    pub(crate) fn staleness(self) -> Duration {
        self.age.saturating_sub(Duration::from_secs(self.lifetime))
    }

    /// For how long it stays fresh, in seconds; less than zero if it is stale.
    pub(crate) fn time_to_live(self) -> i64 {
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        signed(self.lifetime).saturating_sub(signed(self.age.as_secs()))
    }
}

/// Whether a status may be taken for fresh although nothing says so (RFC 9110, section 15.1).
pub(super) fn is_heuristically_cacheable(status: http::StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn lifetime(stored: &Stored, directives: &ResponseDirectives, year: i64) -> u64 {
    if let Some(seconds) = directives.max_age {
        return seconds;
    }
    let received = seconds_of(stored.response_time);
    let date = one_date(&stored.headers, &DATE, year).unwrap_or(received);
    if stored.headers.contains_key(EXPIRES) {
        // What is no date, `0` above all, is over (section 5.3).
        let Some(expires) = one_date(&stored.headers, &EXPIRES, year) else { return 0 };
        return u64::try_from(expires.saturating_sub(date)).unwrap_or(0).min(FOREVER);
    }
    if !directives.public && !is_heuristically_cacheable(stored.status) {
        return 0;
    }
    let Some(modified) = one_date(&stored.headers, &LAST_MODIFIED, year) else { return 0 };
    (u64::try_from(date.saturating_sub(modified)).unwrap_or(0) / HEURISTIC_PART).min(HEURISTIC_MOST)
}

fn age(stored: &Stored, now: SystemTime, year: i64) -> Duration {
    let forever = Duration::from_secs(FOREVER);
    let Some(age) = age_value(&stored.headers) else { return forever };
    let resident = match now.duration_since(stored.response_time) {
        Ok(resident) => resident,
        Err(error) if error.duration() <= CLOCK_BACK => Duration::ZERO,
        Err(_) => return forever,
    };
    let apparent = match one_date(&stored.headers, &DATE, year) {
        Some(date) => u64::try_from(seconds_of(stored.response_time).saturating_sub(date)).unwrap_or(0),
        None => 0,
    };
    let delay = stored.response_time.duration_since(stored.request_time).unwrap_or_default();
    let corrected = Duration::from_secs(age).saturating_add(delay);
    Duration::from_secs(apparent).max(corrected).saturating_add(resident).min(forever)
}

/// What other caches say. `None` if that cannot be read: then it may be any age.
///
/// Of a list the first member counts (section 5.1), if somebody has written one. Several lines, also those
/// that were joined on the way, by a comma and a space, are from caches that do not know of each other.
fn age_value(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(AGE).iter();
    let Some(value) = values.next() else { return Some(0) };
    if values.next().is_some() || value.as_bytes().iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    value.as_bytes().split(|&byte| byte == b',').next().and_then(delta_seconds)
}

/// The date in a field, in seconds since 1970. Several that are not the same are none.
fn one_date(headers: &HeaderMap, name: &HeaderName, year: i64) -> Option<i64> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.all(|value| value == first).then(|| http_date(first.as_bytes(), year)).flatten()
}

fn seconds_of(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}

/// About the year of a time: two digits of one are understood by it.
fn year_of(time: SystemTime) -> i64 {
    1970 + seconds_of(time) / 31_556_952
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::date::to_imf_fixdate;
    use http::{HeaderValue, StatusCode, Version};

    const NOW: u64 = 1_700_000_000;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn date(seconds: u64) -> String {
        to_imf_fixdate(seconds).expect("a date")
    }

    fn stored_with(status: u16, fields: &[(&'static str, &str)]) -> Stored {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        Stored {
            status: StatusCode::from_u16(status).expect("a status"),
            version: Version::HTTP_11,
            headers,
            selecting: Vec::new(),
            request_time: at(NOW),
            response_time: at(NOW),
            body_length: 0,
        }
    }

    fn freshness(stored: &Stored, later: u64) -> Freshness {
        Freshness::of(stored, &ResponseDirectives::of(&stored.headers), at(NOW + later))
    }

    fn of(fields: &[(&'static str, &str)]) -> (u64, u64) {
        let freshness = freshness(&stored_with(200, fields), 10);
        (freshness.age.as_secs(), freshness.lifetime)
    }

    #[test]
    fn lifetimes_by_what_says_them() {
        let (today, soon, past) = (date(NOW), date(NOW + 60), date(NOW - 1_000));
        assert_eq!(of(&[("cache-control", "max-age=30"), ("expires", &soon)]).1, 30);
        assert_eq!(of(&[("expires", &soon), ("date", &today)]).1, 60);
        assert_eq!(of(&[("expires", &soon)]).1, 60);
        assert_eq!(of(&[("expires", &soon), ("date", "nonsense")]).1, 60);
        assert_eq!(of(&[("expires", &past), ("date", &today)]).1, 0);
        assert_eq!(of(&[("expires", "0"), ("last-modified", &past), ("date", &today)]).1, 0);
        assert_eq!(of(&[("expires", &soon), ("expires", &past)]).1, 0);
        assert_eq!(of(&[("expires", &soon), ("expires", &soon)]).1, 60);
        assert_eq!(of(&[("expires", "Fri, 31 Dec 9999 23:59:59 GMT")]).1, FOREVER);
        assert_eq!(of(&[("cache-control", "s-maxage=60")]).1, 0);
        assert_eq!(of(&[("cdn-cache-control", "max-age=60")]).1, 0);
        assert_eq!(of(&[]).1, 0);
    }

    #[test]
    fn heuristics() {
        let (today, past) = (date(NOW), date(NOW - 1_000));
        assert_eq!(of(&[("last-modified", &past), ("date", &today)]).1, 100);
        assert_eq!(of(&[("last-modified", &past)]).1, 100);
        assert_eq!(of(&[("last-modified", &date(NOW + 1_000)), ("date", &today)]).1, 0);
        assert_eq!(of(&[("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")]).1, HEURISTIC_MOST);
        let lifetime = |status, control| {
            let stored = stored_with(status, &[("last-modified", &past), ("cache-control", control)]);
            freshness(&stored, 0).lifetime
        };
        assert_eq!(lifetime(404, ""), 100);
        assert_eq!(lifetime(201, ""), 0);
        assert_eq!(lifetime(599, "public"), 100);
    }

    #[test]
    fn ages() {
        assert_eq!(of(&[]).0, 10);
        assert_eq!(of(&[("age", "7")]).0, 17);
        assert_eq!(of(&[("date", &date(NOW - 30))]).0, 40);
        assert_eq!(of(&[("date", &date(NOW - 30)), ("age", "50")]).0, 60);
        assert_eq!(of(&[("date", &date(NOW + 30))]).0, 10);
        assert_eq!(of(&[("age", "99999999999999999999")]).0, FOREVER);
        assert_eq!((of(&[("age", "7,900")]).0, of(&[("age", "900,7")]).0), (17, 910));
        for age in ["", "x", "-1", "1.5", "0, 0", "0;a", "old, 0", "old,0", ",0"] {
            assert_eq!(of(&[("age", age)]).0, FOREVER, "{age}");
        }
        assert_eq!(of(&[("age", "0"), ("age", "0")]).0, FOREVER);
        let slow = Stored { request_time: at(NOW - 5), ..stored_with(200, &[("age", "7")]) };
        assert_eq!(freshness(&slow, 10).age.as_secs(), 22);
    }

    #[test]
    fn a_clock_that_was_set_back() {
        let stored = stored_with(200, &[("cache-control", "max-age=60")]);
        let back = |seconds| {
            Freshness::of(&stored, &ResponseDirectives::of(&stored.headers), at(NOW - seconds)).is_fresh()
        };
        assert!(back(5) && back(60) && !back(61));
    }

    #[test]
    fn fresh_until_its_time_is_over() {
        let stored = stored_with(200, &[("cache-control", "max-age=60")]);
        assert!(freshness(&stored, 59).is_fresh() && !freshness(&stored, 60).is_fresh());
        assert_eq!(freshness(&stored, 59).time_to_live(), 1);
        assert_eq!(freshness(&stored, 70).time_to_live(), -10);
        assert_eq!(freshness(&stored, 70).staleness(), Duration::from_secs(10));
        assert_eq!(freshness(&stored, 7).staleness(), Duration::ZERO);
    }
}
