//! When and how often a task is tried again: a plain value of a configuration or a request, and the
//! rules of it. Knows no clock and no tasks.

use crate::error::ErrorKind;
use crate::proto::date::imf_fixdate;
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Method, StatusCode};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a task that failed is tried again by itself, and after what time.
///
/// What is tried again is what may go better the next time: no connection, a lost one, a resolver
/// that fails, nothing moving for the request timeout, and the statuses 408, 429, 500, 502, 503 and
/// 504. Only requests of idempotent methods (RFC 9110, section 9.2.2), unless
/// [`any_method`](RetryPolicy::any_method) says otherwise, whose body can be sent again; and only as
/// long as nobody has seen anything of the response: a delegate that has its head, or a reader, gets
/// the error. A download goes on where it was, if the server lets it. The task's resource timeout
/// covers all of it.
///
/// The time before each try doubles, up to a maximum, and is varied at random (from half of it to all
/// of it), so that many clients do not come back at once. A `Retry-After` of the server's is waited
/// for instead, if it is not too long.
///
/// ```
/// use std::time::Duration;
/// use urlsession::{Configuration, RetryPolicy};
///
/// let policy = RetryPolicy::new(5).initial_delay(Duration::from_millis(200));
/// let configuration = Configuration::default().retry(policy);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    attempts: u32,
    initial_delay: Duration,
    maximum_delay: Duration,
    longest_retry_after: Duration,
    any_method: bool,
    statuses: bool,
}

impl RetryPolicy {
    /// So many tries after the first one. The first delay is half a second, the longest half a
    /// minute, and a `Retry-After` of a minute at most is waited for.
    pub const fn new(attempts: u32) -> Self {
        RetryPolicy {
            attempts,
            initial_delay: Duration::from_millis(500),
            maximum_delay: Duration::from_secs(30),
            longest_retry_after: Duration::from_secs(60),
            any_method: false,
            statuses: true,
        }
    }

    /// No further try, which is what a configuration has unless another policy is set. A request on a
    /// kept-alive connection that the server had closed is repeated all the same: it did not fail, it
    /// was not there.
    pub const fn none() -> Self {
        RetryPolicy::new(0)
    }

    /// Sets the time before the second try; each later one takes twice as long.
    pub const fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// Sets the longest time before a try.
    pub const fn maximum_delay(mut self, delay: Duration) -> Self {
        self.maximum_delay = delay;
        self
    }

    /// Sets the longest `Retry-After` that is waited for. The response is the result if the server
    /// asks for more.
    pub const fn longest_retry_after(mut self, time: Duration) -> Self {
        self.longest_retry_after = time;
        self
    }

    /// Sets whether a request of any method is tried again. Off unless set: a POST that was lost on
    /// the way back would be done twice.
    pub const fn any_method(mut self, any: bool) -> Self {
        self.any_method = any;
        self
    }

    /// Sets whether a response with one of the statuses named above is a reason to try again. On
    /// unless set.
    pub const fn retry_statuses(mut self, statuses: bool) -> Self {
        self.statuses = statuses;
        self
    }

    /// How many tries there are after the first one.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The time before the next try after so many, 0 for the first of them, or `None` if there is
    /// none. `random` is any number.
    pub(crate) fn delay(&self, tried: u32, random: u32) -> Option<Duration> {
        if tried >= self.attempts {
            return None;
        }
        Some(self.pause(tried, random))
    }

    /// The time before the next try after so many, however many there may be.
    pub(crate) fn pause(&self, tried: u32, random: u32) -> Duration {
        let doubled =
            1u32.checked_shl(tried).map_or(Duration::MAX, |factor| self.initial_delay.saturating_mul(factor));
        let full = doubled.min(self.maximum_delay);
        let varied = 0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX);
        Duration::try_from_secs_f64(full.as_secs_f64() * varied).unwrap_or(full)
    }

    /// The longest `Retry-After` that is waited for.
    pub(crate) fn longest(&self) -> Duration {
        self.longest_retry_after
    }

    pub(crate) fn allows(&self, method: &Method) -> bool {
        self.attempts > 0 && (self.any_method || method.is_idempotent())
    }

    /// The time before the next try because of a status.
    pub(crate) fn delay_for_status(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        now: SystemTime,
        (tried, random): (u32, u32),
    ) -> Option<Duration> {
        if !self.statuses || !matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504) {
            return None;
        }
        let delay = self.delay(tried, random)?;
        match retry_after(headers, now) {
            Some(asked) if asked > self.longest_retry_after => None,
            Some(asked) => Some(asked),
            None => Some(delay),
        }
    }
}

impl Default for RetryPolicy {
    /// Three more tries.
    fn default() -> Self {
        RetryPolicy::new(3)
    }
}

/// Whether the same may go better the next time.
pub(crate) fn is_transient(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(
        kind,
        TimedOut
            | CannotFindHost
            | CannotConnectToHost
            | NetworkConnectionLost
            | DnsLookupFailed
            | NotConnectedToInternet
            | ZeroByteResource
    )
}

/// How long the server asks to wait (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.as_bytes().trim_ascii();
    if let Some(at) = imf_fixdate(value) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        return Some(Duration::from_secs(u64::try_from(at).unwrap_or(0).saturating_sub(now)));
    }
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // More than any number is for ever.
    let seconds = std::str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn delays_double_within_their_bounds() {
        let policy =
            RetryPolicy::new(40).initial_delay(Duration::from_secs(1)).maximum_delay(Duration::from_secs(5));
        let seconds = |tried, random| policy.delay(tried, random).map(|delay| delay.as_secs_f64());
        assert_eq!(seconds(0, u32::MAX), Some(1.0));
        assert_eq!(seconds(0, 0), Some(0.5));
        assert_eq!(seconds(2, u32::MAX), Some(4.0));
        assert_eq!(seconds(3, u32::MAX), Some(5.0));
        assert_eq!(seconds(39, u32::MAX), Some(5.0));
        assert_eq!(seconds(40, 0), None);
        assert_eq!(RetryPolicy::none().delay(0, 0), None);
        let endless = RetryPolicy::new(1).initial_delay(Duration::MAX).maximum_delay(Duration::MAX);
        assert!(endless.delay(0, u32::MAX).is_some());
    }

    #[test]
    fn the_server_may_say_when() {
        let policy = RetryPolicy::new(1);
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |status, value: &str| {
            let headers =
                HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).expect("a value"))]);
            let status = StatusCode::from_u16(status).expect("a status");
            policy.delay_for_status(status, &headers, now, (0, u32::MAX)).map(|delay| delay.as_millis())
        };
        assert_eq!(wait(503, "7"), Some(7000));
        assert_eq!(wait(429, "0"), Some(0));
        assert_eq!(wait(503, "Sun, 06 Nov 1994 08:49:47 GMT"), Some(10_000));
        assert_eq!(wait(503, "Sun, 06 Nov 1994 08:49:27 GMT"), Some(0), "it is past");
        for strange in ["soon", "-1", "1.5", ""] {
            assert_eq!(wait(503, strange), Some(500), "{strange}");
        }
        assert_eq!(wait(503, "61"), None, "too long");
        assert_eq!(wait(503, "99999999999999999999999"), None);
        for not in [200, 404, 501, 505] {
            assert_eq!(wait(not, "1"), None);
        }
    }

    #[test]
    fn only_what_may_be_repeated() {
        assert!(RetryPolicy::new(1).allows(&Method::PUT));
        assert!(!RetryPolicy::new(1).allows(&Method::POST));
        assert!(RetryPolicy::new(1).any_method(true).allows(&Method::POST));
        assert!(!RetryPolicy::none().allows(&Method::GET));
    }
}
