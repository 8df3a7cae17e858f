//! Own protocols: loaders that a program brings itself, for a scheme of its own or in place of a
//! server.
//!
//! A [`Protocol`] is asked whether it takes a request, and started with a [`ProtocolClient`], through
//! which it says what comes. What it says goes through a `Feed` to the task's loader, which treats it
//! as it treats what comes from a network.

mod feed;

pub(crate) use feed::{Audience, Coming, Load, Next};

use crate::challenge::{Challenge, ChallengeDisposition};
use crate::engine::events::contain;
use crate::error::{Error, ErrorKind, Result};
use crate::request::Request;
use crate::storage::CachedResponse;
use bytes::Bytes;
use feed::{Feed, Message};
use std::fmt;
use std::sync::Arc;

/// Loads requests in place of the library: for a scheme of the program's own, or to stand in for a
/// server in a test. `URLProtocol`.
///
/// The protocols of a configuration ([`Configuration::protocol`](crate::Configuration::protocol)) are
/// asked in their order, before what is built in; the first that takes a request gets it. A protocol
/// that keeps nothing between requests may serve any number of them at once.
///
/// ```
/// use urlsession::{Configuration, Protocol, ProtocolClient, Request, Session, http};
///
/// struct Greeter;
/// impl Protocol for Greeter {
///     fn can_handle(&self, request: &Request) -> bool {
///         request.get_url().is_some_and(|url| url.scheme() == "greet")
///     }
///     fn start(&self, request: Request, client: ProtocolClient) {
///         let name = request.get_url().map(|url| url.path().to_owned()).unwrap_or_default();
///         client.respond(http::Response::new(format!("Hello, {name}!")));
///     }
/// }
///
/// let session = Session::new(Configuration::ephemeral().protocol(Greeter));
/// assert_eq!(session.data_task("greet:world").wait()?.text()?, "Hello, world!");
/// # Ok::<(), urlsession::Error>(())
/// ```
pub trait Protocol: Send + Sync + 'static {
    /// Whether this protocol loads the request. Asked on whatever thread runs the task, so it is not to
    /// take long. `canInit(with:)`.
    fn can_handle(&self, request: &Request) -> bool;

    /// The request in the form that stands for all that mean the same; the task's current request from
    /// then on. `canonicalRequest(for:)`.
    fn canonical_request(&self, request: Request) -> Request {
        request
    }

    /// Loads the request. It has the headers of the configuration. `startLoading()`.
    ///
    /// Runs on a thread of the session and may block; 256 at once do, and others wait for one of them to
    /// return. It may as well hand the client to another thread and return. A panic fails the task.
    /// [`ProtocolClient::on_stop`] tells when nobody wants the rest.
    fn start(&self, request: Request, client: ProtocolClient);
}

/// A shared protocol is a protocol.
impl<P: Protocol + ?Sized> Protocol for Arc<P> {
    fn can_handle(&self, request: &Request) -> bool {
        (**self).can_handle(request)
    }

    fn canonical_request(&self, request: Request) -> Request {
        (**self).canonical_request(request)
    }

    fn start(&self, request: Request, client: ProtocolClient) {
        (**self).start(request, client);
    }
}

/// What a protocol says to the task that it loads something for. `URLProtocolClient`.
///
/// First comes one response, then its data, then the end; or in place of all that a redirect, a response
/// of a cache, or a failure. Whatever is said after the end means nothing. Cloning gives the same client.
/// When the last one is dropped before the end, the task fails.
#[derive(Clone)]
pub struct ProtocolClient(Arc<Handle>);

/// All clones of a client.
struct Handle(Arc<Feed>);

impl ProtocolClient {
    /// The head of the response: `urlProtocol(_:didReceive:cacheStoragePolicy:)`.
    ///
    /// Status, headers and version are taken as they are. The length of the body is that of
    /// `Content-Length`, if there is one, and nobody looks whether it is true. Nothing is decoded: what
    /// has a `Content-Encoding` is delivered with it. A response with status 1xx is an informational
    /// one, and may come before the real one. A redirect is not followed
    /// ([`was_redirected`](ProtocolClient::was_redirected) is for that).
    pub fn did_receive_response(&self, response: http::Response<()>) {
        self.0.0.respond(response);
    }

    /// More of the body: `urlProtocol(_:didLoad:)`. Blocks while the task has 256 KiB that nobody has
    /// taken: its reader is slow, or it is suspended.
    ///
    /// # Errors
    /// Why nobody wants it: [`ErrorKind::Cancelled`], or that the end came before it.
    pub fn did_load(&self, data: impl Into<Bytes>) -> Result<()> {
        self.0.0.load(data.into())
    }

    /// That was all: `urlProtocolDidFinishLoading(_:)`.
    pub fn did_finish_loading(&self) {
        self.0.0.finish();
    }

    /// The task fails: `urlProtocol(_:didFailWithError:)`. What was loaded before is delivered first.
    pub fn did_fail(&self, error: Error) {
        self.0.0.fail(error);
    }

    /// The request leads to another one: `urlProtocol(_:wasRedirectedTo:redirectResponse:)`. This load
    /// is over with that.
    ///
    /// With `None` the status and the `Location` of the response say where to, and the rules for redirects
    /// of servers say what goes along of method, headers and body. Otherwise it is the request that is
    /// given. In either case the delegate is asked and the limit of redirects holds, and neither `data:`
    /// nor `file:` is reached. If the delegate does not want to go there, the response is the result.
    pub fn was_redirected(&self, response: http::Response<()>, request: impl Into<Option<Request>>) {
        self.0.0.end(Message::Redirect(response, request.into().map(Box::new)));
    }

    /// A response that was kept is the answer: `urlProtocol(_:cachedResponseIsValid:)`. It is delivered
    /// as it is, and the load is over.
    pub fn cached_response_is_valid(&self, response: CachedResponse) {
        self.0.0.end(Message::Cached(Box::new(response)));
    }

    /// All of a response at once: its head, its body, and the end.
    pub fn respond<B: Into<Bytes>>(&self, response: http::Response<B>) {
        let (parts, body) = response.into_parts();
        self.did_receive_response(http::Response::from_parts(parts, ()));
        // Whoever has no use for it has none for the end either.
        let _ = self.did_load(body);
        self.did_finish_loading();
    }

    /// Asks the delegate who we are, and waits for what it decides:
    /// `urlProtocol(_:didReceive:)`. The task's idle timeout stands still meanwhile.
    ///
    /// Without a delegate it is [`ChallengeDisposition::PerformDefaultHandling`], as it is inside a method
    /// of a delegate or a handler of the same session, where nobody can be asked.
    /// [`ChallengeDisposition::CancelChallenge`] also cancels the task, and is what one gets that is over.
    pub fn challenge(&self, challenge: Challenge) -> ChallengeDisposition {
        self.0.0.challenge(challenge)
    }

    /// Whether nobody wants any more of it: the task was cancelled, or this load is over.
    pub fn is_cancelled(&self) -> bool {
        self.0.0.is_over()
    }

    /// Has a function run when this load is over: after its end, its failure, a redirect, or when the task
    /// is cancelled. `stopLoading()`.
    ///
    /// It runs once, on the thread that ends the task, which may be the one that cancels it; it is not to
    /// take long. If all is over already it runs here and now.
    pub fn on_stop(&self, stop: impl FnOnce() + Send + 'static) {
        self.0.0.on_stop(Box::new(stop));
    }
}

impl fmt::Debug for ProtocolClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtocolClient").field("is_cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return self.0.fail(panicked("start"));
        }
        self.0.fail(Error::new(
            ErrorKind::BadServerResponse,
            "the protocol dropped its client before it said how the load ended; \
             call did_finish_loading or did_fail",
        ));
    }
}

/// The first of the protocols that takes the request.
pub(crate) fn find<'a>(
    protocols: &'a [Arc<dyn Protocol>],
    request: &Request,
) -> Result<Option<&'a Arc<dyn Protocol>>> {
    for protocol in protocols {
        match contain(|| protocol.can_handle(request)) {
            Some(true) => return Ok(Some(protocol)),
            Some(false) => {}
            None => return Err(panicked("can_handle")),
        }
    }
    Ok(None)
}

/// The request as the protocol wants it.
pub(crate) fn canonical(protocol: &Arc<dyn Protocol>, request: &Request) -> Result<Request> {
    contain(|| protocol.canonical_request(request.clone())).ok_or_else(|| panicked("canonical_request"))
}

/// Starts the protocol, on a thread that `on_thread` has for it.
pub(crate) fn start(
    protocol: &Arc<dyn Protocol>,
    request: Request,
    audience: Arc<dyn Audience>,
    on_thread: impl FnOnce(Box<dyn FnOnce() + Send>),
) -> Load {
    let feed = Feed::new(audience);
    let client = ProtocolClient(Arc::new(Handle(Arc::clone(&feed))));
    let (protocol, fed) = (Arc::clone(protocol), Arc::clone(&feed));
    let run = move || {
        if fed.is_over() {
            return;
        }
        if contain(|| protocol.start(request, client)).is_none() {
            fed.fail(panicked("start"));
        }
    };
    on_thread(Box::new(run));
    Load::new(feed)
}

#[cold]
fn panicked(method: &str) -> Error {
    Error::new(ErrorKind::Unknown, format!("the protocol panicked in {method}; see the log for where"))
}
