//! Redirects: whether to follow, with the delegate's say, and the change to the next request.

use super::authorization::url_authorization;
use super::caching::{Tee, Told};
use super::incoming::Incoming;
use super::local::check_redirect;
use super::security::upgraded;
use super::{Answer, Flow, Loader, Pause, Step};
use crate::body::Body;
use crate::disposition::RedirectDecision;
use crate::error::{Error, ErrorKind, Result, redacted};
use crate::exchange::http1;
use crate::head::ResponseHead;
use crate::proto::redirect::{Asked, NewRequest, Redirect, Rules, redirect, same_origin};
use crate::request::Request;
use crate::sync::Arc;
use crate::sys::Patience;
use crate::task::core::TaskCore;
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use std::time::Instant;
use url::Url;

/// A redirect's body is received to keep the connection, if it is there already and no larger.
const DRAIN: usize = 64 * 1024;

impl Loader {
    pub(super) fn redirect_or_deliver(
        &mut self,
        incoming: Incoming,
        head: ResponseHead,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        if let Some(step) = self.try_after(&head, core) {
            self.leave(incoming, core);
            return Ok(Flow::Go(step));
        }
        self.redirect_or_begin(incoming, head, core)
    }

    /// The same, if it is not to be tried again.
    pub(super) fn redirect_or_begin(
        &mut self,
        incoming: Incoming,
        head: ResponseHead,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        if head.status == StatusCode::UNAUTHORIZED && matches!(incoming, Incoming::Http1(_)) {
            return self.unauthorized(incoming, head, core);
        }
        // Nobody is asked about a redirect of a part: the delegate knows the task's own connection only.
        if !head.status.is_redirection() || self.segment.is_some() {
            return self.begin_response(incoming, head, core);
        }
        let request = self.request(core);
        let asked = Asked {
            method: request.get_method(),
            url: request.well_formed()?,
            headers: request.get_headers(),
            has_body: !request.get_body().is_absent(),
        };
        let rules = Rules {
            allowed: self.allowed(core),
            upgraded: &|url| upgraded(url, core),
            strip_always: core.context.configuration.strip_authorization_on_redirect,
        };
        let new = match redirect(&asked, head.status, &head.headers, rules)? {
            Redirect::Deliver => return self.begin_response(incoming, head, core),
            Redirect::Follow(new) => new,
        };
        let own = match same_origin(asked.url, &new.url) && !has_credentials(&new.url) && !rules.strip_always
        {
            true => url_authorization(request, asked.url)?,
            false => None,
        };
        let proposed = proposed(request, *new, own)?;
        self.propose(incoming, head, proposed, core)
    }

    /// An own protocol says where to go.
    pub(super) fn redirect_to(
        &mut self,
        incoming: Incoming,
        head: ResponseHead,
        mut proposed: Request,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        if let Some(secure) = proposed.get_url().and_then(|url| upgraded(url, core)) {
            proposed.url = Ok(secure);
        }
        check_redirect(self.request(core), &proposed)?;
        let (from, to) = (self.request(core).well_formed()?, proposed.well_formed()?);
        self.allowed(core).check_redirect(from, to)?;
        self.propose(incoming, head, proposed, core)
    }

    /// Follows it, if the delegate has nothing against it.
    fn propose(
        &mut self,
        incoming: Incoming,
        head: ResponseHead,
        proposed: Request,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let head = Arc::new(head);
        match core.events() {
            None => self.follow(incoming, proposed, core),
            Some(events) => {
                let (shown, asked) = (Arc::clone(&head), proposed.clone());
                self.ask(
                    core,
                    events,
                    move |events, core| Answer::Redirect(Box::new(events.will_redirect(core, &shown, asked))),
                    Answer::Redirect(Box::new(RedirectDecision::Follow(proposed.clone()))),
                );
                Ok(Flow::Go(Step::Redirecting(incoming, head, Box::new(proposed))))
            }
        }
    }

    pub(super) fn redirecting(
        &mut self,
        incoming: Incoming,
        head: Arc<ResponseHead>,
        proposed: Box<Request>,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let Some(answer) = self.answered() else {
            self.check(false, core, &|_| "waiting for the delegate to decide on a redirect".into())?;
            return Ok(Flow::Stay(Step::Redirecting(incoming, head, proposed), Pause::Answer));
        };
        self.clock.touch();
        let decision = match answer {
            Answer::Redirect(decision) => *decision,
            _ => RedirectDecision::Follow(*proposed),
        };
        match decision {
            RedirectDecision::Follow(request) => self.follow(incoming, request, core),
            RedirectDecision::Stop => {
                // The event that showed it may be about to let go of it.
                let head = Arc::try_unwrap(head).unwrap_or_else(|shared| copied(&shared));
                self.begin_response(incoming, head, core)
            }
        }
    }

    fn follow(&mut self, incoming: Incoming, request: Request, core: &Arc<TaskCore>) -> Result<Flow> {
        let limit = self.request(core).redirect_limit.unwrap_or(core.context.configuration.redirect_limit);
        if self.redirects >= limit {
            let error = Error::new(
                ErrorKind::HttpTooManyRedirects,
                format!(
                    "following redirects: there were more than {limit}; see Configuration::redirect_limit"
                ),
            );
            return Err(match request.get_url() {
                Some(url) => error.with_url(url),
                None => error,
            });
        }
        check_redirect(self.request(core), &request)?;
        self.redirects += 1;
        if let Some(url) = request.get_url() {
            log::debug!("task {}: redirected to {}", core.id, redacted(url));
        }
        self.leave_redirect(incoming, core);
        if core.context.configuration.strip_authorization_on_redirect {
            self.forget_attempt();
        }
        self.note_credential(&request, core);
        core.set_current(request.clone());
        self.request = Some(request);
        self.retries.begin_anew();
        self.cache_anew();
        Ok(Flow::Go(Step::Prepare))
    }

    /// The response is followed, and may be kept for the next time.
    fn leave_redirect(&mut self, incoming: Incoming, core: &Arc<TaskCore>) {
        let tee = self.begin_storing(Told::Pieces);
        self.leave_storing(incoming, tee, core);
    }

    /// The response is not the one that counts.
    pub(super) fn leave(&mut self, incoming: Incoming, core: &Arc<TaskCore>) {
        self.leave_storing(incoming, None, core);
    }

    fn leave_storing(&mut self, mut incoming: Incoming, mut tee: Option<Box<Tee>>, core: &Arc<TaskCore>) {
        let now = Instant::now();
        let drained = drain(&mut incoming, tee.as_deref_mut());
        if drained && incoming.is_done() {
            self.finish_storing(tee, core);
        }
        if let Some(transaction) = self.measure() {
            transaction.response_end = Some(now);
            transaction.response_body_bytes = incoming.body_received();
        }
        self.uninterruptible(core);
        // Who cancelled just before has shut the connection down.
        incoming.finish(drained && !core.is_settled(), now);
    }
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// The request that a redirect leads to, with everything else as it was. `credentials` are those of
/// the URL that redirects, if they go along: as a header, since `Location` did not name them.
fn proposed(request: &Request, new: NewRequest, credentials: Option<HeaderValue>) -> Result<Request> {
    let mut next = request.clone();
    // A user who is led elsewhere is there.
    if next.main_document_url.is_some() && next.get_main_document_url() == request.get_url() {
        next.main_document_url = Some(Box::new(new.url.clone()));
    }
    next.method = new.method;
    next.url = Ok(new.url);
    next.headers = new.headers;
    if let Some(value) = credentials {
        crate::header::insert(&mut next.headers, AUTHORIZATION, value)?;
    }
    if !new.keep_body {
        next.body = Body::empty();
        next.expect_continue = false;
    }
    Ok(next)
}

/// Takes what is there of the body, without waiting for more. False if that is nothing to go on from:
/// what is wrong with the body of a redirect harms nobody but the connection.
fn drain(incoming: &mut Incoming, mut tee: Option<&mut Tee>) -> bool {
    let mut taken = 0;
    while taken < DRAIN {
        match incoming.receive_piece(Patience::Never) {
            Ok(http1::Body::Piece) => {
                let count = incoming.piece().len();
                if let Some(tee) = tee.as_mut() {
                    tee.update(incoming.piece());
                }
                incoming.take(count);
                taken += count;
            }
            Ok(http1::Body::Framing) => {}
            Ok(http1::Body::Nothing | http1::Body::End) => break,
            Err(_) => return false,
        }
    }
    true
}

pub(super) fn copied(head: &ResponseHead) -> ResponseHead {
    ResponseHead {
        status: head.status,
        version: head.version,
        headers: head.headers.clone(),
        url: head.url.clone(),
        decoded: head.decoded,
        content_length: head.content_length,
        trailers: Default::default(),
    }
}
