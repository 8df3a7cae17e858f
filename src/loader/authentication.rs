//! Authentication (SPEC A10, B9): a server says that it wants to know who we are, and the request goes out
//! again with what is found for that.
//!
//! ```text
//!          ┌──── the credential was refused, or there is another message to send ────┐
//!          ▼                                                                         │
//! 401 ─▶ offers, the strongest first ─▶ the delegate, or default handling ─▶ attempt ─▶ the request again
//!          └─ none left, none wanted: the 401 is the response                        │
//!                                             any other answer: it is remembered ◀───┘
//! ```
//!
//! What a request goes out with is in [`authorization`](super::authorization).

use super::authorization::{Attempt, Means, Offered, contained, fits, is_same};
use super::incoming::Incoming;
use super::local::Local;
use super::redirect::copied;
use super::{Answer, Flow, Loader, Pause, Step};
use crate::challenge::{Challenge, ChallengeDisposition, Credential, ProtectionSpace};
use crate::connection::idle::Permit;
use crate::connection::transport::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1;
use crate::head::ResponseHead;
use crate::proto::auth::challenges::challenges;
use crate::proto::auth::offers::offers;
use crate::sync::Arc;
use crate::sys::Patience;
use crate::task::core::{Events, Mode, TaskCore};
use bytes::Bytes;
use http::header::{HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use std::collections::VecDeque;

const AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("authentication-info");

/// How many answers to challenges a task sends, whoever gives them: NTLM takes two, and a user who is asked
/// for a password gives up earlier.
const MOST_ROUNDS: u32 = 60;

/// A response that is not the one that counts is received to keep its connection, if that must be kept, and
/// if it is no larger.
const DRAIN: u64 = 1024 * 1024;

/// What a task has found out about who it is to be. There is one as soon as it matters.
#[derive(Default)]
pub(super) struct Authentication {
    /// What the request goes out with.
    pub(super) attempt: Option<Attempt>,
    /// Credentials that were refused, over all protection spaces.
    failures: u32,
    refused: Vec<(ProtectionSpace, Option<Credential>)>,
    /// What the delegate wants nothing of.
    left: Vec<ProtectionSpace>,
    /// What the server would take instead of the one that was tried last.
    offers: VecDeque<Offered>,
    rounds: u32,
    /// The connection that the request has to go over, and to which origin it leads.
    bound: Option<(String, Box<Connection>, Permit)>,
    /// A connection was lost in the midst of an exchange of messages, which was begun anew.
    begun_anew: bool,
}

impl Authentication {
    fn refused(&self, space: &ProtectionSpace) -> impl Iterator<Item = Option<&Credential>> {
        let of_space = self.refused.iter().filter(move |(refused, _)| refused == space);
        of_space.map(|(_, credential)| credential.as_ref())
    }

    /// There is a message to send, and the connection that it was for is gone. The first message is as good on
    /// another one. After that the exchange begins anew, once: a server that never keeps its connections does
    /// not get to the end of any.
    fn lose_connection(&mut self) {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.is_sent()) else { return };
        if std::mem::replace(&mut self.begun_anew, true) {
            self.left.extend(self.attempt.take().map(|attempt| attempt.space));
        } else {
            attempt.restart();
        }
    }
}

impl Loader {
    /// Asks the delegate about a challenge. The answer comes as [`Answer::Challenge`].
    pub(super) fn ask_about(&self, challenge: Challenge, events: Arc<dyn Events>, core: &Arc<TaskCore>) {
        self.ask(
            core,
            events,
            move |events, core| Answer::Challenge(decide(&challenge, events, core)),
            Answer::Challenge(ChallengeDisposition::default()),
        );
    }

    /// The server wants to know who we are (RFC 9110, section 15.5.2).
    pub(super) fn unauthorized(
        &mut self,
        incoming: Incoming,
        head: ResponseHead,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let url = self.request(core).check()?.clone();
        let schemes = core.context.configuration.get_authentication_schemes();
        let names: Vec<&str> = schemes.iter().map(|scheme| scheme.name()).collect();
        let offers: Vec<_> = offers(head.headers(), &WWW_AUTHENTICATE, &names)
            .into_iter()
            .map(|offer| Offered::new(offer, &url, schemes))
            .collect();
        let attempt = self.authentication.as_mut().and_then(|state| state.attempt.take());
        if offers.is_empty() {
            return self.not_authorized(incoming, head, core);
        }
        let state = self.authentication.get_or_insert_default();
        state.rounds += 1;
        if state.rounds > MOST_ROUNDS {
            log::warn!("task {}: {MOST_ROUNDS} answers to challenges were not enough", core.id);
            return self.not_authorized(incoming, head, core);
        }
        if let Some(attempt) = attempt.filter(Attempt::is_sent) {
            if let Some(attempt) = self.go_on(attempt, &offers, core)? {
                return self.again(incoming, attempt, core);
            }
        }
        let state = self.authentication.get_or_insert_default();
        state.offers = offers.into_iter().filter(|offer| !state.left.contains(&offer.space)).collect();
        self.next_offer(incoming, Arc::new(head), true, core)
    }

    /// The server is not content with what it was sent. What it is sent next, if there is more to say; else
    /// the credential was refused.
    fn go_on(
        &mut self,
        mut attempt: Attempt,
        offers: &[Offered],
        core: &Arc<TaskCore>,
    ) -> Result<Option<Attempt>> {
        let method = attempt.space.authentication_method().clone();
        let is_alike = |offer: &&Offered| *offer.space.authentication_method() == method;
        if attempt.is_known()
            && offers.iter().any(|offer| is_alike(&offer))
            && offers.iter().all(|offer| offer.space != attempt.space)
        {
            // It was sent on the guess that it is right for here too. This is another space, and says
            // nothing of the one it is for.
            log::debug!("task {}: what was sent unasked is for another realm", core.id);
            return Ok(None);
        }
        let mut asked_again = false;
        for offer in offers.iter().filter(is_alike) {
            if self.answer_again(&mut attempt, &offer.offer, core)? {
                return Ok(Some(attempt));
            }
            asked_again = true;
            let state = self.authentication.get_or_insert_default();
            state.refused.push((offer.space.clone(), attempt.credential.clone()));
        }
        if asked_again {
            log::debug!("task {}: the credential was refused ({method:?})", core.id);
            self.authentication.get_or_insert_default().failures += 1;
        }
        if let (Some(store), Some(credential)) = (&core.context.stores()?.credentials, &attempt.credential) {
            store.refused(&attempt.space, credential);
        }
        Ok(None)
    }

    /// Goes on to the next of what the server offers. `ask`: the delegate has not left it to us.
    fn next_offer(
        &mut self,
        incoming: Incoming,
        head: Arc<ResponseHead>,
        ask: bool,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        loop {
            let state = self.authentication.get_or_insert_default();
            let Some(offer) = state.offers.pop_front() else { break };
            let (usable, shown) = self.proposed(&offer.space, core)?;
            let state = self.authentication.get_or_insert_default();
            let unasked = offer.scheme.as_ref().is_some_and(|scheme| scheme.has_own_credentials())
                && state.refused(&offer.space).next().is_none();
            if unasked {
                match self.attempt(&offer, usable, core)? {
                    Some(attempt) => return self.again(incoming, attempt, core),
                    None => continue,
                }
            }
            if let Some(events) = core.events().filter(|_| ask && self.segment.is_none()) {
                let mut challenge = Challenge::new(offer.space.clone())
                    .with_previous_failure_count(state.failures)
                    .with_failure_response(Arc::clone(&head))
                    .with_parameters(&offer.offer.challenge.parameters);
                if let Some(credential) = shown {
                    challenge = challenge.with_proposed_credential(credential);
                }
                let incoming = self.set_aside(incoming, &head, core);
                self.ask_about(challenge, events, core);
                return Ok(Flow::Go(Step::Challenged(incoming, head, Box::new(offer))));
            }
            if usable.is_some() {
                if let Some(attempt) = self.attempt(&offer, usable, core)? {
                    return self.again(incoming, attempt, core);
                }
            }
        }
        // The event that showed it may be about to let go of it.
        let head = Arc::try_unwrap(head).unwrap_or_else(|shared| copied(&shared));
        self.not_authorized(incoming, head, core)
    }

    /// The delegate has been asked.
    pub(super) fn challenged(
        &mut self,
        incoming: Incoming,
        head: Arc<ResponseHead>,
        offer: Box<Offered>,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let Some(answer) = self.answered() else {
            self.check(false, core, &|_| "waiting for the delegate to answer a challenge".into())?;
            return Ok(Flow::Stay(Step::Challenged(incoming, head, offer), Pause::Answer));
        };
        self.clock.touch();
        let disposition = match answer {
            Answer::Challenge(disposition) => disposition,
            _ => ChallengeDisposition::default(),
        };
        let state = self.authentication.get_or_insert_default();
        match disposition {
            ChallengeDisposition::UseCredential(Some(credential)) => {
                let method = offer.space.authentication_method();
                if !fits(&credential, method) {
                    return Err(Error::new(
                        ErrorKind::UserAuthenticationRequired,
                        format!(
                            "answering the challenge of {}: {credential:?} is of no use for {method:?}",
                            offer.space.host()
                        ),
                    ));
                }
                match self.attempt(&offer, Some(credential), core)? {
                    Some(attempt) => self.again(incoming, attempt, core),
                    None => self.next_offer(incoming, head, true, core),
                }
            }
            ChallengeDisposition::UseCredential(None) => {
                state.offers.clear();
                self.next_offer(incoming, head, false, core)
            }
            ChallengeDisposition::PerformDefaultHandling => {
                state.offers.push_front(*offer);
                self.next_offer(incoming, head, false, core)
            }
            ChallengeDisposition::RejectProtectionSpace => {
                state.left.push(offer.space);
                self.next_offer(incoming, head, true, core)
            }
            ChallengeDisposition::CancelChallenge => Err(Error::new(
                ErrorKind::Cancelled,
                format!("the challenge of {} was cancelled by the delegate", offer.space.host()),
            )),
        }
    }

    /// Lets go of the connection while the delegate ponders, if all of the response is here. It may want to load
    /// something from the same server to answer with, and the connections are few.
    fn set_aside(&mut self, mut incoming: Incoming, head: &ResponseHead, core: &Arc<TaskCore>) -> Incoming {
        let is_whole = match &mut incoming {
            // What becomes of an upload depends on its exchange.
            Incoming::Http1(exchange) if self.upload.is_none() && !exchange.is_sending() => {
                exchange.is_done()
                    || (matches!(exchange.receive_piece(Patience::Never), Ok(http1::Body::Piece))
                        && head.content_length == Some(exchange.piece().len() as u64))
            }
            _ => false,
        };
        if !is_whole {
            return incoming;
        }
        let body = Bytes::copy_from_slice(incoming.piece());
        incoming.take(body.len());
        self.leave(incoming, core);
        Incoming::Local(Local::memory(body))
    }

    /// The credential that default handling uses for a space, and the one to show to the delegate: the one
    /// that was just refused, if one was.
    fn proposed(
        &self,
        space: &ProtectionSpace,
        core: &Arc<TaskCore>,
    ) -> Result<(Option<Credential>, Option<Credential>)> {
        let refused: Vec<Option<&Credential>> =
            self.authentication.iter().flat_map(|state| state.refused(space)).collect();
        let usable = self
            .known_credentials(space, core)?
            .into_iter()
            .find(|credential| !refused.iter().flatten().any(|refused| is_same(refused, credential)));
        let shown = refused.last().copied().flatten().cloned().or_else(|| usable.clone());
        Ok((usable, shown))
    }

    /// Sends the request again.
    fn again(&mut self, incoming: Incoming, attempt: Attempt, core: &Arc<TaskCore>) -> Result<Flow> {
        log::debug!(
            "task {}: once more, with {:?} for {}",
            core.id,
            attempt.space.authentication_method(),
            attempt.space.host()
        );
        let is_bound = attempt.is_bound();
        let state = self.authentication.get_or_insert_default();
        state.attempt = Some(attempt);
        state.offers.clear();
        self.retries.begin_anew();
        if is_bound {
            return Ok(Flow::Go(Step::Draining(incoming)));
        }
        self.leave(incoming, core);
        Ok(Flow::Go(Step::Prepare))
    }

    /// Receives the rest of a response that does not count, because the next request has to go over the
    /// same connection.
    pub(super) fn drain_to_keep(
        &mut self,
        mut incoming: Incoming,
        core: &Arc<TaskCore>,
        mode: Mode,
    ) -> Result<Flow> {
        loop {
            if incoming.is_done() {
                return self.keep(incoming, core);
            }
            let received = incoming.receive_piece(self.clock.patience(mode));
            if core.is_settled() {
                return Err(Error::cancelled());
            }
            let received = match received {
                Ok(received) => received,
                // The challenge is there, and what is wrong with its body harms nobody but the connection.
                Err(error) => {
                    log::debug!("task {}: receiving the challenge: {error}", core.id);
                    return self.keep(incoming, core);
                }
            };
            match received {
                http1::Body::Piece => {
                    self.clock.touch();
                    incoming.take(incoming.piece().len());
                    if incoming.body_received() > DRAIN {
                        return self.keep(incoming, core);
                    }
                }
                http1::Body::Framing => {}
                http1::Body::End => return self.keep(incoming, core),
                http1::Body::Nothing => {
                    if self.was_suspended(core) {
                        return Ok(Flow::Go(Step::Draining(incoming)));
                    }
                    self.check(true, core, &|loader| {
                        format!("receiving the challenge of {}", loader.authority(core))
                    })?;
                    return Ok(Flow::Stay(Step::Draining(incoming), Pause::Io));
                }
            }
        }
    }

    fn keep(&mut self, incoming: Incoming, core: &Arc<TaskCore>) -> Result<Flow> {
        let now = self.clock.touch();
        if let Some(transaction) = self.measure() {
            transaction.response_end = Some(now);
            transaction.response_body_bytes = incoming.body_received();
        }
        self.uninterruptible(core);
        let kept = match incoming {
            Incoming::Http1(exchange) => exchange.into_connection(),
            Incoming::Local(_) => None,
        };
        let origin = self.with_origin(core, str::to_owned)?;
        let state = self.authentication.get_or_insert_default();
        match kept {
            Some((connection, permit)) => state.bound = Some((origin, connection, permit)),
            None => {
                log::debug!("task {}: the server did not keep the connection that it authenticates", core.id);
                state.lose_connection();
            }
        }
        Ok(Flow::Go(Step::Prepare))
    }

    /// The connection that was kept for the request. None if the request goes elsewhere by now: a cached
    /// redirect may have led it there, or a host that is reached by https only from now on.
    pub(super) fn bound_connection(
        &mut self,
        core: &Arc<TaskCore>,
    ) -> Result<Option<(Box<Connection>, Permit)>> {
        let Some((origin, connection, permit)) =
            self.authentication.as_mut().and_then(|state| state.bound.take())
        else {
            return Ok(None);
        };
        let is_there = self.with_origin(core, |wanted| *wanted == origin)?;
        Ok(is_there.then_some((connection, permit)))
    }

    /// Whether the request that is about to be sent authenticates its connection.
    pub(super) fn is_bound(&self) -> bool {
        let attempt = self.authentication.as_ref().and_then(|state| state.attempt.as_ref());
        attempt.is_some_and(|attempt| attempt.is_sent() && attempt.is_bound())
    }

    /// The server let the request pass: what it went out with is remembered. False if its connection may
    /// carry no other request.
    pub(super) fn authenticated(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        core: &Arc<TaskCore>,
    ) -> Result<bool> {
        if status == StatusCode::UNAUTHORIZED {
            return Ok(true);
        }
        let Some(mut attempt) = self.authentication.as_mut().and_then(|state| state.attempt.take()) else {
            return Ok(true);
        };
        if !attempt.is_sent() {
            return Ok(true);
        }
        let is_bound = attempt.is_bound();
        match &mut attempt.means {
            Means::Value(_) => {}
            Means::Digest { session, proof, .. } => {
                if let Some(proof) = proof.take() {
                    session.informed(&proof, headers, &AUTHENTICATION_INFO);
                }
            }
            Means::Scheme { scheme, exchange, .. } => {
                let answers = challenges(headers, &WWW_AUTHENTICATE);
                let answer = answers.iter().find(|answer| answer.is(scheme.name()));
                contained(|| exchange.finish(answer.map(|answer| answer.rest.as_str())))?;
            }
        }
        if is_bound {
            self.authentication.get_or_insert_default().begun_anew = false;
        } else {
            if is_about_request(status) {
                self.remember(&attempt, core)?;
            }
            // For redirects within the same space.
            self.authentication.get_or_insert_default().attempt = Some(attempt);
        }
        Ok(!is_bound)
    }
}

/// Whether a server that answers so has looked at the request, and not at its own state.
fn is_about_request(status: StatusCode) -> bool {
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    !status.is_server_error() && !passing.contains(&status)
}

/// What the delegate says: at first as that of the session, where it is about a connection.
pub(super) fn decide(
    challenge: &Challenge,
    events: &dyn Events,
    core: &Arc<TaskCore>,
) -> ChallengeDisposition {
    if challenge.protection_space().authentication_method().is_session_wide() {
        if let Some(disposition) = events.did_receive_session_challenge(challenge) {
            return disposition;
        }
    }
    events.did_receive_challenge(core, challenge)
}
