//! The cache: what a task finds there before it wants a connection, and what the answer of the server says
//! about it. The rules are those of [`proto::caching`](crate::proto::caching); what is stored comes back as
//! any response does.
//!
//! ```text
//!  route ─▶ look up ─▶ acquire ─▶ … ─▶ respond ─▶ deliver, and store on the way ([`storing`])
//!              │                          │ 304, 5xx     ▲
//!              └─────────▶ cached ◀───────┴──── failure  │
//!                            └───────────────────────────┘
//! ```

mod refreshing;
mod storing;

use super::incoming::Incoming;
use super::local::Local;
use super::{Flow, Loader, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::Exchange;
use crate::head::ResponseHead;
use crate::metrics::{ResourceFetchType, TransactionMetrics};
use crate::proto::caching::stored::Stored;
use crate::proto::caching::{
    Ask, By304, ByHead, CachePolicy, CacheStatus, Conditions, Decision, Detail, ForwardReason, Freshness,
    Portion, Presented, Received, RequestFields, by_304, by_head, conditions, decide, freshness, head_of,
    invalidated, is_failure, is_selected, may_stand_in, portion, selects, to_store,
};
use crate::request::Request;
use crate::retry::is_transient;
use crate::storage::Cache;
use crate::storage::cache::{CacheBody, CacheState, Entry, url_key};
use crate::sync::Arc;
use crate::task::core::TaskCore;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, PRAGMA,
};
use http::{Method, StatusCode, Version};
use refreshing::Refreshing;
use std::sync::OnceLock;
use std::time::SystemTime;
pub(super) use storing::{Tee, Told};

/// What a loader has to do with the cache.
#[derive(Default)]
pub(super) struct Caching {
    /// What was found out before the server was asked.
    asking: Option<Box<Asking>>,
    /// Its answer was about something else than what is stored, or that is gone: all is asked for.
    unconditional: bool,
    /// What is stored of the response that has come.
    storing: Option<Box<Tee>>,
    /// A response whose body has gone to the delegate, and which is about to be stored.
    complete: Option<Box<Tee>>,
    /// It works for the cache, and not for anybody.
    _refreshing: Option<Box<Refreshing>>,
}

/// The server is asked, and then it matters what the cache has.
struct Asking {
    cache: Cache,
    /// What had become of the URL when it was looked up.
    begun: CacheState,
    sent: Sent,
    /// What is stored and was not good enough to be used at once.
    selected: Option<Entry>,
    conditions: Option<Conditions>,
    why: ForwardReason,
    request_time: SystemTime,
}

/// What the server was asked with.
#[derive(Default)]
struct Sent {
    /// The request's headers, if something was added to its own.
    changed: Option<HeaderMap>,
    /// Whom it said that it is from, by the loader's doing.
    user: Option<(HeaderName, HeaderValue)>,
}

impl Sent {
    fn fields<'a>(&'a self, request: &'a Request, core: &'a TaskCore) -> RequestFields<'a> {
        let own = self.changed.as_ref().unwrap_or(request.get_headers());
        RequestFields { own, added: &core.context.defaults, user: self.user.as_ref() }
    }
}

/// A stored response that is to be the answer.
pub(super) struct Found {
    cache: Cache,
    entry: Entry,
    /// What it is, perhaps newer than in the entry.
    stored: Arc<Stored>,
    /// What becomes of what is in the store.
    change: Change,
    portion: Portion,
    freshness: Freshness,
    status: CacheStatus,
}

enum Change {
    None,
    Update,
    Remove,
}

impl Loader {
    /// Before a connection is wanted: is the answer stored?
    pub(super) fn look_up(&mut self, core: &Arc<TaskCore>) -> Result<Flow> {
        let caching = &mut self.caching;
        (caching.asking, caching.storing) = (None, None);
        let policy = self.cache_policy(core);
        let ask = Ok(Flow::Go(Step::Acquire(None)));
        let cache = match &core.context.stores()?.cache {
            Some(cache) if self.is_cacheable() => cache.clone(),
            _ if policy == CachePolicy::ReturnCacheDontLoad => return Err(missing()),
            _ => return ask,
        };
        let request = self.request(core);
        let key = url_key(request.well_formed()?);
        let mut presented = presented(request, &Sent { changed: None, user: None }, core)?;
        let begun = cache.state_of(&key);
        let mut entries = Vec::new();
        let is_answered = matches!(*presented.method, Method::GET | Method::HEAD);
        if is_answered && !policy.ignores_stored() && !presented.bypasses_cache() {
            entries = aside(core, &cache, || cache.variants(&key));
        }
        // What is added matters where something may have been selected by it.
        let (added, user);
        if !entries.is_empty() {
            (added, user) = (self.headers(core, None)?, self.user(core)?);
            (presented.headers.own, presented.headers.user) = (&added, user.as_ref());
        }
        if self.download.is_some() {
            // A file is to hold what the server has, and not what some cache was sent of it.
            entries.retain(|entry| !entry.stored().headers.contains_key(CONTENT_ENCODING));
        }
        let now = SystemTime::now();
        let asked = match decide(policy, &presented, entries.iter().map(|entry| &**entry.stored()), now) {
            Decision::Serve(serve) if !self.caching.unconditional => {
                let Some(entry) = entries.into_iter().nth(serve.index) else { return ask };
                let mut status = CacheStatus::hit(serve.freshness.time_to_live());
                if serve.revalidate {
                    status.detail = Some(Detail::Revalidating);
                    self.refresh(&key, core);
                }
                let stored = Arc::clone(entry.stored());
                let (portion, freshness) = (serve.portion, serve.freshness);
                let change = Change::None;
                let found = Found { cache, entry, stored, change, portion, freshness, status };
                return self.serve_cached(found, core);
            }
            // What is stored has just turned out to be damaged.
            Decision::Serve(_) if policy == CachePolicy::ReturnCacheDontLoad => return Err(missing()),
            Decision::Serve(_) => Ask { why: ForwardReason::Stale, stored: None, conditions: None },
            Decision::Ask(asked) => asked,
            Decision::Missing => return Err(missing()),
            Decision::GatewayTimeout => return self.gateway_timeout(core),
        };
        let selected = asked.stored.and_then(|index| entries.into_iter().nth(index));
        let asking = Asking {
            cache,
            begun,
            sent: Sent::default(),
            selected,
            conditions: asked.conditions.filter(|_| !self.caching.unconditional),
            why: asked.why,
            request_time: now,
        };
        self.caching.asking = Some(Box::new(asking));
        self.set_cache_status(CacheStatus::forward(asked.why));
        ask
    }

    fn cache_policy(&self, core: &TaskCore) -> CachePolicy {
        self.request(core).cache_policy.unwrap_or(core.context.configuration.cache_policy)
    }

    /// Whether it is a request that a cache has to do with. One that goes on with something has what it goes
    /// on with.
    fn is_cacheable(&self) -> bool {
        let goes_on = self.download.as_ref().is_some_and(|download| download.is_going_on());
        self.segment.is_none() && self.upload.is_none() && !goes_on
    }

    /// Whether there is anything that the cache adds to the request.
    pub(super) fn has_cache_headers(&self, core: &TaskCore) -> bool {
        let policies = [CachePolicy::ReloadIgnoringLocalAndRemote, CachePolicy::ReloadRevalidating];
        policies.contains(&self.cache_policy(core))
            || self.caching.asking.as_ref().is_some_and(|asking| asking.conditions.is_some())
    }

    /// What the cache adds to the request.
    pub(super) fn cache_headers(&self, headers: &mut HeaderMap, core: &TaskCore) -> Result<()> {
        let own = core.context.configuration.get_additional_headers();
        let has_own = headers.contains_key(CACHE_CONTROL) || own.contains_key(CACHE_CONTROL);
        if self.cache_policy(core) == CachePolicy::ReloadIgnoringLocalAndRemote && !has_own {
            crate::header::insert(headers, CACHE_CONTROL, HeaderValue::from_static("no-cache"))?;
            crate::header::insert(headers, PRAGMA, HeaderValue::from_static("no-cache"))?;
        }
        let Some(asking) = &self.caching.asking else { return Ok(()) };
        if self.cache_policy(core) == CachePolicy::ReloadRevalidating && !has_own {
            // Those on the way are to ask too (RFC 9111, section 5.2.1.1).
            crate::header::insert(headers, CACHE_CONTROL, HeaderValue::from_static("max-age=0"))?;
        }
        if let (Some(entry), Some(asked)) = (&asking.selected, asking.conditions) {
            for (name, value) in conditions(entry.stored(), asked) {
                crate::header::insert(headers, name, value)?;
            }
        }
        Ok(())
    }

    /// The request is to be sent with these headers, if something was added to its own. Since it was looked up
    /// there may be other cookies, and something else that is known about who we are. What is stored for
    /// somebody else is not asked about.
    pub(super) fn cache_sends(&mut self, changed: Option<&HeaderMap>, core: &TaskCore) -> Result<()> {
        if self.caching.asking.is_none() {
            return Ok(());
        }
        let user = self.user_sent()?;
        let own = changed.unwrap_or(self.request(core).get_headers());
        let fields = RequestFields { own, added: &core.context.defaults, user: user.as_ref() };
        let selected = self.caching.asking.as_ref().and_then(|asking| asking.selected.as_ref());
        let is_other = selected.is_some_and(|entry| !is_selected(entry.stored(), fields));
        if let Some(asking) = &mut self.caching.asking {
            if is_other {
                (asking.selected, asking.conditions) = (None, None);
            }
            asking.sent.user = user;
        }
        Ok(())
    }

    /// See [`cache_sends`](Loader::cache_sends): the answer is stored for those, and for nobody else.
    pub(super) fn cache_sent(&mut self, changed: Option<HeaderMap>) {
        if let Some(asking) = &mut self.caching.asking {
            asking.sent.changed = changed;
        }
    }

    /// The request is about to be sent.
    pub(super) fn note_request_time(&mut self) {
        if let Some(asking) = self.caching.asking.as_mut() {
            asking.request_time = SystemTime::now();
        }
    }

    /// The server has answered. What comes next, if that is not the response.
    ///
    /// `is_delimited`: the end of the body is told by more than the end of the connection. `is_trusted`: its
    /// certificate was not accepted by an exception, which others who use the cache have not made.
    pub(super) fn cache_answered(
        &mut self,
        head: &ResponseHead,
        is_delimited: bool,
        is_trusted: bool,
        core: &Arc<TaskCore>,
    ) -> Result<Option<Step>> {
        self.invalidate(head, core)?;
        let Some(asking) = self.caching.asking.take() else { return Ok(None) };
        let response_time = SystemTime::now();
        if is_failure(head.status) {
            let request = asking.sent.fields(self.request(core), core);
            if let Some(found) = stand_in(&asking, request, response_time, Some(head.status)) {
                // Another try goes before what is old.
                if let Some(step) = self.try_after(head, core) {
                    return Ok(Some(step));
                }
                log::info!("task {}: {}; what is stored is used instead", core.id, head.status);
                return Ok(Some(Step::Cached(Box::new(found))));
            }
        }
        let presented = presented(self.request(core), &asking.sent, core)?;
        let received = Received {
            status: head.status,
            version: head.version,
            headers: &head.headers,
            is_delimited,
            request_time: asking.request_time,
            response_time,
        };
        if let (StatusCode::NOT_MODIFIED, Some(entry), Some(asked)) =
            (head.status, &asking.selected, asking.conditions)
        {
            let Some(found) = validated(entry, asked, &presented, &received, &asking, is_trusted) else {
                self.caching.unconditional = true;
                return Ok(Some(Step::Prepare));
            };
            return Ok(Some(Step::Cached(Box::new(found))));
        }
        if head.status == StatusCode::NOT_MODIFIED && self.caching.unconditional {
            let message = "the server said that nothing had changed (304), and nobody had asked that";
            return Err(Error::new(ErrorKind::BadServerResponse, message));
        }
        if !is_trusted {
            return Ok(None);
        }
        if *presented.method == Method::HEAD {
            updated_by_head(&asking, &received, core);
        }
        let Some(stored) = to_store(&presented, &received) else { return Ok(None) };
        let (request, Asking { cache, sent, begun, .. }) = (self.request(core), *asking);
        let key = url_key(request.well_formed()?);
        // An unsafe request has removed what was there, and it is its answer that says what is so now.
        let begun = if request.get_method().is_safe() { begun } else { cache.state_of(&key) };
        let tee = Tee::new(cache, &key, begun, stored, head.content_length, sent);
        self.caching.storing = tee.map(Box::new);
        Ok(None)
    }

    /// The request has failed. What is stored may stand in for its answer, unless somebody has seen some of
    /// that.
    pub(super) fn instead_of_failure(&mut self, core: &Arc<TaskCore>, error: Error) -> Result<Step> {
        let Some(asking) = self.caching.asking.take() else { return Err(error) };
        if core.is_settled() || self.tries.shown || !is_transient(error.kind()) {
            return Err(error);
        }
        let request = asking.sent.fields(self.request(core), core);
        let found = stand_in(&asking, request, SystemTime::now(), None);
        let Some(found) = found else { return Err(error) };
        log::info!("task {}: {error}; what is stored is used instead", core.id);
        let now = self.clock.touch();
        if let Some(transaction) = self.measure() {
            transaction.failed_at.get_or_insert(now);
        }
        self.uninterruptible(core);
        Ok(Step::Cached(Box::new(found)))
    }

    /// What is stored is the answer.
    pub(super) fn serve_cached(&mut self, found: Found, core: &Arc<TaskCore>) -> Result<Flow> {
        let Found { cache, entry, stored, change, portion, freshness, status } = found;
        let is_head = *self.request(core).get_method() == Method::HEAD;
        let is_without_body = is_head || portion.is_empty() || stored.status == StatusCode::NO_CONTENT;
        let body = aside(core, &cache, || {
            let entry = match change {
                Change::Update => cache.update(&entry, Stored::clone(&stored)),
                Change::Remove => {
                    cache.remove_entry(&entry);
                    entry
                }
                Change::None => entry,
            };
            if is_without_body { Some(CacheBody::Memory(Bytes::new())) } else { entry.body() }
        });
        let Some(body) = body else {
            // Its file was damaged, and is gone.
            self.caching.unconditional = true;
            return Ok(Flow::Go(Step::Prepare));
        };
        let body = match portion {
            Portion::Part { offset, length, .. } => body.section(offset, length),
            Portion::Whole | Portion::Unsatisfiable { .. } => body,
        };
        let (code, headers) = head_of(&stored, portion, freshness);
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let head = ResponseHead {
            status: code,
            version: stored.version,
            decoded: headers.contains_key(CONTENT_ENCODING),
            headers: headers.into(),
            url: self.request(core).well_formed()?.clone(),
            content_length: if is_head { announced } else { Some(body.left()) },
            trailers: OnceLock::new(),
        };
        log::debug!("task {}: {} from the cache ({status})", core.id, head.status);
        self.measure_cached(&head, status, core);
        let local = Local::cached(body, core.context.pool.shared());
        self.redirect_or_begin(Incoming::Local(local), head, core)
    }

    /// The answer of the cache is measured for itself, if there was one of the server before it.
    fn measure_cached(&mut self, head: &ResponseHead, status: CacheStatus, core: &Arc<TaskCore>) {
        let now = self.clock.touch();
        let was_asked =
            self.measure().is_some_and(|last| last.request_start.is_some() || last.failed_at.is_some());
        if was_asked {
            let mut transaction = TransactionMetrics::new(now, self.request(core).get_method().clone());
            transaction.url.0 = self.request(core).get_url().cloned();
            self.transactions.push(transaction);
        }
        self.answered_locally(head, ResourceFetchType::LocalCache, None);
        self.set_cache_status(status);
    }

    /// Nothing that is stored will do, and the request wants nothing else (RFC 9111, section 5.2.1.7).
    fn gateway_timeout(&mut self, core: &Arc<TaskCore>) -> Result<Flow> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let head = ResponseHead {
            status: StatusCode::GATEWAY_TIMEOUT,
            version: Version::HTTP_11,
            headers: headers.into(),
            url: self.request(core).well_formed()?.clone(),
            decoded: false,
            content_length: Some(0),
            trailers: OnceLock::new(),
        };
        self.answered_locally(&head, ResourceFetchType::LocalCache, None);
        self.begin_response(Incoming::Local(Local::memory(Bytes::new())), head, core)
    }

    /// A request that changes something makes invalid what is stored of that (section 4.4).
    fn invalidate(&mut self, head: &ResponseHead, core: &Arc<TaskCore>) -> Result<()> {
        let request = self.request(core);
        if request.get_method().is_safe() {
            return Ok(());
        }
        let Some(cache) = &core.context.stores()?.cache else { return Ok(()) };
        let urls = invalidated(request.get_method(), request.well_formed()?, head.status, &head.headers);
        aside(core, cache, || urls.iter().for_each(|url| cache.remove_url(&url_key(url))));
        Ok(())
    }

    fn set_cache_status(&mut self, status: CacheStatus) {
        if let Some(transaction) = self.measure() {
            transaction.cache_status = Some(status);
        }
    }

    /// Another request begins, of which nothing is known.
    pub(super) fn cache_anew(&mut self) {
        self.caching.unconditional = false;
    }

    /// The exchange that the cache has answered in the place of: nothing of its body is wanted.
    pub(super) fn leave_for_cache(&mut self, exchange: Box<Exchange>, core: &Arc<TaskCore>) {
        self.leave(Incoming::Http1(exchange), core);
    }
}

/// Runs what may take time where there is a disk.
fn aside<T>(core: &TaskCore, cache: &Cache, run: impl FnOnce() -> T) -> T {
    if cache.disk_capacity() > 0 { core.context.pool.shared().blocking(run) } else { run() }
}

/// A request as the server gets it.
fn presented<'a>(request: &'a Request, sent: &'a Sent, core: &'a TaskCore) -> Result<Presented<'a>> {
    let (headers, has_body) = (sent.fields(request, core), !request.get_body().is_absent());
    Ok(Presented { method: request.get_method(), url: request.well_formed()?, headers, has_body })
}

/// What becomes of what is stored when the server says that nothing has changed. `None` if it does not say it
/// of that.
fn validated(
    entry: &Entry,
    asked: Conditions,
    presented: &Presented<'_>,
    received: &Received<'_>,
    asking: &Asking,
    is_trusted: bool,
) -> Option<Found> {
    let (stored, keep): (Arc<Stored>, bool) = match by_304(entry.stored(), presented, asked, received) {
        By304::Valid { stored, keep } => (Arc::from(stored), keep),
        By304::Other => return None,
    };
    let freshness = freshness(&stored, received.response_time);
    let status = CacheStatus {
        forwarded_status: Some(received.status),
        ttl: Some(freshness.time_to_live()),
        stored: keep && is_trusted,
        ..CacheStatus::forward(asking.why)
    };
    Some(Found {
        cache: asking.cache.clone(),
        entry: entry.clone(),
        portion: selects(presented, &stored).unwrap_or(Portion::Whole),
        stored,
        change: match keep {
            _ if !is_trusted => Change::None,
            true => Change::Update,
            false => Change::Remove,
        },
        freshness,
        status,
    })
}

/// What is stored in place of the answer that failed, if it may stand in for that.
fn stand_in(
    asking: &Asking,
    request: RequestFields<'_>,
    now: SystemTime,
    failure: Option<StatusCode>,
) -> Option<Found> {
    let entry = asking.selected.clone()?;
    let freshness = may_stand_in(request, entry.stored(), now)?;
    let status = CacheStatus {
        forwarded_status: failure,
        ttl: Some(freshness.time_to_live()),
        detail: Some(Detail::Error),
        ..CacheStatus::forward(asking.why)
    };
    let stored = Arc::clone(entry.stored());
    // What was asked for with GET and could not be had is the whole or a part, as it was stored.
    let portion = portion(&stored, request)?;
    let (cache, change) = (asking.cache.clone(), Change::None);
    Some(Found { cache, entry, stored, change, portion, freshness, status })
}

/// The answer to HEAD is about what GET would bring.
fn updated_by_head(asking: &Asking, received: &Received<'_>, core: &TaskCore) {
    let Some(entry) = &asking.selected else { return };
    aside(core, &asking.cache, || match by_head(entry.stored(), received) {
        ByHead::Outdated => asking.cache.remove_entry(entry),
        ByHead::Updated(stored) => drop(asking.cache.update(entry, *stored)),
        ByHead::Nothing => {}
    });
}

fn missing() -> Error {
    Error::new(
        ErrorKind::ResourceUnavailable,
        "nothing is stored for the request, and its cache policy (ReturnCacheDontLoad) does not let the \
         server be asked",
    )
}
