//! What is done with a request, given what is stored for its URL (RFC 9111, sections 4 and 5.2.1).

use super::directives::{RequestDirectives, ResponseDirectives};
use super::fields::RequestFields;
use super::freshness::Freshness;
use super::policy::CachePolicy;
use super::ranges::{Portion, describe, is_for_part, portion};
use super::status::ForwardReason;
use super::stored::Stored;
use super::vary;
use crate::proto::date::http_date;
use http::header::{
    AGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{Method, StatusCode};
use std::time::{Duration, SystemTime};
use url::Url;

/// A request as the server would get it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presented<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    /// With those that are added to what the program has set.
    pub(crate) headers: RequestFields<'a>,
    pub(crate) has_body: bool,
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// A stored response is the answer.
    Serve(Serve),
    /// The server is asked.
    Ask(Ask),
    /// The policy allows only what is stored, and nothing is.
    Missing,
    /// The request allows only what is stored (`only-if-cached`), and that will not do: 504.
    GatewayTimeout,
}

/// The server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) why: ForwardReason,
    /// The stored response that the request selects.
    pub(crate) stored: Option<usize>,
    /// How it is asked whether that is still valid. Without them all of it is asked for.
    pub(crate) conditions: Option<Conditions>,
}

/// A stored response as the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Serve {
    /// Which of them.
    pub(crate) index: usize,
    pub(crate) portion: Portion,
    pub(crate) freshness: Freshness,
    /// It is stale, and meanwhile replaced (RFC 5861, section 3).
    pub(crate) revalidate: bool,
}

/// What a validation asks by (section 4.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conditions {
    /// `If-None-Match`.
    Tag,
    /// `If-None-Match` and `If-Modified-Since`.
    TagAndDate,
    /// `If-Modified-Since`.
    Date,
}

impl Presented<'_> {
    /// Whether neither what is stored is the answer nor its answer is stored: it has conditions of its own,
    /// whose answer the program wants to see; or a body, of which no cache knows what it means.
    pub(crate) fn bypasses_cache(&self) -> bool {
        let own = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE];
        own.iter().any(|name| self.headers.contains_key(name))
            || (self.has_body && *self.method != Method::POST)
    }
}

/// Decides. `stored` are the responses to GET that are stored for the URL, the newest first.
pub(crate) fn decide<'a>(
    policy: CachePolicy,
    request: &Presented<'_>,
    stored: impl IntoIterator<Item = &'a Stored>,
    now: SystemTime,
) -> Decision {
    let directives = RequestDirectives::of(request.headers);
    let decision = decide_by(policy, request, &directives, stored, now);
    let asks = matches!(decision, Decision::Ask(_));
    match policy {
        CachePolicy::ReturnCacheDontLoad if asks => Decision::Missing,
        _ if asks && directives.only_if_cached => Decision::GatewayTimeout,
        _ => decision,
    }
}

fn decide_by<'a>(
    policy: CachePolicy,
    request: &Presented<'_>,
    directives: &RequestDirectives,
    stored: impl IntoIterator<Item = &'a Stored>,
    now: SystemTime,
) -> Decision {
    if !matches!(*request.method, Method::GET | Method::HEAD) {
        return fetch(ForwardReason::Method);
    }
    if policy.ignores_stored() || directives.no_store || request.bypasses_cache() {
        return fetch(ForwardReason::Bypass);
    }
    let (index, stored, portion) = match select(request, stored) {
        Ok(selected) => selected,
        Err(why) => return fetch(why),
    };
    let allowed = ResponseDirectives::of(&stored.headers);
    let freshness = Freshness::of(stored, &allowed, now);
    let serve = |revalidate| Decision::Serve(Serve { index, portion, freshness, revalidate });
    let usability = match policy {
        CachePolicy::ReturnCacheElseLoad | CachePolicy::ReturnCacheDontLoad => Usability::Fresh,
        CachePolicy::ReloadRevalidating if allowed.immutable => usability(directives, &allowed, freshness),
        CachePolicy::ReloadRevalidating => Usability::Not(ForwardReason::Request),
        _ => usability(directives, &allowed, freshness),
    };
    match usability {
        Usability::Fresh | Usability::Stale => serve(false),
        // Only a whole response is refreshed on the side.
        Usability::WhileRevalidated if *request.method == Method::GET && !is_for_part(request.headers) => {
            serve(true)
        }
        Usability::WhileRevalidated => ask(request, index, stored, ForwardReason::Stale),
        Usability::Not(why) => ask(request, index, stored, why),
    }
}

enum Usability {
    Fresh,
    /// The request takes it although it is stale.
    Stale,
    WhileRevalidated,
    Not(ForwardReason),
}

fn usability(request: &RequestDirectives, response: &ResponseDirectives, freshness: Freshness) -> Usability {
    if response.no_cache {
        return Usability::Not(ForwardReason::Stale);
    }
    let is_old = request.max_age.is_some_and(|most| freshness.age > Duration::from_secs(most))
        // Even what came at once is older than that.
        || request.max_age == Some(0);
    if request.no_cache || is_old {
        return Usability::Not(ForwardReason::Request);
    }
    if freshness.is_fresh() {
        let left = Duration::from_secs(freshness.lifetime).saturating_sub(freshness.age);
        let is_enough = request.min_fresh.is_none_or(|least| left >= Duration::from_secs(least));
        return if is_enough { Usability::Fresh } else { Usability::Not(ForwardReason::Request) };
    }
    if response.must_revalidate || request.min_fresh.is_some() {
        return Usability::Not(ForwardReason::Stale);
    }
    let within = |most: Option<u64>| {
        most.is_some_and(|most| most > 0 && freshness.staleness() <= Duration::from_secs(most))
    };
    if within(request.max_stale) {
        return Usability::Stale;
    }
    if within(response.stale_while_revalidate) {
        return Usability::WhileRevalidated;
    }
    Usability::Not(ForwardReason::Stale)
}

/// The stored response that a request selects, the most recent if there are several (section 4.1).
fn select<'a>(
    request: &Presented<'_>,
    stored: impl IntoIterator<Item = &'a Stored>,
) -> Result<(usize, &'a Stored, Portion), ForwardReason> {
    let mut found: Option<(usize, &Stored, Portion)> = None;
    let mut missed = ForwardReason::UriMiss;
    for (index, candidate) in stored.into_iter().enumerate() {
        if !vary::matches(candidate, request.headers) {
            if missed == ForwardReason::UriMiss {
                missed = ForwardReason::VaryMiss;
            }
            continue;
        }
        let Some(portion) = selects(request, candidate) else {
            missed = ForwardReason::Partial;
            continue;
        };
        if found.is_none_or(|(_, other, _)| candidate.response_time > other.response_time) {
            found = Some((index, candidate, portion));
        }
    }
    found.ok_or(missed)
}

/// What of a stored response answers the request, if anything does.
pub(crate) fn selects(request: &Presented<'_>, stored: &Stored) -> Option<Portion> {
    if *request.method == Method::HEAD {
        // Ranges are a matter of GET.
        return (stored.status != StatusCode::PARTIAL_CONTENT).then_some(Portion::Whole);
    }
    portion(stored, request.headers)
}

fn fetch(why: ForwardReason) -> Decision {
    Decision::Ask(Ask { why, stored: None, conditions: None })
}

/// Asks by what the stored response has for it, or for all of it if it has nothing.
fn ask(request: &Presented<'_>, index: usize, stored: &Stored, why: ForwardReason) -> Decision {
    // The answer to HEAD is compared with what is stored anyway; and of a part others may be asked for.
    let is_whole = *request.method == Method::GET && stored.status != StatusCode::PARTIAL_CONTENT;
    let conditions = match (tag(stored).is_some(), date(stored).is_some()) {
        (true, true) => Some(Conditions::TagAndDate),
        (true, false) => Some(Conditions::Tag),
        (false, true) => Some(Conditions::Date),
        (false, false) => None,
    };
    Decision::Ask(Ask { why, stored: Some(index), conditions: conditions.filter(|_| is_whole) })
}

/// How old a stored response is.
pub(crate) fn freshness(stored: &Stored, now: SystemTime) -> Freshness {
    Freshness::of(stored, &ResponseDirectives::of(&stored.headers), now)
}

/// The conditions as headers.
pub(crate) fn conditions(stored: &Stored, asked: Conditions) -> Vec<(HeaderName, HeaderValue)> {
    let by_tag = matches!(asked, Conditions::Tag | Conditions::TagAndDate);
    let by_date = matches!(asked, Conditions::Date | Conditions::TagAndDate);
    let tag = tag(stored).filter(|_| by_tag).map(|tag| (IF_NONE_MATCH, tag.clone()));
    let date = date(stored).filter(|_| by_date).map(|date| (IF_MODIFIED_SINCE, date.clone()));
    tag.into_iter().chain(date).collect()
}

/// The entity tag, also one without quotes, which the server will know again.
fn tag(stored: &Stored) -> Option<&HeaderValue> {
    let mut tags = stored.headers.get_all(ETAG).iter();
    let tag = tags.next().filter(|_| tags.next().is_none())?;
    let is_list = tag.as_bytes().contains(&b',') && !tag.as_bytes().ends_with(b"\"");
    (!tag.is_empty() && tag.as_bytes() != b"*" && !is_list).then_some(tag)
}

/// The date of last modification, as the server wrote it.
fn date(stored: &Stored) -> Option<&HeaderValue> {
    let mut dates = stored.headers.get_all(LAST_MODIFIED).iter();
    let date = dates.next().filter(|_| dates.next().is_none())?;
    http_date(date.as_bytes(), 2000).map(|_| date)
}

/// Whether a stale response may stand in for a server that could not be reached, or answered 500, 502, 503
/// or 504 (RFC 5861, section 4).
pub(crate) fn may_stand_in(
    request: RequestFields<'_>,
    stored: &Stored,
    now: SystemTime,
) -> Option<Freshness> {
    let directives = ResponseDirectives::of(&stored.headers);
    let asked = RequestDirectives::of(request);
    if directives.must_revalidate || directives.no_cache || asked.no_cache {
        return None;
    }
    let freshness = Freshness::of(stored, &directives, now);
    let most = asked.stale_if_error.max(directives.stale_if_error)?;
    (freshness.staleness() <= Duration::from_secs(most)).then_some(freshness)
}

/// Whether a status says that the server failed, so that what is stored may stand in.
pub(crate) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// The head of an answer from what is stored: its status, and its headers with the age it has now
/// (section 4).
pub(crate) fn head_of(stored: &Stored, portion: Portion, freshness: Freshness) -> (StatusCode, HeaderMap) {
    let mut headers = stored.headers.clone();
    let _ = headers.try_insert(AGE, HeaderValue::from(freshness.age.as_secs()));
    let status = describe(portion, stored.status, &mut headers);
    (status, headers)
}
