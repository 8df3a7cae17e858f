//! The request goes out, and heads come in until the final one is there.

use super::security::is_from_where_it_says;
use super::{Flow, Loader, Pause, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::{Exchange, Head};
use crate::exchange::outgoing::Sending;
use crate::head::ResponseHead;
use crate::proto::http1::framing::{Framing, MessageFraming, Persistence, framing};
use crate::proto::http1::head::{MAX_INFORMATIONAL, ParsedHead};
use crate::proto::resumable_upload::Next;
use crate::sync::Arc;
use crate::sys::{Interest, Patience};
use crate::task::core::{Mode, TaskCore};
use http::{StatusCode, Version};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long the body waits for `100 Continue`; curl's figure.
const EXPECT: Duration = Duration::from_secs(1);

/// A server that tells how far an upload is (104) may do so without end, as often as it may say other
/// things, for so many bytes.
const TOLD: u64 = 64 * 1024;

/// What is remembered while the exchange goes on.
#[derive(Default)]
pub(super) struct Conversation {
    begun: bool,
    sent: bool,
    hold_until: Option<Instant>,
    interim: u32,
    /// How much of an upload the server had by then.
    interim_at: u64,
    pub(super) body_sent: u64,
}

impl Loader {
    /// The next exchange begins.
    pub(super) fn converse_anew(&mut self) {
        self.conversation = Conversation::default();
    }

    pub(super) fn converse(
        &mut self,
        mut exchange: Box<Exchange>,
        core: &Arc<TaskCore>,
        mode: Mode,
    ) -> Result<Flow> {
        self.interruptible(core, mode, exchange.connection().socket())?;
        if !std::mem::replace(&mut self.conversation.begun, true) {
            let now = self.clock.progress();
            self.note_request_time();
            if let Some(transaction) = self.measure() {
                transaction.request_start = Some(now);
            }
        }
        loop {
            let mut sending = Sending::Complete;
            if !self.conversation.sent {
                sending = match self.send(&mut exchange, core) {
                    Ok(sending) => sending,
                    Err(error) => return self.unsent(exchange, error, core),
                };
                if sending == Sending::Complete {
                    self.sent(core);
                    // The answer cannot be here yet.
                    if matches!(mode, Mode::Parking) {
                        exchange.rest();
                        return Ok(Flow::Stay(Step::Converse(exchange, Interest::READ), Pause::Io));
                    }
                }
            }
            let patience = match sending {
                Sending::Complete => self.clock.patience(mode),
                Sending::Blocked | Sending::Held | Sending::Starved => Patience::Never,
            };
            let received = exchange.receive_head(patience);
            if core.is_settled() {
                return Err(Error::cancelled());
            }
            match received {
                Err(error) => return self.unanswered(exchange, error, core),
                Ok(Head::Complete(head, length)) => {
                    let now = self.clock.touch();
                    if let Some(transaction) = self.measure() {
                        transaction.response_start.get_or_insert(now);
                        transaction.response_header_bytes += length as u64;
                    }
                    if head.is_interim() {
                        if let Some(next) = self.interim(&mut exchange, head, core)? {
                            return self.upload_otherwise(exchange, next, core);
                        }
                        continue;
                    }
                    return self.respond(exchange, head, core);
                }
                Ok(Head::Some) => {
                    let now = self.clock.touch();
                    self.clock.check_moving(now, &|| {
                        format!("receiving the response of {}", self.authority(core))
                    })?;
                    continue;
                }
                Ok(Head::Nothing) => {}
            }
            if self.was_suspended(core) {
                return Ok(Flow::Go(Step::Converse(exchange, Interest::READ)));
            }
            // The time that the user's code takes for the body is not the peer's.
            self.check(sending != Sending::Starved, core, &|loader| match sending {
                Sending::Starved => "waiting for more of the body to send".into(),
                Sending::Blocked => format!("sending the request to {}", loader.authority(core)),
                _ => format!("waiting for the response of {}", loader.authority(core)),
            })?;
            let interest = match sending {
                Sending::Complete | Sending::Starved => Interest::READ,
                Sending::Blocked => Interest::READ_WRITE,
                Sending::Held => {
                    let until = *self.conversation.hold_until.get_or_insert_with(|| Instant::now() + EXPECT);
                    if Instant::now() >= until {
                        log::debug!("task {}: no 100 Continue within {EXPECT:?}; the body goes out", core.id);
                        exchange.release_body();
                        self.clock.next_attempt = None;
                        continue;
                    }
                    self.clock.next_attempt = Some(until);
                    Interest::READ
                }
            };
            exchange.rest();
            let pause = if sending == Sending::Starved { Pause::Listen { idle: false } } else { Pause::Io };
            return Ok(Flow::Stay(Step::Converse(exchange, interest), pause));
        }
    }

    /// All of the request went out.
    fn sent(&mut self, core: &Arc<TaskCore>) {
        self.conversation.sent = true;
        let now = self.clock.touch();
        if self.conversation.body_sent > 0 {
            core.moved_out(now);
        }
        if let Some(transaction) = self.measure() {
            transaction.request_end = Some(now);
        }
    }

    /// Sends more of a request whose answer has begun. Whoever reads to the end of the body before
    /// it answers the rest, such as an echo, waits for it. True if there is still more.
    pub(super) fn send_on(&mut self, exchange: &mut Exchange, core: &Arc<TaskCore>) -> Result<bool> {
        if !exchange.is_sending() {
            return Ok(false);
        }
        match self.send(exchange, core) {
            Ok(Sending::Complete) => self.sent(core),
            Ok(_) => {}
            // What cannot be sent whole was not sent, whatever the server makes of it.
            Err(error) if is_of_body(&error) => return Err(error),
            // A server may do without the rest. Its answer counts, and tells whether it is complete.
            Err(error) => {
                log::debug!("task {}: the rest of the request was not wanted ({error})", core.id);
                self.give_up_sending(exchange, core);
            }
        }
        Ok(exchange.is_sending())
    }

    fn give_up_sending(&mut self, exchange: &mut Exchange, core: &Arc<TaskCore>) {
        exchange.abandon_body();
        self.sent(core);
    }

    /// Sending failed. The server may have answered before it closed (413, 401), and then that is
    /// the result.
    fn unsent(&mut self, mut exchange: Box<Exchange>, error: Error, core: &Arc<TaskCore>) -> Result<Flow> {
        // It is the body that failed, and not the connection.
        if is_of_body(&error) {
            return Err(error);
        }
        loop {
            match exchange.receive_head(Patience::Never) {
                Ok(Head::Complete(head, _)) if head.is_interim() => {
                    if let Some(next) = self.interim(&mut exchange, head, core)? {
                        return self.upload_otherwise(exchange, next, core);
                    }
                }
                Ok(Head::Complete(head, _)) => return self.respond(exchange, head, core),
                Ok(Head::Some) => {}
                _ => return self.unanswered(exchange, error, core),
            }
        }
    }

    /// A 1xx. RFC 9110, section 15.2: any number may come before the final response. What a resumable
    /// upload does instead of waiting for that, if it does not.
    fn interim(
        &mut self,
        exchange: &mut Exchange,
        head: ParsedHead,
        core: &Arc<TaskCore>,
    ) -> Result<Option<Next>> {
        let next = self.upload_informed(exchange, head.status, &head.headers);
        let known = self.acknowledged();
        if known >= self.conversation.interim_at.saturating_add(TOLD) {
            self.conversation.interim_at = known;
            self.conversation.interim = 0;
        }
        self.conversation.interim += 1;
        if self.conversation.interim > MAX_INFORMATIONAL {
            return Err(Error::new(
                ErrorKind::CannotParseResponse,
                format!(
                    "waiting for the response: more than {MAX_INFORMATIONAL} informational responses came instead"
                ),
            ));
        }
        log::debug!("task {}: {}", core.id, head.status);
        if head.status == StatusCode::CONTINUE {
            exchange.release_body();
            self.clock.next_attempt = None;
        }
        if let Some(events) = core.events() {
            let head = self.response_head(head, None, core)?;
            core.tell(events, move |events, core| events.did_receive_informational(core, &head));
        }
        Ok(next)
    }

    /// The final head is there.
    fn respond(
        &mut self,
        mut exchange: Box<Exchange>,
        head: ParsedHead,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        self.clock.next_attempt = None;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::new(
                ErrorKind::BadServerResponse,
                "the server switched protocols (101), which it was not asked to do",
            ));
        }
        if head.sets_cookies() {
            self.store_cookies(&head.headers, core);
        }
        if head.status == StatusCode::EXPECTATION_FAILED && self.without_expectation(core) {
            log::debug!("task {}: 417; once more without Expect", core.id);
            return Ok(Flow::Go(Step::Prepare));
        }
        let MessageFraming { framing: body, persistence, coding } =
            framing(self.request(core).get_method(), &head)?;
        if let Some(coding) = coding {
            return Err(Error::new(
                ErrorKind::BadServerResponse,
                format!("the server compressed the transfer ({coding:?}), which it was not asked to do"),
            ));
        }
        // RFC 9112, section 9.5: an error before the request was out says that the rest of it is not
        // wanted. Other answers do not (section 7.5 of RFC 9110).
        if !self.conversation.sent && (!head.status.is_success() || exchange.is_held()) {
            self.keep_rest(&mut exchange);
            self.give_up_sending(&mut exchange, core);
        }
        let version = head.version;
        let status = head.status;
        let shared = self.authentication.is_none() || self.authenticated(status, &head.headers, core)?;
        let persistent = exchange.persistent && persistence == Persistence::KeepAlive && shared;
        exchange.begin_body(body, persistent);
        exchange.take_received();
        self.note_security(&exchange, &head, core)?;
        let head = self.response_head(head, Some(body), core)?;
        log::debug!("task {}: {status}", core.id);
        if let Some(transaction) = self.measure() {
            transaction.status = Some(status);
            transaction.network_protocol_name =
                Some(if version == Version::HTTP_10 { "http/1.0" } else { "http/1.1" });
        }
        let is_delimited = !matches!(body, Framing::UntilClose);
        let is_trusted = is_from_where_it_says(&exchange, &head.url, core);
        if let Some(step) = self.cache_answered(&head, is_delimited, is_trusted, core)? {
            self.leave_for_cache(exchange, core);
            return Ok(Flow::Go(step));
        }
        self.upload_answered(exchange, head, core)
    }

    /// The head as users see it.
    fn response_head(
        &self,
        head: ParsedHead,
        body: Option<Framing>,
        core: &Arc<TaskCore>,
    ) -> Result<ResponseHead> {
        let content_length = match body {
            Some(Framing::Length(length)) => Some(length),
            Some(Framing::None) => head.content_length().unwrap_or(None),
            _ => None,
        };
        Ok(ResponseHead {
            status: head.status,
            version: head.version,
            url: self.request(core).well_formed()?.clone(),
            // Whether it is: that is found out when the response is delivered.
            decoded: head.is_encoded(),
            headers: head.headers,
            content_length,
            trailers: OnceLock::new(),
        })
    }
}

/// Whether it is not the connection that failed.
fn is_of_body(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::NetworkConnectionLost | ErrorKind::SecureConnectionFailed)
}
