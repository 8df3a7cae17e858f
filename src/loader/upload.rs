//! The body of the request: whether there is one to send, opened, asked of the delegate when it is used
//! up, and what of it went out.

use super::{Answer, Flow, Loader, Pause, Step};
use crate::body::{Host, Source, exhausted};
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::Exchange;
use crate::exchange::outgoing::Sending;
use crate::sync::Arc;
use crate::task::core::TaskCore;
use http::header::CONTENT_LENGTH;

impl Loader {
    /// Before a connection is wanted: is there a body to send, or has the delegate to be asked for one?
    pub(super) fn with_body(&mut self, core: &Arc<TaskCore>) -> Result<Flow> {
        if let Some(step) = self.with_rest(core)? {
            return Ok(Flow::Go(step));
        }
        if !self.request(core).get_body().is_spent() {
            return Ok(Flow::Go(Step::Route));
        }
        let Some(events) = core.events() else { return Err(self.no_body(core)) };
        self.ask(
            core,
            events,
            |events, core| Answer::Body(events.need_new_body_stream(core)),
            Answer::Body(None),
        );
        Ok(Flow::Go(Step::NeedBody))
    }

    pub(super) fn need_body(&mut self, core: &Arc<TaskCore>) -> Result<Flow> {
        let Some(answer) = self.answered() else {
            self.check(false, core, &|_| "waiting for the delegate to give the body".into())?;
            return Ok(Flow::Stay(Step::NeedBody, Pause::Answer));
        };
        self.clock.touch();
        if self.take_rest(&answer)? {
            return Ok(Flow::Go(Step::Acquire(None)));
        }
        match answer {
            Answer::Body(Some(body)) if !body.is_spent() => {
                // Whoever writes the one that is given up has to know.
                let request = self.request(core);
                request.get_body().close(&|| {
                    Error::new(
                        ErrorKind::RequestBodyFailed,
                        "the delegate gave another body to be sent instead",
                    )
                });
                let request = request.clone().body(body);
                self.request = Some(request);
                Ok(Flow::Go(Step::Route))
            }
            _ => Err(self.no_body(core)),
        }
    }

    /// The error of a request whose body cannot be had, and why it is needed once more.
    fn no_body(&mut self, core: &Arc<TaskCore>) -> Error {
        if self.request(core).get_body().is_asked() {
            return Error::new(
                ErrorKind::RequestBodyStreamExhausted,
                "sending the body: the task was made with upload_task_with_streamed_request, and no delegate \
                 gave a body; implement Delegate::need_new_body_stream",
            );
        }
        match self.retries.cause.take() {
            Some(cause) => exhausted().with_source(cause),
            None => exhausted(),
        }
    }

    /// Opens the body, whose length is fixed from here on.
    pub(super) fn open_body(&mut self, core: &Arc<TaskCore>) -> Result<Source> {
        if let Some(source) = self.open_rest(core)? {
            return Ok(source);
        }
        let request = self.request(core);
        let declared = match request.get_headers().get(CONTENT_LENGTH) {
            Some(value) if !request.get_body().is_absent() => {
                let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                Some(text.and_then(|text| text.parse().ok()).ok_or_else(|| {
                    Error::new(
                        ErrorKind::BadUrl,
                        format!("the header Content-Length is {value:?}, not a number"),
                    )
                })?)
            }
            _ => None,
        };
        Source::open(request.get_body(), declared, &|| host(core))
    }

    /// Sends what can be sent.
    pub(super) fn send(&mut self, exchange: &mut Exchange, core: &Arc<TaskCore>) -> Result<Sending> {
        let starved = exchange.is_starved();
        let sending = exchange.send();
        if starved && !matches!(sending, Ok(Sending::Starved)) {
            // The time was the user's.
            self.clock.touch();
        }
        self.count_sent(exchange, core);
        sending
    }

    /// Counts what went out of the body, and has the delegate told.
    fn count_sent(&mut self, exchange: &Exchange, core: &Arc<TaskCore>) {
        self.note_sent(exchange);
        let sent = exchange.body_sent();
        if sent > self.conversation.body_sent {
            self.conversation.body_sent = sent;
            let now = self.clock.touch();
            if let Some(transaction) = self.measure() {
                transaction.request_body_bytes = sent;
            }
            core.has_sent(self.upload_offset().saturating_add(sent));
            if exchange.is_sending() {
                core.moved(now);
            }
        }
    }
}

/// What a body needs of the task that sends it.
pub(super) fn host(core: &Arc<TaskCore>) -> Host {
    let pool = Arc::clone(core.context.pool.shared());
    Host {
        waker: core.waker(),
        spawn: Arc::new(move |run| {
            pool.call(Box::new(move || {
                crate::engine::events::contain(run);
            }));
        }),
    }
}
