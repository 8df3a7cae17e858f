//! The life of one HTTP task, as a value that is carried on by whoever has claimed it.
//!
//! ```text
//! prepare ─▶ acquire ─▶ resolve ─▶ dial ─▶ handshake ─▶ converse ─▶ respond ─▶ body ─▶ finish
//!    ▲          └──────── a kept-alive connection ────────▲  │          │        │
//!    └──────────────── redirect, challenge, or a retry afresh ◀─────┘        └▶ a reader takes it
//! ```
//!
//! What is stored in the cache, and may be used, goes from prepare straight to respond (`caching.rs`), and so
//! does what needs no network (`data:`, `file:`, protocols of the program's own: `local.rs`).
//!
//! Each step is a function from what it was given to what comes next; there is a file for each
//! group of them. What a step needs to wait for it says, and is called again.

mod authentication;
mod authorization;
mod body;
mod caching;
mod clock;
mod connect;
mod converse;
mod cookies;
mod download;
mod incoming;
mod integrity;
mod local;
mod prepare;
mod receiving;
mod redirect;
mod resumable;
mod retry;
mod security;
mod segments;
#[cfg(feature = "tls")]
mod trust;
mod upload;

use crate::body::Body;
use crate::challenge::ChallengeDisposition;
use crate::connection::dial::Dial;
use crate::connection::idle::{Permit, Ticket};
#[cfg(feature = "tls")]
use crate::connection::transport::Connection;
use crate::disposition::{CacheDecision, RedirectDecision, ResponseDisposition};
use crate::download::DownloadOptions;
use crate::error::{Error, Result};
use crate::exchange::http1::Exchange;
use crate::head::ResponseHead;
use crate::metrics::{TaskMetrics, TransactionMetrics};
use crate::protocol::Load;
use crate::request::Request;
use crate::response::{Content, Response};
use crate::sync::{Arc, Mutex, lock};
use crate::sys::{Interest, Socket};
use crate::task::core::{Advance, Events, Mode, Outcome, ReadStep, TaskCore, Work};
use authentication::Authentication;
use authorization::Offered;
use caching::{Caching, Found};
use clock::Clock;
use download::Downloading;
use incoming::Incoming;
use prepare::Route;
use receiving::Receiving;
use resumable::Uploading;
use segments::Segment;
use std::time::Instant;
use url::Url;

/// See the module's documentation.
pub(crate) struct Loader {
    /// The request that is carried out now, if it is not the original one.
    request: Option<Request>,
    step: Step,
    clock: Clock,
    begun: bool,
    transactions: Vec<TransactionMetrics>,
    redirects: u32,
    retries: retry::Retries,
    tries: retry::Tries,
    conversation: converse::Conversation,
    answer: Slot,
    failure: Option<Error>,
    /// Cancelling shuts the connection down.
    interruptible: bool,
    download: Option<Box<Downloading>>,
    route: Route,
    caching: Caching,
    upload: Option<Box<Uploading>>,
    /// Who the task is to the servers that ask.
    authentication: Option<Box<Authentication>>,
    /// What the credential of the request is for, if a delegate has added it on the way.
    credential_url: Option<Url>,
    /// The part of a download that its connection brings, if there are several.
    segment: Option<Box<Segment>>,
    /// Until the connection is there.
    #[cfg(feature = "tls")]
    decided: Option<Box<trust::Decided>>,
}

/// Where the task stands.
enum Step {
    Prepare,
    /// What is in the file of a download is read for its checksum: before the request, or in the end.
    Hashing(Option<Arc<ResponseHead>>),
    /// It failed, and is tried again then.
    Backoff(Instant),
    /// The delegate is asked for the body.
    NeedBody,
    /// Everything is there that it takes.
    Route,
    /// A protocol of the program's is to answer.
    Protocol(Load),
    /// A stored response is the answer.
    Cached(Box<Found>),
    Acquire(Option<Ticket>),
    Resolve(Permit),
    Dial(Dial, Permit),
    #[cfg(feature = "tls")]
    Handshake(Box<Connection>, Permit, Interest),
    /// The delegate is asked about the server's certificate, or for ours.
    #[cfg(feature = "tls")]
    Asking(Box<trust::Asking>),
    Converse(Box<Exchange>, Interest),
    /// The delegate is asked who we are.
    Challenged(Incoming, Arc<ResponseHead>, Box<Offered>),
    /// The rest of a response that does not count is received, to send the next request after it.
    Draining(Incoming),
    /// The delegate is asked about a redirect.
    Redirecting(Incoming, Arc<ResponseHead>, Box<Request>),
    /// The delegate is asked about the response.
    Responding(Box<Receiving>),
    Body(Box<Receiving>),
    /// All is received, and on its way to the delegate.
    Delivering(Arc<ResponseHead>),
    /// The delegate is asked what is stored of it.
    Storing(Arc<ResponseHead>),
    /// Others bring what is missing of the download.
    Segments,
    Over,
}

/// What a step leads to.
enum Flow {
    Go(Step),
    /// The same step again, when something has happened.
    Stay(Step, Pause),
    Done(Response<Content>),
}

/// What a step waits for.
enum Pause {
    Io,
    /// The source of the request's body, which wakes the task, or a word from the peer.
    Listen {
        /// The idle timeout counts.
        idle: bool,
    },
    Event,
    /// An answer of the delegate's: the idle timeout stands still.
    Answer,
    Yield,
    Reader,
}

/// A delegate's answer, once it is there.
type Slot = Arc<Mutex<Option<Answer>>>;

enum Answer {
    Redirect(Box<RedirectDecision>),
    Response(ResponseDisposition),
    Body(Option<Body>),
    Cache(Box<CacheDecision>),
    Challenge(ChallengeDisposition),
    #[cfg(feature = "tls")]
    Connection(ChallengeDisposition, trust::By),
}

impl Loader {
    pub(crate) fn new() -> Self {
        Loader {
            request: None,
            step: Step::Prepare,
            clock: Clock::new(),
            begun: false,
            transactions: Vec::new(),
            redirects: 0,
            retries: retry::Retries::default(),
            tries: retry::Tries::default(),
            conversation: converse::Conversation::default(),
            answer: Slot::default(),
            failure: None,
            interruptible: false,
            download: None,
            route: Route::Network,
            caching: Caching::default(),
            upload: None,
            authentication: None,
            credential_url: None,
            segment: None,
            #[cfg(feature = "tls")]
            decided: None,
        }
    }

    pub(crate) fn downloading(options: DownloadOptions) -> Self {
        Loader { download: Some(Box::new(Downloading::new(options))), ..Loader::new() }
    }

    /// Goes from step to step until there is something to wait for.
    fn go(&mut self, core: &Arc<TaskCore>, mode: Mode) -> Advance {
        if !std::mem::replace(&mut self.begun, true) {
            self.clock.begin(core);
        }
        loop {
            if core.is_settled() {
                return Advance::Done(Err(Error::cancelled()));
            }
            if self.was_suspended(core) {
                if core.is_suspended() {
                    self.pause();
                    return Advance::Wait(None);
                }
                continue;
            }
            let step = std::mem::replace(&mut self.step, Step::Over);
            let flow = self.next(step, core, mode);
            match flow {
                Ok(Flow::Go(step)) => self.step = step,
                Ok(Flow::Done(response)) => {
                    self.log_end(core, &response);
                    return Advance::Done(Ok(response));
                }
                Ok(Flow::Stay(step, pause)) => {
                    self.step = step;
                    return match pause {
                        Pause::Io => Advance::Park(self.clock.deadline(true)),
                        Pause::Listen { idle } => Advance::Listen(self.clock.deadline(idle)),
                        Pause::Event => Advance::Wait(self.clock.deadline(!matches!(
                            self.step,
                            Step::Acquire(_) | Step::Backoff(_) | Step::Segments
                        ))),
                        Pause::Answer => Advance::Wait(self.clock.deadline(false)),
                        Pause::Yield => Advance::Yield,
                        Pause::Reader => Advance::Streaming,
                    };
                }
                Err(error) => {
                    #[cfg(feature = "tls")]
                    self.decided.take();
                    match self
                        .upload_lost(core, error)
                        .or_else(|error| self.after_failure(core, error))
                        .or_else(|error| self.instead_of_failure(core, error))
                    {
                        Ok(step) => self.step = step,
                        Err(error) => return Advance::Done(Err(self.describe(core, error))),
                    }
                }
            }
        }
    }

    fn next(&mut self, step: Step, core: &Arc<TaskCore>, mode: Mode) -> Result<Flow> {
        match step {
            Step::Prepare => self.prepare(core),
            Step::Route => self.route(core, mode),
            Step::Hashing(then) => self.hash(then, core, mode),
            Step::Backoff(until) => self.back_off(until, core),
            Step::NeedBody => self.need_body(core),
            Step::Protocol(load) => self.protocol(load, core),
            Step::Cached(found) => self.serve_cached(*found, core),
            Step::Acquire(ticket) => self.acquire(ticket, core),
            Step::Resolve(permit) => self.resolve(permit, core),
            Step::Dial(dial, permit) => self.dial(dial, permit, core),
            #[cfg(feature = "tls")]
            Step::Handshake(connection, permit, _) => self.handshake(connection, permit, core, mode),
            #[cfg(feature = "tls")]
            Step::Asking(asking) => self.asking(asking, core),
            Step::Converse(exchange, _) => self.converse(exchange, core, mode),
            Step::Challenged(incoming, head, offer) => self.challenged(incoming, head, offer, core),
            Step::Draining(incoming) => self.drain_to_keep(incoming, core, mode),
            Step::Redirecting(incoming, head, request) => self.redirecting(incoming, head, request, core),
            Step::Responding(receiving) => self.responding(receiving, core),
            Step::Body(receiving) => self.body(receiving, core, mode),
            Step::Delivering(head) => self.deliver(head, core),
            Step::Storing(head) => self.store(head, core),
            Step::Segments => self.supervise(core),
            Step::Over => Err(Error::new(crate::ErrorKind::Unknown, "a task was carried on after its end")),
        }
    }

    /// The request that is carried out now.
    fn request<'a>(&'a self, core: &'a TaskCore) -> &'a Request {
        self.request.as_ref().unwrap_or(&core.original)
    }

    /// The measurements of the exchange that goes on.
    fn measure(&mut self) -> Option<&mut TransactionMetrics> {
        self.transactions.last_mut()
    }

    /// Asks the delegate something, on its lane. The answer comes into the slot, and wakes the task.
    fn ask(
        &self,
        core: &Arc<TaskCore>,
        events: Arc<dyn Events>,
        ask: impl FnOnce(&dyn Events, &Arc<TaskCore>) -> Answer + Send + 'static,
        default: Answer,
    ) {
        let slot = Arc::clone(&self.answer);
        let asker = Arc::clone(core);
        core.post(Box::new(move || {
            let answer = if asker.is_settled() {
                default
            } else {
                crate::engine::events::contain(|| asker.within_event(|| ask(events.as_ref(), &asker)))
                    .unwrap_or(default)
            };
            *lock(&slot) = Some(answer);
            asker.wake();
        }));
    }

    /// The error if a time limit has passed. `idle`: the idle timeout counts; `phase` says what was
    /// being done.
    fn check(&mut self, idle: bool, core: &Arc<TaskCore>, phase: &dyn Fn(&Loader) -> String) -> Result<()> {
        // A thread that sat in a receive has not noticed that the task was suspended meanwhile.
        if self.was_suspended(core) {
            return Ok(());
        }
        self.clock.check(idle, &|| phase(self))
    }

    fn answered(&self) -> Option<Answer> {
        lock(&self.answer).take()
    }

    /// Whether the task is suspended, or was since the last look: its time limits are others now.
    fn was_suspended(&mut self, core: &Arc<TaskCore>) -> bool {
        if core.is_suspended() {
            return true;
        }
        let resumed = core.take_resumed();
        if resumed {
            self.clock.resume(core);
        }
        resumed
    }

    fn pause(&mut self) {
        // A suspended task does not keep its place in the queue, nor a connection it has not used.
        if let Step::Acquire(ticket) = &mut self.step {
            *ticket = None;
        }
    }

    /// Says in an error what it is about.
    fn describe(&mut self, core: &Arc<TaskCore>, error: Error) -> Error {
        #[cfg(feature = "tls")]
        self.reconsider(&error, core);
        let error = match self.request(core).get_url() {
            Some(url) if error.url().is_none() => error.with_url(url),
            _ => error,
        };
        let error = match core.head() {
            Some(head) => error.with_response(head),
            None => error,
        };
        // What was cancelled meanwhile is not gone on with, unless that was asked for.
        let error = if core.is_settled() { error } else { self.with_resume_data(core, error) };
        log::debug!("task {}: {error}", core.id);
        self.failure = Some(error.clone());
        error
    }

    fn log_end(&self, core: &Arc<TaskCore>, response: &Response<Content>) {
        log::debug!(
            "task {}: {} {} with {} bytes",
            core.id,
            response.status(),
            crate::error::redacted(&response.url),
            core.counts.received()
        );
    }
}

impl Work for Loader {
    fn advance(&mut self, core: &Arc<TaskCore>, mode: Mode) -> Advance {
        self.go(core, mode)
    }

    fn read(&mut self, core: &Arc<TaskCore>, buffer: &mut [u8], mode: Mode) -> ReadStep {
        while self.was_suspended(core) {
            if core.is_suspended() {
                return ReadStep::Wait(None);
            }
        }
        match self.read_body(core, buffer, mode) {
            Ok(step) => step,
            Err(error) => ReadStep::Done(Err(self.describe(core, error))),
        }
    }

    fn sources(&self, each: &mut dyn FnMut(&Arc<Socket>, Interest)) {
        match &self.step {
            Step::Dial(dial, _) => dial.sources(each),
            #[cfg(feature = "tls")]
            Step::Handshake(connection, _, interest) => each(connection.socket(), *interest),
            Step::Converse(exchange, interest) => each(exchange.connection().socket(), *interest),
            Step::Draining(incoming) => {
                if let Some((socket, interest)) = incoming.source() {
                    each(socket, interest);
                }
            }
            Step::Body(receiving) => {
                if let Some((socket, interest)) = receiving.incoming.source() {
                    each(socket, interest);
                }
            }
            _ => {}
        }
    }

    fn end(mut self: Box<Self>, core: &Arc<TaskCore>) -> TaskMetrics {
        // Connections, permits and places in queues go with the step.
        self.step = Step::Over;
        self.end_segments(core);
        if core.is_resume_wanted() {
            core.set_resume_data(self.keep_for_later(core));
        }
        self.end_download();
        // Whoever still writes the body learns why nobody takes it.
        let reason = || {
            let outcome = core.outcome().and_then(Result::err).or(self.failure.clone());
            outcome.unwrap_or_else(|| {
                Error::new(crate::ErrorKind::RequestBodyFailed, "the task that sent the body is over")
            })
        };
        core.original.get_body().close(&reason);
        self.request(core).get_body().close(&reason);
        if let Some(upload) = &self.upload {
            upload.close(&reason);
        }
        let duration = core.created.elapsed();
        if self.failure.is_some() || core.is_settled() {
            let now = core.created + duration;
            if let Some(transaction) = self.measure() {
                transaction.failed_at.get_or_insert(now);
            }
        }
        TaskMetrics {
            created: core.created,
            duration,
            redirect_count: self.redirects,
            transactions: std::mem::take(&mut self.transactions),
        }
    }
}

/// The outcome of a task whose body went elsewhere.
fn without_body(head: Arc<ResponseHead>) -> Outcome {
    Ok(Response::new(head, Content::empty()))
}
