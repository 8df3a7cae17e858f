//! Resumable uploads: carries out what the protocol (`proto::resumable_upload`) says is next, with the
//! steps that every request takes, and tells it how that went.
//!
//! ```text
//! prepare ─▶ ... ─▶ converse ─▶ respond ─▶ the machine ─▶ deliver
//!    ▲                 │ 104, lost            │
//!    └── HEAD, PATCH, DELETE: another request ◀┘
//! ```
//!
//! The exchange before is over when the next request is prepared: its connection is closed, or went back
//! with nothing under way.

mod uploading;

pub(super) use uploading::Uploading;

use super::incoming::Incoming;
use super::{Answer, Flow, Loader, Step};
use crate::body::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::exchange::http1::Exchange;
use crate::head::ResponseHead;
use crate::proto::resumable_upload::{Next, Upload, add_creation_fields};
use crate::request::Request;
use crate::resume::ResumeData;
use crate::retry::{RetryPolicy, is_transient, retry_after};
use crate::sync::Arc;
use crate::task::core::TaskCore;
use http::{HeaderMap, StatusCode};
use std::time::{Duration, Instant, SystemTime};
use uploading::Stage;

/// How many requests an upload may take to be gone on with: a server that takes a byte at a time is of no
/// use, and each of them is in the metrics.
const MOST_REQUESTS: u64 = 10_000;

impl Loader {
    /// Goes on with an upload.
    pub(crate) fn resuming_upload(request: &Request, data: ResumeData) -> Self {
        Loader { upload: Some(Box::new(Uploading::new(request, Some(data)))), ..Loader::new() }
    }

    /// Before the first request of an upload that is gone on with.
    pub(super) fn prepare_upload(&mut self, core: &Arc<TaskCore>) -> Result<()> {
        let Some(upload) = self.upload.as_mut() else { return Ok(()) };
        let Some(data) = upload.resume.take() else { return Ok(()) };
        match upload.go_on(&data, core) {
            Ok(next) => self.carry_out(next, None, None, core).map(drop),
            // Another body may fit.
            Err(error) if data.is_upload() && error.kind() != ErrorKind::CannotParseResumeData => {
                Err(error.with_resume_data(data))
            }
            Err(error) => Err(error),
        }
    }

    /// Before a connection is wanted. A step, if the request is one to the upload resource; the others
    /// go on as requests do.
    pub(super) fn with_rest(&mut self, core: &Arc<TaskCore>) -> Result<Option<Step>> {
        let request = self.request(core);
        let wanted = request.resumable_upload && !request.get_body().is_absent() && self.download.is_none();
        let Some(upload) = self.upload.as_ref() else {
            self.upload = wanted.then(|| Box::new(Uploading::new(request, None)));
            return Ok(None);
        };
        let offset = match upload.stage {
            Stage::Creation => {
                // A redirect may have led to a request without a body.
                if !wanted {
                    self.upload = None;
                }
                return Ok(None);
            }
            Stage::Append { offset, .. } if !upload.can_supply(offset) => offset,
            _ => return Ok(Some(Step::Acquire(None))),
        };
        let Some(events) = core.events() else { return Err(exhausted_at(offset)) };
        self.ask(
            core,
            events,
            move |events, core| Answer::Body(events.need_new_body_stream_from(core, offset)),
            Answer::Body(None),
        );
        Ok(Some(Step::NeedBody))
    }

    /// Whether the delegate was asked for the rest of a body, which is this.
    pub(super) fn take_rest(&mut self, answer: &Answer) -> Result<bool> {
        let Some(upload) = self.upload.as_mut() else { return Ok(false) };
        let Stage::Append { offset, .. } = upload.stage else { return Ok(false) };
        match answer {
            Answer::Body(Some(body)) if !body.is_spent() => {
                upload.body.close(&|| {
                    let message = "the delegate gave another body to be sent instead";
                    Error::new(ErrorKind::RequestBodyFailed, message)
                });
                upload.body = body.clone();
                upload.base = offset;
                upload.rest = None;
                Ok(true)
            }
            _ => Err(exhausted_at(offset)),
        }
    }

    /// Opens what an append sends; nothing for other requests to the upload resource. `None` if the
    /// request is none of those.
    pub(super) fn open_rest(&mut self, core: &Arc<TaskCore>) -> Result<Option<Source>> {
        let Some(upload) = self.upload.as_mut() else { return Ok(None) };
        match upload.stage {
            Stage::Creation => Ok(None),
            Stage::Append { offset, length, .. } => upload.open(offset, length, core).map(Some),
            Stage::Query | Stage::Cancel(_) => Ok(Some(Source::default())),
        }
    }

    /// A request begins to go out, whose body has that length.
    pub(super) fn begin_sending(&mut self, length: Option<u64>, core: &Arc<TaskCore>) -> Result<()> {
        match self.upload.as_mut().map(|upload| (upload.offset(), upload)) {
            Some((Some(0), upload)) if matches!(upload.stage, Stage::Creation) => {
                let request = self.request.as_ref().unwrap_or(&core.original);
                upload.create(request, length)?;
                core.begin_sending(length);
            }
            None => core.begin_sending(length),
            Some((Some(offset), upload)) => {
                core.resume_sending(offset, upload.machine.as_ref().and_then(Upload::total));
            }
            Some((None, _)) => {}
        }
        Ok(())
    }

    /// Which byte of the upload the body of the request begins with.
    pub(super) fn upload_offset(&self) -> u64 {
        self.upload.as_ref().and_then(|upload| upload.offset()).unwrap_or(0)
    }

    /// Adds to a request what offers that it can be resumed.
    pub(super) fn add_upload_fields(&self, headers: &mut HeaderMap, length: Option<u64>) -> Result<()> {
        match &self.upload {
            Some(upload) if matches!(upload.stage, Stage::Creation) => add_creation_fields(headers, length),
            _ => Ok(()),
        }
    }

    /// Whether the request belongs to an upload that goes its own way when it fails.
    pub(super) fn is_resumable(&self) -> bool {
        let own = |upload: &Uploading| !matches!(upload.stage, Stage::Creation) || upload.has_resource();
        self.upload.as_ref().is_some_and(|upload| own(upload))
    }

    /// Notes what of the body went out.
    pub(super) fn note_sent(&mut self, exchange: &Exchange) {
        if let Some(upload) = self.upload.as_mut() {
            upload.note_sent(exchange);
        }
    }

    /// Before an exchange is given up: what is left of a body that can be read only once is kept.
    pub(super) fn keep_rest(&mut self, exchange: &mut Exchange) {
        if !self.is_resumable() {
            return;
        }
        let Some(upload) = self.upload.as_mut().filter(|upload| !upload.body.is_repeatable()) else { return };
        if let (Some(from), None) = (upload.offset(), &upload.rest) {
            let at = from.saturating_add(exchange.body_sent());
            upload.rest = Some((exchange.take_source(), at));
        }
    }

    /// An informational response. What is to be done instead of going on, if the request is to be given
    /// up.
    pub(super) fn upload_informed(
        &mut self,
        exchange: &Exchange,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Next> {
        self.note_sent(exchange);
        self.upload.as_mut()?.machine.as_mut()?.handle_informational(status, headers)
    }

    /// How much of an upload the server is known to have.
    pub(super) fn acknowledged(&self) -> u64 {
        self.upload.as_ref().and_then(|upload| upload.machine.as_ref()).map_or(0, Upload::acknowledged)
    }

    /// Gives the request up, and does something else.
    pub(super) fn upload_otherwise(
        &mut self,
        mut exchange: Box<Exchange>,
        next: Next,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        self.keep_rest(&mut exchange);
        if let Some(transaction) = self.measure() {
            transaction.failed_at = Some(Instant::now());
        }
        self.uninterruptible(core);
        drop(exchange);
        self.carry_out(next, None, None, core).map(Flow::Go)
    }

    /// The final response to one of the requests.
    pub(super) fn upload_answered(
        &mut self,
        exchange: Box<Exchange>,
        head: ResponseHead,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        self.note_sent(&exchange);
        let Some(upload) = self.upload.as_mut() else {
            return self.redirect_or_deliver(Incoming::Http1(exchange), head, core);
        };
        if let Stage::Cancel(reason) = &upload.stage {
            let reason = reason.clone();
            self.leave(Incoming::Http1(exchange), core);
            return Err(reason);
        }
        if head.status == StatusCode::UNAUTHORIZED && !matches!(upload.stage, Stage::Creation) {
            return self.unauthorized(Incoming::Http1(exchange), head, core);
        }
        self.upload_concluded(exchange, head, core)
    }

    /// Nobody knows who we are to be for a server that wants to know: its 401 is what it answers.
    pub(super) fn not_authorized(
        &mut self,
        incoming: Incoming,
        head: ResponseHead,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let is_of_resource = |upload: &Uploading| !matches!(upload.stage, Stage::Creation);
        match incoming {
            Incoming::Http1(exchange) if self.upload.as_deref().is_some_and(is_of_resource) => {
                self.upload_concluded(exchange, head, core)
            }
            incoming => self.begin_response(incoming, head, core),
        }
    }

    /// What follows from a response, which is the one to a request of the upload.
    fn upload_concluded(
        &mut self,
        mut exchange: Box<Exchange>,
        head: ResponseHead,
        core: &Arc<TaskCore>,
    ) -> Result<Flow> {
        let Some(upload) = self.upload.as_mut() else {
            return self.redirect_or_deliver(Incoming::Http1(exchange), head, core);
        };
        let next = match upload.machine.as_mut() {
            Some(machine) => machine.handle_response(head.status, head.headers()),
            None => Next::Deliver,
        };
        match next {
            Next::Deliver if matches!(upload.stage, Stage::Creation) => {
                upload.answered = true;
                self.redirect_or_deliver(Incoming::Http1(exchange), head, core)
            }
            Next::Deliver => {
                upload.answered = true;
                self.begin_response(Incoming::Http1(exchange), head, core)
            }
            next => {
                log::debug!("task {}: {}; the upload goes on", core.id, head.status);
                self.keep_rest(&mut exchange);
                self.leave(Incoming::Http1(exchange), core);
                let wait =
                    retry_after(head.headers(), SystemTime::now()).filter(|_| head.status.is_server_error());
                let next = self.carry_out(next, wait, None, core);
                next.map(Flow::Go).map_err(|error| error.with_response(Arc::new(head)))
            }
        }
    }

    /// A request failed. What comes next, if the upload can go on; else why it cannot.
    pub(super) fn upload_lost(&mut self, core: &Arc<TaskCore>, error: Error) -> Result<Step> {
        let lost = !core.is_settled() && self.is_lost(&error, core);
        let Some(upload) = self.upload.as_mut() else { return Err(error) };
        if let Stage::Cancel(reason) = &upload.stage {
            return Err(reason.clone());
        }
        let Some(machine) = upload.machine.as_mut().filter(|_| lost) else { return Err(error) };
        let next = machine.handle_lost(error.clone());
        if let Next::Fail(error) = next {
            return Err(error);
        }
        let known = machine.acknowledged();
        log::info!("task {}: {error}; the upload goes on, at byte {known} or later", core.id);
        if let Some(transaction) = self.measure() {
            transaction.failed_at = Some(Instant::now());
        }
        self.uninterruptible(core);
        self.carry_out(next, None, Some(error), core)
    }

    /// Whether it is the connection that failed.
    fn is_lost(&self, error: &Error, core: &TaskCore) -> bool {
        match error.kind() {
            // That nothing moves is for the caller to judge, who has set how long it may be so.
            ErrorKind::TimedOut => self.policy(core).attempts() > 0 && !self.clock.is_over(Instant::now()),
            kind => is_transient(kind),
        }
    }

    /// Makes the next request. `wait` is what the server has asked for, `cause` what was wrong with the
    /// request before.
    fn carry_out(
        &mut self,
        next: Next,
        wait: Option<Duration>,
        cause: Option<Error>,
        core: &Arc<TaskCore>,
    ) -> Result<Step> {
        let (url, stage, pause) = match next {
            Next::QueryOffset { url, attempt } => {
                (url, Stage::Query, self.pause_before(attempt, wait, core)?)
            }
            Next::Append { url, offset, length, complete } => {
                (url, Stage::Append { offset, length, complete }, Duration::ZERO)
            }
            Next::Cancel { url, error } => (url, Stage::Cancel(error), Duration::ZERO),
            Next::Fail(error) => return Err(error),
            Next::Create | Next::Deliver => {
                return Err(Error::new(ErrorKind::Unknown, "a resumable upload that began or ended twice"));
            }
        };
        let Some(upload) = self.upload.as_mut() else {
            return Err(Error::new(ErrorKind::Unknown, "a resumable upload that is none"));
        };
        upload.requests += 1;
        if upload.requests.saturating_add(upload.requests_to_come(&stage)) > MOST_REQUESTS {
            return Err(Error::new(
                ErrorKind::BadServerResponse,
                format!(
                    "resumable upload: the server takes so little at once that {MOST_REQUESTS} requests do not do"
                ),
            ));
        }
        self.request = Some(upload.request_to(url, &stage)?);
        upload.stage = stage;
        self.retries.begin_anew();
        self.clock.end_connect();
        self.clock.next_attempt = None;
        self.clock.touch();
        if pause.is_zero() {
            return Ok(Step::Prepare);
        }
        match (Instant::now().checked_add(pause).filter(|until| !self.clock.is_over(*until)), cause) {
            (Some(until), _) => Ok(Step::Backoff(until)),
            (None, Some(cause)) => Err(cause),
            (None, None) => Err(Error::new(
                ErrorKind::TimedOut,
                format!("waiting to go on with the upload: in {pause:?} the resource timeout has passed"),
            )),
        }
    }

    /// How long the offset is not asked for.
    fn pause_before(&self, attempt: u32, wait: Option<Duration>, core: &TaskCore) -> Result<Duration> {
        let policy = self.policy(core);
        let usual = RetryPolicy::default();
        let policy = if policy.attempts() > 0 { policy } else { &usual };
        if let Some(wait) = wait.filter(|wait| *wait > policy.longest()) {
            return Err(Error::new(
                ErrorKind::BadServerResponse,
                format!(
                    "resumable upload: the server asks to be left alone for {wait:?} (Retry-After), longer than \
                     RetryPolicy::longest_retry_after; go on with the resume data then"
                ),
            ));
        }
        let usual = match attempt.checked_sub(1) {
            Some(tried) => policy.pause(tried, super::retry::random()),
            None => Duration::ZERO,
        };
        Ok(usual.max(wait.unwrap_or_default()))
    }
}

/// The error of a body that would have to be sent once more from that byte on.
fn exhausted_at(offset: u64) -> Error {
    Error::new(
        ErrorKind::RequestBodyStreamExhausted,
        format!(
            "going on with the upload at byte {offset}: its body is a reader or a writer of which more was used \
             than the server has; make it with Body::from_fn, implement Delegate::need_new_body_stream_from, or \
             use the resume data of this error with another body"
        ),
    )
}
